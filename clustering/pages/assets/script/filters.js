// Which headlines match what the reader asks for.
import { BINS, count, data, rowsOf, sourceOf, stories, timeOf } from "./data.js";
import { state } from "./state.js";
import { fold } from "./words.js";

export let mask = null; // 1 for each row that matches, as drawn
let searched = null; // titles and sources without case and accents, made when the first search needs them
const foldedStory = new Map(stories.map((story) => [story.number, fold(story.title + " " + story.keywords.join(" "))]));

export function refilter() {
  mask = matches();
}
export const words = () => fold(state.query).split(/\s+/).filter(Boolean);
export const titleHas = (row, wanted) => wanted.every((word) => searched[row].includes(word));
export function filtering() {
  return Boolean(words().length || state.language || state.source || state.from > 0 || state.to < BINS);
}
// Whether a row matches and, while a story is open, belongs to it.
export const lit = (row) => mask[row] === 1 && (state.story === null || data.label[row] === state.story);
// How many headlines of a story match; those that are not drawn are counted while nothing filters.
export function matching({ number, size }) {
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
