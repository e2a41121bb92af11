// The card of a point or a ring of the map.
import { colour, data, headlineLink, origin, storyOf, storyTitle } from "./data.js";
import { $, button, make } from "./dom.js";
import { openStory } from "./state.js";
import { several } from "./words.js";

export function card(row, event, pinned = false) {
  const label = data.label[row];
  const story = storyOf.get(label);
  const title = make("strong");
  title.append(headlineLink(row));
  const named = label < 0 ? "In no story" : `Story ${label}`;
  const leads = story ? button(undefined, () => openStory(label), "plain") : make("span", named);
  if (story) leads.append(`Story ${label}: `, storyTitle(story));
  raise([title, make("span", origin(row)), leads], label, event, pinned);
}
export function storyCard(story, event) {
  const { number, size } = story;
  const title = make("strong");
  title.append(storyTitle(story));
  raise([title, make("span", `Story ${number} · ${several(size, "headline")}`)], number, event, false);
}
export function pick(row, event) {
  card(row, event, true);
  if (storyOf.has(data.label[row])) openStory(data.label[row], { focus: false });
}
export function unpin() {
  $("card").classList.remove("pinned");
  $("card").hidden = true;
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
