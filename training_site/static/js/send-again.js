// data-send-again: what somebody typed before the session ended. Signing in in another tab makes a new safety mark; the form
// takes it along, so that one press is enough. Without JavaScript the server asks for a second press, and keeps the text as well.
export function attachSendAgain(root) {
  for (const form of root.querySelectorAll("form[data-send-again]")) {
    form.addEventListener("submit", () => {
      const mark = document.cookie.split("; ").find((part) => /^(__Host-csrf|csrftoken)=/.test(part));
      const field = form.querySelector("[name=csrfmiddlewaretoken]");
      if (mark && field) field.value = mark.slice(mark.indexOf("=") + 1);
    });
  }
}
