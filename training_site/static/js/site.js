// What every page gets on top of plain HTML. Each part finds its elements by a data attribute and does without the rest.
import { attachDialogs } from "./dialog.js";
import { attachFileDrops } from "./file-drop.js";
import { attachMenus } from "./menu.js";
import { attachOnce } from "./once.js";
import { attachSendAgain } from "./send-again.js";
import { attachToasts, tell } from "./toasts.js";

function attach(root) {
  attachDialogs(root);
  attachFileDrops(root);
  attachMenus(root);
  attachOnce(root);
  attachSendAgain(root);
  attachToasts(root);
  root.querySelector("[data-focus]")?.focus();
}

attach(document);

// A part of the page could not be fetched: say so instead of nothing.
document.addEventListener("htmx:sendError", () => tell("offline"));
document.addEventListener("htmx:timeout", () => tell("offline"));
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  tell(status === 401 ? "signed-out" : status >= 500 ? "fault" : "refused");
});

document.addEventListener("htmx:load", (event) => { if (event.detail.elt !== document.body) attach(event.detail.elt); });
