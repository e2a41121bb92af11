"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement, $ = (id) => document.getElementById(id);
  const palettes = data.palettes;
  const n = data.x.length, stories = data.stories, SHOWN = 60, BINS = 48;
  const byNumber = new Map(stories.map((story) => [story.number, story]));
  const members = new Map();
  data.label.forEach((label, row) => { if (label >= 0) { if (!members.has(label)) members.set(label, []); members.get(label).push(row); } });
  const begin = Math.min(...(n ? [data.begin] : [0])), end = Math.max(data.end, begin + 1);
  const state = { story: null, query: "", language: "", source: "", from: 0, to: BINS, sort: "size", theme: "", view: null, shown: SHOWN, selected: [] };

  // ---- small helpers -----------------------------------------------------------------------------------------------
  const make = (tag, text, name) => { const node = document.createElement(tag); if (text !== undefined) node.textContent = text; if (name) node.className = name; return node; };
  const svg = (tag, attributes) => { const node = document.createElementNS("http://www.w3.org/2000/svg", tag); for (const key in attributes) node.setAttribute(key, attributes[key]); return node; };
  const theme = () => root.dataset.theme;
  // Neighbouring numbers get colours far apart; the same number always gets the same one.
  const colour = (number) => palettes[theme()][(number * 7 + Math.floor(number / 12)) % 12];
  const noise = () => (theme() === "dark" ? "#4b505c" : "#c9c6bd");
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const when = (ms) => day.format(new Date(ms));
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const link = (url) => (/^https?:\/\//i.test(url) ? url : "");
  const folded = data.title.map((title, row) => fold(title + " " + data.sources[data.source[row]]));
  const foldedStory = new Map(stories.map((story) => [story.number, fold(story.title + " " + story.keywords.join(" "))]));

  // ---- which rows match the filters --------------------------------------------------------------------------------
  const words = () => fold(state.query).split(/\s+/).filter(Boolean);
  const timeOf = (bin) => begin + ((end - begin) * bin) / BINS;
  function matches() {
    const wanted = words(), language = data.languages.indexOf(state.language), source = data.sources.indexOf(state.source);
    const from = state.from > 0 ? timeOf(state.from) : -Infinity, to = state.to < BINS ? timeOf(state.to) : Infinity;
    const storyHit = new Set(wanted.length ? stories.filter((story) => wanted.every((word) => foldedStory.get(story.number).includes(word))).map((story) => story.number) : []);
    const mask = new Uint8Array(n);
    for (let row = 0; row < n; row++) {
      if (state.language && data.language[row] !== language) continue;
      if (state.source && data.source[row] !== source) continue;
      if (data.time[row] < from || data.time[row] > to) continue;
      if (wanted.length && !storyHit.has(data.label[row]) && !wanted.every((word) => folded[row].includes(word))) continue;
      mask[row] = 1;
    }
    return mask;
  }
  const filtering = () => Boolean(state.query.trim() || state.language || state.source || state.from > 0 || state.to < BINS);

  // ---- the map -----------------------------------------------------------------------------------------------------
  const map = $("map");
  const kind = n > 5000 ? "scattergl" : "scatter";
  const base = n > 20000 ? 3.2 : n > 5000 ? 4.2 : n > 1500 ? 6 : 8;
  function marks(mask) {
    const colours = new Array(n), sizes = new Array(n), opacity = new Array(n), active = filtering() || state.story !== null;
    for (let row = 0; row < n; row++) {
      const label = data.label[row], lit = mask[row] && (state.story === null || label === state.story);
      colours[row] = label >= 0 ? colour(label) : noise();
      sizes[row] = label >= 0 ? base * (lit && active ? 1.25 : 1) : base * 0.7;
      opacity[row] = lit ? (label >= 0 ? 0.88 : 0.6) : 0.08;
    }
    return { color: colours, size: sizes, opacity };
  }
  function frame() {
    if (!n) return { x: [-1, 1], y: [-1, 1] };
    const spread = (values) => { const low = Math.min.apply(null, sample(values)), high = Math.max.apply(null, sample(values)), pad = (high - low || 1) * 0.07; return [low - pad, high + pad]; };
    return { x: spread(data.x), y: spread(data.y) };
  }
  const sample = (values) => (values.length > 60000 ? values.filter((_, row) => row % 10 === 0) : values);
  const home = frame();
  // The box whose sides are as long in data as on the screen: a map has one scale.
  function squared(view) {
    const box = map.getBoundingClientRect(), wide = box.width || 1, high = box.height || 1;
    let [x0, x1] = view.x, [y0, y1] = view.y;
    const unit = Math.max((x1 - x0) / wide, (y1 - y0) / high), cx = (x0 + x1) / 2, cy = (y0 + y1) / 2;
    return { x: [cx - (unit * wide) / 2, cx + (unit * wide) / 2], y: [cy - (unit * high) / 2, cy + (unit * high) / 2] };
  }
  function labels(mask) {
    const { x, y } = current(), box = map.getBoundingClientRect(), placed = [], out = [];
    const px = (v) => ((v - x[0]) / (x[1] - x[0])) * box.width, py = (v) => ((y[1] - v) / (y[1] - y[0])) * box.height;
    const zoom = (home.x[1] - home.x[0]) / (x[1] - x[0]);
    const most = Math.round(Math.min(60, (box.width * box.height) / 26000) * Math.min(Math.max(zoom, 1), 2.5));
    const active = filtering() || state.story !== null;
    const ranked = stories.filter((story) => members.has(story.number)).map((story) => {
      const rows = members.get(story.number), lit = active ? rows.filter((row) => mask[row] && (state.story === null || state.story === story.number)).length : rows.length;
      return { story, lit };
    }).filter((one) => one.lit).sort((a, b) => b.lit - a.lit || a.story.number - b.story.number);
    for (const { story } of ranked) {
      if (out.length >= most) break;
      const cx = px(story.x), cy = py(story.y);
      if (cx < 0 || cy < 0 || cx > box.width || cy > box.height) continue;
      const text = shorten(story.title, story.number === state.story ? 60 : 30), width = Math.min(text.length * 6.6 + 8, 330), height = 17;
      const left = Math.min(Math.max(cx - width / 2, 4), box.width - width - 4), top = cy - height - 7;
      const area = { left, right: left + width, top, bottom: top + height };
      if (top < 2 || placed.some((other) => area.left < other.right && area.right > other.left && area.top < other.bottom && area.bottom > other.top)) continue;
      placed.push(area);
      out.push({ x: x[0] + ((left + width / 2) / box.width) * (x[1] - x[0]), y: y[1] - ((top + height / 2) / box.height) * (y[1] - y[0]),
        text: escaped(text), showarrow: false, captureevents: true, story: story.number,
        font: { size: 12, color: theme() === "dark" ? "#eceae5" : "#1c1d22" }, bgcolor: theme() === "dark" ? "rgba(20,22,27,.78)" : "rgba(251,250,247,.82)", borderpad: 1 });
    }
    return out;
  }
  const shorten = (text, most) => { const letters = Array.from(text); return letters.length > most ? letters.slice(0, most - 1).join("").trimEnd() + "…" : text; };
  // Plotly reads a little markup in texts: nothing of a headline may be taken for it.
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\$/g, "＄");
  const current = () => (map.layout ? { x: map.layout.xaxis.range.slice(), y: map.layout.yaxis.range.slice() } : squared(state.view || home));
  const axis = (range) => ({ range, visible: false, fixedrange: false, zeroline: false, showgrid: false });
  let drawing = false;
  function draw() {
    const mask = matches(), view = squared(state.view || home);
    const trace = { type: kind, mode: "markers", x: data.x, y: data.y, hoverinfo: "none", marker: { ...marks(mask), line: { width: 0 } }, selected: { marker: { opacity: 1 } }, unselected: { marker: { opacity: 0.15 } } };
    const layout = { autosize: true, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest", hoverdistance: 14, dragmode: "pan", xaxis: axis(view.x), yaxis: axis(view.y), uirevision: "one", annotations: [] };
    return Plotly.newPlot(map, [trace], layout, { displayModeBar: false, scrollZoom: true, responsive: true, doubleClick: false }).then(() => {
      map.on("plotly_hover", (event) => card(event.points[0].pointIndex, event.event));
      map.on("plotly_unhover", () => { $("card").hidden = true; });
      map.on("plotly_click", (event) => { const label = data.label[event.points[0].pointIndex]; if (label >= 0) open(label); });
      map.on("plotly_clickannotation", (event) => open(event.annotation.story));
      map.on("plotly_relayout", (change) => { if (!drawing && Object.keys(change).some((key) => key.includes("axis"))) { state.view = current(); relabel(); remember(); } });
      map.on("plotly_selected", (event) => { if (event) select(event.points.map((point) => point.pointIndex)); });
      relabel(mask);
      root.dataset.ready = "yes";
    });
  }
  function redraw() {
    const mask = matches();
    Plotly.restyle(map, { "marker.color": [marks(mask).color], "marker.size": [marks(mask).size], "marker.opacity": [marks(mask).opacity] }, [0]);
    relabel(mask);
    return mask;
  }
  function relabel(mask) { drawing = true; Plotly.relayout(map, { annotations: labels(mask || matches()) }).then(() => { drawing = false; }); }
  function go(view) { state.view = view === home ? null : view; const box = squared(view); drawing = true; Plotly.relayout(map, { "xaxis.range": box.x, "yaxis.range": box.y }).then(() => { drawing = false; relabel(); }); }

  // ---- hover card --------------------------------------------------------------------------------------------------
  function card(row, event) {
    const node = $("card"), label = data.label[row], story = byNumber.get(label);
    node.replaceChildren(make("strong", data.title[row]), make("span", [data.sources[data.source[row]], when(data.time[row]), data.languages[data.language[row]]].filter(Boolean).join(" · ")),
      make("span", story ? `Story ${label}: ${story.title}` : "In no story"));
    node.style.setProperty("--story", label >= 0 ? colour(label) : noise());
    node.hidden = false;
    const box = $("stage").getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    node.style.left = Math.max(4, Math.min(x + 14, box.width - node.offsetWidth - 6)) + "px";
    node.style.top = (y + 18 + node.offsetHeight > box.height ? Math.max(4, y - node.offsetHeight - 12) : y + 18) + "px";
  }

  // ---- list of stories ---------------------------------------------------------------------------------------------
  const growth = (story) => story.size - story.previous;
  const order = { size: (a, b) => b.size - a.size || a.number - b.number, growth: (a, b) => growth(b) - growth(a) || b.size - a.size, latest: (a, b) => b.last - a.last };
  function badges(story) {
    const names = { born: story.parents.length ? `split from ${story.parents.join(", ")}` : "new", grown: `+${growth(story)}`, merged: "merged", split: "split", closed: story.successor >= 0 ? `went into ${story.successor}` : "closed" };
    return story.events.filter((event) => names[event]).map((event) => make("span", names[event], "badge"));
  }
  function list(mask) {
    const counts = new Map();
    for (const [number, rows] of members) counts.set(number, rows.reduce((sum, row) => sum + mask[row], 0));
    const visible = stories.filter((story) => (filtering() ? counts.get(story.number) : true)).sort(order[state.sort]);
    $("count").textContent = filtering() ? `${visible.length.toLocaleString()} of ${stories.length.toLocaleString()} stories` : `${stories.length.toLocaleString()} stories`;
    $("stories").replaceChildren(...visible.slice(0, state.shown).map((story) => {
      const item = make("li"), button = make("button");
      button.type = "button"; button.dataset.story = story.number; button.style.setProperty("--story", colour(story.number));
      const meta = make("span", undefined, "meta");
      meta.append(...badges(story), `${when(story.last)} · ${story.languages.slice(0, 4).join(" ")} · ${story.keywords.slice(0, 3).join(", ")}`);
      const hits = counts.get(story.number);
      button.append(make("span", filtering() && hits !== story.size ? `${hits}/${story.size}` : story.size.toLocaleString(), "size"), make("span", story.title, "title"), meta);
      button.addEventListener("click", () => open(story.number));
      item.append(button);
      return item;
    }));
    if (!visible.length) $("stories").append(make("li", filtering() ? "No story matches." : "No stories yet.", "empty"));
    $("more").hidden = visible.length <= state.shown;
    const found = [];
    if (words().length) for (let row = 0; row < n && found.length < 200; row++) if (mask[row] && words().every((word) => folded[row].includes(word))) found.push(row);
    $("found").replaceChildren(...(found.length ? [make("h3", `${found.length === 200 ? "200+" : found.length} headlines`), headlines(found.slice(0, 60), true)] : []));
  }
  function headlines(rows, withStory) {
    const items = make("ul", undefined, "headlines");
    items.append(...rows.map((row) => {
      const item = make("li"), url = link(data.url[row]), title = make(url ? "a" : "span", data.title[row]);
      if (url) { title.href = url; title.rel = "noopener noreferrer"; title.target = "_blank"; }
      const meta = make("span", [data.sources[data.source[row]], when(data.time[row]), data.languages[data.language[row]]].filter(Boolean).join(" · "), "meta");
      if (withStory && data.label[row] >= 0) { const to = make("a", ` · story ${data.label[row]}`); to.href = "#"; to.addEventListener("click", (event) => { event.preventDefault(); open(data.label[row]); }); meta.append(to); }
      item.append(title, meta);
      return item;
    }));
    return items;
  }

  // ---- one story ---------------------------------------------------------------------------------------------------
  function open(number, quietly) {
    const story = byNumber.get(number);
    if (!story) { state.story = null; show("list"); return; }
    state.story = number;
    const node = $("story"), rows = (members.get(number) || []).slice().sort((a, b) => data.time[b] - data.time[a]);
    node.style.setProperty("--story", colour(number));
    const top = make("div", undefined, "row"), back = make("button", "‹ all stories"), seen = make("button", "show on map");
    back.type = seen.type = "button"; back.id = "back";
    back.addEventListener("click", close); seen.addEventListener("click", () => zoomTo(rows));
    top.append(back, seen);
    const meta = make("p", undefined, "meta");
    meta.append(...badges(story), `Story ${number} · ${story.size.toLocaleString()} headlines · ${when(story.first)} – ${when(story.last)}`);
    const chips = make("div", undefined, "chips"); chips.append(...story.keywords.map((word) => make("span", word)));
    const from = make("p", `${story.sources.length} sources: ${story.sources.slice(0, 8).join(", ")}${story.sources.length > 8 ? " …" : ""} · ${story.languages.join(" ")}`, "meta");
    const parts = [top, make("h2", story.title), meta, timeline(rows), chips, from];
    if (story.size > rows.length) parts.push(make("p", `${rows.length} of its headlines are on this page.`, "meta"));
    node.replaceChildren(...parts, headlines(rows));
    show("story");
    if (map.layout) redraw();
    if (!quietly) { remember(); back.focus({ preventScroll: true }); }
  }
  function close() { const was = state.story; state.story = null; show("list"); update(); const button = document.querySelector(`[data-story="${was}"]`); if (button) button.focus(); }
  function zoomTo(rows) {
    const xs = rows.map((row) => data.x[row]), ys = rows.map((row) => data.y[row]), pad = (home.x[1] - home.x[0]) * 0.04;
    if (rows.length) { go({ x: [Math.min(...xs) - pad, Math.max(...xs) + pad], y: [Math.min(...ys) - pad, Math.max(...ys) + pad] }); remember(); }
  }
  function timeline(rows) {
    const bins = new Array(40).fill(0); rows.forEach((row) => { bins[Math.min(39, Math.floor(((data.time[row] - begin) / (end - begin)) * 40))]++; });
    const most = Math.max(...bins, 1), node = svg("svg", { viewBox: "0 0 40 10", preserveAspectRatio: "none", role: "img", "aria-label": "Headlines over time" });
    bins.forEach((count, bin) => { if (count) node.append(svg("rect", { x: bin + 0.1, width: 0.8, y: 10 - (9 * count) / most - 1, height: (9 * count) / most + 1 })); });
    return node;
  }
  function show(which) { for (const id of ["list", "story", "selection"]) $(id).hidden = id !== which; }

  // ---- lasso to a table --------------------------------------------------------------------------------------------
  function select(rows) {
    state.selected = rows.sort((a, b) => data.time[b] - data.time[a]);
    $("selection").querySelector("h2").textContent = `${rows.length.toLocaleString()} headlines selected`;
    $("selection").querySelector("tbody").replaceChildren(...state.selected.slice(0, 500).map((row) => {
      const line = make("tr"), cell = make("td"), url = link(data.url[row]), title = make(url ? "a" : "span", data.title[row]);
      if (url) { title.href = url; title.rel = "noopener noreferrer"; title.target = "_blank"; }
      cell.append(title); line.append(make("td", when(data.time[row])), make("td", data.label[row] < 0 ? "–" : data.label[row]), cell);
      return line;
    }));
    show("selection");
  }
  function csv() {
    // A cell that begins like a formula would be run by a spreadsheet.
    const cell = (value) => { let text = String(value); if (/^[=+\-@\t\r]/.test(text) && typeof value !== "number") text = "'" + text; return /[",\n\r]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text; };
    const lines = [["published_at", "cluster_label", "title", "source", "language", "url"], ...state.selected.map((row) => [new Date(data.time[row]).toISOString(), data.label[row], data.title[row], data.sources[data.source[row]], data.languages[data.language[row]], link(data.url[row])])];
    return "\ufeff" + lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
  }
  function lasso(on) { $("lasso").setAttribute("aria-pressed", on); Plotly.relayout(map, { dragmode: on ? "lasso" : "pan" }); if (!on) Plotly.restyle(map, { selectedpoints: [null] }, [0]).then(() => Plotly.relayout(map, { selections: [] })); }

  // ---- state in the address ----------------------------------------------------------------------------------------
  function remember() {
    const at = new URLSearchParams();
    if (state.story !== null) at.set("story", state.story);
    if (state.query) at.set("q", state.query);
    if (state.language) at.set("lang", state.language);
    if (state.source) at.set("source", state.source);
    if (state.from > 0 || state.to < BINS) at.set("time", `${Math.round(timeOf(state.from))}-${Math.round(timeOf(state.to))}`);
    if (state.sort !== "size") at.set("sort", state.sort);
    if (state.theme) at.set("theme", state.theme);
    if (state.view) at.set("view", [...state.view.x, ...state.view.y].map((value) => value.toFixed(3)).join(","));
    history.replaceState(null, "", at.size ? "#" + at : location.pathname + location.search);
  }
  function recall() {
    const at = new URLSearchParams(location.hash.slice(1)), number = (name) => (at.has(name) && /^\d+$/.test(at.get(name)) ? Number(at.get(name)) : null);
    state.story = number("story"); state.query = at.get("q") || ""; state.theme = ["light", "dark"].includes(at.get("theme")) ? at.get("theme") : "";
    state.language = data.languages.includes(at.get("lang")) ? at.get("lang") : ""; state.source = data.sources.includes(at.get("source")) ? at.get("source") : "";
    state.sort = order[at.get("sort")] ? at.get("sort") : "size"; state.from = 0; state.to = BINS;
    const bin = (ms) => Math.round(((Number(ms) - begin) / (end - begin)) * BINS), time = (at.get("time") || "").match(/^(\d+)-(\d+)$/);
    if (time) { state.from = Math.min(Math.max(bin(time[1]), 0), BINS - 1); state.to = Math.max(Math.min(bin(time[2]), BINS), state.from + 1); }
    const view = (at.get("view") || "").split(",").map(Number);
    state.view = view.length === 4 && view.every(Number.isFinite) && view[0] < view[1] && view[2] < view[3] ? { x: view.slice(0, 2), y: view.slice(2) } : null;
    $("query").value = state.query; $("language").value = state.language; $("source").value = state.source; $("sort").value = state.sort; $("from").value = state.from; $("to").value = state.to;
    paint();
  }
  function paint() { root.dataset.theme = state.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"); }
  function histogram() {
    const bins = new Array(BINS).fill(0); for (let row = 0; row < n; row++) bins[Math.min(BINS - 1, Math.max(0, Math.floor(((data.time[row] - begin) / (end - begin)) * BINS)))]++;
    const most = Math.max(...bins, 1), node = $("histogram"); node.setAttribute("viewBox", `0 0 ${BINS} 10`);
    node.replaceChildren(...bins.map((count, bin) => { const bar = svg("rect", { x: bin + 0.08, width: 0.84, y: 10 - (10 * count) / most, height: (10 * count) / most }); if (bin >= state.from && bin < state.to) bar.setAttribute("class", "in"); return bar; }));
    $("span").textContent = `${when(timeOf(state.from))} – ${when(timeOf(state.to))}`;
  }
  function update() { state.shown = SHOWN; histogram(); const mask = map.layout ? redraw() : matches(); list(mask); remember(); }

  // ---- renewal -----------------------------------------------------------------------------------------------------
  // latest.html asks every few seconds which run is the latest and loads itself again; the address keeps the view. A page
  // opened as a file may not fetch, but may load a script.
  const ownRun = Number(root.dataset.run);
  function renewal(run) {
    if (run > ownRun && root.dataset.live === "yes") location.reload();
    else if (run > ownRun) $("next").textContent = `run ${run} ›`;
  }
  function ask() {
    if (document.hidden) return;
    if (location.protocol === "file:") {
      const script = make("script"); script.src = "latest.js?" + Date.now(); script.onload = () => { script.remove(); renewal(Number(window.newstideLatest) || 0); }; script.onerror = () => script.remove();
      document.head.append(script);
    } else fetch("latest.json", { cache: "no-store" }).then((answer) => (answer.ok ? answer.json() : null)).then((latest) => { if (latest) renewal(Number(latest.run) || 0); }).catch(() => {});
  }
  function age() { const minutes = Math.floor((Date.now() - data.finished) / 60000), text = minutes < 1 ? "just now" : minutes < 60 ? `${minutes} min ago` : minutes < 2880 ? `${Math.floor(minutes / 60)} h ago` : when(data.finished); $("when").textContent = text; $("when").title = when(data.finished); }

  // ---- wiring ------------------------------------------------------------------------------------------------------
  const option = (value, text) => { const node = make("option", text); node.value = value; return node; };
  const tally = (codes, names) => { const counts = new Array(names.length).fill(0); codes.forEach((code) => counts[code]++); return names.map((name, code) => [name, counts[code]]).filter(([name, count]) => name && count).sort((a, b) => b[1] - a[1]); };
  const named = (() => { try { const names = new Intl.DisplayNames(undefined, { type: "language" }); return (tag) => names.of(tag) || tag; } catch { return (tag) => tag; } })();
  const safely = (tag) => { try { return named(tag); } catch { return tag; } };
  $("language").append(...tally(data.language, data.languages).map(([tag, count]) => option(tag, `${safely(tag)} (${count})`)));
  $("source").append(...tally(data.source, data.sources).slice(0, 300).map(([name, count]) => option(name, `${name} (${count})`)));
  if (data.leftOut) { $("left-out").textContent = `${n.toLocaleString()} of ${(n + data.leftOut).toLocaleString()} headlines are drawn: every story's most typical first`; $("left-out").hidden = false; }
  let typing;
  $("query").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => { state.query = $("query").value; state.story = null; show("list"); update(); }, 120); });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["language", "source", "sort"]) $(id).addEventListener("change", () => { state[id] = $(id).value; update(); });
  for (const id of ["from", "to"]) $(id).addEventListener("input", () => {
    if (Number($("from").value) >= Number($("to").value)) $(id).value = id === "from" ? Number($("to").value) - 1 : Number($("from").value) + 1;
    state.from = Number($("from").value); state.to = Number($("to").value); update();
  });
  $("more").addEventListener("click", () => { state.shown += 200; list(matches()); });
  $("home").addEventListener("click", () => { go(home); remember(); });
  $("lasso").addEventListener("click", () => lasso($("lasso").getAttribute("aria-pressed") !== "true"));
  $("close-selection").addEventListener("click", () => { lasso(false); show(state.story === null ? "list" : "story"); });
  $("export").addEventListener("click", () => { const url = URL.createObjectURL(new Blob([csv()], { type: "text/csv" })), to = make("a"); to.href = url; to.download = `headlines-run-${ownRun}.csv`; to.click(); URL.revokeObjectURL(url); });
  $("theme").addEventListener("click", () => { state.theme = theme() === "dark" ? "light" : "dark"; paint(); if (state.story !== null) open(state.story, true); update(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { paint(); update(); });
  addEventListener("hashchange", () => { recall(); if (state.story !== null) open(state.story, true); else show("list"); update(); if (map.layout) go(state.view || home); });
  addEventListener("keydown", (event) => {
    const typed = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typed) { event.preventDefault(); $("query").focus(); }
    if (event.key === "Escape") { if (!$("selection").hidden) $("close-selection").click(); else if (state.story !== null) close(); else if (state.query) { $("query").value = state.query = ""; update(); } }
  });
  let resizing; addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => go(state.view || home), 150); });
  recall(); histogram(); age(); list(matches());
  if (state.story !== null) open(state.story, true); else show("list");
  draw();
  setInterval(age, 30000); setInterval(ask, 5000);
})();
