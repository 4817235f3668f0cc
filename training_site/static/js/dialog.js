// data-dialog: a native dialog. data-dialog-open="id" opens it, data-dialog-close inside it closes it.
export function attachDialogs(root) {
  for (const dialog of root.querySelectorAll("dialog[data-dialog]")) {
    if (!dialog.matches(":modal")) dialog.close();
    for (const button of dialog.querySelectorAll("[data-dialog-close]")) {
      button.hidden = false;
      button.addEventListener("click", () => dialog.close());
    }
    dialog.addEventListener("click", (event) => { if (event.target === dialog && !hasText(dialog)) dialog.close(); });
  }
  for (const opener of root.querySelectorAll("[data-dialog-open]")) {
    const dialog = document.getElementById(opener.dataset.dialogOpen);
    if (!dialog) continue;
    opener.hidden = false;
    opener.addEventListener("click", () => dialog.showModal());
  }
}

// A press beside the dialog does not throw away what somebody has typed.
function hasText(dialog) {
  return [...dialog.querySelectorAll("textarea, input[type=text]")].some((field) => field.value !== "");
}
