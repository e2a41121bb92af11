// Titles on the map. The largest stories in view get theirs first, each beside its headlines where it covers the fewest
// points. A title that would cover another, or a button, is left out until one zooms in.
import { $, make } from "./dom.js";
import { count, data, stories, storyTitle, titleOf } from "./data.js";
import { mask, matching } from "./filters.js";
import { isMuted } from "./reading.js";
import { state } from "./state.js";
import { toneOfStory } from "./tones.js";
import { weave } from "./threads.js";
import { across, current, down, home, map } from "./view.js";

const CELL = 6; // pixels: points are counted in cells of this size
const ruler = document.createElement("canvas").getContext("2d");
let placed = [];

export function chooseLabels() {
  const view = current();
  const box = map.getBoundingClientRect();
  const zoom = (home.x[1] - home.x[0]) / (view.x[1] - view.x[0]);
  const most = Math.round(Math.min(70, ((box.width * box.height) / 34000) * Math.min(Math.max(zoom, 1), 3)));
  const ranked = largest();
  const crowd = crowded(view, box);
  const taken = obstacles(box);
  const family = getComputedStyle(document.body).fontFamily;
  placed = [];
  let tried = 0;
  for (const { story, lit } of ranked) {
    if (placed.length >= most || ++tried > 6 * most) break;
    const x = across(story.place[0], view, box);
    const y = down(story.place[1], view, box);
    if (x < 0 || y < 0 || x > box.width || y > box.height) continue;
    const size = lit * 2.5 >= ranked[0].lit ? 14 : lit * 6 >= ranked[0].lit ? 13 : 12;
    ruler.font = `600 ${size}px ${family}`;
    const room = Math.min(box.width - 34, story.number === state.story ? 300 : box.width < 500 ? 140 : 205);
    const lines = broken(story, room, ruler.font);
    const width = Math.max(...lines.map((line) => ruler.measureText(line).width)) + 14; // the bar and the rim
    const height = lines.length * size * 1.25 + 4;
    const area = spots(x, y, width, height, box)
      .filter((spot) => !taken.some((other) => overlap(spot, other)))
      .map((spot) => ({ spot, cost: covered(crowd, spot) + spot.away / 16 }))
      .reduce((best, one) => (one.cost < best.cost ? one : best), { spot: null, cost: Infinity }).spot;
    if (!area) continue;
    taken.push(area);
    placed.push({ story, lines, size, area, x: area.left - x, y: area.top - y });
  }
  $("labels").replaceChildren(...placed.map((label) => {
    label.node = make("span");
    const text = storyTitle(label.story);
    text.textContent = label.lines.join("\n");
    label.node.append(text);
    label.node.style.fontSize = label.size + "px";
    label.node.style.setProperty("--story", toneOfStory(label.story));
    return label.node;
  }));
  placeLabels(view);
}
// The stories that may be named, those with most headlines that match first.
function largest() {
  const ranked = [];
  for (const story of stories) {
    if (!story.place || (state.story === null ? isMuted(story.number) : story.number !== state.story)) continue;
    const lit = matching(story);
    if (lit) ranked.push({ story, lit });
  }
  return ranked.sort((a, b) => b.lit - a.lit || a.story.number - b.story.number);
}
// How many points of stories lie in each cell of the screen.
function crowded(view, box) {
  const wide = Math.ceil(box.width / CELL);
  const cells = new Uint16Array(wide * Math.ceil(box.height / CELL));
  for (let row = 0; row < count; row++) {
    if (data.label[row] < 0 || !mask[row]) continue;
    const x = across(data.x[row], view, box);
    const y = down(data.y[row], view, box);
    if (x >= 0 && y >= 0 && x < box.width && y < box.height) cells[Math.floor(y / CELL) * wide + Math.floor(x / CELL)]++;
  }
  return { wide, cells };
}
function covered({ wide, cells }, area) {
  let points = 0;
  for (let y = Math.floor(area.top / CELL); y <= Math.floor(area.bottom / CELL); y++) {
    for (let x = Math.floor(area.left / CELL); x <= Math.floor(area.right / CELL); x++) {
      points += Math.min(cells[y * wide + x] || 0, 3);
    }
  }
  return points;
}
// Where a title may stand: around a place, near it first, inside the map.
function spots(x, y, width, height, box) {
  const found = [];
  for (const gap of [8, 20, 36]) {
    for (const [right, lower] of [[0, -1], [0, 1], [1, 0], [-1, 0], [0.7, -1], [-0.7, -1], [0.7, 1], [-0.7, 1]]) {
      const middle = x + right * (width / 2 + (lower ? 0 : gap));
      const left = Math.min(Math.max(middle - width / 2, 4), box.width - width - 4);
      const top = y + lower * (height / 2 + gap) - height / 2;
      const bottom = top + height;
      if (top > 2 && bottom < box.height - 4) found.push({ left, top, right: left + width, bottom, away: gap });
    }
  }
  return found;
}
// What else stands on the map.
function obstacles(box) {
  return ["tools", "left-out", "legend"].filter((id) => !$(id).hidden).map((id) => {
    const other = $(id).getBoundingClientRect();
    const [left, top] = [other.left - box.left, other.top - box.top];
    return { left, top, right: left + other.width, bottom: top + other.height };
  });
}
// A title in two lines at most, broken between words; what does not fit is cut.
const known = new Map();
function broken(story, room, font) {
  const key = `${story.number} ${room} ${font}`;
  if (!known.has(key)) known.set(key, fitted(titleOf(story).text, room));
  return known.get(key);
}
function fitted(title, room) {
  const wide = (text) => ruler.measureText(text).width > room;
  const start = title.slice(0, 120);
  if (!wide(start)) return [start];
  const words = start.split(/\s+/);
  let first = words[0];
  let used = 1;
  while (used < words.length && !wide(`${first} ${words[used]}`)) first += " " + words[used++];
  if (used === words.length || wide(first)) return [cut(wide(first) ? start : first, wide)];
  const rest = words.slice(used).join(" ");
  return [first, wide(rest) ? cut(rest, wide) : rest];
}
function cut(text, wide) {
  const letters = Array.from(text);
  let [fits, most] = [1, letters.length];
  while (fits < most) {
    const middle = Math.ceil((fits + most) / 2);
    if (wide(letters.slice(0, middle).join("") + "…")) most = middle - 1;
    else fits = middle;
  }
  const short = letters.slice(0, fits).join("");
  const whole = /^\s/.test(letters[fits] || " ") ? short : short.replace(/\s+\S*$/, ""); // cut between words where there are several
  return whole.replace(/[\s,;:.–-]+$/, "") + "…";
}
function overlap(a, b) {
  return a.left < b.right + 4 && a.right + 4 > b.left && a.top < b.bottom + 1 && a.bottom + 1 > b.top;
}
// Titles move with their stories while the map is dragged or zoomed; one that runs into another is hidden meanwhile.
function placeLabels(view) {
  weave(view, map.getBoundingClientRect());
  moveLabels(view);
}
export function moveLabels(view) {
  const box = map.getBoundingClientRect();
  const taken = obstacles(box);
  for (const label of placed) {
    const left = across(label.story.place[0], view, box) + label.x;
    const top = down(label.story.place[1], view, box) + label.y;
    const { right, bottom, left: was, top: above } = label.area;
    label.area = { left, top, right: left + right - was, bottom: top + bottom - above };
    label.node.hidden = taken.some((other) => overlap(label.area, other));
    label.node.style.transform = `translate(${left}px, ${top}px)`;
    if (!label.node.hidden) taken.push(label.area);
  }
}
// Titles let the mouse through to the map, which is dragged and zoomed; a click on one is found by its place.
export function labelAt(event) {
  const box = map.getBoundingClientRect();
  const x = event.clientX - box.left;
  const y = event.clientY - box.top;
  const inside = (area) => x >= area.left && x <= area.right && y >= area.top && y <= area.bottom;
  return placed.find(({ area, node }) => !node.hidden && inside(area));
}
