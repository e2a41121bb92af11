// Where a story lies: open on this page, or on a page of its own, from a server or beside this file.
import { storyOf } from "./data.js";
import { button, make, root } from "./dom.js";
import { openStory } from "./state.js";

export const alone = () => root.dataset.live === "alone"; // one file, sent to somebody
export const placeOf = (number) => (root.dataset.api === undefined ? `story-${number}.html` : `story/${number}`);

// What leads to a story: a button where this page has it, else a link to its own page.
export function toStory(number, text) {
  if (storyOf.has(number)) {
    const node = button(undefined, () => openStory(number), "plain");
    node.append(text);
    return node;
  }
  const node = make(alone() ? "span" : "a");
  node.append(text);
  if (!alone()) node.href = placeOf(number);
  return node;
}
