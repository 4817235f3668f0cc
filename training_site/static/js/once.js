// A form that posts is sent once: a second press while the first is under way does nothing. The server holds without this too.
export function attachOnce(root) {
  for (const form of root.querySelectorAll("form[method=post]:not([data-many])")) {
    if (form.matches("[hx-post]") || form.querySelector("[hx-post]")) continue; // sent in the background, perhaps often
    form.addEventListener("submit", (event) => {
      if (event.defaultPrevented) return;
      if (form.dataset.sent) { event.preventDefault(); return; }
      form.dataset.sent = "yes";
      form.setAttribute("aria-busy", "true");
      setTimeout(() => release(form), 8000); // the connection was lost, or the answer was a file
    });
  }
}

function release(form) {
  delete form.dataset.sent;
  form.removeAttribute("aria-busy");
}

// A page brought back by the Back button has to work again.
addEventListener("pageshow", () => { for (const form of document.querySelectorAll("form[data-sent]")) release(form); });
