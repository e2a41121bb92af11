// Chosen headlines as a table, to read and to save.
import { count, data, headlineLink, languageOf, sourceOf } from "./data.js";
import { $, inParts, make, root } from "./dom.js";
import { lit } from "./filters.js";
import { change, state } from "./state.js";
import { current } from "./view.js";
import { several, when } from "./words.js";

export function select(rows) {
  state.selected = rows.sort((a, b) => data.time[b] - data.time[a]);
  const title = $("selection").querySelector("h2");
  title.textContent = `${several(rows.length, "headline")} selected`;
  const body = $("selection").querySelector("tbody");
  body.replaceChildren();
  $("selection").querySelector(".rest")?.remove();
  $("selection").querySelector(".scroll").append(inParts(body, state.selected, 500, (row) => {
    const line = make("tr");
    const cell = make("td");
    cell.append(headlineLink(row));
    line.append(make("td", when(data.time[row])), make("td", data.label[row] < 0 ? "–" : data.label[row]), cell);
    return line;
  }));
  change({ panel: "selection" });
  title.focus({ preventScroll: true });
}
// What the lasso does, without a mouse.
export function selectInView() {
  const { x, y } = current();
  const inside = (row) => data.x[row] >= x[0] && data.x[row] <= x[1] && data.y[row] >= y[0] && data.y[row] <= y[1];
  const rows = [];
  for (let row = 0; row < count; row++) if (lit(row) && inside(row)) rows.push(row);
  select(rows);
}
function csv() {
  // A cell that begins like a formula would be run by a spreadsheet.
  const cell = (value) => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? "'" + value : String(value);
    return /[",\n\r]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  };
  const columns = ["published_at", "cluster_label", "title", "source", "language", "url"];
  const lines = state.selected.map((row) => {
    const time = new Date(data.time[row]).toISOString();
    return [time, data.label[row], data.title[row], sourceOf(row), languageOf(row), data.url[row]];
  });
  return "\ufeff" + [columns, ...lines].map((line) => line.map(cell).join(",") + "\r\n").join("");
}
export function save() {
  const url = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  const to = make("a");
  to.href = url;
  to.download = `headlines-run-${root.dataset.run}.csv`;
  to.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
