// Stage 4: the heads of a layer, one head large, and the steps that lead to it.

import { h, percent, say, scroll, select, token } from "/assets/dom.js";
import { heatmap } from "/assets/maps.js";

const keep = { layer: 0, head: 0, row: null };

export async function attentionView({ ask, again, about }) {
  keep.layer = Math.min(keep.layer, about.layers - 1);
  keep.head = Math.min(keep.head, about.heads - 1);
  const found = await ask("attention", { layer: keep.layer });
  const steps = await ask("steps", { layer: keep.layer, head: keep.head });
  const range = (count) => Array.from({ length: count }, (_, i) => [i, String(i + 1)]);
  return h("div", {},
    h("p", {}, "A row is a token that gathers, a column a token that it gathers from: the darker, the more (by the root, so that little shows too). Nothing is gathered from the future, so the upper right is empty.",
      found.tokens.length >= about.most_tokens ? ` Shown are the first ${found.tokens.length} tokens.` : ""),
    h("div", { class: "fields" }, select("Layer", range(about.layers), keep.layer, (v) => { keep.layer = Number(v); again(); }, "layer")),
    h("div", { class: "heads" }, found.heads.map((matrix, head) => h("button", {
      type: "button", "aria-pressed": String(head === keep.head), onclick: () => { keep.head = head; again(); },
    }, heatmap(matrix, { label: `head ${head + 1}` }), `head ${head + 1}`))),
    h("h2", {}, `Layer ${keep.layer + 1}, head ${keep.head + 1}`),
    large(found.tokens, found.heads[keep.head]),
    h("h2", {}, "The steps that lead there"),
    h("p", { class: "soft" }, "From a plain average to this head, on this text. Brown is more than zero, blue less, chequered is hidden."),
    h("div", { class: "steps" }, steps.steps.map((one) => h("figure", { class: "card" },
      heatmap(one.matrix, { signed: /1|3|5/.test(one.name[0]), label: one.name }), h("figcaption", {}, h("h3", {}, one.name), h("span", { class: "soft" }, one.text))))));
}

function large(tokens, matrix) {
  const told = h("p", { class: "tokens", id: "gathered" });
  const show = (row) => {
    keep.row = row;
    const weights = matrix[row];
    told.replaceChildren(h("span", { class: "soft" }, "what ", token(tokens[row]), " gathers from: "),
      ...tokens.slice(0, row + 1).map((one, i) => token(one, { class: "heat", "--p": Math.sqrt(weights[i]).toFixed(3), title: percent(weights[i]) })));
    const best = weights.indexOf(Math.max(...weights));
    say(`${tokens[row].text} gathers most from ${tokens[best].text}: ${percent(weights[best])}`);
  };
  const body = tokens.map((one, r) => h("tr", { onmouseenter: () => show(r) },
    h("th", { scope: "row" }, h("button", { class: "plain", type: "button", onclick: () => show(r), onfocus: () => show(r) }, one.text)),
    matrix[r].slice(0, r + 1).map((v, c) => h("td", { "--p": Math.sqrt(v).toFixed(3), title: `${one.text} → ${tokens[c].text}: ${percent(v)}` }))));
  show(Math.min(keep.row ?? tokens.length - 1, tokens.length - 1));
  return h("div", { class: "card" }, told, scroll("Weights", h("table", { class: "grid" },
    h("thead", {}, h("tr", {}, h("td", {}), tokens.map((one) => h("th", { scope: "col" }, one.text)))), h("tbody", {}, body))));
}
