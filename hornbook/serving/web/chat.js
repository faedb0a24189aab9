// Conversations with a model, kept in this browser only.

import { post, stream } from "/assets/api.js";
import { h, percent, say } from "/assets/dom.js";
import { controls, DEFAULTS, fields } from "/assets/sampling.js";
import { failed, shell } from "/assets/shell.js";

const STORE = "conversations", SETTINGS = "chat-settings";
const page = { model: null, task: "instruct", talks: load(STORE, []), at: null, room: 1, models: null, ready: null, abort: null };

function load(key, otherwise) {
  try { return JSON.parse(localStorage.getItem(key)) ?? otherwise; } catch { return otherwise; }
}

function save() {
  try {
    localStorage.setItem(STORE, JSON.stringify(page.talks.slice(0, 100)));
  } catch { say("The browser's storage is full: this conversation is not kept."); }
}

const talk = () => page.talks.find((one) => one.id === page.at);
// Each conversation has its own; a new one begins with those that were changed last.
const sampling = (one) => (one.settings = { ...DEFAULTS, ...(one.settings ?? load(SETTINGS, {})) });
const title = (one) => one.messages.find((m) => m.role === "user")?.content.slice(0, 60) || "New conversation";

const list = h("ul", { "aria-label": "Conversations" });
const messages = h("div", { class: "messages", id: "messages", tabindex: "0", role: "region", "aria-label": "Messages" });
const settings = h("details", { class: "settings" });
const input = h("textarea", { id: "input", rows: 1, dir: "auto", placeholder: "Write a message", "aria-label": "Message", oninput: grow, onkeydown: (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
} });
const sendButton = h("button", { class: "main", id: "send", type: "button", onclick: () => (page.abort ? page.abort.abort() : send()) }, "Send");

function grow() {
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight + 2}px`;
}

function begin() {
  const empty = page.talks.find((one) => !one.messages.length);
  const made = empty ?? { id: crypto.randomUUID?.() ?? String(Date.now()), messages: [] };
  made.model = page.model;
  if (!empty) page.talks.unshift(made);
  go(made.id);
  input.focus();
}

function go(id) {
  page.abort?.abort();
  page.at = id;
  const own = talk().model;
  if (own !== page.model && page.models?.cards.some((card) => card.id === own)) page.models.choose(own);
  else { drawSettings(); draw(); }
}

function drawSettings() {
  const own = talk();
  controls(settings, sampling(own), page.room, (name, value) => {
    sampling(own)[name] = value;
    try { localStorage.setItem(SETTINGS, JSON.stringify(sampling(own))); } catch { /* it holds for this page */ }
    save();
  });
}

function remove(id) {
  page.talks = page.talks.filter((one) => one.id !== id);
  if (id !== page.at) draw();
  else if (page.talks.length) go(page.talks[0].id);
  else { page.abort?.abort(); begin(); }
  save();
}

const atEnd = () => messages.scrollHeight - messages.scrollTop - messages.clientHeight < 80;

// With `stay`, what is being read stays where it is.
function draw({ stay = false } = {}) {
  const top = stay && !atEnd() ? messages.scrollTop : null;
  list.replaceChildren(...page.talks.map((one) => h("li", { "aria-current": one.id === page.at ? "true" : null },
    h("button", { type: "button", onclick: () => go(one.id), title: title(one) }, title(one)),
    h("button", { type: "button", class: "plain", "aria-label": `Delete “${title(one)}”`, onclick: () => remove(one.id) }, "✕"))));
  const shown = talk()?.messages ?? [];
  messages.replaceChildren(...(shown.length ? shown.map(bubble) : [welcome()]));
  messages.scrollTop = top ?? messages.scrollHeight;
}

function welcome() {
  const what = { instruct: "Ask it something.", pretrain: "This model has only read: it continues what you write.", classify: "This model is a classifier: it says which class a text is of." }[page.task];
  return h("div", { class: "empty" }, h("h2", {}, page.model ?? ""), h("p", {}, what ?? ""), h("p", { class: "soft" }, "Conversations stay in this browser."));
}

// Text with its ``` blocks; everything is text, nothing becomes markup.
function written(text) {
  return text.split(/^```[^\n]*\n?/m).map((piece, i) => (i % 2 ? h("pre", { tabindex: "0", dir: "ltr" }, h("code", {}, piece)) : piece));
}

function copy(event, text) {
  const button = event.currentTarget;
  navigator.clipboard.writeText(text).then(() => { button.textContent = "Copied"; say("Copied."); }, () => { button.textContent = "The browser does not allow it"; });
}

function bubble(message, index) {
  const own = message.role === "user";
  const body = h("div", { class: `text${message.writing ? " writing" : ""}`, dir: "auto" }, written(message.content));
  const under = h("div", { class: "under" },
    own ? h("button", { class: "plain", type: "button", onclick: () => edit(index) }, "Edit") : [
      h("button", { class: "plain", type: "button", onclick: () => again(index) }, message.failed ? "Try again" : "Regenerate"),
      navigator.clipboard && !message.failed ? h("button", { class: "plain", type: "button", onclick: (event) => copy(event, message.content) }, "Copy") : null,
      h("span", { class: "speed" }, message.note ?? "")]);
  return h("article", { class: `message ${message.role}${message.failed ? " error" : ""}`, "aria-label": own ? "You" : "Model" }, body, under, message.full ? h("p", { class: "notice" }, FULL(page.room)) : null);
}

function edit(index) {
  page.abort?.abort();
  const old = talk().messages[index];
  const area = h("textarea", { rows: Math.min(8, old.content.split("\n").length + 1), value: old.content, dir: "auto", "aria-label": "Edit the message", onkeydown: (event) => { if (event.key === "Escape") draw(); } });
  const done = () => { if (area.value.trim()) { talk().messages.splice(index); ask(area.value); } };
  messages.children[index].replaceChildren(area, h("div", { class: "under" },
    h("button", { type: "button", class: "main", onclick: done }, "Send again"), h("button", { type: "button", onclick: draw }, "Cancel")));
  area.focus();
}

function again(index) {
  page.abort?.abort();
  talk().messages.splice(index);
  answer();
}

function send() {
  if (page.abort || !input.value.trim()) return;
  const text = input.value;
  input.value = "";
  grow();
  ask(text);
}

function ask(text) {
  talk().messages.push({ role: "user", content: text });
  page.talks = [talk(), ...page.talks.filter((one) => one.id !== page.at)];
  answer();
}

function request() {
  const chosen = sampling(talk()), { system } = chosen;
  const shared = { model: page.model, ...fields(chosen, page.room), stream: true, stream_options: { include_usage: true } };
  const said = talk().messages.filter((m) => !m.failed && !m.writing).map(({ role, content }) => ({ role, content }));
  if (page.task === "instruct") return ["/v1/chat/completions", { ...shared, messages: system ? [{ role: "system", content: system }, ...said] : said }];
  return ["/v1/completions", { ...shared, prompt: said.map((m) => m.content).join("") }];
}

async function classify(message) {
  const text = talk().messages.findLast((m) => m.role === "user").content;
  const found = await post("/api/explore/classes", { model: page.model, text: text.slice(0, 4000) });
  const last = found.probabilities.at(-1);
  message.content = found.classes.map((name, i) => [last[i], name]).sort((a, b) => b[0] - a[0]).slice(0, 5).map(([p, name]) => `${name}: ${percent(p)}`).join("\n");
}

// What stands under an answer, and whether nothing more fits into what the model reads at once.
function noted(message, { model, room }, tokens, seconds, usage, ended) {
  const parts = page.models?.cards.length > 1 ? [model] : [];
  if (tokens > 1) parts.push(`${tokens} tokens, ${(tokens / Math.max(seconds, 1e-3)).toFixed(1)} tokens/s`);
  if (usage?.total_tokens) parts.push(`context ${percent(usage.total_tokens / room, 0)} full`);
  message.note ??= parts.join(", ");
  message.full = ended === "length" && usage?.total_tokens >= room;
}

const FULL = (room) => `The context is full: the model reads ${room} tokens at once, of what was said and of its answer together. Start a new conversation, or edit an earlier message to go on from there.`;

async function answer() {
  const message = { role: "assistant", content: "", writing: true };
  const own = talk();
  const abort = page.abort = new AbortController();
  sendButton.textContent = "Stop";
  await page.ready?.catch(() => {});
  const [path, body] = request();
  const asked = { model: page.model, task: page.task, room: page.room }; // another may be chosen meanwhile
  own.messages.push(message);
  draw();
  const started = performance.now();
  let first = 0, pieces = 0, usage = null, ended = null, painting = 0;
  const paint = () => { // once for each picture of the screen: a long answer is not laid out for every token
    painting = 0;
    const near = atEnd();
    messages.lastElementChild?.querySelector(".text")?.replaceChildren(...written(message.content).flat());
    if (near) messages.scrollTop = messages.scrollHeight;
  };
  say("The model is writing.");
  try {
    if (asked.task === "classify") await classify(message);
    else for await (const event of stream(path, body, abort.signal)) {
      usage = event.usage ?? usage;
      ended = event.choices?.[0]?.finish_reason ?? ended;
      const piece = event.choices?.[0]?.delta?.content ?? event.choices?.[0]?.text ?? "";
      if (!piece) continue;
      first ||= performance.now();
      pieces += 1;
      message.content += piece;
      if (talk() === own) painting ||= requestAnimationFrame(paint);
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      const said = error.code === "context_length_exceeded" ? FULL(asked.room) : error.message;
      message.failed = !message.content;
      if (message.failed) message.content = said; else message.note = said;
    }
  }
  cancelAnimationFrame(painting);
  const tokens = usage?.completion_tokens ?? pieces, seconds = (performance.now() - (first || started)) / 1000;
  if (asked.task !== "classify" && !message.failed) noted(message, asked, tokens, seconds, usage, ended);
  delete message.writing;
  if (!message.content) message.note = "It wrote nothing.";
  if (page.abort === abort) { // else another answer is being written already
    page.abort = null;
    sendButton.textContent = "Send";
  }
  save();
  if (talk() === own) draw({ stay: true });
  say(message.failed ? message.content : `Answer: ${message.content}${message.full ? ` ${FULL(asked.room)}` : ""}`);
}

// The model is the conversation's own from then on.
function chooseModel(name, card) {
  Object.assign(page, { model: name, task: card.task, room: card.context_length });
  talk().model = name;
  save();
  drawSettings();
  draw();
}

document.addEventListener("keydown", (event) => { if (event.key === "Escape" && page.abort) page.abort.abort(); });
document.getElementById("main").append(h("h1", { class: "sr" }, "Chat"),
  h("aside", { class: "side", "aria-label": "Conversations" }, h("button", { type: "button", id: "new", onclick: begin }, "New conversation"), list),
  h("section", { class: "talk", "aria-label": "Conversation" }, messages, settings, h("div", { class: "composer" }, input, sendButton)));
for (const one of page.talks) one.messages.forEach((m) => delete m.writing); // the page was left in mid-answer
begin();
page.ready = shell(chooseModel).then((models) => { page.models = models; }); // how to ask depends on the model
try { await page.ready; } catch (error) { failed(error); }
