// What the page holds, what the reader has chosen of it, and small helpers for all other parts.
const root = document.documentElement;
const $ = (id) => document.getElementById(id);
const data = await read($("data"));
const count = data.x.length;
const stories = data.stories;
const storyOf = new Map(stories.map((story) => [story.number, story]));
const rowsOf = new Map();
data.label.forEach((label, row) => {
  if (label < 0) return;
  if (!rowsOf.has(label)) rowsOf.set(label, []);
  rowsOf.get(label).push(row);
});
const begin = data.begin;
const end = Math.max(data.end, begin + 1);
const SHOWN = 60; // stories and found headlines listed at first
const BINS = 48; // of the histogram of time
const state = {
  story: null, query: "", language: "", source: "", from: 0, to: BINS, sort: "size", theme: "", view: null,
  shown: SHOWN, selected: [],
};

async function read(element) {
  if (element.dataset.packed !== "yes") return JSON.parse(element.textContent);
  const letters = atob(element.textContent);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

// ---- small helpers -------------------------------------------------------------------------------------------------
function make(tag, text, name) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (name) node.className = name;
  return node;
}
function button(text, pressed, name) {
  const node = make("button", text, name);
  node.type = "button";
  node.addEventListener("click", pressed);
  return node;
}
function svg(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  return node;
}
function headlineLink(row) {
  const url = data.url[row];
  const node = make(/^https?:\/\//i.test(url) ? "a" : "span", data.title[row]);
  if (node.tagName === "A") {
    node.href = url;
    node.rel = "noopener noreferrer";
    node.target = "_blank";
  }
  return node;
}
// Adds a long list's entries in parts; what is returned says how much is listed, and adds the next part.
function inParts(parent, rows, step, entry) {
  const rest = make("p", undefined, "rest");
  const text = make("span");
  let listed = 0;
  const more = button("Show more", () => {
    const first = listed;
    add();
    parent.children[first]?.querySelector("a, button")?.focus({ preventScroll: true });
  });
  function add() {
    parent.append(...rows.slice(listed, listed + step).map(entry));
    listed = Math.min(rows.length, listed + step);
    text.textContent = `${said(listed)} of ${said(rows.length)} are listed.`;
    rest.hidden = listed === rows.length;
  }
  rest.append(text, more);
  add();
  return rest;
}
const dark = () => root.dataset.theme === "dark";
// A story's colour follows from its number alone; the table comes with the data.
function colour(number) {
  const table = data.colours[root.dataset.theme];
  return number < 0 ? table.noise : table.stories[number % table.stories.length];
}
const clock = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const when = (ms) => clock.format(new Date(ms));
const said = (number) => number.toLocaleString();
const several = (number, thing, things = `${thing}s`) => `${said(number)} ${number === 1 ? thing : things}`;
const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
const sourceOf = (row) => data.sources[data.source[row]] || "";
const languageOf = (row) => data.languages[data.language[row]] || "";
const origin = (row) => [sourceOf(row), when(data.time[row]), languageOf(row)].filter(Boolean).join(" · ");
const shorten = (text, most) => {
  const letters = Array.from(text);
  return letters.length > most ? letters.slice(0, most - 1).join("").trimEnd() + "…" : text;
};

// ---- which rows match the filters ----------------------------------------------------------------------------------
let mask = null; // 1 for each row that matches, as drawn
let searched = null; // titles and sources without case and accents, made when the first search needs them
const foldedStory = new Map(stories.map((story) => [story.number, fold(story.title + " " + story.keywords.join(" "))]));
const words = () => fold(state.query).split(/\s+/).filter(Boolean);
const filtering = () => Boolean(words().length || state.language || state.source || state.from > 0 || state.to < BINS);
const timeOf = (bin) => begin + ((end - begin) * bin) / BINS;
const binOf = (ms) => Math.min(BINS - 1, Math.max(0, Math.floor(((ms - begin) / (end - begin)) * BINS)));
const titleHas = (row, wanted) => wanted.every((word) => searched[row].includes(word));

// How many headlines of a story match; those that are not drawn are counted while nothing filters.
function matching({ number, size }) {
  return filtering() ? (rowsOf.get(number) || []).reduce((sum, row) => sum + mask[row], 0) : size;
}
function matches() {
  const wanted = words();
  const language = data.languages.indexOf(state.language);
  const source = data.sources.indexOf(state.source);
  const from = state.from > 0 ? timeOf(state.from) : -Infinity;
  const to = state.to < BINS ? timeOf(state.to) : Infinity;
  const inStory = new Set();
  if (wanted.length) {
    searched ??= data.title.map((title, row) => fold(title + " " + sourceOf(row)));
    for (const [number, text] of foldedStory) if (wanted.every((word) => text.includes(word))) inStory.add(number);
  }
  const found = new Uint8Array(count);
  for (let row = 0; row < count; row++) {
    if (state.language && data.language[row] !== language) continue;
    if (state.source && data.source[row] !== source) continue;
    if (data.time[row] < from || data.time[row] > to) continue;
    if (wanted.length && !inStory.has(data.label[row]) && !titleHas(row, wanted)) continue;
    found[row] = 1;
  }
  return found;
}
