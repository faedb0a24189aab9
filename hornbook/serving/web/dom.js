// Elements from plain values. Text only ever becomes text nodes, so nothing a model writes is markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export const number = (value, digits = 3) =>
  value === null || value === undefined ? "–"
    : Number.isInteger(value) ? value.toLocaleString("en")
      : Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(digits)).toString();
export const percent = (share, digits = 1) => `${(100 * share).toFixed(share > 0 && share < 0.001 ? 2 : digits)} %`;

// The golden angle keeps neighbouring ids apart.
export const hue = (id) => ((id * 137.508) % 360).toFixed(0);

export function token(one, attributes = {}, tag = "span") {
  const { class: extra = "", ...rest } = attributes;
  return h(tag, { class: `token ${extra}`, "--hue": hue(one.id), title: `id ${one.id}`, ...rest }, one.text);
}

export function say(text) {
  let region = document.getElementById("said");
  if (!region) {
    region = h("div", { id: "said", class: "sr", role: "status", "aria-live": "polite" });
    document.body.append(region);
  }
  region.textContent = text;
}

export function debounce(action, wait = 250) {
  let timer = 0;
  return (...values) => { clearTimeout(timer); timer = setTimeout(() => action(...values), wait); };
}

export function slider(label, { min, max, step, value, shown = (v) => v, id }, changed) {
  const out = h("output", { for: id }, shown(value));
  const input = h("input", { type: "range", id, min, max, step, value, "aria-label": label, "aria-valuetext": shown(value), oninput: () => {
    out.textContent = shown(Number(input.value));
    input.setAttribute("aria-valuetext", out.textContent);
    changed(Number(input.value));
  } });
  return h("label", { class: "field", for: id }, h("span", {}, label, " ", out), input);
}

export function select(label, options, value, changed, id) {
  const input = h("select", { id, "aria-label": label, onchange: () => changed(input.value) },
    options.map(([key, text]) => h("option", { value: key, selected: String(key) === String(value) }, text)));
  return h("label", { class: "field", for: id }, h("span", {}, label), input);
}

// What may be wider than the page, and is moved sideways with the keyboard too.
export const scroll = (label, ...children) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, ...children);

// The first of many, and a button for more: thousands of elements at once would freeze the page.
export function paged(box, items, shown, size) {
  const more = h("button", { type: "button", class: "more", onclick: () => add() });
  let count = 0;
  const add = () => {
    more.remove();
    box.append(...items.slice(count, count + size).map(shown).flat(Infinity));
    count = Math.min(count + size, items.length);
    more.textContent = `${Math.min(size, items.length - count)} more of ${number(items.length)}`;
    if (count < items.length) box.append(more);
  };
  add();
  return box;
}

// Tabs as WAI-ARIA describes them: one in the tab order, arrows move between them.
export function tabs(label, entries, chosen, changed) {
  const buttons = entries.map(([key, text]) => h("button", {
    role: "tab", type: "button", id: `tab-${key}`, "aria-controls": "panel", "aria-selected": String(key === chosen),
    tabindex: key === chosen ? "0" : "-1", onclick: () => choose(key),
  }, text));
  const choose = (key) => {
    buttons.forEach((button, index) => {
      const on = entries[index][0] === key;
      button.setAttribute("aria-selected", String(on));
      button.tabIndex = on ? 0 : -1;
      if (on) button.scrollIntoView?.({ block: "nearest", inline: "nearest" });
    });
    changed(key);
  };
  const list = h("div", { role: "tablist", "aria-label": label, class: "tabs", onkeydown: (event) => {
    const at = buttons.indexOf(document.activeElement);
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? buttons.length - 1
      : move ? (at + move + buttons.length) % buttons.length : -1;
    if (at < 0 || to < 0) return;
    event.preventDefault();
    buttons[to].focus();
    choose(entries[to][0]);
  } }, buttons);
  return { list, choose };
}
