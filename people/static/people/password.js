// data-password: a button that shows what is typed into a password field, and hides it again.
for (const box of document.querySelectorAll("[data-password]")) {
  const input = box.querySelector("input");
  const button = box.querySelector("[data-password-show]");
  const words = { show: button.textContent, hide: button.dataset.hide };
  const set = (shown) => {
    input.type = shown ? "text" : "password";
    button.textContent = shown ? words.hide : words.show;
    button.setAttribute("aria-pressed", String(shown));
  };
  button.hidden = false;
  button.setAttribute("aria-controls", input.id);
  button.addEventListener("click", () => { set(input.type === "password"); input.focus(); });
  input.form?.addEventListener("submit", () => set(false)); // browsers keep the text of plain fields
}
