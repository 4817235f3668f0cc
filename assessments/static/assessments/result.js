// The attempt is over: what still waited on this device for it can no longer be sent.
const ended = document.querySelector("[data-quiz-ended]");
if (ended) { try { localStorage.removeItem(`quiz-${ended.dataset.quizEnded}`); } catch { /* storage is refused: nothing is kept */ } }
