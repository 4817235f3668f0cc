// The year plan: a course is dragged to another month, or moved by the arrow keys while it has the focus. Without this the
// forms in each course do the same.
const says = document.querySelector("[data-plan-says]");
let waiting = Promise.resolve();

function plan() { return document.querySelector("[data-plan]"); }

function say(text) {
  says.textContent = "";
  setTimeout(() => { says.textContent = text; }, 50); // the same words twice are said twice
}

function monthOf(card) { return card.closest("[data-month]"); }

// An undo that stands there is that of an older change: one is enough to read.
function forget() {
  for (const toast of document.querySelectorAll("#toasts [data-toast]")) {
    if (toast.querySelector(".toast__undo")) toast.remove();
  }
}

// Resolves when the new plan is in place, or when the answer was a refusal and the page has said so.
function settled() {
  return new Promise((resolve) => {
    const done = () => {
      for (const name of ENDS) document.removeEventListener(name, done);
      resolve();
    };
    for (const name of ENDS) document.addEventListener(name, done);
  });
}
const ENDS = ["htmx:afterSettle", "htmx:responseError", "htmx:sendError", "htmx:timeout"];

async function send(address, values, focus) {
  plan().setAttribute("aria-busy", "true");
  forget();
  const end = settled();
  window.htmx.ajax("POST", address, { target: "#plan", swap: "outerHTML", values });
  await end;
  plan()?.removeAttribute("aria-busy");
  document.getElementById(focus)?.focus({ preventScroll: true });
}

function move(card, month) {
  return send(card.dataset.move, { month: month.dataset.month }, card.id);
}

// --- keys ----------------------------------------------------------------------------------------------------------------
function step(id, by) {
  const card = document.getElementById(id);
  if (!card) return undefined;
  if (!card.dataset.move) { say(plan().dataset.saidFixed); return undefined; }
  const months = [...plan().querySelectorAll("[data-month]")];
  const place = months.indexOf(monthOf(card));
  const next = months[place + by];
  if (!next || !("open" in next.dataset)) {
    say(by > 0 && place === months.length - 1 ? plan().dataset.saidLast : plan().dataset.saidFirst);
    return undefined;
  }
  return move(card, next);
}

document.addEventListener("keydown", (event) => {
  const card = event.target;
  if (!card.matches?.("[data-line]") || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by) return;
  event.preventDefault();
  waiting = waiting.then(() => step(card.id, by)).catch(() => {}); // the page has said what went wrong
});

// --- dragging ------------------------------------------------------------------------------------------------------------
let dragged = null;

function mark(month) {
  for (const other of document.querySelectorAll("[data-month][data-target]")) {
    if (other !== month) delete other.dataset.target;
  }
  if (month) month.dataset.target = "";
}

function target(event) {
  const month = dragged && event.target.closest?.("[data-month][data-open]");
  return month && month !== monthOf(dragged) ? month : null;
}

document.addEventListener("dragstart", (event) => {
  const card = event.target.closest?.("[data-line][draggable=true]");
  if (!card) return;
  dragged = card;
  card.dataset.dragged = "";
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", card.dataset.name);
});
document.addEventListener("dragover", (event) => {
  const month = target(event);
  mark(month);
  if (month) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  const month = target(event);
  if (!month) return;
  event.preventDefault();
  const card = dragged;
  waiting = waiting.then(() => move(card, month)).catch(() => {});
});
document.addEventListener("dragend", () => {
  if (dragged) delete dragged.dataset.dragged;
  dragged = null;
  mark(null);
});

// --- the rest ------------------------------------------------------------------------------------------------------------
// Taking a change back stays on the page as well.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("#toasts form") || !form.getAttribute("action").includes("/plan/undo/")) return;
  event.preventDefault();
  form.closest("[data-toast]")?.remove();
  waiting = waiting.then(() => send(form.getAttribute("action"), {}, "plan")).catch(() => {});
}, true);

function attach(root) {
  for (const card of root.querySelectorAll("[data-line]")) {
    card.tabIndex = 0;
    if (!card.dataset.move) continue;
    card.draggable = true;
    card.setAttribute("aria-keyshortcuts", "ArrowLeft ArrowRight");
    card.setAttribute("aria-describedby", "plan-keys");
  }
  for (const help of root.querySelectorAll("[data-plan-help]")) help.hidden = false;
  const whole = root.matches?.("[data-plan]") ? root : root.querySelector("[data-plan]");
  if (whole) whole.tabIndex = -1;
}

attach(document);
document.addEventListener("htmx:load", (event) => { if (event.detail.elt !== document.body) attach(event.detail.elt.parentElement ?? event.detail.elt); });

const add = document.getElementById("add");
if (add) add.querySelector("select")?.focus();

for (const form of document.querySelectorAll("[data-plan-choice]")) {
  form.querySelector("button").classList.add("visually-hidden");
  form.querySelector("select").addEventListener("change", () => form.requestSubmit());
}
