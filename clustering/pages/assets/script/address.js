// The state in the page's address, so that a link, a reload and the way to another run keep it.
import { begin, BINS, data, end, storyOf, timeOf } from "./data.js";
import { $, root } from "./dom.js";
import { order } from "./list.js";
import { beginOf } from "./since.js";
import { state } from "./state.js";
import { MODES } from "./tones.js";

let remembering;
let written = null; // the story that the address names
export function remember() {
  clearTimeout(remembering);
  if (state.story !== written) {
    write();
    return;
  }
  remembering = setTimeout(write, 150); // browsers count how often an address changes
}
export function write() {
  clearTimeout(remembering);
  const at = new URLSearchParams();
  if (state.story !== null) at.set("story", state.story);
  if (state.query) at.set("q", state.query);
  if (state.language) at.set("lang", state.language);
  if (state.source) at.set("source", state.source);
  if (state.from > 0 || state.to < BINS) {
    at.set("time", `${Math.round(timeOf(state.from))}-${Math.round(timeOf(state.to))}`);
  }
  if (state.sort !== "size") at.set("sort", state.sort);
  if (state.since) at.set("since", state.since);
  if (state.hits !== "relevance") at.set("hits", state.hits);
  if (state.colour !== "story") at.set("colour", state.colour);
  if (state.theme) at.set("theme", state.theme);
  if (state.view) at.set("view", [...state.view.x, ...state.view.y].map((value) => value.toFixed(3)).join(","));
  const address = String(at) ? "#" + at : location.pathname + location.search;
  const step = state.story !== written; // opening or closing a story is a step that Back takes back
  written = state.story;
  if (step) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  lead();
}
// Links to other runs keep the view; the list of runs keeps the theme.
export function lead() {
  for (const id of ["previous", "next"]) $(id).hash = location.hash;
  for (const link of document.querySelectorAll('a[href^="index.html"]')) {
    link.hash = state.theme ? `theme=${state.theme}` : "";
  }
}
export function recall() {
  const at = new URLSearchParams(location.hash.slice(1));
  const text = (name) => at.get(name) || "";
  const story = Number(text("story"));
  state.story = at.has("story") && storyOf.has(story) ? story : null;
  state.missing = state.story === null && /^\d{1,15}$/.test(text("story")) ? story : null;
  written = state.story;
  state.query = text("q").slice(0, 200);
  state.theme = ["light", "dark"].includes(text("theme")) ? text("theme") : "";
  state.language = data.languages.includes(text("lang")) ? text("lang") : "";
  state.source = data.sources.includes(text("source")) ? text("source") : "";
  state.sort = Object.hasOwn(order, text("sort")) ? text("sort") : "size";
  state.since = beginOf(text("since")) === null ? "" : text("since");
  state.hits = text("hits") === "time" ? "time" : "relevance";
  state.colour = MODES.includes(text("colour")) ? text("colour") : "story";
  const time = text("time").match(/^(\d{1,15})-(\d{1,15})$/);
  const bin = (ms) => Math.round(((Number(ms) - begin) / (end - begin)) * BINS);
  state.from = time ? Math.min(Math.max(bin(time[1]), 0), BINS - 1) : 0;
  state.to = time ? Math.max(Math.min(bin(time[2]), BINS), state.from + 1) : BINS;
  const view = text("view").split(",").map(Number);
  const sound = view.length === 4 && view.every(Number.isFinite) && view[0] < view[1] && view[2] < view[3];
  state.view = sound ? { x: view.slice(0, 2), y: view.slice(2) } : null;
  $("query").value = state.query;
  for (const id of ["language", "source", "sort", "colour", "from", "to"]) $(id).value = state[id];
  paint();
  lead();
}
export function paint() {
  root.dataset.theme = state.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  $("theme").setAttribute("aria-pressed", root.dataset.theme === "dark");
}
