// data-file-drop: a file may be dropped on the field; its name and size are shown.
export function attachFileDrops(root) {
  for (const place of root.querySelectorAll("[data-file-drop]")) {
    const input = place.querySelector("input[type=file]");
    const chosen = place.querySelector("[data-file-chosen]");
    if (!input) continue;
    const show = () => {
      chosen.textContent = [...input.files].map((file) => `${file.name} · ${size(file.size)}`).join("\n");
    };
    input.addEventListener("change", show);
    for (const name of ["dragenter", "dragover"]) {
      place.addEventListener(name, (event) => { event.preventDefault(); place.classList.add("file-drop--over"); });
    }
    for (const name of ["dragleave", "drop"]) {
      place.addEventListener(name, () => place.classList.remove("file-drop--over"));
    }
    place.addEventListener("drop", (event) => {
      event.preventDefault();
      if (!event.dataTransfer.files.length) return;
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }
}

function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${Math.floor(bytes / 1024)} KB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
