// What all pages share: the header, with the way to the other pages, the model, the key, the colours.

import { get, key, setKey } from "/assets/api.js";
import { h } from "/assets/dom.js";

const PAGES = [["chat", "/", "Chat"], ["explorer", "/explorer", "Explorer"], ["runs", "/runs", "Runs"]];
const THEMES = { auto: "◐", light: "☀", dark: "☾" };

function theme() {
  const now = () => document.documentElement.dataset.theme ?? "auto";
  const name = () => `Colours: ${now()}`;
  const button = h("button", { type: "button", class: "plain", id: "theme", "aria-label": name(), title: name(), onclick: () => {
    const order = Object.keys(THEMES);
    const next = order[(order.indexOf(now()) + 1) % order.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try { localStorage.setItem("theme", next); } catch { /* it holds for this page */ }
    button.textContent = THEMES[next];
    button.title = name();
    button.setAttribute("aria-label", name());
    document.dispatchEvent(new Event("theme"));
  } }, THEMES[now()]);
  return button;
}

function keyField() {
  const input = h("input", { type: "password", id: "key", value: key(), autocomplete: "off", placeholder: "none needed here?",
    onchange: () => { setKey(input.value.trim()); location.reload(); } });
  return h("details", { class: "key" }, h("summary", {}, "Key"),
    h("label", {}, "API key, if the server wants one; kept for this tab only", input));
}

// Draws the header, and calls `changed` with the name and the card of each model chosen. Gives a function
// that chooses one by name, and the cards of /v1/models.
export async function shell(changed) {
  const here = document.body.dataset.page;
  const models = h("span", { id: "models" });
  document.getElementById("header").append(
    h("a", { class: "brand", href: "/" }, "Hornbook"),
    h("nav", { "aria-label": "Pages" }, PAGES.map(([page, href, text]) =>
      h("a", { href, "aria-current": page === here ? "page" : null }, text))),
    models, keyField(), theme());
  if (!changed) return null;
  const cards = (await get("/v1/models")).data;
  const names = cards.map((one) => one.id);
  const choose = async (name) => {
    if (input) input.value = name;
    await changed(name, cards[names.indexOf(name)]);
  };
  const input = names.length > 1 ? h("select", { id: "model", "aria-label": "Model", onchange: () => {
    try { localStorage.setItem("model", input.value); } catch { /* it holds for this page */ }
    choose(input.value);
  } }, cards.map((one) => h("option", { value: one.id }, one.parent ? `${one.id} (on ${one.parent})` : one.id))) : null;
  models.append(input ?? h("span", { id: "model" }, names[0]));
  const wanted = localStorage.getItem("model");
  await choose(names.includes(wanted) ? wanted : names[0]);
  return { cards, choose };
}

export function failed(error) {
  const main = document.getElementById("main");
  main.querySelector(".failed")?.remove();
  main.prepend(h("p", { class: "failed", role: "alert" }, error.message));
}
