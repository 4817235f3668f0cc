// Opening a lesson keeps the place. A GET changes nothing, so the page says it afterwards with a small POST of its own;
// without JavaScript the Continue and Next buttons do the same.
const page = document.querySelector("[data-keep-place]");
if (page) {
  const token = document.querySelector("input[name=csrfmiddlewaretoken]")?.value;
  fetch(page.dataset.keepPlace, {
    method: "POST",
    headers: { "X-CSRFToken": token ?? "", "X-Keep-Place": "yes" },
    credentials: "same-origin",
    keepalive: true,
  }).catch(() => {}); // the place is a kindness: reading goes on without it
}
