// Running and finished trainings, their curves laid over each other and followed as they grow.

import { get } from "/assets/api.js";
import { lineChart } from "/assets/chart.js";
import { h, number, say, scroll, select } from "/assets/dom.js";
import { failed, shell } from "/assets/shell.js";

const LIST_MS = 5000, CURVES_MS = 2000;
const FIGURES = [["loss", "loss"], ["lr", "learning rate"], ["grad_norm", "gradient's length"], ["tokens_per_second", "tokens a second"], ["mfu", "MFU"]];
const state = { runs: [], chosen: [], data: new Map(), figure: "loss", scale: "linear", shownList: "" };
const id = (run, stage) => `${run}/${stage}`;

const list = h("section", { class: "card runs", "aria-label": "Runs" });
const chart = h("div", {}), figures = scroll("Figures of the trainings"), settings = scroll("Settings of the runs"), samples = h("div", {});

function controls() {
  return h("div", { class: "fields" },
    select("What is drawn", FIGURES, state.figure, (value) => { state.figure = value; draw(); }, "figure"),
    select("Scale", [["linear", "linear"], ["log", "logarithmic"]], state.scale, (value) => { state.scale = value; draw(); }, "scale"));
}

function drawList() {
  const now = JSON.stringify([state.runs.map((run) => [run.name, run.stages.map((one) => [one.name, one.state])]), state.chosen]);
  if (now === state.shownList) return; // nothing is taken from under the keyboard
  state.shownList = now;
  const focused = document.activeElement?.id;
  const none = h("p", { class: "soft" }, "No training yet: start one with hornbook pretrain, and it will show here.");
  list.replaceChildren(h("h1", {}, "Runs"), ...(state.runs.length ? [] : [none]), ...state.runs.map((run) => [h("h2", {}, run.name), h("ul", {}, run.stages.map((stage) => {
      const key = id(run.name, stage.name);
      return h("li", {}, h("label", {},
        h("input", { type: "checkbox", id: `run-${key}`, checked: state.chosen.includes(key), onchange: (event) => choose(key, event.target.checked) }),
        h("span", { class: state.chosen.includes(key) ? `name s${state.chosen.indexOf(key) % 6}` : "name" }, stage.name),
        h("span", { class: `state ${stage.state}` }, stage.state)));
    }))]).flat());
  if (focused) document.getElementById(focused)?.focus();
}

function choose(key, on) {
  state.chosen = on ? [...state.chosen, key] : state.chosen.filter((one) => one !== key);
  drawList();
  fetchCurves().catch(failed);
}

function merge(old, fresh) {
  const join = (a = {}, b = {}) => Object.fromEntries(
    [...new Set([...Object.keys(a), ...Object.keys(b)])].map((name) => [name, [...(a[name] ?? []), ...(b[name] ?? [])]]));
  if (!old) return fresh;
  return { ...fresh, train: join(old.train, fresh.train), validation: join(old.validation, fresh.validation), samples: [...old.samples, ...fresh.samples].slice(-20) };
}

async function fetchCurves() {
  await Promise.all(state.chosen.map(async (key) => {
    const old = state.data.get(key);
    if (old && old.state !== "running") return;
    const at = key.lastIndexOf("/");
    const asked = { run: key.slice(0, at), stage: key.slice(at + 1) };
    let fresh = await get("/api/runs/curves", { ...asked, after: old?.last ?? 0 });
    const known = old?.train.loss?.length ? old : null;
    // A training that went back (after a spike, or begun anew) is read from its beginning.
    const newest = state.runs.find((run) => run.name === asked.run)?.stages.find((one) => one.name === asked.stage);
    if (known && newest?.last_step < known.last) { fresh = await get("/api/runs/curves", { ...asked, after: 0 }); state.data.set(key, fresh); return; }
    state.data.set(key, merge(known, fresh));
  }));
  draw();
}

function series() {
  return state.chosen.flatMap((key, color) => {
    const data = state.data.get(key);
    if (!data) return [];
    const own = { name: key, points: data.train[state.figure] ?? [], color };
    if (state.figure !== "loss") return [own];
    return [own, ...Object.entries(data.validation).map(([name, points]) => (
      { name: `${key} validation${name.replace("loss", "").replace("/", " ")}`, points, color, dash: true, marks: true }))];
  });
}

function draw() {
  const label = FIGURES.find(([key]) => key === state.figure)[1];
  chart.replaceChildren(state.chosen.length
    ? lineChart(series(), { xLabel: "step", yLabel: label, log: state.scale === "log", label: `${label} against the step` })
    : h("p", { class: "soft" }, "Choose a training on the left to see its curves; choose several to compare them."));
  drawFigures();
  drawSettings();
  drawSamples();
}

const score = (found, digits) => found?.value === undefined ? number(undefined)
  : `${number(found.value, digits)} (${number(found.low, digits)} to ${number(found.high, digits)})`;
const SHOWN = [["state", (d) => d.state], ["step", (d) => number(d.last)], ["parameters", (d) => number(d.figures.parameters)],
  ["training loss now", (d) => number(d.train.loss.at(-1)?.[1], 4)], ["validation loss", (d) => number(d.validation.loss?.at(-1)?.[1], 4)],
  ["held-out loss", (d) => score(d.held_out.loss, 4)], ["tokens a second", (d) => number(d.figures.tokens_per_second ?? d.train.tokens_per_second.at(-1)?.[1])],
  ["seconds in training", (d) => number(d.figures.training_seconds, 4)]];

function drawFigures() {
  const known = state.chosen.filter((key) => state.data.has(key));
  figures.replaceChildren(known.length ? h("table", {},
    h("thead", {}, h("tr", {}, h("td", {}), known.map((key) => h("th", { scope: "col" }, key)))),
    h("tbody", {}, SHOWN.map(([name, of]) => h("tr", {}, h("th", { scope: "row" }, name), known.map((key) => h("td", { class: "n" }, of(state.data.get(key)))))))) : "");
}

function drawSettings() {
  const runs = [...new Set(state.chosen.map((key) => key.slice(0, key.lastIndexOf("/"))))].map((name) => state.runs.find((run) => run.name === name)).filter(Boolean);
  if (!runs.length) { settings.replaceChildren(); return; }
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.settings)))].sort();
  const shown = runs.length === 1 ? names : names.filter((name) => new Set(runs.map((run) => run.settings[name])).size > 1);
  settings.replaceChildren(h("details", { open: runs.length > 1 },
    h("summary", {}, runs.length === 1 ? `Settings of ${runs[0].name}` : `Settings that differ: ${shown.length}`),
    h("table", {}, h("thead", {}, h("tr", {}, h("td", {}), runs.map((run) => h("th", { scope: "col" }, run.name)))),
      h("tbody", {}, shown.map((name) => h("tr", {}, h("th", { scope: "row" }, name), runs.map((run) => h("td", {}, run.settings[name] ?? "–"))))))));
}

function drawSamples() {
  const found = state.chosen.flatMap((key, color) => (state.data.get(key)?.samples ?? []).map(([step, text]) => ({ key, color, step, text })));
  samples.replaceChildren(...found.sort((a, b) => b.step - a.step).slice(0, 30).map((one) =>
    h("div", { class: `sample s${one.color % 6}` }, h("div", { class: "soft" }, `${one.key}, step ${number(one.step)}`), one.text)));
  if (!found.length && state.chosen.length) samples.append(h("p", { class: "soft" }, "This training has written no samples (training.sample_every)."));
}

async function fetchRuns() {
  state.runs = await get("/api/runs/list");
  if (!state.chosen.length && !state.data.size && state.runs.length) {
    const all = state.runs.flatMap((run) => run.stages.map((stage) => ({ key: id(run.name, stage.name), ago: stage.seconds_ago })));
    state.chosen = [all.sort((a, b) => a.ago - b.ago)[0].key];
  }
  drawList();
}

function every(ms, action) {
  const again = async () => {
    if (!document.hidden) {
      try { await action(); document.querySelector(".failed")?.remove(); } catch (error) { failed(error); }
    }
    setTimeout(again, ms);
  };
  setTimeout(again, ms);
}

try {
  await shell();
  document.getElementById("main").append(list, h("div", {},
    h("section", { class: "card", "aria-label": "Curves" }, controls(), chart),
    h("section", { class: "card", "aria-label": "Figures" }, h("h2", {}, "Figures"), figures, settings),
    h("section", { class: "card", "aria-label": "Samples" }, h("h2", {}, "Samples"), samples)));
  await fetchRuns();
  await fetchCurves();
  say("Runs are shown.");
} catch (error) { failed(error); }
every(LIST_MS, fetchRuns);
every(CURVES_MS, fetchCurves);
