// Ticking all rows at once, and saying how many are chosen. Without this every row still has its own box.
for (const form of document.querySelectorAll("[data-choose]")) {
  const all = form.querySelector("[data-choose-all]");
  const boxes = [...form.querySelectorAll("[data-choose-one]")];
  if (!all || !boxes.length) continue;
  all.hidden = false;
  for (const words of form.querySelectorAll("[data-choose-words]")) words.hidden = false;
  const show = () => {
    const chosen = boxes.filter((box) => box.checked).length;
    all.checked = chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  };
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    show();
  });
  form.addEventListener("change", show);
  show();
}
