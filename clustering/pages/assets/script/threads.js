// Threads under the points: a story's headlines are joined by their shortest tree, so that the eye finds them together; long
// threads are faint.
import { $ } from "./dom.js";
import { count, data, rowsOf, stories } from "./data.js";
import { mask } from "./filters.js";
import { isMuted } from "./reading.js";
import { state } from "./state.js";
import { toneOfStory } from "./tones.js";
import { across, down, home, size } from "./view.js";

const THREADED = 20000; // points; more lie so close that threads would only cover them
const FAR_THREADED = 5000; // the same for threads across the map
const LONGEST = 400; // rows of a story whose tree is worth its time
const treeOf = (story) => ({ story, edges: shortestTree((rowsOf.get(story.number) || []).slice(0, LONGEST)) });
const threads = count > THREADED ? [] : stories.map(treeOf);

export function weave(view, box) {
  const canvas = $("threads");
  const pen = canvas.getContext("2d");
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(box.width * scale);
  canvas.height = Math.round(box.height * scale);
  if (!threads.length) return;
  pen.scale(scale, scale);
  pen.lineCap = pen.lineJoin = "round";
  const near = 0.07 * Math.max(home.x[1] - home.x[0], home.y[1] - home.y[0]);
  const wide = 2.4 * size();
  for (const { story, edges } of threads) {
    const { number } = story;
    if (isMuted(number) && state.story !== number) continue;
    const lines = { near: new Path2D(), far: new Path2D() };
    for (const [a, b, length] of edges) {
      if (!mask[a] || !mask[b]) continue;
      const line = length < near ? lines.near : lines.far;
      line.moveTo(across(data.x[a], view, box), down(data.y[a], view, box));
      line.lineTo(across(data.x[b], view, box), down(data.y[b], view, box));
    }
    const weight = Math.min(1, 0.5 + edges.length / 16); // small stories are quieter
    const strength = state.story === null ? weight : state.story === number ? 1.6 : 0.1;
    const stroke = (line, width, opacity) => {
      pen.lineWidth = width;
      pen.globalAlpha = Math.min(1, opacity * strength);
      pen.stroke(line);
    };
    pen.strokeStyle = toneOfStory(story);
    if (count <= FAR_THREADED) stroke(lines.far, 1, 0.16);
    stroke(lines.near, wide * weight, 0.15);
    stroke(lines.near, 1.4, 0.5);
  }
}

// Prim's tree over places on the map, as [row, row, length].
function shortestTree(rows) {
  const edges = [];
  const left = rows.slice(1).map((row) => ({ row, from: rows[0], length: apart(row, rows[0]) }));
  while (left.length) {
    let nearest = 0;
    for (let at = 1; at < left.length; at++) if (left[at].length < left[nearest].length) nearest = at;
    const [next] = left.splice(nearest, 1);
    edges.push([next.from, next.row, next.length]);
    for (const one of left) {
      const length = apart(one.row, next.row);
      if (length < one.length) Object.assign(one, { from: next.row, length });
    }
  }
  return edges;
}
function apart(a, b) {
  return Math.hypot(data.x[a] - data.x[b], data.y[a] - data.y[b]);
}
