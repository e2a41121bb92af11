// What a server adds: headlines near in meaning, under what a search finds and beside a headline.
import { BINS, data, languageOf, linkTo, storyOf, timeOf } from "./data.js";
import { $, button, make, root } from "./dom.js";
import { foundRows, search, searching } from "./filters.js";
import { inItsLanguage } from "./language.js";
import { served } from "./places.js";
import { plainly, refuses } from "./search.js";
import { change, openStory, state } from "./state.js";
import { fold, when } from "./words.js";

const PAUSE = 400; // ms after the last letter before the server is asked
const LISTED = 20;
const ASKED = 500; // letters asked for
let waiting = null;
const asking = new Map(); // list -> what stops the question whose answer it waits for
let asked = ""; // what is shown, or asked for

// Asks for what is near to the search, where there is one and a server.
export function askNear() {
  const text = plainly(search);
  const wanted = served() && searching() && text ? JSON.stringify([text, ...Object.entries(narrowing())]) : "";
  if (wanted === asked) return;
  asked = wanted;
  clearTimeout(waiting);
  asking.get($("near-rows"))?.abort();
  $("near-found").hidden = !wanted;
  if (!wanted) return;
  fill($("near-rows"), [make("li", "asking …", "empty")]);
  waiting = setTimeout(() => {
    const known = new Set(foundRows().map((row) => data.title[row]));
    askServer(text, narrowing(), $("near-rows"), ({ title }) => !known.has(title) && !refuses(search, fold(title)));
  }, PAUSE);
}
// The button beside a headline that asks for others like it.
export function moreLike(row) {
  if (!served()) return [];
  return [" · ", button("more like this", () => {
    const title = inItsLanguage(data.title[row], languageOf(row), "q");
    $("near").querySelector("h2").replaceChildren("More like ", title);
    fill($("like-rows"), [make("li", "asking …", "empty")]);
    change({ panel: "near" });
    $("near").querySelector("h2").focus({ preventScroll: true });
    askServer(data.title[row], {}, $("like-rows"), (hit) => hit.title !== data.title[row]);
  }, "plain")];
}
$("close-near").addEventListener("click", () => change({ panel: state.story === null ? "list" : "story" }));

function narrowing() {
  const narrowed = {};
  if (state.language) narrowed.language = state.language;
  if (state.source) narrowed.source = state.source;
  if (state.from > 0) narrowed.since = Math.round(timeOf(state.from));
  if (state.to < BINS) narrowed.until = Math.round(timeOf(state.to));
  return narrowed;
}
async function askServer(text, narrowed, list, wanted) {
  asking.get(list)?.abort();
  asking.set(list, new AbortController());
  const { signal } = asking.get(list);
  const query = new URLSearchParams({ q: text.slice(0, ASKED), limit: 2 * LISTED, ...narrowed });
  try {
    const answer = await fetch(`${root.dataset.api}search?${query}`, { signal });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.detail || told.title || answer.statusText);
    const first = new Map(); // of copies, the one that is nearest
    for (const hit of told.items.filter(wanted)) if (!first.has(fold(hit.title))) first.set(fold(hit.title), hit);
    const hits = [...first.values()].slice(0, LISTED);
    fill(list, hits.length ? hits.map(nearEntry) : [make("li", "Nothing else is near.", "empty")]);
  } catch (error) {
    if (error.name !== "AbortError") fill(list, [make("li", `The server does not say what is near: ${error.message}`, "empty")]);
  }
}
function fill(list, items) {
  list.replaceChildren(...items);
}
function nearEntry({ title, url, source, language, published_at: at, cluster_label: label }) {
  const item = make("li");
  const meta = make("span", [source, when(Date.parse(at)), language].filter(Boolean).join(" · "), "meta");
  if (storyOf.has(label)) meta.append(" · ", button(`story ${label}`, () => openStory(label), "plain"));
  item.append(linkTo(url, inItsLanguage(title, language)), meta);
  return item;
}
