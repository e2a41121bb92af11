
// ---- wiring --------------------------------------------------------------------------------------------------------
function choices(select, codes, names, title) {
  const counts = new Array(names.length).fill(0);
  codes.forEach((code) => { if (code >= 0) counts[code]++; });
  const named = names.map((name, code) => [name, counts[code]]).filter(([name, number]) => name && number);
  select.append(...named.sort((a, b) => b[1] - a[1]).slice(0, 300).map(([name, number]) => {
    const option = make("option", `${title(name)} (${said(number)})`);
    option.value = name;
    return option;
  }));
}
function languageName(tag) {
  try { return new Intl.DisplayNames(["en"], { type: "language" }).of(tag) || tag; } catch { return tag; }
}
choices($("language"), data.language, data.languages, languageName);
choices($("source"), data.source, data.sources, (name) => shorten(name, 40));
if (data.leftOut) {
  const drawn = `${said(count)} of ${said(count + data.leftOut)} headlines are drawn as points`;
  const all = "the shade shows where all lie, rings where stories have their middle";
  $("left-out").textContent = `${drawn}, every story's most typical first; ${all}`;
  $("left-out").hidden = false;
}
let typing;
$("query").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    state.query = $("query").value;
    state.story = null;
    show("list");
    update();
  }, 120);
});
$("filters").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["language", "source", "sort"]) {
  $(id).addEventListener("change", () => { state[id] = $(id).value; update(); });
}
for (const id of ["from", "to"]) $(id).addEventListener("input", () => {
  const [from, to] = [Number($("from").value), Number($("to").value)];
  if (from >= to) $(id).value = id === "from" ? to - 1 : from + 1;
  state.from = Number($("from").value);
  state.to = Number($("to").value);
  update();
});
// The brush: a drag across the histogram chooses the time between, a double click all of it.
let brushed = null;
function span(from, to) {
  if (from === state.from && to === state.to) return;
  state.from = from;
  state.to = to;
  $("from").value = from;
  $("to").value = to;
  update();
}
function binAt(event) {
  const box = $("histogram").getBoundingClientRect();
  return Math.min(BINS, Math.max(0, ((event.clientX - box.left) / box.width) * BINS));
}
$("histogram").addEventListener("pointerdown", (event) => {
  brushed = binAt(event);
  $("histogram").setPointerCapture(event.pointerId);
});
$("histogram").addEventListener("pointermove", (event) => {
  if (brushed === null || Math.abs(binAt(event) - brushed) < 0.5) return;
  const from = Math.min(BINS - 1, Math.floor(Math.min(binAt(event), brushed)));
  span(from, Math.max(from + 1, Math.ceil(Math.max(binAt(event), brushed))));
});
for (const kind of ["pointerup", "pointercancel"]) $("histogram").addEventListener(kind, () => { brushed = null; });
$("histogram").addEventListener("dblclick", () => span(0, BINS));
$("more").addEventListener("click", () => { state.shown += 200; list(); });
$("home").addEventListener("click", () => { go(home); remember(); });
$("lasso").addEventListener("click", () => lasso($("lasso").getAttribute("aria-pressed") !== "true"));
$("in-view").addEventListener("click", selectInView);
$("close-selection").addEventListener("click", () => { lasso(false); show(state.story === null ? "list" : "story"); });
$("export").addEventListener("click", save);
$("renewed").addEventListener("click", renew);
addEventListener("newstide-renews", keepPlace); // what the server puts into the page is about to load it again
for (const link of document.querySelectorAll("header a")) link.addEventListener("click", write);
$("theme").addEventListener("click", () => { state.theme = dark() ? "light" : "dark"; repaint(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
addEventListener("hashchange", () => {
  recall();
  if (state.story !== null) open(state.story, { focus: false });
  else show("list");
  update();
  if (map.layout) go(state.view || home);
});
map.addEventListener("keydown", (event) => {
  const step = {
    ArrowLeft: [-0.15, 0, 1], ArrowRight: [0.15, 0, 1], ArrowUp: [0, 0.15, 1], ArrowDown: [0, -0.15, 1],
    "+": [0, 0, 0.7], "=": [0, 0, 0.7], "-": [0, 0, 1.4],
  }[event.key];
  if (step) { event.preventDefault(); nudge(...step); }
  if (event.key === "0") { go(home); remember(); }
});
// The one key without a modifier that works everywhere can be switched off, for those who speak to their computer.
const SLASH = "newstide slash";
function slash(on) {
  $("slash").checked = on;
  $("query").placeholder = "Search headlines and stories" + (on ? "  ( / )" : "");
}
try { slash(localStorage.getItem(SLASH) !== "off"); } catch { slash(true); }
$("slash").addEventListener("change", () => {
  slash($("slash").checked);
  try { localStorage.setItem(SLASH, $("slash").checked ? "on" : "off"); } catch { /* storage may be off */ }
});
addEventListener("keydown", (event) => {
  const typed = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  const modified = event.ctrlKey || event.altKey || event.metaKey;
  if (event.key === "/" && !typed && !modified && $("slash").checked) { event.preventDefault(); $("query").focus(); }
  if (event.key !== "Escape") return;
  if (!$("selection").hidden) $("close-selection").click();
  else if (!$("card").hidden) unpin();
  else if (state.story !== null) close();
  else if (state.query) { $("query").value = state.query = ""; update(); }
});
let resizing;
let drawnAt = "";
new ResizeObserver(([{ contentRect: { width, height } }]) => {
  clearTimeout(resizing);
  if (map.layout && drawnAt !== `${width} ${height}`) resizing = setTimeout(() => go(state.view || home), 150);
  drawnAt = `${width} ${height}`;
}).observe($("stage"));

recall();
age();
histogram();
mask = matches();
list();
if (state.story !== null) open(state.story, { focus: false });
else show("list");
findPlace();
await plotlyRead();
await draw();
ask();
setInterval(age, 30000);
setInterval(ask, 5000);
