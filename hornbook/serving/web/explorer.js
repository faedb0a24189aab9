// The stages of a language model, seen on a model and a text of the user's.

import { get, post } from "/assets/api.js";
import { debounce, h, say, tabs } from "/assets/dom.js";
import { failed, shell } from "/assets/shell.js";
import { attentionView } from "/assets/view_attention.js";
import { adapterView, classesView, lensView, nextView } from "/assets/view_guesses.js";
import { embeddingView, tokensView, windowsView } from "/assets/view_text.js";

const VIEWS = {
  tokens: ["Tokens", tokensView], windows: ["Windows", windowsView], embedding: ["Embedding", embeddingView],
  attention: ["Attention", attentionView], lens: ["Layer by layer", lensView], next: ["Next token", nextView],
  classes: ["Class as it reads", classesView], adapter: ["What LoRA changed", adapterView],
};
const START = "Once upon a time there was a fox who lived in the wood. The fox had a red scarf.\nOne day the fox lost the scarf, and an owl found it.";
const FIRST = "tokens";
const page = { model: null, about: null, view: FIRST, turn: 0 };

const text = h("textarea", { id: "text", rows: 3, maxlength: 4000, dir: "auto", spellcheck: "false", oninput: debounce(() => { remember(); show(); }, 350) });
const bar = h("div", {}), panel = h("section", { id: "panel", role: "tabpanel", tabindex: "0" });

function remember() {
  try { localStorage.setItem("explorer-text", text.value); } catch { /* it stands on the page */ }
}

function open() {
  const { task, adapter } = page.about;
  const hidden = { classes: task !== "classify", lens: task === "classify", next: task === "classify", adapter: !adapter };
  const entries = Object.entries(VIEWS).filter(([key]) => !hidden[key]).map(([key, [name]]) => [key, name]);
  if (!entries.some(([key]) => key === page.view)) [[page.view]] = entries;
  const made = tabs("What to look at", entries, page.view, (key) => { page.view = key; location.hash = key; show(); });
  bar.replaceChildren(made.list);
}

// Draws the view anew. An answer that comes after a newer question is thrown away.
async function show() {
  const turn = ++page.turn;
  panel.setAttribute("aria-labelledby", `tab-${page.view}`);
  panel.setAttribute("aria-busy", "true");
  const ask = async (path, more = {}) => {
    const answer = await post(`/api/explore/${path}`, { model: page.model, text: text.value, ...more });
    if (turn !== page.turn) throw new DOMException("a newer one was asked", "AbortError");
    return answer;
  };
  const fetched = (path, query = {}) => get(`/api/explore/${path}`, { model: page.model, ...query });
  try {
    const drawn = await VIEWS[page.view][1]({ ask, fetched, about: page.about, text, again: show });
    if (turn !== page.turn) return;
    panel.replaceChildren(drawn);
    document.querySelector(".failed")?.remove();
    say(`${VIEWS[page.view][0]} shown.`);
  } catch (error) {
    if (error.name !== "AbortError" && turn === page.turn) { panel.replaceChildren(); failed(error); }
  } finally {
    if (turn === page.turn) panel.removeAttribute("aria-busy");
  }
}

async function chooseModel(name) {
  page.model = name;
  const about = await get("/api/explore/about", { model: name });
  if (page.model !== name) return; // another one was chosen meanwhile
  page.about = about;
  open();
  await show();
}

text.value = localStorage.getItem("explorer-text") ?? START;
if (VIEWS[location.hash.slice(1)]) page.view = location.hash.slice(1);
document.getElementById("main").append(h("h1", {}, "Explorer"),
  h("label", { for: "text", class: "soft" }, "A text of yours: everything below is about it."), text, h("p", {}), bar, panel);
document.addEventListener("theme", show);
window.addEventListener("hashchange", () => { // back, forward, or another address typed
  const view = location.hash.slice(1) || FIRST;
  if (!VIEWS[view] || view === page.view || !page.about) return;
  page.view = view;
  open();
  show();
});
try { await shell(chooseModel); } catch (error) { failed(error); }
