// The page of a run, put together: what is chosen is shown, and what is pressed is chosen.
import { paint, recall, remember, write } from "./address.js";
import { unpin } from "./card.js";
import { count, dark, data, rowsOf } from "./data.js";
import { $, make, store, stored } from "./dom.js";
import { refilter } from "./filters.js";
import { list } from "./list.js";
import { draw, drawn, findOnMap, go, lasso, plotlyRead, redraw, showAll } from "./map.js";
import { askNear } from "./near.js";
import { onOtherTab, setRead } from "./reading.js";
import { age, ask, findPlace, keepPlace, renew } from "./renewal.js";
import { save, select, selectInView } from "./selection.js";
import { beginOf, lastVisit, resince } from "./since.js";
import { change, closeStory, onChange, SHOWN, state } from "./state.js";
import { tell } from "./story.js";
import { histogram } from "./timeline.js";
import { home } from "./view.js";
import { languageName, said, shorten } from "./words.js";

const SLASH = "newstide slash"; // in the browser's storage: whether the key / leads to the search box
let typing;
let resizing;
let drawnAt = "";
let lastMapped = "";
let lastRead = null;

function showState() {
  resince();
  refilter();
  histogram();
  list();
  askNear();
  if (state.story !== null) tell();
  for (const id of ["list", "story", "selection", "near"]) $(id).hidden = id !== state.panel;
}
// What the map shows of the state.
const mapped = () => [state.story, state.query, state.language, state.source, state.from, state.to, state.since, state.colour, dark()].join("\n");
onChange(({ focus = false, closed = null, recoloured = false }) => {
  if (closed !== null) unpin();
  if (state.story !== null && state.story !== lastRead) setRead(state.story);
  lastRead = state.story;
  showState();
  if (drawn() && (recoloured || mapped() !== lastMapped)) redraw(); // a lasso that is drawn would select anew
  lastMapped = mapped();
  remember();
  if (focus && state.story !== null) {
    $("back").focus({ preventScroll: true });
    if (drawn()) findOnMap(rowsOf.get(state.story) || []);
  }
  if (closed !== null) document.querySelector(`[data-story="${closed}"]`)?.focus();
});

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
choices($("language"), data.language, data.languages, languageName);
choices($("source"), data.source, data.sources, (name) => shorten(name, 40));
if (data.leftOut) {
  const drawn = `${said(count)} of ${said(count + data.leftOut)} headlines are drawn as points`;
  const all = "the shade shows where all lie, rings where stories have their middle";
  $("left-out").textContent = `${drawn}, every story's most typical first; ${all}`;
  $("left-out").hidden = false;
}

$("query").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => change({ query: $("query").value, story: null, panel: "list", shown: SHOWN }), 120);
});
// Arrows lead from the search box into what is listed, and back.
addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || event.ctrlKey || event.altKey || event.metaKey) return;
  const places = [$("query"), ...$("list").querySelectorAll("#stories button, .headlines > li > :first-child")];
  const at = places.indexOf(document.activeElement);
  const next = places[at + by];
  if (at < 0 || !next) return;
  event.preventDefault();
  if (next.tagName === "SPAN") next.tabIndex = -1;
  next.focus();
});
$("filters").addEventListener("submit", (event) => event.preventDefault());
// "a date" shows a field for it.
function sinceShown() {
  const fixed = [...$("since").options].some(({ value }) => value === state.since);
  $("since").value = fixed ? state.since : "date";
  $("since-date").hidden = $("since").value !== "date";
  if (!fixed) $("since-date").value = state.since;
  $("since").querySelector("[value=visit]").disabled = lastVisit === null;
}
$("since").addEventListener("change", () => {
  const asked = $("since").value;
  $("since-date").hidden = asked !== "date";
  if (asked === "date") $("since-date").focus();
  else change({ since: asked, shown: SHOWN });
});
$("since-date").addEventListener("change", () => change({ since: beginOf($("since-date").value) === null ? "" : $("since-date").value, shown: SHOWN }));
$("colour").addEventListener("change", () => change({ colour: $("colour").value }));
onOtherTab(() => change({}, { recoloured: true }));
for (const id of ["language", "source", "sort"]) {
  $(id).addEventListener("change", () => change({ [id]: $(id).value, shown: SHOWN }));
}
$("more").addEventListener("click", () => { state.shown += 200; list(); });
$("home").addEventListener("click", showAll);
$("lasso").addEventListener("click", () => lasso($("lasso").getAttribute("aria-pressed") !== "true"));
$("help").addEventListener("click", () => {
  $("how").hidden = !$("how").hidden;
  $("help").setAttribute("aria-expanded", !$("how").hidden);
});
$("in-view").addEventListener("click", selectInView);
$("close-selection").addEventListener("click", () => {
  lasso(false);
  change({ panel: state.story === null ? "list" : "story" });
});
$("export").addEventListener("click", save);
$("renewed").addEventListener("click", renew);
addEventListener("newstide-renews", keepPlace); // what the server puts into the page is about to load it again
for (const link of document.querySelectorAll("header a")) link.addEventListener("click", write);
function repaint() {
  paint();
  change({});
}
$("theme").addEventListener("click", () => { state.theme = dark() ? "light" : "dark"; repaint(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
addEventListener("popstate", () => {
  clearTimeout(typing);
  recall();
  sinceShown();
  change({ panel: state.story === null ? "list" : "story", shown: SHOWN });
  if (drawn()) go(state.view || home);
});
// The one key without a modifier that works everywhere can be switched off, for those who speak to their computer.
function slash(on) {
  $("slash").checked = on;
  $("query").placeholder = "Search headlines and stories" + (on ? "  ( / )" : "");
}
slash(stored("localStorage", SLASH) !== "off");
$("slash").addEventListener("change", () => {
  slash($("slash").checked);
  store("localStorage", SLASH, $("slash").checked ? "on" : "off");
});
addEventListener("keydown", (event) => {
  const typed = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  const modified = event.ctrlKey || event.altKey || event.metaKey;
  if (event.key === "/" && !typed && !modified && $("slash").checked) { event.preventDefault(); $("query").focus(); }
  if (event.key !== "Escape") return;
  if (!$("selection").hidden) $("close-selection").click();
  else if (!$("near").hidden) $("close-near").click();
  else if (!$("how").hidden) $("help").click();
  else if (!$("card").hidden) unpin();
  else if (state.story !== null) closeStory();
  else if (state.query) {
    $("query").value = "";
    change({ query: "", shown: SHOWN });
  }
});
new ResizeObserver(([{ contentRect: { width, height } }]) => {
  clearTimeout(resizing);
  if (drawn() && drawnAt !== `${width} ${height}`) resizing = setTimeout(() => go(state.view || home), 150);
  drawnAt = `${width} ${height}`;
}).observe($("stage"));

recall();
sinceShown();
state.panel = state.story === null ? "list" : "story";
age();
showState();
findPlace();
await plotlyRead();
lastMapped = mapped();
await draw({ onView: remember, onSelect: select });
ask();
setInterval(age, 30000);
setInterval(ask, 5000);
