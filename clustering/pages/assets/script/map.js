
// ---- the map -------------------------------------------------------------------------------------------------------
const map = $("map");
const NEAR = 14; // pixels from a point at which it is meant
const RING_OPACITY = 0.6;
const home = wholeMap();
// Where points are left out, a ring marks the middle of each listed story: of all its headlines, drawn or not.
const centres = data.leftOut ? stories.filter((story) => story.place && story.size) : [];
let moving = false; // the view is being set by this code

// Pixels across a point: smaller where many share the map, or the screen is small.
function size() {
  const box = map.getBoundingClientRect();
  return Math.min(8, Math.max(3, 0.3 * Math.sqrt((box.width * box.height) / Math.max(count, 1))));
}
function wholeMap() {
  if (!count) return { x: [-1, 1], y: [-1, 1] };
  const extent = (values) => {
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const rim = (high - low || 1) * 0.06;
    return [low - rim, high + rim];
  };
  return { x: extent(data.x), y: extent(data.y) };
}
// The box around a view whose sides are as long in data as on the screen: a map has one scale.
function squared(view) {
  const box = map.getBoundingClientRect();
  const long = (pair, pixels) => (pair[1] - pair[0]) / (pixels || 1);
  const unit = Math.max(long(view.x, box.width), long(view.y, box.height));
  const middle = (pair) => (pair[0] + pair[1]) / 2;
  const around = (centre, size) => [centre - (unit * size) / 2, centre + (unit * size) / 2];
  return { x: around(middle(view.x), box.width || 1), y: around(middle(view.y), box.height || 1) };
}
function current() {
  if (!map.layout) return squared(state.view || home);
  return { x: map.layout.xaxis.range.slice(), y: map.layout.yaxis.range.slice() };
}
const across = (value, view, box) => ((value - view.x[0]) / (view.x[1] - view.x[0])) * box.width;
const down = (value, view, box) => ((view.y[1] - value) / (view.y[1] - view.y[0])) * box.height;

function marks() {
  const active = filtering() || state.story !== null;
  const diameter = size();
  const marker = { color: new Array(count), size: new Array(count), opacity: new Array(count), line: { width: 0 } };
  for (let row = 0; row < count; row++) {
    const label = data.label[row];
    const lit = mask[row] && (state.story === null || label === state.story);
    marker.color[row] = colour(label);
    marker.size[row] = label < 0 ? diameter * 0.7 : diameter * (lit && active ? 1.25 : 1);
    marker.opacity[row] = lit ? (label < 0 ? 0.6 : data.opacity) : 0.15;
  }
  return marker;
}
function rings() {
  const box = map.getBoundingClientRect();
  const diameter = Math.min(11, Math.max(6, 0.4 * Math.sqrt((box.width * box.height) / centres.length)));
  const shown = ({ number }) => state.story === null || number === state.story;
  return {
    symbol: "circle-open", size: new Array(centres.length).fill(diameter), line: { width: 1.5 },
    color: centres.map(({ number }) => colour(number)),
    opacity: centres.map((story) => (shown(story) && matching(story) ? RING_OPACITY : 0.1)),
  };
}
function shade() {
  if (!data.density) return [];
  const { source, left, top, width, height } = data.density;
  const place = { x: left, y: top, sizex: width, sizey: height, xref: "x", yref: "y" };
  return [{ source, ...place, sizing: "stretch", layer: "below" }];
}
// plotly.js is read and compiled beside the page's own work, all that needs no map.
function plotlyRead() {
  return window.Plotly ? null : new Promise((read) => addEventListener("DOMContentLoaded", read, { once: true }));
}
function draw() {
  mask = matches();
  const view = squared(state.view || home);
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
    showlegend: false, hovermode: "closest", hoverdistance: NEAR, dragmode: "pan",
    xaxis: axis(view.x), yaxis: axis(view.y), images: shade(),
  };
  const config = { displayModeBar: false, scrollZoom: true, responsive: true, doubleClick: false };
  return Plotly.newPlot(map, traces, layout, config).then(() => {
    map.on("plotly_hover", ({ points, event }) => meant(points[0], event, card, storyCard));
    map.on("plotly_unhover", () => { if (!$("card").classList.contains("pinned")) $("card").hidden = true; });
    map.on("plotly_click", ({ points, event }) => {
      if (!titlePressed) meant(points[0], event, pick, (story) => open(story.number));
    });
    map.on("plotly_relayouting", (change) => placeLabels(viewOf(change)));
    map.on("plotly_relayout", (change) => {
      if (moving || !Object.keys(change).some((key) => key.includes("axis"))) return;
      state.view = current();
      chooseLabels();
      remember();
    });
    map.on("plotly_selected", (event) => {
      const rows = event?.points.filter((point) => !point.curveNumber).map((point) => point.pointIndex);
      if (rows?.length) select(rows.filter((row) => mask[row]));
    });
    chooseLabels();
    root.dataset.ready = "yes";
    requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("shown"))); // for those who measure
  });
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
function redraw() {
  mask = matches();
  const markers = centres.length ? [marks(), rings()] : [marks()];
  const each = (name) => markers.map((marker) => marker[name]);
  Plotly.restyle(map, { "marker.color": each("color"), "marker.size": each("size"), "marker.opacity": each("opacity") });
  chooseLabels();
}
function go(view) {
  state.view = view === home ? null : view;
  if (!map.layout) return; // it is drawn so
  const box = squared(view);
  moving = true;
  Plotly.relayout(map, { "xaxis.range": box.x, "yaxis.range": box.y }).then(() => {
    moving = false;
    chooseLabels();
  });
}
function viewOf(change) {
  const view = current();
  for (const side of ["x", "y"]) {
    const [low, high] = [change[`${side}axis.range[0]`], change[`${side}axis.range[1]`]];
    if (low !== undefined) view[side] = [low, high];
    else if (change[`${side}axis.range`]) view[side] = change[`${side}axis.range`];
  }
  return view;
}
function nudge(right, up, zoom) {
  const view = current();
  const moved = (pair, by) => {
    const size = pair[1] - pair[0];
    const centre = (pair[0] + pair[1]) / 2 + by * size;
    return [centre - (size * zoom) / 2, centre + (size * zoom) / 2];
  };
  go({ x: moved(view.x, right), y: moved(view.y, up) });
  remember();
}
function zoomTo(rows) {
  let [left, right, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const row of rows) {
    left = Math.min(left, data.x[row]);
    right = Math.max(right, data.x[row]);
    bottom = Math.min(bottom, data.y[row]);
    top = Math.max(top, data.y[row]);
  }
  const rim = (home.x[1] - home.x[0]) * 0.04;
  go({ x: [left - rim, right + rim], y: [bottom - rim, top + rim] });
  remember();
  if ($("stage").getBoundingClientRect().bottom < 120) $("stage").scrollIntoView();
}
