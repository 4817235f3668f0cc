// Shows the question about missing people only for a full roster. Without JavaScript both questions stand in the page.
for (const form of document.querySelectorAll("[data-roster-upload]")) {
  const missing = form.querySelector("[data-roster-missing]");
  const show = () => {
    const chosen = form.querySelector("[name=mode]:checked");
    missing.hidden = chosen !== null && chosen.value !== "full";
  };
  form.addEventListener("change", show);
  show();
}
