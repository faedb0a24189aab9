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

// Draws the header; gives the models' names, and calls `changed` with each one chosen.
export async function shell(changed) {
  const here = document.body.dataset.page;
  const models = h("span", { id: "models" });
  document.getElementById("header").append(
    h("a", { class: "brand", href: "/" }, "Hornbook"),
    h("nav", { "aria-label": "Pages" }, PAGES.map(([page, href, text]) =>
      h("a", { href, "aria-current": page === here ? "page" : null }, text))),
    models, keyField(), theme());
  if (!changed) return [];
  const names = (await get("/v1/models")).data.map((one) => one.id);
  const wanted = localStorage.getItem("model");
  const chosen = names.includes(wanted) ? wanted : names[0];
  const input = h("select", { id: "model", "aria-label": "Model", onchange: () => {
    localStorage.setItem("model", input.value);
    changed(input.value);
  } }, names.map((name) => h("option", { value: name, selected: name === chosen }, name)));
  models.append(input);
  await changed(chosen);
  return names;
}

export function failed(error) {
  const main = document.getElementById("main");
  main.querySelector(".failed")?.remove();
  main.prepend(h("p", { class: "failed", role: "alert" }, error.message));
}
