// How answers are drawn: the controls, and what of a request they become.

import { h, slider } from "/assets/dom.js";

export const DEFAULTS = {
  system: "", greedy: false, temperature: 0.8, top_p: 1, max_tokens: 256, seed: "",
  top_k: 0, min_p: 0, repetition_penalty: 1, presence_penalty: 0, frequency_penalty: 0, stop: "",
};
const BY_CHANCE = ["temperature", "top_p", "top_k", "min_p", "seed"]; // nothing of these is left to a greedy answer
const PENALTIES = ["repetition_penalty", "presence_penalty", "frequency_penalty"];
const MOST_TOKENS = 4096;

// A line is a stop string; a line break in one is written \n.
const stops = (lines) => lines.split("\n").filter(Boolean).map((line) => line.replaceAll("\\n", "\n").replaceAll("\\t", "\t"));

// The fields of a request, without those that would change nothing.
export function fields(chosen, room) {
  const names = [...(chosen.greedy ? [] : BY_CHANCE.filter((name) => name !== "seed" && name !== "temperature")), ...PENALTIES];
  const changed = names.filter((name) => chosen[name] !== DEFAULTS[name]).map((name) => [name, chosen[name]]);
  const stop = stops(chosen.stop);
  return {
    temperature: chosen.greedy ? 0 : chosen.temperature, max_tokens: Math.min(chosen.max_tokens, room), ...Object.fromEntries(changed),
    ...(stop.length ? { stop } : {}), ...(chosen.seed === "" || chosen.greedy ? {} : { seed: Number(chosen.seed) }),
  };
}

// Fills a <details> with controls for `chosen`; `changed(name, value)` hears of each change.
export function controls(details, chosen, room, changed) {
  const opened = details.querySelector("details")?.open ?? false;
  const set = (name) => (value) => changed(name, value);
  const two = (v) => v.toFixed(2), off = (v) => (v ? v : "off");
  const number = (name, label, range) => slider(label, { id: name, value: chosen[name], shown: two, ...range }, set(name));
  const area = (name, label, more) => {
    const input = h("textarea", { id: name, rows: 2, value: chosen[name], dir: "auto", ...more, oninput: () => changed(name, input.value) });
    return h("label", { class: "field wide", for: name }, h("span", {}, label), input);
  };
  const seed = h("input", { id: "seed", type: "number", min: 0, step: 1, value: chosen.seed, placeholder: "another each time", oninput: () => changed("seed", seed.value) });
  const greedy = h("input", { id: "greedy", type: "checkbox", checked: chosen.greedy, onchange: () => { changed("greedy", greedy.checked); still(); } });
  const again = h("button", { type: "button", id: "as-at-first", onclick: () => { for (const [name, value] of Object.entries(DEFAULTS)) changed(name, value); controls(details, { ...DEFAULTS }, room, changed); details.querySelector("summary").focus(); } }, "All as at first");
  const still = () => BY_CHANCE.forEach((name) => { details.querySelector(`#${name}`).disabled = greedy.checked; });
  details.replaceChildren(h("summary", {}, "Sampling and system message"),
    h("div", { class: "fields" },
      number("temperature", "temperature", { min: 0, max: 2, step: 0.05 }),
      number("top_p", "top-p", { min: 0.05, max: 1, step: 0.05 }),
      number("max_tokens", "most tokens", { min: 16, max: Math.max(16, Math.min(MOST_TOKENS, room)), step: 16, shown: (v) => v }),
      h("label", { class: "field", for: "seed" }, h("span", {}, "seed"), seed),
      h("label", { class: "check", for: "greedy" }, greedy, " greedy: always the likeliest token")),
    h("details", { class: "more", open: opened }, h("summary", {}, "More"), h("div", { class: "fields" },
      number("top_k", "top-k", { min: 0, max: 200, step: 1, shown: off }),
      number("min_p", "min-p", { min: 0, max: 1, step: 0.01, shown: (v) => (v ? two(v) : "off") }),
      number("repetition_penalty", "repetition penalty", { min: 0.5, max: 2, step: 0.05 }),
      number("presence_penalty", "presence penalty", { min: -2, max: 2, step: 0.1 }),
      number("frequency_penalty", "frequency penalty", { min: -2, max: 2, step: 0.1 }),
      area("stop", "stop strings, one a line (\\n is a line break)", { spellcheck: "false" }))),
    h("div", { class: "fields" }, area("system", "system message"), again));
  still();
}
