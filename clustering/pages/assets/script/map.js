// The map: points and rings drawn by Plotly, and what a click, a drag or a key does to it.
import { card, pick, storyCard, unpin } from "./card.js";
import { $, root } from "./dom.js";
import { count, data, stories } from "./data.js";
import { filtering, lit, mask, matching } from "./filters.js";
import { chooseLabels, labelAt } from "./labels.js";
import { endMotion, moveTo, onRest } from "./motion.js";
import { isMuted, mutedStories } from "./reading.js";
import { openStory, state } from "./state.js";
import { chooseColoured, legend, toneOf, toneOfStory } from "./tones.js";
import { across, current, down, home, map, setMoved, size, squared } from "./view.js";

const NEAR = 14; // pixels from a point at which it is meant
const RING_OPACITY = 0.6;
// Where points are left out, a ring marks the middle of each listed story: of all its headlines, drawn or not.
const centres = data.leftOut ? stories.filter((story) => story.place && story.size) : [];
let pressed = null; // where the mouse went down on the map, and on which title
let titlePressed = false; // the click that follows was meant for a title, not for a point under it
let viewed = () => {}; // what is to be called when the view is another
let lassoed = () => {}; // what is to be done with the rows inside a lasso

export const drawn = () => Boolean(map.layout);

// plotly.js is read and compiled beside the page's own work, all that needs no map.
export function plotlyRead() {
  return window.Plotly ? null : new Promise((read) => addEventListener("DOMContentLoaded", read, { once: true }));
}
export function draw({ onView, onSelect }) {
  viewed = onView;
  lassoed = onSelect;
  const view = squared(state.view || home);
  $("stage").dataset.many = data.webgl ? "yes" : "no";
  chooseColoured();
  legend();
  const axis = (range) => ({ range, visible: false, zeroline: false, showgrid: false });
  const trace = (x, y, marker, selected) => ({
    type: data.webgl ? "scattergl" : "scatter", mode: "markers", x, y, hoverinfo: "none", marker,
    selected: { marker: { opacity: selected } }, unselected: { marker: { opacity: 0.15 } },
  });
  const traces = [trace(data.x, data.y, marks(), 1)];
  if (centres.length) {
    const [x, y] = [0, 1].map((axis) => centres.map(({ place }) => place[axis]));
    traces.push(trace(x, y, rings(), RING_OPACITY));
  }
  const layout = {
    autosize: true, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    showlegend: false, hovermode: "closest", hoverdistance: NEAR, dragmode: false,
    xaxis: axis(view.x), yaxis: axis(view.y), images: shade(),
  };
  const config = { displayModeBar: false, scrollZoom: false, responsive: true, doubleClick: false };
  return Plotly.newPlot(map, traces, layout, config).then(() => {
    map.on("plotly_hover", ({ points, event }) => meant(points[0], event, card, storyCard));
    map.on("plotly_unhover", () => { if (!$("card").classList.contains("pinned")) $("card").hidden = true; });
    map.on("plotly_click", ({ points, event }) => {
      if (!titlePressed) meant(points[0], event, pick, (story) => openStory(story.number));
    });
    map.on("plotly_selected", (event) => {
      const rows = event?.points.filter((point) => !point.curveNumber).map((point) => point.pointIndex);
      if (rows?.length) lassoed(rows.filter(lit));
    });
    chooseLabels();
    root.dataset.ready = "yes";
    requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("shown"))); // for those who measure
  });
}
export function redraw() {
  chooseColoured();
  legend();
  Plotly.restyle(map, styles());
  chooseLabels();
}
onRest((view) => {
  go(view);
  viewed();
});
export function go(wanted) {
  const view = beyond(wanted) ? home : wanted;
  state.view = view === home ? null : view;
  if (!map.layout) return; // it is drawn so
  const { x, y } = squared(view);
  const ranges = { "xaxis.range": x, "yaxis.range": y };
  endMotion();
  setMoved({ x, y });
  const others = chooseColoured();
  setMoved(null);
  Plotly.update(map, others ? styles() : {}, ranges).then(chooseLabels);
}
export function nudge(right, up, zoom, held) {
  const view = current();
  const moved = (pair, by) => {
    const side = pair[1] - pair[0];
    const centre = (pair[0] + pair[1]) / 2 + by * side;
    return [centre - (side * zoom) / 2, centre + (side * zoom) / 2];
  };
  const next = { x: moved(view.x, right), y: moved(view.y, up) };
  if (held) {
    moveTo(next);
    return;
  }
  go(next);
  viewed();
}
// Whether a view shows more than the whole map.
function beyond(view) {
  const whole = squared(home);
  return ["x", "y"].every((side) => view[side][1] - view[side][0] > (whole[side][1] - whole[side][0]) * 1.001);
}
// Flies to rows none of which is in view.
export function findOnMap(rows) {
  const { x, y } = current();
  const seen = (row) => data.x[row] > x[0] && data.x[row] < x[1] && data.y[row] > y[0] && data.y[row] < y[1];
  if (rows.length && !rows.some(seen)) zoomTo(rows);
}
export function zoomTo(rows) {
  let [left, right, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const row of rows) {
    left = Math.min(left, data.x[row]);
    right = Math.max(right, data.x[row]);
    bottom = Math.min(bottom, data.y[row]);
    top = Math.max(top, data.y[row]);
  }
  const rim = (home.x[1] - home.x[0]) * 0.04;
  go({ x: [left - rim, right + rim], y: [bottom - rim, top + rim] });
  viewed();
  if ($("stage").getBoundingClientRect().bottom < 120) $("stage").scrollIntoView();
}
export function showAll() {
  go(home);
  viewed();
}
// The lasso's outline goes first when it is put away: while it is drawn, every change selects anew.
export function lasso(on) {
  $("lasso").setAttribute("aria-pressed", on);
  Plotly.relayout(map, { dragmode: on ? "lasso" : false });
  if (!on) Plotly.relayout(map, { selections: [] }).then(() => Plotly.restyle(map, { selectedpoints: [null] }));
}

function styles() {
  const markers = centres.length ? [marks(), rings()] : [marks()];
  const each = (name) => markers.map((marker) => marker[name]);
  return { "marker.color": each("color"), "marker.size": each("size"), "marker.opacity": each("opacity") };
}
function marks() {
  const active = filtering() || state.story !== null;
  const diameter = size();
  const muted = new Set(mutedStories());
  const marker = { color: new Array(count), size: new Array(count), opacity: new Array(count), line: { width: 0 } };
  for (let row = 0; row < count; row++) {
    const label = data.label[row];
    const shown = lit(row) && !(muted.has(label) && state.story !== label);
    marker.color[row] = toneOf(row);
    marker.size[row] = label < 0 ? diameter * 0.7 : diameter * (shown && active ? 1.25 : 1);
    marker.opacity[row] = shown ? (label < 0 ? 0.6 : data.opacity) : 0.15;
  }
  return marker;
}
function rings() {
  const box = map.getBoundingClientRect();
  const diameter = Math.min(11, Math.max(6, 0.4 * Math.sqrt((box.width * box.height) / centres.length)));
  const shown = ({ number }) => (state.story === null ? !isMuted(number) : number === state.story);
  return {
    symbol: "circle-open", size: new Array(centres.length).fill(diameter), line: { width: 1.5 },
    color: centres.map(toneOfStory),
    opacity: centres.map((story) => (shown(story) && matching(story) ? RING_OPACITY : 0.1)),
  };
}
function shade() {
  if (!data.density) return [];
  const { source, left, top, width, height } = data.density;
  const place = { x: left, y: top, sizex: width, sizey: height, xref: "x", yref: "y" };
  return [{ source, ...place, sizing: "stretch", layer: "below" }];
}
// Does something with the row under the mouse, or the story whose ring it is. What filters leave out is only faded: the
// nearest row that matches is meant.
function meant({ curveNumber, pointIndex }, event, withRow, withStory) {
  if (curveNumber && matching(centres[pointIndex])) return withStory(centres[pointIndex], event);
  const found = !curveNumber && mask[pointIndex] ? pointIndex : nearest(event);
  if (found >= 0) withRow(found, event);
}
function nearest(event) {
  const view = current();
  const box = map.getBoundingClientRect();
  let [found, least] = [-1, NEAR];
  for (let row = 0; row < count; row++) {
    if (!mask[row]) continue;
    const right = box.left + across(data.x[row], view, box) - event.clientX;
    const lower = box.top + down(data.y[row], view, box) - event.clientY;
    const away = Math.hypot(right, lower);
    if (away < least) [found, least] = [row, away];
  }
  return found;
}

// Titles let the mouse through to the map, which is dragged and zoomed; a click on one is found by its place.
$("stage").addEventListener("pointerdown", (event) => {
  titlePressed = false;
  pressed = map.contains(event.target) ? { x: event.clientX, y: event.clientY, moved: 0, label: labelAt(event) } : null;
}, true);
addEventListener("pointermove", (event) => {
  if (pressed) pressed.moved = Math.max(pressed.moved, Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y));
}, true);
addEventListener("pointerup", (event) => {
  if (!pressed) return;
  const still = pressed.moved < 5; // a lasso may end where it began
  titlePressed = still && Boolean(pressed.label);
  if (titlePressed) openStory(pressed.label.story.number);
  else if (still && !$("card").contains(event.target)) unpin();
  pressed = null;
}, true);
$("stage").addEventListener("pointermove", (event) => map.classList.toggle("on-label", Boolean(labelAt(event))));
map.addEventListener("keydown", (event) => {
  const step = {
    ArrowLeft: [-0.15, 0, 1], ArrowRight: [0.15, 0, 1], ArrowUp: [0, 0.15, 1], ArrowDown: [0, -0.15, 1],
    "+": [0, 0, 0.7], "=": [0, 0, 0.7], "-": [0, 0, 1.4],
  }[event.key];
  if (step) { event.preventDefault(); nudge(...step, event.repeat); }
  if (event.key === "0") showAll();
});
