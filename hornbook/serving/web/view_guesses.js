// What the model thinks: after each layer, of the next token, of a class; and what LoRA changed.

import { lineChart } from "/assets/chart.js";
import { h, number, percent, say, scroll, slider, token } from "/assets/dom.js";

const keep = { temperature: 1, top_k: 0, top_p: 1 };

export async function lensView({ ask, about }) {
  const found = await ask("lens");
  const detail = h("div", { class: "card" }, h("p", { class: "soft" }, "Choose a cell to see the five best guesses there."));
  const show = (layer, place) => {
    const { guesses, actual } = layer.places[place];
    detail.replaceChildren(h("h2", {}, `${layer.name}, after `, token(found.tokens[place])),
      bars(guesses.map((one) => ({ ...one, after: one.probability }))),
      actual === null ? "" : h("p", { class: "soft" }, "the token that follows, ", token(found.tokens[place + 1]), `, has ${percent(actual)}`));
    say(`${layer.name}: ${guesses[0].text}, ${percent(guesses[0].probability)}`);
  };
  const rows = [...found.layers].reverse();
  return h("div", {},
    h("p", {}, "Each layer adds to a stream that runs through the model. Read off early, with the last norm and the head put on it, the stream tells what the model would say if it ended there (the “logit lens”). Shown is the best guess of what follows each token, the darker the surer; an outline marks guesses that came true.",
      found.tokens.length >= about.most_tokens ? ` Shown are the first ${found.tokens.length} tokens.` : ""),
    detail,
    h("div", { class: "card" }, scroll("Guesses by layer and token", h("table", { class: "lens" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "after"), found.tokens.map((one) => h("th", { scope: "col" }, token(one))))),
      h("tbody", {}, rows.map((layer) => h("tr", {}, h("th", { scope: "row" }, layer.name), layer.places.map((place, i) => {
        const [best] = place.guesses;
        return h("td", {}, h("button", { type: "button", class: found.tokens[i + 1]?.id === best.id ? "right" : "", "--p": (0.75 * best.probability).toFixed(3), title: percent(best.probability), onclick: () => show(layer, i) }, best.text));
      }))))))));
}

function bars(tokens, pick) {
  return h("div", { class: "bars" }, tokens.map((one) => [
    pick && !one.special ? token(one, { type: "button", onclick: () => pick(one), class: one.after ? "" : "out" }, "button") : token(one),
    h("div", { class: "bar", title: one.before === undefined ? "" : `the model: ${percent(one.before)}` }, h("b", { "--w": one.after.toFixed(4) }), one.before === undefined ? null : h("i", { "--w": one.before.toFixed(4) })),
    h("span", { class: one.after ? "" : "out" }, percent(one.after))]));
}

export async function nextView({ ask, text }) {
  const shown = h("div", {});
  const draw = async () => {
    const found = await ask("next", { temperature: keep.temperature, top_k: keep.top_k || null, top_p: keep.top_p });
    shown.replaceChildren(
      h("p", { class: "soft", id: "left" }, `${number(found.left)} tokens may be drawn; the choice takes ${found.entropy_after.toFixed(2)} bits (${found.entropy_before.toFixed(2)} as the model has it)`),
      bars(found.tokens, (one) => {
        text.value += one.text.replaceAll("·", " ").replaceAll("⏎", "\n").replaceAll("⇥", "\t");
        text.dispatchEvent(new Event("input"));
      }));
  };
  const soon = (name) => (value) => { keep[name] = value; draw().catch(() => {}); };
  await draw();
  return h("div", {},
    h("p", {}, "What may come next: the thin line is the probability that the model gives, the bar the one that is drawn from under these settings. Choose a token to write it."),
    h("div", { class: "fields" },
      slider("temperature", { id: "temperature", min: 0, max: 2, step: 0.05, value: keep.temperature, shown: (v) => v.toFixed(2) }, soon("temperature")),
      slider("top-k", { id: "top_k", min: 0, max: 50, step: 1, value: keep.top_k, shown: (v) => v || "off" }, soon("top_k")),
      slider("top-p", { id: "top_p", min: 0.05, max: 1, step: 0.05, value: keep.top_p, shown: (v) => v.toFixed(2) }, soon("top_p"))),
    h("div", { class: "card" }, shown));
}

export async function classesView({ ask }) {
  const found = await ask("classes");
  const last = found.probabilities.at(-1);
  const order = found.classes.map((name, i) => ({ name, i })).sort((a, b) => last[b.i] - last[a.i]);
  const best = order.slice(0, 6);
  return h("div", {},
    h("p", {}, "What the classifier would say if the text ended after each token. It reads from left to right, so nothing that follows can change it."),
    h("div", { class: "card" }, h("h2", {}, "In the end: ", best[0].name, `, ${percent(last[best[0].i])}`),
      lineChart(best.map(({ name, i }, color) => ({ name, color, points: found.probabilities.map((row, place) => [place + 1, row[i]]), marks: true })),
        { xLabel: "tokens read", yLabel: "probability", label: "probability of each class as the text is read" })),
    h("div", { class: "card" }, scroll("Probabilities by class and token", h("table", { class: "lens" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "after"), found.tokens.map((one) => h("th", { scope: "col" }, token(one))))),
      h("tbody", {}, order.map(({ name, i }) => h("tr", {}, h("th", { scope: "row" }, name), found.probabilities.map((row) =>
        h("td", { title: percent(row[i]) }, h("span", { class: "token heat", "--p": (0.8 * row[i]).toFixed(3) }, percent(row[i], 0)))))))))));
}

export async function adapterView({ fetched }) {
  const found = await fetched("adapter");
  const most = Math.max(...found.layers.map((one) => one.share), 1e-9);
  const range = (name) => { const all = found.layers.map((one) => one[name]), [low, high] = [Math.min(...all), Math.max(...all)]; return low === high ? number(low) : `${number(low)} to ${number(high)}`; };
  return h("div", {},
    h("p", {}, `A LoRA adapter adds to each matrix W a product B A of rank ${range("rank")} (times ${range("scale")}). Here is how large that is beside W (by the Frobenius norm), and how many directions it really uses: its singular values, the largest first.`,
      found.dora ? " With DoRA the lengths of W's rows have been trained as well: they count in the size, and not in the singular values." : "",
      found.whole.length ? ` Trained whole beside it, and not in this table: ${found.whole.join(", ")}.` : ""),
    h("div", { class: "card" }, scroll("Changes by layer", h("table", { id: "adapter" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "layer"), h("th", { scope: "col", class: "n" }, "change"), h("th", { scope: "col", class: "n", colspan: 2 }, "share of |W|"), h("th", { scope: "col" }, "singular values"))),
      h("tbody", {}, found.layers.map((one) => h("tr", {}, h("th", { scope: "row" }, one.name), h("td", { class: "n" }, number(one.norm)), h("td", { class: "n" }, percent(one.share)),
        h("td", {}, h("div", { class: "bar share" }, h("b", { "--w": (one.share / most).toFixed(4) }))),
        h("td", {}, h("div", { class: "spectrum", title: one.singular_values.map((v) => number(v)).join(", ") }, one.singular_values.slice(0, 32).map((v) => h("i", { "--h": (v / (one.singular_values[0] || 1)).toFixed(3) })))))))))));
}
