// The colours of the map: by story, language, source or age. Of stories, the largest in view are coloured and the open one.
import { begin, colour, data, end, stories, tints } from "./data.js";
import { $, make } from "./dom.js";
import { matching } from "./filters.js";
import { isMuted } from "./reading.js";
import { state } from "./state.js";
import { current } from "./view.js";
import { languageName, said, shorten, when } from "./words.js";

const COLOURED = 40; // stories
const NAMED = 9; // languages or sources
export const MODES = ["story", "language", "source", "age"];
const ranks = { language: ranking(data.language), source: ranking(data.source) };
let coloured = new Set();

// Chooses the stories that are coloured; says whether they are others than before.
export function chooseColoured() {
  const view = current();
  const seen = ({ place: [x, y] }) => x >= view.x[0] && x <= view.x[1] && y >= view.y[0] && y <= view.y[1];
  const ranked = stories.filter((story) => story.place && !isMuted(story.number))
    .map((story) => ({ number: story.number, lit: matching(story), near: Number(seen(story)) })).filter(({ lit }) => lit)
    .sort((a, b) => b.near - a.near || b.lit - a.lit || a.number - b.number);
  const chosen = new Set(ranked.slice(0, COLOURED).map(({ number }) => number));
  if (state.story !== null) chosen.add(state.story);
  const same = chosen.size === coloured.size && [...chosen].every((number) => coloured.has(number));
  coloured = chosen;
  return !same && state.colour === "story";
}
// The colour of a headline on the map.
export function toneOf(row) {
  if (state.colour === "age") return aged(data.time[row]);
  if (state.colour === "story") return storyTone(data.label[row]);
  return ranked(state.colour, data[state.colour][row]);
}
// The colour of a story's ring, threads and title.
export function toneOfStory(story) {
  if (state.colour === "age") return aged(story.last);
  if (state.colour === "story") return storyTone(story.number);
  const [names, values] = state.colour === "language" ? [story.languages, data.languages] : [story.sources, data.sources];
  return ranked(state.colour, values.indexOf(names[0]));
}
// What the colours mean, where they are not stories.
export function legend() {
  const shades = tints();
  const entry = (tone, text) => {
    const item = make("li");
    const dot = make("i");
    dot.style.background = tone;
    item.append(dot, text);
    return item;
  };
  const entries = [];
  if (state.colour === "age") {
    entries.push(...shades.ages.map((tone, at) => entry(tone, when(begin + ((end - begin) * at) / shades.ages.length))));
  } else if (state.colour !== "story") {
    const { order, counts } = ranks[state.colour];
    const [names, title] = state.colour === "language" ? [data.languages, languageName] : [data.sources, (name) => shorten(name, 26)];
    const name = (code) => `${names[code] ? title(names[code]) : "not told"} (${said(counts[code])})`;
    entries.push(...order.slice(0, NAMED).map((code, at) => entry(shades.stories[at], name(code))));
    if (order.length > NAMED) entries.push(entry(shades.quiet, `${said(order.length - NAMED)} others`));
  }
  $("legend").replaceChildren(...entries);
  $("legend").hidden = !entries.length;
}

function storyTone(number) {
  if (number < 0 || isMuted(number)) return tints().noise;
  return coloured.has(number) ? colour(number) : tints().quiet;
}
function ranked(kind, code) {
  const rank = code < 0 ? NAMED : ranks[kind].rank[code];
  return rank < NAMED ? tints().stories[rank] : tints().quiet;
}
function aged(time) {
  const { ages } = tints();
  return ages[Math.min(ages.length - 1, Math.max(0, Math.floor((ages.length * (time - begin)) / (end - begin))))];
}
// Codes by how many headlines have them.
function ranking(codes) {
  const counts = [];
  for (const code of codes) if (code >= 0) counts[code] = (counts[code] || 0) + 1;
  const order = Object.keys(counts).map(Number).sort((a, b) => counts[b] - counts[a] || a - b);
  const rank = [];
  order.forEach((code, at) => { rank[code] = at; });
  return { order, counts, rank };
}
