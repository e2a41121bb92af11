
// ---- the card of a point or a ring -----------------------------------------------------------------------------------
function card(row, event, pinned = false) {
  const label = data.label[row];
  const story = storyOf.get(label);
  const title = make("strong");
  title.append(headlineLink(row));
  const named = story ? `Story ${label}: ${story.title}` : label < 0 ? "In no story" : `Story ${label}`;
  const leads = story ? button(named, () => open(label), "plain") : make("span", named);
  raise([title, make("span", origin(row)), leads], label, event, pinned);
}
function storyCard({ number, title, size }, event) {
  raise([make("strong", title), make("span", `Story ${number} · ${several(size, "headline")}`)], number, event, false);
}
function raise(parts, label, event, pinned) {
  const node = $("card");
  if (node.classList.contains("pinned") && !node.hidden && !pinned) return;
  node.replaceChildren(...parts);
  node.style.setProperty("--story", colour(label));
  node.classList.toggle("pinned", pinned);
  node.hidden = false;
  const box = $("stage").getBoundingClientRect();
  const x = event.clientX - box.left;
  const y = event.clientY - box.top;
  const below = y + 18 + node.offsetHeight <= box.height;
  node.style.left = Math.max(4, Math.min(x + 14, box.width - node.offsetWidth - 6)) + "px";
  node.style.top = (below ? y + 18 : Math.max(4, y - node.offsetHeight - 12)) + "px";
}
function pick(row, event) {
  card(row, event, true);
  if (storyOf.has(data.label[row])) open(data.label[row], { focus: false });
}
function unpin() {
  $("card").classList.remove("pinned");
  $("card").hidden = true;
}

// ---- the list of stories -------------------------------------------------------------------------------------------
const growth = (story) => story.size - story.previous;
const order = {
  size: (a, b) => b.size - a.size || a.number - b.number,
  growth: (a, b) => growth(b) - growth(a) || b.size - a.size,
  latest: (a, b) => b.last - a.last,
};
const absorbed = new Map(); // story -> those that went into it in this run
for (const { number, successor } of stories) {
  if (successor >= 0) absorbed.set(successor, [...(absorbed.get(successor) || []), number]);
}

function badges(story) {
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
function list() {
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
  const title = make("h3", several(found.length, "headline"));
  $("found").replaceChildren(...(found.length ? [title, ...headlines(found, { step: SHOWN, withStory: true })] : []));
}
function counted(visible, active) {
  const closing = stories.filter((story) => story.events.includes("closed")).length;
  const all = several(stories.length - (active ? 0 : closing), "story", "stories");
  if (active) return `${said(visible.length)} of ${all}`;
  const open = closing ? `${all}, ${said(closing)} closing` : all;
  return data.storiesLeftOut ? `${open}, the largest of ${said(stories.length + data.storiesLeftOut)}` : open;
}
function listed(story, active, found) {
  const size = active && found !== story.size ? `${said(found)}/${said(story.size)}` : said(story.size);
  const meta = make("span", undefined, "meta");
  const facts = [when(story.last), story.languages.slice(0, 4).join(" "), story.keywords.slice(0, 3).join(", ")];
  meta.append(...badges(story), facts.filter(Boolean).join(" · "));
  const entry = button(undefined, () => open(story.number));
  entry.dataset.story = story.number;
  entry.style.setProperty("--story", colour(story.number));
  entry.append(make("span", size, "size"), make("span", story.title, "title"), meta);
  const item = make("li");
  item.append(entry);
  return item;
}
// A list of headlines, and what leads to the rest of a long one.
function headlines(rows, { step = 500, withStory = false } = {}) {
  const items = make("ul", undefined, "headlines");
  const rest = inParts(items, rows, step, (row) => {
    const item = make("li");
    const meta = make("span", origin(row), "meta");
    const label = data.label[row];
    if (withStory && storyOf.has(label)) meta.append(" · ", button(`story ${label}`, () => open(label), "plain"));
    item.append(headlineLink(row), meta);
    return item;
  });
  return [items, rest];
}

// ---- one story -----------------------------------------------------------------------------------------------------
function open(number, { focus = true } = {}) {
  const story = storyOf.get(number);
  if (!story) return close();
  state.story = number;
  const rows = (rowsOf.get(number) || []).slice().sort((a, b) => data.time[b] - data.time[a]);
  const back = button("‹ all stories", close);
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
  show("story");
  if (map.layout) redraw();
  remember();
  if (focus) back.focus({ preventScroll: true });
}
function close() {
  const was = state.story;
  state.story = null;
  unpin();
  show("list");
  update();
  const entry = document.querySelector(`[data-story="${was}"]`);
  if (entry) entry.focus();
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
function bars(picture, bins, lit) {
  const most = Math.max(...bins, 1);
  picture.setAttribute("viewBox", `0 0 ${bins.length} 10`);
  picture.replaceChildren(...bins.map((number, bin) => {
    const height = number ? 0.6 + (9.4 * number) / most : 0.15;
    const bar = svg("rect", { x: bin + 0.08, width: 0.84, y: 10 - height, height });
    if (lit && lit(bin)) bar.setAttribute("class", "in");
    return bar;
  }));
}
function show(which) {
  for (const id of ["list", "story", "selection"]) $(id).hidden = id !== which;
}
