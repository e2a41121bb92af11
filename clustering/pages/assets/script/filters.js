// Which headlines match what the reader asks for.
import { BINS, count, data, rowsOf, sourceOf, stories, timeOf } from "./data.js";
import { asks, parsed, refuses, relevance, wants } from "./search.js";
import { chosenSince } from "./since.js";
import { state } from "./state.js";
import { fold } from "./words.js";

export let mask = null; // 1 for each row that matches, as drawn
export let search = parsed("");
let folded = null; // titles, and titles with sources, as they are compared; made when the first search needs them
const foldedStory = new Map(stories.map((story) => [story.number, fold([story.title, ...Object.values(story.titles), ...story.keywords].join("\n"))]));

export function refilter() {
  search = parsed(state.query);
  mask = matches();
}
export const searching = () => asks(search);
export function filtering() {
  return Boolean(searching() || state.language || state.source || state.from > 0 || state.to < BINS || chosenSince());
}
// Whether a row matches and, while a story is open, belongs to it.
export const lit = (row) => mask[row] === 1 && (state.story === null || data.label[row] === state.story);
// How many headlines of a story match; those that are not drawn are counted while nothing filters.
export function matching({ number, size }) {
  return filtering() ? (rowsOf.get(number) || []).reduce((sum, row) => sum + mask[row], 0) : size;
}
// The rows that a search finds by their own words, the best first or the newest.
export function foundRows() {
  const found = [];
  if (!searching()) return found;
  for (let row = 0; row < count; row++) if (mask[row] && wants(search, folded[row].text)) found.push(row);
  const newer = (a, b) => data.time[b] - data.time[a];
  if (state.hits === "time") return found.sort(newer);
  const worth = new Map(found.map((row) => [row, relevance(search, folded[row].title, folded[row].text)]));
  return found.sort((a, b) => worth.get(b) - worth.get(a) || newer(a, b));
}

function matches() {
  const language = data.languages.indexOf(state.language);
  const source = data.sources.indexOf(state.source);
  const from = state.from > 0 ? timeOf(state.from) : -Infinity;
  const to = state.to < BINS ? timeOf(state.to) : Infinity;
  const wanted = searching();
  const inStory = new Set();
  const since = chosenSince();
  if (wanted) {
    folded ??= data.title.map((text, row) => {
      const title = fold(text);
      return { title, text: `${title}\n${fold(sourceOf(row))}` };
    });
    for (const [number, text] of foldedStory) if (wants(search, text)) inStory.add(number);
  }
  const found = new Uint8Array(count);
  for (let row = 0; row < count; row++) {
    if (state.language && data.language[row] !== language) continue;
    if (state.source && data.source[row] !== source) continue;
    if (since && !since.has(data.label[row])) continue;
    if (data.time[row] < from || data.time[row] > to) continue;
    if (wanted && refuses(search, folded[row].text)) continue;
    if (wanted && !inStory.has(data.label[row]) && !wants(search, folded[row].text)) continue;
    found[row] = 1;
  }
  return found;
}
