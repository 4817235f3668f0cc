// What every page gets on top of plain HTML. Each part finds its elements by a data attribute and does without the rest.
import { attachDialogs } from "./dialog.js";
import { attachFileDrops } from "./file-drop.js";
import { attachMenus } from "./menu.js";
import { attachOnce } from "./once.js";
import { attachToasts } from "./toasts.js";

function attach(root) {
  attachDialogs(root);
  attachFileDrops(root);
  attachMenus(root);
  attachOnce(root);
  attachToasts(root);
  root.querySelector("[data-focus]")?.focus();
}

attach(document);
document.addEventListener("htmx:load", (event) => { if (event.detail.elt !== document.body) attach(event.detail.elt); });
