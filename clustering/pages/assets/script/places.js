// Where a story lies: open on this page, or on a page of its own, from a server or beside this file.
import { data, storyOf } from "./data.js";
import { button, make, root } from "./dom.js";
import { openStory } from "./state.js";

export const alone = () => root.dataset.live === "alone"; // one file, sent to somebody
export const served = () => root.dataset.api !== undefined; // with an API
export const placeOf = (number) => (served() ? `story/${number}` : `story-${number}.html`);
const paged = new Set(data.beside);
// Whether a story has a page of its own. Beside a file, only stories that were listed once have one.
export const hasPage = (number) => served() || (!alone() && (storyOf.get(number)?.open || paged.has(number)));

// What leads to a story: a button where this page has it, else a link to its own page, where it has one.
export function toStory(number, text) {
  if (storyOf.has(number)) {
    const node = button(undefined, () => openStory(number), "plain");
    node.append(text);
    return node;
  }
  const node = make(hasPage(number) ? "a" : "span");
  node.append(text);
  if (hasPage(number)) node.href = placeOf(number);
  return node;
}
