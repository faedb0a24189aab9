// Stages 1 to 3: tokens, windows, embeddings.

import { h, number, paged, percent, s, say, slider, token } from "/assets/dom.js";

const keep = { vocab: 300, length: 8, stride: 8, chosen: null };
const MOST_TOKENS = 500, MOST_WINDOWS = 40, MOST_NAMES = 150;

export async function tokensView({ ask, again }) {
  const columns = await ask("tokens", { vocab_size: keep.vocab });
  return h("div", {},
    h("p", {}, "The same text cut by the model's own tokenizer and by four that were trained on it a moment ago, and on nothing else. A colour is an id; “·” is a space."),
    h("div", { class: "fields" }, slider("Vocabulary of those four, at most", { id: "vocab", min: 50, max: 1000, step: 10, value: keep.vocab }, later((v) => { keep.vocab = v; again(); }))),
    h("div", { class: "columns" }, columns.map((one) => h("section", { class: "card", "data-algorithm": one.name },
      h("h2", {}, one.name),
      one.error ? h("p", { class: "soft" }, one.error)
        : [h("p", { class: "soft" }, `${number(one.tokens.length)} tokens, vocabulary of ${number(one.vocab_size)}`),
          paged(h("div", { class: "tokens" }), one.tokens, (t) => [token(t), "\u200b"], MOST_TOKENS)]))));
}

function later(action) {
  let timer = 0;
  return (value) => { clearTimeout(timer); timer = setTimeout(() => action(value), 300); };
}

export async function windowsView({ ask, again, about }) {
  const found = await ask("windows", { max_length: keep.length, stride: keep.stride });
  const most = Math.max(2, Math.min(64, about.context_length));
  return h("div", {},
    h("p", {}, "Training reads windows: ", h("em", {}, "max_length"), " tokens each, the next beginning ", h("em", {}, "stride"),
      " tokens on. Each token is to predict the one after it, so the targets are the same window moved by one."),
    h("div", { class: "fields" },
      slider("max_length", { id: "length", min: 2, max: most, step: 1, value: keep.length }, later((v) => { keep.length = v; again(); })),
      slider("stride", { id: "stride", min: 1, max: most, step: 1, value: keep.stride }, later((v) => { keep.stride = v; again(); }))),
    h("p", { class: "soft" }, `${number(found.tokens.length)} tokens make ${number(found.count)} windows; `,
      keep.stride < keep.length ? "they overlap" : keep.stride > keep.length ? "tokens between them are left out" : "each token is read once",
      found.left_out ? `; ${number(found.left_out)} tokens are in none` : "", found.count > found.windows.length ? `. Shown are the first ${number(found.windows.length)}` : "", "."),
    paged(h("div", { class: "card" }), found.windows, ([start, stop], index) =>
      h("div", { class: "window" }, h("span", { class: "n" }, index + 1), h("div", { class: "tokens" },
        found.tokens.slice(Math.max(0, start - 3), stop + 4).map((t, i) => {
          const place = Math.max(0, start - 3) + i;
          return [token(t, { class: place < start || place >= stop ? "beside" : "" }), "\u200b"];
        }))), MOST_WINDOWS));
}

export async function embeddingView({ ask, fetched }) {
  const found = await ask("embedding");
  const unique = [...new Map(found.points.filter((p) => p.of_text).map((p) => [p.id, p])).values()];
  const near = h("div", { class: "near" }, h("p", { class: "soft" }, "Choose a token, in the plane or here, to see its neighbours."));
  const plot = h("div", { class: "card plot" });
  const choosing = (p) => token(p, { onclick: () => choose(p), "data-id": p.id, type: "button" }, "button");
  const buttons = paged(h("div", { class: "tokens" }), unique, (p) => [choosing(p), "\u200b"], MOST_TOKENS);
  let close = [];
  const draw = () => plot.replaceChildren(scatter([...found.points, ...close.filter((c) => !found.points.some((p) => p.id === c.id))], new Set(close.map((c) => c.id)), choose));
  const choose = async (point) => {
    keep.chosen = point.id;
    close = await fetched("neighbours", { token: point.id });
    buttons.querySelectorAll("button").forEach((b) => b.classList.toggle("chosen", b.dataset.id === String(point.id)));
    near.replaceChildren(h("h2", {}, "Nearest to ", token(point)), h("table", { id: "neighbours" }, h("tbody", {}, close.map((one) =>
      h("tr", {}, h("td", { class: "tokens" }, choosing(one)), h("td", { class: "n" }, one.cosine.toFixed(3)))))));
    draw();
    say(`Nearest: ${close.slice(0, 3).map((one) => one.text).join(", ")}`);
  };
  draw();
  const first = unique.find((p) => p.id === keep.chosen);
  if (first) await choose(first);
  return h("div", {},
    h("p", {}, `Each token of the vocabulary has a vector of ${found.dim} numbers. Drawn is the plane in which the vectors differ most (principal components${found.of < found.vocab_size ? `, worked out from ${number(found.of)} of the ${number(found.vocab_size)}` : ""}; it holds ${percent(found.shares[0] + found.shares[1])} of their spread), so what is near here need not be near in truth: the table tells by the angle between whole vectors (cosine).`),
    h("div", { class: "columns" }, plot, h("div", { class: "card" }, h("h2", {}, "Tokens of the text"), buttons, near)));
}

function scatter(points, near, choose) {
  const size = 420, room = 18;
  const bounds = (values) => [Math.min(...values), Math.max(...values)];
  const [x0, x1] = bounds(points.map((p) => p.x)), [y0, y1] = bounds(points.map((p) => p.y));
  const x = (v) => room + ((v - x0) / (x1 - x0 || 1)) * (size - 2 * room), y = (v) => size - room - ((v - y0) / (y1 - y0 || 1)) * (size - 2 * room);
  const kind = (p) => (p.id === keep.chosen ? "chosen " : "") + (near.has(p.id) ? "near" : p.of_text ? "of-text" : "");
  const above = [...points].sort((a, b) => kind(a).length - kind(b).length);
  const named = points.filter((p) => near.has(p.id) || p.id === keep.chosen || (!near.size && p.of_text)).slice(0, MOST_NAMES);
  const left = (p) => x(p.x) > size - 12 - 8 * p.text.length; // a name at the right edge stands before its point
  return s("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": `${points.length} tokens in a plane` },
    above.map((p) => s("circle", { class: kind(p), cx: x(p.x).toFixed(1), cy: y(p.y).toFixed(1), r: p.of_text || near.has(p.id) ? 4.5 : 2.6, "--hue": ((p.id * 137.508) % 360).toFixed(0), onclick: () => choose(p) },
      s("title", {}, `${p.text} (id ${p.id})`))),
    apart(named.map((p) => ({ text: p.text, x: x(p.x) + (left(p) ? -7 - 7 * p.text.length : 7), y: y(p.y) + 4 }))).map((p) => s("text", { x: p.x.toFixed(1), y: p.y.toFixed(1) }, p.text)));
}

// Names that would lie on another are left out; the pointer tells them.
function apart(labels) {
  const kept = [];
  for (const one of labels)
    if (!kept.some((other) => Math.abs(other.y - one.y) < 11 && one.x < other.x + 7 * other.text.length + 4 && other.x < one.x + 7 * one.text.length + 4)) kept.push(one);
  return kept;
}
