// Lines over steps, as SVG: axes with round numbers, a legend, and the values under the pointer.

import { h, number, s } from "/assets/dom.js";

const HEIGHT = 320, LEFT = 52, RIGHT = 12, TOP = 10, BOTTOM = 34;

function ticks(low, high, count = 5) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= rough);
  const first = Math.ceil(low / step - 1e-9) * step;
  return Array.from({ length: Math.floor((high - first) / step + 1e-9) + 1 }, (_, i) => first + i * step);
}

function scale(low, high, from, to, log) {
  const f = log ? (v) => Math.log10(Math.max(v, 1e-30)) : (v) => v;
  const span = f(high) - f(low) || 1;
  return (value) => from + ((f(value) - f(low)) / span) * (to - from);
}

function logTicks(low, high) {
  const found = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p += 1)
    for (const m of [1, 2, 5]) if (m * 10 ** p >= low && m * 10 ** p <= high) found.push(m * 10 ** p);
  return found.length > 1 ? found : ticks(low, high);
}

// series: [{ name, points: [[x, y]], color: 0..5, dash, marks }]. Drawn anew where the width changes, so that
// letters keep their size.
export function lineChart(series, options) {
  const drawn = series.filter((one) => one.points.length);
  if (!drawn.length) return h("p", { class: "soft" }, "Nothing to draw yet.");
  const box = h("div", { class: "chart" });
  let width = 0;
  new ResizeObserver(() => {
    if (Math.abs(box.clientWidth - width) < 2) return;
    width = box.clientWidth;
    box.replaceChildren(...draw(drawn, width, options));
  }).observe(box);
  return box;
}

function draw(drawn, WIDTH, { xLabel, yLabel, log = false, label }) {
  const xs = drawn.flatMap((one) => one.points.map(([x]) => x));
  const ys = drawn.flatMap((one) => one.points.map(([, y]) => y)).filter((y) => Number.isFinite(y) && (!log || y > 0));
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  let [y0, y1] = [Math.min(...ys), Math.max(...ys)];
  if (y0 === y1) [y0, y1] = [y0 * 0.9, y1 * 1.1 || 1];
  if (!log) { const room = 0.05 * (y1 - y0); y0 -= room; y1 += room; }
  const x = scale(x0, x1, LEFT, WIDTH - RIGHT), y = scale(y0, y1, HEIGHT - BOTTOM, TOP, log);
  const cross = s("line", { class: "cross", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  const picture = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    (log ? logTicks(y0, y1) : ticks(y0, y1)).map((v) => [
      s("line", { class: "tick", x1: LEFT, x2: WIDTH - RIGHT, y1: y(v), y2: y(v) }),
      s("text", { x: LEFT - 6, y: y(v) + 4, "text-anchor": "end" }, number(v)),
    ]),
    ticks(x0, x1, Math.max(2, Math.min(8, WIDTH / 110))).map((v) => s("text", { x: x(v), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, number(v, 4))),
    s("text", { x: WIDTH - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, xLabel),
    s("text", { x: 4, y: TOP + 2, "dominant-baseline": "hanging", transform: `rotate(-90 4 ${TOP}) translate(-4 0)`, "text-anchor": "end" }, yLabel),
    drawn.map((one) => [
      s("path", {
        class: `s${one.color % 6}${one.dash ? " dash" : ""}`,
        d: one.points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join(""),
      }),
      one.marks || one.points.length === 1
        ? one.points.map(([a, b]) => s("circle", { class: `s${one.color % 6}`, cx: x(a), cy: y(b), r: 2.6 })) : null,
    ]), cross);
  const values = drawn.map(() => h("b", {}));
  const legend = h("div", { class: "legend" }, drawn.map((one, i) =>
    h("span", { class: `s${one.color % 6}` }, h("i", { class: one.dash ? "dash" : "" }), one.name, " ", values[i])));
  const show = (event) => {
    const box = picture.getBoundingClientRect();
    const at = x0 + (((event.clientX - box.left) / box.width) * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT) * (x1 - x0);
    cross.setAttribute("visibility", "visible");
    cross.setAttribute("x1", x(at));
    cross.setAttribute("x2", x(at));
    drawn.forEach((one, i) => {
      const near = one.points.reduce((best, p) => (Math.abs(p[0] - at) < Math.abs(best[0] - at) ? p : best));
      values[i].textContent = `${number(near[1], 4)} at ${number(near[0], 4)}`;
    });
  };
  picture.addEventListener("pointermove", show);
  picture.addEventListener("pointerleave", () => {
    cross.setAttribute("visibility", "hidden");
    values.forEach((one) => { one.textContent = ""; });
  });
  return [picture, legend];
}
