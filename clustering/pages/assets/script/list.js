// The list of stories, and below it the headlines that a search found.
import { colour, count, data, headlineLink, rowsOf, stories, storyOf, storyTitle } from "./data.js";
import { copiesOf, originOf } from "./copies.js";
import { $, button, inParts, make } from "./dom.js";
import { titleElsewhere } from "./elsewhere.js";
import { filtering, foundRows, mask, search, searching } from "./filters.js";
import { moreLike } from "./near.js";
import { hasPage, toStory } from "./places.js";
import { isMuted, readAt } from "./reading.js";
import { markHits } from "./search.js";
import { chosenSince, gain, goneSince, saidOfSince } from "./since.js";
import { change, openStory, SHOWN, state } from "./state.js";
import { said, several, when } from "./words.js";

const EMPTY = "No headlines yet. `newstide produce FILE` sends some; `newstide produce --rss URL` polls a feed.";
const SMALL = 2; // headlines of a story that is folded away below the others

const growth = (story) => (chosenSince() ? gain(story) : story.size - story.previous);
export const order = {
  size: (a, b) => b.size - a.size || a.number - b.number,
  growth: (a, b) => growth(b) - growth(a) || b.size - a.size,
  latest: (a, b) => b.last - a.last,
  seen: (a, b) => b.seen - a.seen || b.size - a.size,
  importance: (a, b) => b.importance - a.importance || b.size - a.size,
};
const absorbed = new Map(); // story -> those that went into it in this run
for (const { number, successor } of stories) {
  if (successor >= 0) absorbed.set(successor, [...(absorbed.get(successor) || []), number]);
}

export function badges(story) {
  const from = absorbed.get(story.number);
  const texts = {
    born: story.parents.length ? `split from ${story.parents.join(", ")}` : "new",
    reopened: "back",
    grown: `growing +${growth(story)}`,
    merged: from ? `merged from ${from.join(", ")}` : "merged",
    split: "split",
    closed: story.successor >= 0 ? `went into ${story.successor}` : "closing",
  };
  return story.events.filter((event) => texts[event]).map((event) => make("span", texts[event], `badge ${event}`));
}
export function list() {
  const active = filtering();
  const hits = new Map();
  if (active) for (const [number, rows] of rowsOf) hits.set(number, rows.reduce((sum, row) => sum + mask[row], 0));
  const since = chosenSince();
  const leaving = ({ open, number }) => !open && since?.has(number) && !searching();
  const matched = stories.filter((story) => !active || hits.get(story.number) || leaving(story));
  const hushed = searching() ? [] : matched.filter(({ number }) => isMuted(number)); // a search finds them all the same
  const heard = state.muted ? matched : matched.filter((story) => !hushed.includes(story));
  const small = active ? [] : heard.filter(({ open, size }) => open && size <= SMALL);
  const folds = small.length > 0 && small.length < heard.length;
  const visible = (folds && !state.small ? heard.filter((story) => !small.includes(story)) : heard).sort(order[state.since === "surging" ? "growth" : state.sort]);
  const found = copiesOf(foundRows());
  $("count").textContent = counted(heard, active) + (searching() ? `, ${several(found.length, "headline")} found` : "");
  $("stories").replaceChildren(...visible.slice(0, state.shown).map((story) => listed(story, active, hits.get(story.number))));
  if (!visible.length) $("stories").append(make("li", active ? "No story matches." : count ? "No stories yet." : EMPTY, "empty"));
  $("more").hidden = visible.length <= state.shown;
  line("small", folds && (state.small || $("more").hidden), state.small ? "Fold the small ones away" : smallOnes(small), state.small);
  line("muted", hushed.length > 0, `${said(hushed.length)} muted: ${state.muted ? "hide" : "show"}`, state.muted);
  tellMissing();
  $("since-told").textContent = saidOfSince();
  $("since-told").hidden = !since;
  const gone = searching() ? [] : goneSince();
  $("gone").hidden = !gone.length;
  $("gone").querySelector("ul").replaceChildren(...gone.map(goneStory));
  $("stories-found").hidden = !searching() || !visible.length;
  $("found").hidden = !found.length;
  const copies = found.reduce((sum, { length }) => sum + length, 0);
  $("found").querySelector("h3").textContent = several(found.length, "headline");
  $("with-copies").textContent = copies > found.length ? ` · ${said(copies)} with copies` : "";
  $("hits").value = state.hits;
  $("found-rows").replaceChildren(...(found.length ? entries(found, { step: SHOWN, withStory: true }) : []));
}
const smallOnes = (small) => `${said(small.length)} of ${small.every(({ size }) => size === SMALL) ? "two" : "one or two"} headlines`;
// The address names a story that is not among this page's.
function tellMissing() {
  const number = state.missing;
  $("missing").hidden = number === null;
  if (number === null) return;
  const leads = hasPage(number) ? [" Its ", toStory(number, "own page"), " says what became of it, if anybody knows."] : [];
  $("missing").replaceChildren(`Story ${number} is not on this page.`, ...leads);
}
function goneStory([number, title]) {
  const item = make("li");
  item.append(toStory(number, titleElsewhere(number, { known: title })));
  return item;
}
// A line below the stories that shows more of them, or fewer.
function line(id, there, text, open) {
  $(id).hidden = !there;
  $(id).textContent = text;
  $(id).setAttribute("aria-expanded", open);
}
function counted(visible, active) {
  const all = several(stories.filter((story) => story.open).length, "story", "stories");
  const leaving = visible.filter((story) => !story.open).length;
  const also = leaving ? `, ${said(leaving)} closing` : "";
  if (active) return `${said(visible.length - leaving)} of ${all}${also}`;
  return data.storiesLeftOut ? `${all}${also}, the largest of ${said(stories.length + data.storiesLeftOut)}` : all + also;
}
function listed(story, active, found) {
  const size = active && found !== story.size && found !== undefined ? `${said(found)}/${said(story.size)}` : said(story.size);
  const meta = make("span", undefined, "meta");
  const facts = [when(story.last), story.languages.slice(0, 4).join(" "), story.keywords.slice(0, 3).join(", ")];
  const gained = chosenSince() ? gain(story) : 0;
  if (gained > 0) meta.append(make("span", gained === story.size ? "new" : `+${said(gained)}`, "badge grown"));
  else meta.append(...badges(story));
  meta.append(facts.filter(Boolean).join(" · "));
  const entry = button(undefined, () => openStory(story.number));
  entry.dataset.story = story.number;
  entry.style.setProperty("--story", colour(story.number));
  const title = make("span", undefined, "title");
  title.append(markHits(storyTitle(story), search));
  const read = readAt(story.number);
  entry.classList.toggle("read", read !== null);
  if (read !== null && story.size > read) meta.prepend(make("span", `${said(story.size - read)} since you read it`, "badge news"));
  if (isMuted(story.number)) meta.prepend(make("span", "muted", "badge closed"));
  entry.append(title, make("span", size, "size"), meta); // what is read out begins with the title
  const item = make("li");
  item.append(entry);
  return item;
}
// Rows as a list, copies in one entry each, and what leads to the rest of a long one.
export function headlines(rows, { step = 500, withStory = false } = {}) {
  return entries(copiesOf(rows), { step, withStory });
}
function entries(groups, { step, withStory }) {
  const items = make("ul", undefined, "headlines");
  const rest = inParts(items, groups, step, (copies) => {
    const [row] = copies;
    const item = make("li");
    const [meta, others] = originOf(copies);
    const label = data.label[row];
    if (withStory && storyOf.has(label)) meta.append(" · ", button(`story ${label}`, () => openStory(label), "plain"));
    meta.append(...moreLike(row));
    const link = headlineLink(row);
    markHits(link.querySelector("bdi"), search);
    item.append(link, meta, ...(others ? [others] : []));
    return item;
  });
  return [items, rest];
}
for (const id of ["small", "muted"]) $(id).addEventListener("click", () => change({ [id]: !state[id] }));
$("hits").addEventListener("change", () => change({ hits: $("hits").value }));
