// What a search asks for: words by their beginnings, "words as they stand", either OR, -not; whatever the case and the accents.
// Feeds and watches read their words alike: newstide_app/queries/words.py. tests/data/words.json holds both to it.
import { fold } from "./words.js";

const LETTER = /[\p{L}\p{N}]/u;
// Scripts that put no space between words: what is looked for may begin anywhere.
const UNSPACED = /[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Thai}\p{scx=Lao}\p{scx=Khmer}\p{scx=Myanmar}]/u;
const PART = /(-?)(?:"([^"]*)"?|([^\s"]+))/g;
const inside = (letter) => letter !== undefined && LETTER.test(letter) && !UNSPACED.test(letter);

// `all`: groups of which each must be found, by one of its terms; `none`: terms that must not be. Both empty: no search.
export function parsed(query) {
  const search = { all: [], none: [] };
  let either = false;
  for (const [, minus, phrase, word] of query.matchAll(PART)) {
    if (word === "OR" && !minus) {
      either = search.all.length > 0;
      continue;
    }
    const asked = fold(phrase ?? word).trim().replace(/\s+/g, " ");
    if (/^[ *-]*$/.test(asked)) continue;
    const open = asked.endsWith("*") && LETTER.test(asked.at(-2)); // any ending will do
    const text = open ? asked.slice(0, -1) : asked;
    const term = { text, whole: phrase !== undefined && !open, free: !inside(text[0]) };
    if (minus) search.none.push(term);
    else if (either) search.all.at(-1).push(term);
    else search.all.push([term]);
    either = false;
  }
  return search;
}
export const asks = ({ all, none }) => all.length + none.length > 0;
export const wants = ({ all }, text) => all.every((either) => either.some((term) => begins(text, term) >= 0));
export const refuses = ({ none }, text) => none.some((term) => begins(text, term) >= 0);
// The words that are looked for, as one would say them to somebody.
export const plainly = ({ all }) => all.flat().map(({ text }) => text).join(" ");

// How well a headline answers: whole words before beginnings, its title before its source, short titles before long.
export function relevance({ all }, title, text) {
  let sum = 0;
  for (const term of all.flat()) {
    const at = begins(text, term);
    if (at < 0) continue;
    const found = inside(text[at + term.text.length]) ? 0.7 : 1;
    sum += at < title.length ? found : found / 2;
  }
  return sum / (40 + title.length);
}
// Marks in an element's text what was looked for.
export function markHits(node, { all }) {
  const terms = all.flat();
  if (!terms.length) return node;
  const text = node.textContent;
  const [folded, from] = foldedPlaces(text);
  const places = [];
  for (const term of terms) {
    for (let at = begins(folded, term); at >= 0; at = begins(folded, term, at + 1)) {
      const last = at + term.text.length;
      places.push([from[at], Math.max(from[last] ?? text.length, from[last - 1] + 1)]);
    }
  }
  if (!places.length) return node;
  const parts = [];
  let done = 0;
  for (const [begin, end] of places.sort((a, b) => a[0] - b[0])) {
    if (end <= done) continue;
    if (begin > done) parts.push(text.slice(done, begin));
    const hit = document.createElement("mark");
    hit.textContent = text.slice(Math.max(begin, done), end);
    parts.push(hit);
    done = end;
  }
  node.replaceChildren(...parts, text.slice(done));
  return node;
}

// Where a term is found in a folded text, from a place on; -1 where it is not.
function begins(text, { text: term, whole, free }, from = 0) {
  for (let at = text.indexOf(term, from); at >= 0; at = text.indexOf(term, at + 1)) {
    if ((free || !inside(text[at - 1])) && !(whole && inside(term.at(-1)) && inside(text[at + term.length]))) return at;
  }
  return -1;
}
// A folded text, and for each of its letters the place in the text that it came from.
function foldedPlaces(text) {
  let folded = "";
  const from = [];
  let place = 0;
  for (const letter of text) {
    const part = fold(letter);
    for (let at = 0; at < part.length; at++) from.push(place);
    folded += part;
    place += letter.length;
  }
  return [folded, from];
}
