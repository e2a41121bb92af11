// While the map is dragged or zoomed, its last frame is moved; once it rests, it is drawn again.
import { $ } from "./dom.js";
import { moveLabels } from "./labels.js";
import { across, current, down, drawnView, map, setMoved } from "./view.js";

const REST = 160; // ms without a turn of the wheel
const STILL = 4; // pixels: a press that moves less is a click
const NOTCH = 100; // what a wheel's notch counts; a touchpad's steps are smaller
const fingers = new Map(); // pointers that hold the map, where they are
let dragged = false;
let resting = null;
let atRest = () => {};

// Sets what draws a view once it is at rest.
export function onRest(draw) {
  atRest = draw;
}
// Shows a view by moving the last frame.
export function moveTo(view) {
  const drawn = drawnView();
  const box = map.getBoundingClientRect();
  const scale = (drawn.x[1] - drawn.x[0]) / (view.x[1] - view.x[0]);
  const left = -across(view.x[0], drawn, box) * scale;
  const top = -down(view.y[1], drawn, box) * scale;
  setMoved(view);
  for (const frame of frames()) frame.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  moveLabels(view);
  $("stage").dataset.moving = "yes";
  clearTimeout(resting);
  if (!fingers.size) resting = setTimeout(rest, REST, view);
}
// Forgets a motion, as what draws another view does.
export function endMotion() {
  clearTimeout(resting);
  setMoved(null);
  for (const frame of frames()) frame.style.transform = "";
  delete $("stage").dataset.moving;
}
function rest(view) {
  atRest(view);
}
const frames = () => [map.querySelector(".plot-container"), $("threads")].filter(Boolean);

// The view after a zoom by a factor about a place of the screen, and a move by pixels.
function zoomed(factor, place, right = 0, lower = 0) {
  const view = current();
  const box = map.getBoundingClientRect();
  const unit = (view.x[1] - view.x[0]) / box.width;
  const x = view.x[0] + (place.x - box.left) * unit;
  const y = view.y[1] - (place.y - box.top) * unit;
  const about = (pair, middle, by) => pair.map((end) => middle + (end - middle) * factor + by * unit * factor);
  return { x: about(view.x, x, -right), y: about(view.y, y, lower) };
}
const free = () => map.layout && map.layout.dragmode !== "lasso"; // the lasso is Plotly's
const place = ({ clientX, clientY }) => ({ x: clientX, y: clientY });

map.addEventListener("wheel", (event) => {
  if (!map.layout) return;
  event.preventDefault();
  const turned = event.deltaY * (event.deltaMode ? 33 : 1) * (event.ctrlKey ? 4 : 1); // with ctrl: two fingers on a touchpad
  moveTo(zoomed(Math.exp(Math.max(-NOTCH, Math.min(NOTCH, turned)) / 500), place(event)));
}, { passive: false });
map.addEventListener("pointerdown", (event) => {
  if (!free() || event.button > 0) return;
  if (!fingers.size) dragged = false;
  fingers.set(event.pointerId, place(event));
}, true);
addEventListener("pointermove", (event) => {
  const was = fingers.get(event.pointerId);
  if (!was) return;
  const now = place(event);
  if (!dragged && Math.hypot(now.x - was.x, now.y - was.y) < STILL) return;
  dragged = true;
  const middle = () => {
    const held = [...fingers.values()];
    const sum = held.reduce((a, b) => ({ x: a.x + b.x, y: a.y + b.y }), { x: 0, y: 0 });
    return { x: sum.x / held.length, y: sum.y / held.length };
  };
  const wide = () => {
    const [one, other] = [...fingers.values()];
    return other ? Math.max(20, Math.hypot(one.x - other.x, one.y - other.y)) : 1;
  };
  const [before, spread] = [middle(), wide()];
  fingers.set(event.pointerId, now);
  const after = middle();
  moveTo(zoomed(spread / wide(), before, after.x - before.x, after.y - before.y));
}, true);
for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, (event) => {
  if (!fingers.delete(event.pointerId) || fingers.size || !dragged) return;
  clearTimeout(resting);
  resting = setTimeout(rest, 0, current());
}, true);
