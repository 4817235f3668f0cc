// data-toasts: float, can be closed, leave by themselves unless they offer undo or report an error or are being read.
const STAY = 8000;

export function attachToasts(root) {
  document.querySelector("[data-toasts]")?.classList.add("toasts--floating");
  const toasts = root.matches?.("[data-toast]") ? [root] : root.querySelectorAll("[data-toast]");
  for (const toast of toasts) {
    const close = toast.querySelector("[data-toast-close]");
    close.hidden = false;
    close.addEventListener("click", () => toast.remove());
    if ("keep" in toast.dataset || toast.classList.contains("toast--error")) continue;
    let timer = setTimeout(() => toast.remove(), STAY);
    const stay = () => clearTimeout(timer);
    const go = () => { timer = setTimeout(() => toast.remove(), STAY); };
    toast.addEventListener("pointerenter", stay);
    toast.addEventListener("pointerleave", go);
    toast.addEventListener("focusin", stay);
    toast.addEventListener("focusout", go);
  }
}
