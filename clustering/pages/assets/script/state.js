// What the reader has chosen. Whoever changes it calls `change`; the page then shows it, whoever asked.
import { BINS } from "./data.js";

export const SHOWN = 60; // stories and found headlines listed at first
export const state = {
  story: null, missing: null, query: "", language: "", source: "", from: 0, to: BINS, sort: "size", since: "", hits: "relevance", colour: "story",
  theme: "", view: null, panel: "list", shown: SHOWN, selected: [], small: false, muted: false,
};
let show = () => {};

// Sets what shows the state: it is called after each change, and is told how (`focus`: where a story was opened or closed).
export function onChange(shower) {
  show = shower;
}
export function change(changes, how = {}) {
  Object.assign(state, changes);
  show(how);
}
export function openStory(number, { focus = true } = {}) {
  change({ story: number, missing: null, panel: "story" }, { focus });
}
export function closeStory() {
  change({ story: null, panel: "list", shown: SHOWN }, { closed: state.story });
}
