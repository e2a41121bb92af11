// What changed since a time: stories that were born, grew, merged, split, closed or came back, by when runs decided so.
import { data, stories, storyOf } from "./data.js";
import { root, store, stored } from "./dom.js";
import { served } from "./places.js";
import { change, state } from "./state.js";
import { said, when, zoneAt } from "./words.js";

const HOUR = 3600000;
const REACH = Math.max(data.finished - 7 * 24 * HOUR, data.told || 0); // the page itself tells of what happened from then on
const SURGE = 6 * HOUR;
const APART = HOUR / 2; // ms without the page after which a visit is another
const PAGES = 50; // asked for at most, of a list of changes
const FURTHER = 500; // changes a page
const VISIT = "newstide visit";
const AT = 0, KIND = 1, STORY = 2, BEFORE = 4, TITLE = 5; // places in a change
const told = new Map(); // beginning -> changes that a server told, and what is to be said of them; null while it is asked
let chosen = null; // Map of story to what happened to it; null where no time is chosen
let problem = "";

export const lastVisit = visits();
export const chosenSince = () => chosen;

// Epoch ms of a choice; null where there is none, or it is no choice.
export function beginOf(choice) {
  const now = data.finished;
  if (choice === "visit") return lastVisit;
  if (choice === "1h") return now - HOUR;
  if (choice === "24h") return now - 24 * HOUR;
  if (choice === "surging") return now - SURGE;
  if (choice === "morning") return new Date(now).setHours(0, 0, 0, 0);
  const day = /^\d{4}-\d{2}-\d{2}$/.test(choice) ? new Date(choice + "T00:00").getTime() : NaN;
  return Number.isFinite(day) ? day : null;
}
// Chooses what happened since the time that the state names.
export function resince() {
  const begin = beginOf(state.since);
  problem = "";
  chosen = begin === null ? null : happened(begin);
  if (chosen && state.since === "surging") {
    for (const [number, one] of chosen) {
      const size = storyOf.get(number)?.size || 0;
      if (!storyOf.get(number)?.open || size - one.before < 3 || size - one.before < size / 2) chosen.delete(number);
    }
  }
}
// "since 12 Oct, 08:00 (CEST): 12 born, 5 grew", of stories.
export function saidOfSince() {
  if (!chosen) return "";
  const names = { born: "born", reopened: "back", grown: "grew", merged: "merged", split: "split", closed: "closed" };
  const counted = Object.entries(names).map(([kind, name]) => {
    const number = [...chosen.values()].filter(({ kinds }) => kinds.has(kind)).length;
    return number ? `${said(number)} ${name}` : "";
  }).filter(Boolean);
  const what = state.since === "surging" ? `${said(chosen.size)} surging: at least half of their headlines are new` : counted.join(", ") || "nothing changed";
  return `since ${when(beginOf(state.since))} (${zoneAt(beginOf(state.since))}): ${what}${problem}`;
}
export const gain = (story) => story.size - (chosen?.get(story.number)?.before ?? story.size);
// Stories that have closed and are not on the page any more, by number and as their events name them.
export const goneSince = () => [...(chosen || [])].filter(([number, { kinds, title }]) => title && kinds.has("closed") && !storyOf.has(number))
  .map(([number, { title }]) => [number, title]);

function happened(begin) {
  const found = new Map();
  const of = (number, before, title) => {
    if (!found.has(number)) found.set(number, { kinds: new Set(), before, title });
    return found.get(number);
  };
  for (const one of changesSince(begin)) {
    if (one[AT] < begin || one[KIND] === "retitled") continue;
    of(one[STORY], one[KIND] === "born" ? 0 : one[BEFORE], one[TITLE]).kinds.add(one[KIND]);
  }
  for (const { number, seen } of stories) if (seen >= begin) of(number, 0, "").kinds.add("born");
  return found;
}
function changesSince(begin) {
  if (begin >= REACH) return data.changes;
  const all = `this page tells of what happened since ${when(REACH)}`;
  if (!served()) {
    problem = ` (${all}; a server tells of more)`;
    return data.changes;
  }
  if (!told.has(begin)) {
    told.set(begin, null);
    askChanges(begin)
      .catch((error) => ({ changes: data.changes, problem: ` (the server does not say what is further back: ${error.message}; ${all})` }))
      .then((answer) => { told.set(begin, answer); change({}, { recoloured: true }); });
  }
  const answer = told.get(begin);
  problem = answer ? answer.problem : " (asking for what is further back …)";
  return answer ? answer.changes : data.changes;
}
async function askChanges(begin) {
  const changes = [];
  const ask = (query) => fetch(`${root.dataset.api}changes${query}`);
  let answer = await ask(`?since=${begin}&limit=${FURTHER}`);
  if (answer.status === 422) answer = await ask(`?since=${begin}`); // the server's pages are smaller
  for (let page = 1; ; page++) {
    const { items, total, next, detail } = await answer.json();
    if (!answer.ok) throw new Error(detail || answer.statusText);
    changes.push(...items.map((one) => [Date.parse(one.at), one.kind, one.story, one.size, one.previous_size, one.title]));
    const left = next && page === PAGES ? ` (the latest ${said(changes.length)} of ${said(total)} changes)` : "";
    if (!next || left) return { changes: changes.reverse(), problem: left }; // oldest first
    answer = await ask(next);
  }
}
// When the reader was here last, before now; null on a first visit.
function visits() {
  const [before, seen] = (stored("localStorage", VISIT) || "").split(" ").map(Number);
  const last = seen && Date.now() - seen > APART ? seen : before;
  const note = () => { if (!document.hidden) store("localStorage", VISIT, `${last || 0} ${Date.now()}`); };
  note();
  setInterval(note, 60000);
  return last || null;
}
