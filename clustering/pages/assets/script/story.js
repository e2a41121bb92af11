// One story: its title, what became of it, its headlines over time and one by one.
import { begin, BINS, binOf, colour, data, end, rowsOf, storyOf, timeOf } from "./data.js";
import { $, button, make, svg } from "./dom.js";
import { badges, headlines } from "./list.js";
import { zoomTo } from "./map.js";
import { closeStory, state } from "./state.js";
import { bars } from "./timeline.js";
import { said, several, when } from "./words.js";

// Shows the open story.
export function tell() {
  const number = state.story;
  const story = storyOf.get(number);
  const rows = (rowsOf.get(number) || []).slice().sort((a, b) => data.time[b] - data.time[a]);
  const back = button("‹ all stories", closeStory);
  back.id = "back";
  const top = make("div", undefined, "row");
  top.append(back);
  if (rows.length) top.append(button("show on map", () => zoomTo(rows)));
  const meta = make("p", undefined, "meta");
  const span = `${when(story.first)} – ${when(story.last)}`;
  meta.append(...badges(story), `Story ${number} · ${several(story.size, "headline")} · ${span}`);
  const chips = make("div", undefined, "chips");
  chips.append(...story.keywords.map((word) => make("span", word)));
  const names = story.sources.slice(0, 8).join(", ") + (story.sourceCount > 8 ? " …" : "");
  const from = `${several(story.sourceCount, "source")}: ${names} · ${story.languages.join(" ")}`;
  const parts = [top, make("h2", story.title), meta];
  if (rows.length) parts.push(timeline(rows));
  parts.push(chips, make("p", from, "meta"));
  if (story.size > rows.length) parts.push(make("p", `${said(rows.length)} of its headlines are on this page.`, "meta"));
  $("story").style.setProperty("--story", colour(number));
  $("story").replaceChildren(...parts, ...headlines(rows));
  $("story").scrollTop = 0;
}

function timeline(rows) {
  const bins = new Array(BINS).fill(0);
  rows.forEach((row) => bins[binOf(data.time[row])]++);
  const figure = make("figure");
  const picture = svg("svg", { preserveAspectRatio: "none", role: "img", "aria-label": "Its headlines over time" });
  bars(picture, bins);
  for (const [bin, bar] of [...picture.children].entries()) {
    const told = svg("title", {});
    told.textContent = `${when(timeOf(bin))}: ${said(bins[bin])}`;
    bar.append(told);
  }
  const caption = make("figcaption");
  caption.append(make("span", when(begin)), make("span", when(end)));
  figure.append(picture, caption);
  return figure;
}
