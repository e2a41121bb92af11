// Renewal: latest.html asks every few seconds which run is the latest and loads itself again; the address keeps the view. A page
// opened as a file may not fetch, but may load a script.
import { lead, write } from "./address.js";
import { data } from "./data.js";
import { $, make, root, store, stored } from "./dom.js";
import { list } from "./list.js";
import { SHOWN, state } from "./state.js";
import { when, zoneAt } from "./words.js";

const ownRun = Number(root.dataset.run);
const live = root.dataset.live === "yes";
const PLACE = "newstide place"; // in the tab's storage: how far the reader had read before the page renewed itself

function learn(latest) {
  const runs = latest.runs || [];
  const before = runs.filter((run) => run < ownRun).at(-1);
  const after = runs.find((run) => run > ownRun);
  const page = (run) => `run-${String(run).padStart(6, "0")}.html`;
  $("previous").hidden = before === undefined;
  if (before !== undefined) $("previous").href = page(before);
  $("next").hidden = live || after === undefined;
  if (after !== undefined) $("next").href = after === latest.run ? "latest.html" : page(after);
  lead();
  if (!live || root.dataset.events === "yes" || !(latest.run > ownRun)) return; // a server that tells of runs, offers them
  if (!$("selection").hidden) $("renewed").hidden = false; // not while a selection would be lost
  else renew();
}
export function renew() {
  keepPlace();
  location.reload();
}
export function keepPlace() {
  write();
  const place = { shown: state.shown, list: $("list").scrollTop, story: $("story").scrollTop };
  store("sessionStorage", PLACE, JSON.stringify(place));
}
export function findPlace() {
  const place = JSON.parse(stored("sessionStorage", PLACE));
  store("sessionStorage", PLACE, null);
  if (!place) return;
  state.shown = Math.max(SHOWN, Number(place.shown) || 0);
  list();
  for (const id of ["list", "story"]) $(id).scrollTop = Number(place[id]) || 0;
}
export function ask() {
  if (document.hidden || root.dataset.live === "alone") return;
  if (location.protocol === "file:") {
    const script = make("script");
    script.src = "latest.js?" + Date.now();
    script.onload = () => { script.remove(); learn(window.newstideLatest || {}); };
    script.onerror = () => script.remove();
    document.head.append(script);
  } else {
    fetch("latest.json", { cache: "no-store" })
      .then((answer) => (answer.ok ? answer.json() : {})).then(learn).catch(() => {});
  }
}
export function age() {
  const minutes = Math.floor((Date.now() - data.finished) / 60000);
  const ago = minutes < 60 ? `${minutes} min ago` : minutes < 2880 ? `${Math.floor(minutes / 60)} h ago` : when(data.finished);
  $("when").textContent = minutes < 1 ? "just now" : ago;
  $("newest").textContent = data.time.length ? ` · newest headline ${when(data.end)} (${zoneAt(data.end)})` : "";
  $("when").title = when(data.finished);
}
