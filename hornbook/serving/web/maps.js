// Matrices as pictures: one canvas pixel a number, enlarged by the browser.

import { h } from "/assets/dom.js";

function rgb(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).split(",").map(Number);
}

// The largest value has the full colour, the others by their root, so that small ones show; with `signed`, negative ones another colour; null is hatched.
export function heatmap(matrix, { signed = false, label } = {}) {
  const rows = matrix.length, columns = matrix[0].length;
  const canvas = h("canvas", { class: "map", width: columns, height: rows, role: "img", "aria-label": label });
  const finite = matrix.flat().filter((v) => v !== null);
  const most = signed ? Math.max(...finite.map(Math.abs), 1e-9) : Math.max(...finite, 1e-9);
  const hot = rgb("--heat"), cold = rgb("--cold");
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  matrix.forEach((row, r) => row.forEach((value, c) => {
    const color = value === null ? [128, 128, 128] : value < 0 ? cold : hot;
    const strength = value === null ? ((r + c) % 2 ? 0.28 : 0.12) : Math.min(1, Math.sqrt(Math.abs(value) / most));
    image.data.set([...color, Math.round(255 * strength)], 4 * (r * columns + c));
  }));
  context.putImageData(image, 0, 0);
  return canvas;
}
