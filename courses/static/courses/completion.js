// The completion table opens down the tree in place: htmx fetches the rows below a unit, this closes them again.
function attach(root) {
  for (const button of root.querySelectorAll("[data-open-unit][hidden]")) button.hidden = false;
}

attach(document);

const table = document.querySelector("[data-completion]");
table?.addEventListener("htmx:confirm", (event) => {
  const button = event.target.closest("[data-open-unit]");
  if (!button || button.getAttribute("aria-expanded") === "false") return;
  event.preventDefault();
  const row = button.closest("tr");
  for (const other of [...row.parentElement.rows]) {
    const below = other.dataset.path !== row.dataset.path && other.dataset.path.startsWith(row.dataset.path);
    if (below || (other !== row && other.dataset.path === row.dataset.path && Number(other.dataset.depth) > Number(row.dataset.depth))) other.remove();
  }
  button.setAttribute("aria-expanded", "false");
});
table?.addEventListener("htmx:afterRequest", (event) => {
  const button = event.target.closest("[data-open-unit]");
  if (button && event.detail.successful) button.setAttribute("aria-expanded", "true");
});
document.addEventListener("htmx:afterSettle", () => attach(document));

for (const select of document.querySelectorAll("[data-submit-on-change]")) {
  select.form.querySelector("button[type=submit]")?.classList.add("visually-hidden");
  select.addEventListener("change", () => select.form.requestSubmit());
}
