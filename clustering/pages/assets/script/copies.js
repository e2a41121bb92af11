// Copies: headlines whose titles are equal but for case, accents and punctuation, as agencies' are. One row shows them all.
import { data, headlineLink, origin, sourceOf } from "./data.js";
import { button, make } from "./dom.js";
import { fold } from "./words.js";

// Rows as [first published, copies ...], each at the place of its first published one; their own order is kept.
export function copiesOf(rows) {
  const known = new Map();
  for (const row of rows) {
    const title = fold(data.title[row]).replace(/[^\p{L}\p{N}]+/gu, " ").trim() || data.title[row];
    const key = `${data.label[row]} ${title}`;
    if (known.has(key)) known.get(key).push(row);
    else known.set(key, [row]);
  }
  const first = new Map();
  for (const copies of known.values()) {
    copies.sort((a, b) => data.time[a] - data.time[b] || a - b);
    first.set(copies[0], copies);
  }
  return rows.filter((row) => first.has(row)).map((row) => first.get(row));
}
// "the first outlet + 2", and a button that shows who the two are.
export function originOf(copies) {
  const [row, ...others] = copies;
  const meta = make("span", undefined, "meta");
  if (!others.length) {
    meta.textContent = origin(row);
    return [meta];
  }
  const list = make("ul", undefined, "copies");
  list.hidden = true;
  const name = sourceOf(row) || "one headline";
  const more = button(`${name} + ${others.length}`, () => {
    list.hidden = !list.hidden;
    more.setAttribute("aria-expanded", !list.hidden);
    if (!list.hidden && !list.children.length) list.append(...others.map(copy));
  }, "plain");
  more.setAttribute("aria-expanded", "false");
  meta.append(more, ` · ${origin(row).split(" · ").slice(sourceOf(row) ? 1 : 0).join(" · ")}`);
  return [meta, list];
}
function copy(row) {
  const item = make("li");
  const link = headlineLink(row);
  link.replaceChildren(origin(row));
  item.append(link);
  return item;
}
