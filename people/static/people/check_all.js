// data-check-all: one tick for every box of its form.
for (const all of document.querySelectorAll("[data-check-all]")) {
  const boxes = () => [...all.form.querySelectorAll("input[type=checkbox]:not([data-check-all])")];
  all.closest("[data-check-all-row]").hidden = false;
  all.addEventListener("change", () => { for (const box of boxes()) box.checked = all.checked; });
  all.form.addEventListener("change", (event) => {
    if (event.target === all) return;
    const ticked = boxes().filter((box) => box.checked).length;
    all.checked = ticked === boxes().length;
    all.indeterminate = ticked > 0 && !all.checked;
  });
}
