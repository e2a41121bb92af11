// The document: its elements by id, new ones, long lists in parts, and what the browser keeps for this page.
import { said } from "./words.js";

export const root = document.documentElement;
export const $ = (id) => document.getElementById(id);

export function make(tag, text, name) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (name) node.className = name;
  return node;
}
export function button(text, pressed, name) {
  const node = make("button", text, name);
  node.type = "button";
  node.addEventListener("click", pressed);
  return node;
}
export function svg(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  return node;
}
// Adds a long list's entries in parts; what is returned says how much is listed, and adds the next part.
export function inParts(parent, rows, step, entry) {
  const rest = make("p", undefined, "rest");
  const text = make("span");
  let listed = 0;
  const more = button("Show more", () => {
    const first = listed;
    add();
    parent.children[first]?.querySelector("a, button")?.focus({ preventScroll: true });
  });
  function add() {
    parent.append(...rows.slice(listed, listed + step).map(entry));
    listed = Math.min(rows.length, listed + step);
    text.textContent = `${said(listed)} of ${said(rows.length)} are listed.`;
    rest.hidden = listed === rows.length;
  }
  rest.append(text, more);
  add();
  return rest;
}
// Texts by name in `localStorage` or `sessionStorage`, which may be switched off; null takes one away.
export function stored(kind, name) {
  try {
    return window[kind].getItem(name);
  } catch {
    return null;
  }
}
export function store(kind, name, text) {
  try {
    if (text === null) window[kind].removeItem(name);
    else window[kind].setItem(name, text);
  } catch { /* storage may be off */ }
}
