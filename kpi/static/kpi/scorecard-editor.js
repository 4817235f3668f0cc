// The editor of a scorecard while somebody types: the sum of the weights and each curve. kpi/curves.py draws the same on the server.
const WIDTH = 320, TOP = 10, FOOT = 110;
const NUMBER = /^-?[0-9]{1,9}(\.[0-9]{1,4})?$/;

const form = () => document.getElementById("scorecard-editor");
const read = (input) => (input && NUMBER.test(input.value.trim()) ? Number(input.value.trim()) : null);

function sumWeights() {
  const output = form()?.querySelector("[data-weights]");
  if (!output) return;
  // In ten-thousandths, so that 33.3 + 33.3 + 33.4 is 100.
  const sum = [...form().querySelectorAll("[data-weight]")].reduce((total, input) => total + Math.round((read(input) ?? 0) * 10000), 0);
  output.value = String(sum / 10000);
  output.classList.toggle("is-right", sum === 1000000);
}

function draw(line) {
  const figure = line.querySelector("[data-curve]");
  if (!figure) return;
  const known = new Map();
  for (const row of line.querySelectorAll("[data-point]")) {
    const [value, score] = [...row.querySelectorAll("input")].map(read);
    if (value !== null && score !== null) known.set(value, score);
  }
  const points = [...known].sort((one, other) => one[0] - other[0]);
  const set = (mark, name, value) => figure.querySelector(`[data-${mark}]`).setAttribute(name, value);
  if (!points.length) {
    set("path", "d", "");
    set("dots", "d", "");
    return;
  }
  const below = read(line.querySelector("[data-below]")) ?? 0;
  const low = points[0][0], high = points.at(-1)[0];
  const room = (high - low) * 0.12 || Math.max(1, Math.abs(high) * 0.12);
  const most = Math.max(100, below, ...points.map((point) => point[1]));
  const x = (value) => ((value - low + room) / (high - low + 2 * room) * WIDTH).toFixed(1);
  const y = (score) => (FOOT - Math.max(0, score) / most * (FOOT - TOP)).toFixed(1);
  let path = `M0 ${y(below)}H${x(low)}`;
  points.forEach(([value, score], place) => {
    if (line.dataset.line === "step") path += `V${y(score)}H${place + 1 < points.length ? x(points[place + 1][0]) : WIDTH}`;
    else path += place ? `L${x(value)} ${y(score)}` : `V${y(score)}`;
  });
  if (line.dataset.line !== "step") path += `H${WIDTH}`;
  set("path", "d", path);
  set("dots", "d", points.map(([value, score]) => `M${x(value)} ${y(score)}h0`).join(""));
  set("hundred", "d", `M0 ${y(100)}H${WIDTH}`);
  set("hundred-label", "y", y(100));
  figure.querySelector("[data-left]").textContent = String(low);
  set("left", "x", points.length > 1 ? 34 : WIDTH / 2);
  figure.querySelector("[data-right]").textContent = points.length > 1 ? String(high) : "";
}

// On the document, because a button of the form puts a new editor in the place of the old one.
document.addEventListener("input", (event) => {
  if (!form()?.contains(event.target)) return;
  if (event.target.matches("[data-weight]")) sumWeights();
  const line = event.target.closest("[data-line]");
  if (line) draw(line);
});
sumWeights();
document.addEventListener("htmx:load", sumWeights);
