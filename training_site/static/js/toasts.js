// data-toasts: float, can be closed, leave by themselves unless they offer undo or report an error or are being read.
const STAY = 8000;

// Shows one of the sentences the page keeps ready in <template data-trouble>; once, however often it happens.
export function tell(trouble) {
  const template = document.querySelector(`template[data-trouble="${trouble}"]`);
  const place = document.querySelector("[data-toasts]");
  if (!template || !place || place.querySelector(`[data-told="${trouble}"]`)) return;
  const toast = template.content.firstElementChild.cloneNode(true);
  toast.dataset.told = trouble;
  place.append(toast);
  attachToasts(toast);
}

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
