// The part of the map that is in view, and where on the screen a place lies.
import { $ } from "./dom.js";
import { count, data } from "./data.js";
import { state } from "./state.js";

const BESIDE = 8; // pixels between the buttons and what lies above them
export const map = $("map");
export const home = wholeMap();
export const across = (value, view, box) => ((value - view.x[0]) / (view.x[1] - view.x[0])) * box.width;
export const down = (value, view, box) => ((view.y[1] - value) / (view.y[1] - view.y[0])) * box.height;

// Pixels across a point: smaller where many share the map, or the screen is small.
export function size() {
  const box = map.getBoundingClientRect();
  return Math.min(8, Math.max(3, 0.3 * Math.sqrt((box.width * box.height) / Math.max(count, 1))));
}
// The box around a view whose sides are as long in data as on the screen: a map has one scale. The whole map ends above the buttons.
export function squared(view) {
  const box = map.getBoundingClientRect();
  const [width, height] = [box.width || 1, box.height || 1];
  const buttons = view === home ? Math.min(box.bottom - $("tools").getBoundingClientRect().top + BESIDE, height / 2) : 0;
  const free = (view.y[1] - home.lowest) / (height - buttons);
  const unit = Math.max((view.x[1] - view.x[0]) / width, (view.y[1] - view.y[0]) / height, buttons ? free : 0);
  const middle = (pair) => (pair[0] + pair[1]) / 2;
  const bottom = Math.min(middle(view.y) - (unit * height) / 2, buttons ? home.lowest - unit * buttons : Infinity);
  const left = middle(view.x) - (unit * width) / 2;
  return { x: [left, left + unit * width], y: [bottom, bottom + unit * height] };
}
let moved = null; // what is in view while the last frame is moved
export function setMoved(view) {
  moved = view;
}
export function current() {
  return moved ? { x: moved.x.slice(), y: moved.y.slice() } : drawnView();
}
// The view in which the map was drawn last.
export function drawnView() {
  if (!map.layout) return squared(state.view || home);
  return { x: map.layout.xaxis.range.slice(), y: map.layout.yaxis.range.slice() };
}

function wholeMap() {
  if (!count) return { x: [-1, 1], y: [-1, 1], lowest: -1 };
  const extent = (values) => {
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const rim = (high - low || 1) * 0.06;
    return [low - rim, high + rim, low];
  };
  const [[left, right], [bottom, top, lowest]] = [extent(data.x), extent(data.y)];
  return { x: [left, right], y: [bottom, top], lowest };
}
