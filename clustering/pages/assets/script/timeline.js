// Headlines over time, as bars; and the brush across those of the window, which chooses a time.
import { BINS, binOf, count, data, timeOf } from "./data.js";
import { $, svg } from "./dom.js";
import { lit } from "./filters.js";
import { change, SHOWN, state } from "./state.js";
import { when } from "./words.js";

const published = new Array(BINS).fill(0);
data.time.forEach((ms) => published[binOf(ms)]++);
let brushed = null;

export function bars(picture, bins, matching) {
  const most = Math.max(...bins, 1);
  const bar = (number, bin, name) => {
    const height = number ? 0.6 + (9.4 * number) / most : 0.15;
    const rect = svg("rect", { x: bin + 0.08, width: 0.84, y: 10 - height, height });
    if (name) rect.setAttribute("class", name);
    return rect;
  };
  picture.setAttribute("viewBox", `0 0 ${bins.length} 10`);
  const all = bins.map((number, bin) => bar(number, bin));
  const over = (matching || []).flatMap((number, bin) => (number ? [bar(number, bin, "in")] : []));
  picture.replaceChildren(...all, ...over);
}
// Grey: all headlines; over them, those that match and are of the open story.
export function histogram() {
  const matching = new Array(BINS).fill(0);
  for (let row = 0; row < count; row++) if (lit(row)) matching[binOf(data.time[row])]++;
  bars($("histogram"), published, matching);
  $("time").hidden = !count;
  $("span").textContent = `${when(timeOf(state.from))} – ${when(timeOf(state.to))}`;
  for (const id of ["from", "to"]) {
    $(id).value = state[id];
    $(id).setAttribute("aria-valuetext", when(timeOf(state[id])));
  }
}

function span(from, to) {
  if (from === state.from && to === state.to) return;
  $("from").value = from;
  $("to").value = to;
  change({ from, to, shown: SHOWN });
}
function binAt(event) {
  const box = $("histogram").getBoundingClientRect();
  return Math.min(BINS, Math.max(0, ((event.clientX - box.left) / box.width) * BINS));
}
// A drag across the histogram chooses the time between, a double click all of it.
$("histogram").addEventListener("pointerdown", (event) => {
  brushed = binAt(event);
  $("histogram").setPointerCapture(event.pointerId);
});
$("histogram").addEventListener("pointermove", (event) => {
  if (brushed === null || Math.abs(binAt(event) - brushed) < 0.5) return;
  const from = Math.min(BINS - 1, Math.floor(Math.min(binAt(event), brushed)));
  span(from, Math.max(from + 1, Math.ceil(Math.max(binAt(event), brushed))));
});
for (const kind of ["pointerup", "pointercancel"]) $("histogram").addEventListener(kind, () => { brushed = null; });
$("histogram").addEventListener("dblclick", () => span(0, BINS));
for (const id of ["from", "to"]) $(id).addEventListener("input", () => {
  const [from, to] = [Number($("from").value), Number($("to").value)];
  if (from >= to) $(id).value = id === "from" ? to - 1 : from + 1;
  change({ from: Number($("from").value), to: Number($("to").value), shown: SHOWN });
});
