// What this browser keeps for its reader: which stories were read, at what size, and which are muted. It leaves the browser
// on no way: neither the address nor a request names it.
import { storyOf } from "./data.js";
import { store, stored } from "./dom.js";

const KEPT = 2000; // stories kept of each kind, the last ones
const SAME = 86400000; // ms: a number that begins so far from where it did is a story of another store
const READ = "newstide read";
const MUTED = "newstide muted";
const kept = { [READ]: load(READ), [MUTED]: load(MUTED) }; // name -> Map of number to [first, size]

export const isMuted = (number) => find(MUTED, number) !== null;
export const mutedStories = () => [...kept[MUTED].keys()].filter(isMuted);
// The size at which a story was read last; null where it was not.
export const readAt = (number) => find(READ, number);
export function setRead(number, yes = true) {
  keep(READ, number, yes);
}
export function setMuted(number, yes) {
  keep(MUTED, number, yes);
}
// Another tab of the same browser has read or muted something.
export function onOtherTab(changed) {
  addEventListener("storage", ({ key }) => {
    if (!(key in kept)) return;
    kept[key] = load(key);
    changed();
  });
}

function find(name, number) {
  const [first, size] = kept[name].get(number) || [];
  const story = storyOf.get(number);
  return story && size !== undefined && Math.abs(first - story.first) < SAME ? size : null;
}
function keep(name, number, yes) {
  const story = storyOf.get(number);
  kept[name] = load(name); // as another tab may have left it
  kept[name].delete(number);
  if (yes && story) kept[name].set(number, [story.first, story.size]);
  store("localStorage", name, JSON.stringify([...kept[name]].slice(-KEPT)));
}
function load(name) {
  const sound = (one) => Array.isArray(one) && Number.isInteger(one[0]) && Array.isArray(one[1]) && one[1].every(Number.isFinite);
  try {
    const entries = JSON.parse(stored("localStorage", name));
    return new Map(Array.isArray(entries) ? entries.filter(sound) : []);
  } catch {
    return new Map(); // not what this page wrote
  }
}
