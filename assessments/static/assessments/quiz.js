// Saves each answer as it is given. What could not be sent yet waits in memory and on the device, so that a lost
// connection or an ended session loses nothing. Without this script the form of the page does the same on its buttons.
const root = document.querySelector("[data-quiz]");
const FIRST_RETRY = 2000, LAST_RETRY = 30000, TYPING_PAUSE = 700, TIMEOUT = 15000;

class Kept {
  // The answers that wait to be sent: position -> form body. Private browsing may refuse storage; memory does then.
  constructor(key) {
    this.key = key;
    this.map = new Map();
    try { this.map = new Map(Object.entries(JSON.parse(localStorage.getItem(key)) ?? {})); } catch { /* nothing usable is kept */ }
  }
  get(position) { return this.map.get(String(position)); }
  set(position, body) { this.map.set(String(position), body); this.write(); }
  delete(position) { this.map.delete(String(position)); this.write(); }
  clear() { this.map.clear(); this.write(); }
  write() {
    try {
      if (this.map.size) localStorage.setItem(this.key, JSON.stringify(Object.fromEntries(this.map)));
      else localStorage.removeItem(this.key);
    } catch { /* full or refused: memory still holds it */ }
  }
}

function csrfToken() {
  // Read at every sending: signing in again changes it.
  const name = `${root.dataset.csrfCookie}=`;
  const cookie = document.cookie.split("; ").find((part) => part.startsWith(name));
  return cookie ? cookie.slice(name.length) : root.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
}

function words(name, values = {}) {
  return (root.dataset[`words${name}`] ?? "").replace(/\{(\w+)\}/g, (_all, key) => values[key] ?? "");
}

function announce(text) {
  const place = root.querySelector("[data-announce]");
  if (place) place.textContent = text;
}

async function post(url, body) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), TIMEOUT);
  try {
    return await fetch(url, {
      method: "POST", body, signal: stop.signal, credentials: "same-origin",
      headers: { "X-CSRFToken": csrfToken(), "Content-Type": "application/x-www-form-urlencoded", Accept: "application/json" },
    });
  } finally { clearTimeout(timer); }
}

function start() {
  const kept = new Kept(`quiz-${root.dataset.quiz}`);
  const form = root.querySelector("[data-quiz-form]");
  const typing = new Map();
  let running = null, retryTimer = null, retryAfter = FIRST_RETRY, leaving = false;

  const fieldset = (position) => root.querySelector(`[data-question="${position}"]`);

  function show(position, state, text) {
    const place = fieldset(position)?.querySelector("[data-save-state]");
    if (!place) return;
    place.dataset.state = state;
    place.setAttribute("role", "status");
    place.textContent = text;
  }
  function notice(name, visible) {
    const place = root.querySelector(`[data-${name}]`);
    if (place) place.hidden = !visible;
  }

  // --- the answer of a question as it stands in the page -------------------------------------------------------------
  function bodyOf(position) {
    const body = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      if (name === `q${position}` || name.startsWith(`q${position}.`)) body.append(name, value);
    }
    return body.toString();
  }
  function isAnswered(position) {
    const body = new URLSearchParams(bodyOf(position));
    if (fieldset(position).dataset.kind === "ordering") return Boolean(body.get(`q${position}.set`));
    return [...body.values()].some((value) => value.trim());
  }
  function restore(position, text) {
    const set = fieldset(position), body = new URLSearchParams(text), name = `q${position}`;
    if (set.dataset.kind === "ordering") {
      const list = set.querySelector("[data-order]");
      for (const id of body.getAll(name)) {
        const item = [...list.children].find((one) => one.querySelector("input").value === id);
        if (item) list.append(item);
      }
      set.querySelector("[data-order-set]").value = body.get(`${name}.set`) ?? "";
      renumber(list);
      return;
    }
    for (const field of set.querySelectorAll("input:not([type=hidden]), select")) {
      if (field.type === "radio" || field.type === "checkbox") field.checked = body.getAll(field.name).includes(field.value);
      else if (body.has(field.name)) field.value = body.get(field.name);
    }
  }

  // --- sending ---------------------------------------------------------------------------------------------------------
  function changed(position) {
    kept.set(position, bodyOf(position));
    show(position, "saving", words("Saving"));
    mark(position);
    sync();
  }
  function mark(position) {
    const item = root.querySelector(`[data-palette="${position}"]`);
    if (!item) return;
    const answered = isAnswered(position);
    item.classList.toggle("palette__item--answered", answered);
    item.querySelector("[data-palette-words]").textContent = `, ${words(answered ? "Answered" : "Unanswered")}`;
    const count = root.querySelector("[data-palette-count]");
    const number = (items) => root.querySelectorAll(items).length;
    if (count) count.textContent = words("Count", { answered: number(".palette__item--answered"), total: number("[data-palette]") });
  }
  function sync() {
    running ??= sendAll().finally(() => { running = null; });
    return running;
  }
  async function sendAll() {
    clearTimeout(retryTimer);
    while (kept.map.size) {
      const [position, body] = kept.map.entries().next().value;
      const outcome = await sendOne(position, body);
      if (outcome === "later") {
        for (const waiting of kept.map.keys()) show(waiting, "waiting", words("Waiting"));
        retryTimer = setTimeout(sync, retryAfter);
        retryAfter = Math.min(retryAfter * 2, LAST_RETRY);
        return false;
      }
      if (outcome === "stop") return false;
    }
    retryAfter = FIRST_RETRY;
    return true;
  }
  async function sendOne(position, body) {
    let response;
    try { response = await post(`${root.dataset.answersUrl}${position}/`, body); } catch { notice("offline", true); return "later"; }
    const json = response.headers.get("Content-Type")?.startsWith("application/json") ? await response.json().catch(() => null) : null;
    if (response.status === 401 || (response.redirected && !json)) {
      notice("signed-out", true);
      notice("offline", false);
      for (const waiting of kept.map.keys()) show(waiting, "waiting", words("Waiting"));
      return "stop"; // tried again when the person comes back to this page
    }
    notice("signed-out", false);
    if (response.ok && json?.saved) {
      notice("offline", false);
      if (kept.get(position) === body) { kept.delete(position); show(position, json.note ? "noted" : "saved", json.note || words("Saved", { time: json.at })); }
      if (json.seconds_left !== null) clock.set(json.seconds_left);
      return "done";
    }
    if (response.status === 409 && json) { kept.clear(); leaving = true; location.assign(json.url); return "stop"; }
    if (response.status === 404) { kept.clear(); return "stop"; } // another person's attempt: nothing of ours to send
    if (response.status === 400) { kept.delete(position); show(position, "refused", json?.text ?? ""); return "done"; }
    notice("offline", true);
    return "later";
  }

  // --- what the person does ----------------------------------------------------------------------------------------------
  const positionOf = (element) => element.closest("[data-question]")?.dataset.question;

  form?.addEventListener("change", (event) => {
    const position = positionOf(event.target);
    if (!position) return;
    clearTimeout(typing.get(position));
    typing.delete(position);
    changed(position);
  });
  form?.addEventListener("input", (event) => {
    const position = positionOf(event.target);
    if (!position || event.target.type !== "text") return;
    kept.set(position, bodyOf(position)); // typed letters are kept at once, sent after a pause
    show(position, "saving", words("Saving"));
    clearTimeout(typing.get(position));
    typing.set(position, setTimeout(() => { typing.delete(position); changed(position); }, TYPING_PAUSE));
  });
  for (const one of root.querySelectorAll("form")) {
    one.addEventListener("submit", async (event) => {
      if (leaving) return;
      event.preventDefault();
      const submitter = event.submitter;
      for (const [position, timer] of typing) { clearTimeout(timer); typing.delete(position); kept.set(position, bodyOf(position)); }
      while (running) await running;
      if (!(await sync()) || kept.map.size) {
        root.querySelector("[data-signed-out]:not([hidden]), [data-offline]:not([hidden])")?.scrollIntoView({ block: "center" });
        return;
      }
      await new Promise((next) => setTimeout(next)); // the browser ignores a second submission inside the first one's event
      leaving = true;
      delete one.dataset.sent; // site.js lets a form go once; this is that once
      if (submitter) one.requestSubmit(submitter); else one.submit();
    });
  }
  addEventListener("pageshow", () => { leaving = false; });
  addEventListener("online", () => { retryAfter = FIRST_RETRY; sync(); });
  addEventListener("focus", sync);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) sync(); });

  // --- putting in order ------------------------------------------------------------------------------------------------------
  function renumber(list) {
    [...list.children].forEach((item, place) => {
      item.querySelector(".order__place").textContent = place + 1;
      item.querySelector("[data-move=up]").disabled = place === 0;
      item.querySelector("[data-move=down]").disabled = place === list.children.length - 1;
    });
  }
  function setOrder(list) {
    const set = list.closest("[data-question]");
    set.querySelector("[data-order-set]").value = "1";
    set.querySelector("[data-move=keep]")?.closest("p").remove();
    renumber(list);
    changed(set.dataset.question);
  }
  function move(item, direction) {
    const list = item.parentElement;
    const other = direction === "up" ? item.previousElementSibling : item.nextElementSibling;
    if (!other) return;
    if (direction === "up") other.before(item); else other.after(item);
    setOrder(list);
    const place = [...list.children].indexOf(item) + 1;
    announce(words("Moved", { item: item.dataset.item, place, total: list.children.length }));
    const button = item.querySelector(`[data-move=${direction}]`);
    (button.disabled ? item.querySelector("[data-move]:not(:disabled)") : button).focus();
  }
  form?.addEventListener("click", (event) => {
    const button = event.target.closest("[data-move]");
    if (!button) return;
    event.preventDefault();
    if (button.dataset.move === "keep") setOrder(button.closest("[data-question]").querySelector("[data-order]"));
    else move(button.closest("li"), button.dataset.move);
  });
  form?.addEventListener("keydown", (event) => {
    const item = event.target.closest?.("[data-move]")?.closest("li");
    if (!item || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    move(item, event.key === "ArrowUp" ? "up" : "down");
  });
  for (const list of root.querySelectorAll("[data-order]")) {
    let dragged = null;
    for (const item of list.children) item.draggable = true;
    list.addEventListener("dragstart", (event) => { dragged = event.target.closest("li"); dragged?.classList.add("order__item--held"); });
    list.addEventListener("dragover", (event) => {
      const over = event.target.closest("li");
      if (!dragged || !over || over === dragged) return;
      event.preventDefault();
      const box = over.getBoundingClientRect();
      if (event.clientY > box.top + box.height / 2) over.after(dragged); else over.before(dragged);
    });
    list.addEventListener("drop", (event) => event.preventDefault());
    list.addEventListener("dragend", () => { dragged?.classList.remove("order__item--held"); if (dragged) setOrder(list); dragged = null; });
  }

  // --- what waited from before ---------------------------------------------------------------------------------------------------
  for (const [position, body] of kept.map) if (fieldset(position)) { restore(position, body); mark(position); }
  if (kept.map.size) sync();

  const clock = startClock(async () => {
    announce(words("Over"));
    while (running) await running;
    await sync();
    for (let wait = FIRST_RETRY; ; wait = Math.min(wait * 2, LAST_RETRY)) {
      try {
        const response = await post(root.dataset.submitUrl, "");
        if (response.ok || response.redirected) { leaving = true; location.assign(root.dataset.resultUrl); return; }
        if (response.status === 401) notice("signed-out", true);
      } catch { notice("offline", true); }
      await new Promise((done) => setTimeout(done, wait));
    }
  });
}

function startClock(whenOver) {
  // The server's time: set when the page is made and again with each saved answer. Minutes while there is plenty, seconds at the end.
  const place = root.querySelector("[data-clock]");
  if (!place) return { set() {} };
  const text = place.querySelector("[data-clock-words]");
  let end = 0, over = false, said = Infinity;
  const set = (seconds) => { end = Date.now() + seconds * 1000; };
  set(Number(place.dataset.secondsLeft));
  function tick() {
    const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    const minutes = Math.ceil(left / 60);
    text.textContent = left > 300 ? words("Minutes", { minutes }) : `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    place.classList.toggle("quiz-clock--soon", left <= 60);
    for (const mark of [10, 5, 1]) {
      if (left <= mark * 60 && left > mark * 60 - 30 && said > mark) { said = mark; announce(mark === 1 ? words("Minute") : words("Minutes", { minutes: mark })); }
    }
    if (left === 0 && !over) { over = true; text.textContent = "0:00"; whenOver(); }
  }
  tick();
  setInterval(tick, 1000);
  return { set };
}

if (root) start();
