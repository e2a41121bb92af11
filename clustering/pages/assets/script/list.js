// The list of stories, and below it the headlines that a search found.
import { colour, count, data, headlineLink, origin, rowsOf, stories, storyOf, storyTitle } from "./data.js";
import { $, button, inParts, make } from "./dom.js";
import { filtering, mask, titleHas, words } from "./filters.js";
import { openStory, SHOWN, state } from "./state.js";
import { said, several, when } from "./words.js";

const growth = (story) => story.size - story.previous;
export const order = {
  size: (a, b) => b.size - a.size || a.number - b.number,
  growth: (a, b) => growth(b) - growth(a) || b.size - a.size,
  latest: (a, b) => b.last - a.last,
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
  const visible = stories.filter((story) => !active || hits.get(story.number)).sort(order[state.sort]);
  const wanted = words();
  const found = [];
  if (wanted.length) for (let row = 0; row < count; row++) if (mask[row] && titleHas(row, wanted)) found.push(row);
  $("count").textContent = counted(visible, active) + (wanted.length ? `, ${several(found.length, "headline")} found` : "");
  $("stories").replaceChildren(...visible.slice(0, state.shown).map((story) => listed(story, active, hits.get(story.number))));
  if (!visible.length) $("stories").append(make("li", active ? "No story matches." : "No stories yet.", "empty"));
  $("more").hidden = visible.length <= state.shown;
  $("stories-found").hidden = !wanted.length || !visible.length;
  const title = make("h3", several(found.length, "headline"));
  $("found").replaceChildren(...(found.length ? [title, ...headlines(found, { step: SHOWN, withStory: true })] : []));
}
function counted(visible, active) {
  const closing = stories.filter((story) => !story.open).length;
  const all = several(stories.length - closing, "story", "stories");
  if (active) return `${said(visible.filter((story) => story.open).length)} of ${all}`;
  const open = closing ? `${all}, ${said(closing)} closing` : all;
  return data.storiesLeftOut ? `${open}, the largest of ${said(stories.length + data.storiesLeftOut)}` : open;
}
function listed(story, active, found) {
  const size = active && found !== story.size ? `${said(found)}/${said(story.size)}` : said(story.size);
  const meta = make("span", undefined, "meta");
  const facts = [when(story.last), story.languages.slice(0, 4).join(" "), story.keywords.slice(0, 3).join(", ")];
  meta.append(...badges(story), facts.filter(Boolean).join(" · "));
  const entry = button(undefined, () => openStory(story.number));
  entry.dataset.story = story.number;
  entry.style.setProperty("--story", colour(story.number));
  const title = make("span", undefined, "title");
  title.append(storyTitle(story));
  entry.append(title, make("span", size, "size"), meta); // what is read out begins with the title
  const item = make("li");
  item.append(entry);
  return item;
}
// A list of headlines, and what leads to the rest of a long one.
export function headlines(rows, { step = 500, withStory = false } = {}) {
  const items = make("ul", undefined, "headlines");
  const rest = inParts(items, rows, step, (row) => {
    const item = make("li");
    const meta = make("span", origin(row), "meta");
    const label = data.label[row];
    if (withStory && storyOf.has(label)) meta.append(" · ", button(`story ${label}`, () => openStory(label), "plain"));
    item.append(headlineLink(row), meta);
    return item;
  });
  return [items, rest];
}
