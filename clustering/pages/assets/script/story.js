// One story: its title, what became of it, its headlines over time and one by one.
import { BINS, begin, colour, data, end, rowsOf, stories, storyOf, storyTitle } from "./data.js";
import { $, button, make, svg } from "./dom.js";
import { titleElsewhere } from "./elsewhere.js";
import { filtering, lit } from "./filters.js";
import { isMuted, setMuted, setRead } from "./reading.js";
import { badges, headlines } from "./list.js";
import { zoomTo } from "./map.js";
import { hasPage, placeOf, toStory } from "./places.js";
import { change, closeStory, SHOWN, state } from "./state.js";
import { bars } from "./timeline.js";
import { said, several, when } from "./words.js";

// Shows the open story.
export function tell() {
  const number = state.story;
  const story = storyOf.get(number);
  const all = (rowsOf.get(number) || []).slice().sort((a, b) => data.time[b] - data.time[a]);
  const rows = all.filter(lit);
  const back = button("all stories", closeStory);
  back.id = "back";
  const top = make("div", undefined, "row");
  top.append(back);
  if (all.length) top.append(button("show on map", () => zoomTo(all)));
  const muted = isMuted(number);
  const mute = button(muted ? "unmute" : "mute", () => { setMuted(number, !muted); change({}, { recoloured: true }); });
  mute.id = "mute";
  mute.title = muted ? "List it again" : "Keep it out of the list, in this browser";
  const unread = button("mark unread", () => { setRead(number, false); closeStory(); });
  unread.id = "unread";
  top.append(mute, unread);
  const meta = make("p", undefined, "meta");
  const span = `${when(story.first)} – ${when(story.last)}`;
  meta.append(...badges(story), `Story ${number} · ${several(story.size, "headline")} · ${span}`);
  const kin = lineage(story);
  const chips = make("div", undefined, "chips");
  chips.append(...story.keywords.map((word) => make("span", word)));
  const names = story.sources.slice(0, 8).join(", ") + (story.sourceCount > 8 ? " …" : "");
  const from = `${several(story.sourceCount, "source")}: ${names} · ${story.languages.join(" ")}`;
  const title = make("h2");
  title.append(storyTitle(story));
  const parts = [top, title, meta, ...kin];
  if (all.length) parts.push(timeline(all));
  parts.push(chips, make("p", from, "meta"));
  if (hasPage(number)) {
    const page = make("a", "its own page");
    page.href = placeOf(number);
    const leads = make("p", undefined, "meta");
    leads.append(page, ": its history, sources and nearest stories");
    parts.push(leads);
  }
  if (filtering()) parts.push(make("p", `${said(rows.length)} of ${said(all.length)} match`, "matching"));
  if (story.size > all.length) parts.push(make("p", `${said(all.length)} of its headlines are on this page.`, "meta"));
  $("story").style.setProperty("--story", colour(number));
  $("story").replaceChildren(...parts, ...headlines(rows));
  $("story").scrollTop = 0;
}

// Where a story came from and what became of it; each of them opens.
function lineage({ number, parents, successor }) {
  const links = (word, numbers) => (numbers.length ? [[word, numbers]] : []);
  const all = [
    ...links("from", parents),
    ...links("took in", stories.filter((other) => other.successor === number).map((other) => other.number)),
    ...links("split off", stories.filter((other) => other.parents.includes(number)).map((other) => other.number)),
    ...links("went into", successor >= 0 ? [successor] : []),
  ];
  return all.map(([word, numbers]) => {
    const line = make("p", `${word} `, "meta kin");
    numbers.forEach((one, at) => line.append(at ? ", " : "", toStory(one, kinTitle(one))));
    return line;
  });
}
function kinTitle(number) {
  const text = make("span", `story ${number}`);
  if (storyOf.has(number)) text.append(": ", storyTitle(storyOf.get(number)));
  else text.append(titleElsewhere(number, { before: ": " }));
  return text;
}

// A story's own life: its headlines from its first to its last, in a dozen bars; a click on one chooses its time.
const LIFE = 12;
function timeline(rows) {
  const first = data.time[rows.at(-1)];
  const span = Math.max(data.time[rows[0]] - first, 60000);
  const at = (bar) => first + (span * bar) / LIFE;
  const counts = new Array(LIFE).fill(0);
  for (const row of rows) counts[Math.min(LIFE - 1, Math.floor(((data.time[row] - first) / span) * LIFE))]++;
  const figure = make("figure");
  const picture = svg("svg", { preserveAspectRatio: "none", role: "img", "aria-label": "Its headlines over time" });
  bars(picture, counts);
  const binAt = (ms) => ((ms - begin) / (end - begin)) * BINS;
  for (const [bar, rect] of [...picture.children].entries()) {
    const told = svg("title", {});
    told.textContent = `${when(at(bar))}: ${said(counts[bar])}`;
    rect.append(told);
    if (!counts[bar]) continue;
    rect.classList.add("leads");
    rect.addEventListener("click", () => {
      const last = bar === LIFE - 1 ? at(LIFE) : at(bar + 1) - 1;
      change({ from: Math.max(0, binAt(at(bar))), to: Math.min(BINS, binAt(last)), shown: SHOWN });
    });
  }
  const caption = make("figcaption");
  caption.append(make("span", when(first)), make("span", when(first + span)));
  figure.append(picture, caption);
  return figure;
}
