"use strict";
// One run's page. Every text of a headline goes on screen by textContent; nothing is ever parsed as markup.
(async () => {
  const root = document.documentElement;
  const $ = (id) => document.getElementById(id);
  const data = await read($("data"));
  const count = data.x.length;
  const stories = data.stories;
  const storyOf = new Map(stories.map((story) => [story.number, story]));
  const rowsOf = new Map();
  data.label.forEach((label, row) => {
    if (label < 0) return;
    if (!rowsOf.has(label)) rowsOf.set(label, []);
    rowsOf.get(label).push(row);
  });
  const begin = data.begin;
  const end = Math.max(data.end, begin + 1);
  const SHOWN = 60; // stories listed before "show more"
  const BINS = 48; // of the histogram of time
  const state = { story: null, query: "", language: "", source: "", from: 0, to: BINS, sort: "size", theme: "", view: null, shown: SHOWN, selected: [] };

  async function read(element) {
    if (element.dataset.packed !== "yes") return JSON.parse(element.textContent);
    const letters = atob(element.textContent);
    const bytes = new Uint8Array(letters.length);
    for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  }

  // ---- small helpers -----------------------------------------------------------------------------------------------
  function make(tag, text, name) {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (name) node.className = name;
    return node;
  }
  function button(text, pressed, name) {
    const node = make("button", text, name);
    node.type = "button";
    node.addEventListener("click", pressed);
    return node;
  }
  function svg(tag, attributes) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    return node;
  }
  function headlineLink(row) {
    const url = data.url[row];
    const node = make(/^https?:\/\//i.test(url) ? "a" : "span", data.title[row]);
    if (node.tagName === "A") {
      node.href = url;
      node.rel = "noopener noreferrer";
      node.target = "_blank";
    }
    return node;
  }
  const dark = () => root.dataset.theme === "dark";
  const colour = (number) => (number < 0 ? (dark() ? "#4b505c" : "#c9c6bd") : data.palettes[root.dataset.theme][(number * 7 + Math.floor(number / 10)) % 10]);
  const clock = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const when = (ms) => clock.format(new Date(ms));
  const said = (number) => number.toLocaleString();
  const several = (number, thing) => `${said(number)} ${thing}${number === 1 ? "" : "s"}`;
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const sourceOf = (row) => data.sources[data.source[row]] || "";
  const languageOf = (row) => data.languages[data.language[row]] || "";
  const origin = (row) => [sourceOf(row), when(data.time[row]), languageOf(row)].filter(Boolean).join(" · ");
  const shorten = (text, most) => {
    const letters = Array.from(text);
    return letters.length > most ? letters.slice(0, most - 1).join("").trimEnd() + "…" : text;
  };

  // ---- which rows match the filters --------------------------------------------------------------------------------
  let searched = null; // titles and sources without case and accents, made when the first search needs them
  const foldedStory = new Map(stories.map((story) => [story.number, fold(story.title + " " + story.keywords.join(" "))]));
  const words = () => fold(state.query).split(/\s+/).filter(Boolean);
  const filtering = () => Boolean(words().length || state.language || state.source || state.from > 0 || state.to < BINS);
  const timeOf = (bin) => begin + ((end - begin) * bin) / BINS;
  const binOf = (ms) => Math.min(BINS - 1, Math.max(0, Math.floor(((ms - begin) / (end - begin)) * BINS)));
  const titleHas = (row, wanted) => wanted.every((word) => searched[row].includes(word));

  function matches() {
    const wanted = words();
    const language = data.languages.indexOf(state.language);
    const source = data.sources.indexOf(state.source);
    const from = state.from > 0 ? timeOf(state.from) : -Infinity;
    const to = state.to < BINS ? timeOf(state.to) : Infinity;
    const inStory = new Set();
    if (wanted.length) {
      searched ??= data.title.map((title, row) => fold(title + " " + sourceOf(row)));
      for (const [number, text] of foldedStory) if (wanted.every((word) => text.includes(word))) inStory.add(number);
    }
    const mask = new Uint8Array(count);
    for (let row = 0; row < count; row++) {
      if (state.language && data.language[row] !== language) continue;
      if (state.source && data.source[row] !== source) continue;
      if (data.time[row] < from || data.time[row] > to) continue;
      if (wanted.length && !inStory.has(data.label[row]) && !titleHas(row, wanted)) continue;
      mask[row] = 1;
    }
    return mask;
  }

  // ---- the map -----------------------------------------------------------------------------------------------------
  const map = $("map");
  const kind = count > 5000 ? "scattergl" : "scatter";
  // Pixels across a point: smaller where many share the map, or the screen is small.
  function size() {
    const box = map.getBoundingClientRect();
    return Math.min(8, Math.max(3, 0.3 * Math.sqrt((box.width * box.height) / Math.max(count, 1))));
  }
  const home = wholeMap();
  let mask = null; // the rows that match, as drawn
  let moving = false; // the view is being set by this code

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
    const unit = Math.max((view.x[1] - view.x[0]) / (box.width || 1), (view.y[1] - view.y[0]) / (box.height || 1));
    const middle = (pair) => (pair[0] + pair[1]) / 2;
    const around = (centre, size) => [centre - (unit * size) / 2, centre + (unit * size) / 2];
    return { x: around(middle(view.x), box.width || 1), y: around(middle(view.y), box.height || 1) };
  }
  const current = () => (map.layout ? { x: map.layout.xaxis.range.slice(), y: map.layout.yaxis.range.slice() } : squared(state.view || home));

  function marks() {
    const active = filtering() || state.story !== null;
    const diameter = size();
    const marker = { color: new Array(count), size: new Array(count), opacity: new Array(count), line: { width: 0 } };
    for (let row = 0; row < count; row++) {
      const label = data.label[row];
      const lit = mask[row] && (state.story === null || label === state.story);
      marker.color[row] = colour(label);
      marker.size[row] = label < 0 ? diameter * 0.7 : diameter * (lit && active ? 1.25 : 1);
      marker.opacity[row] = lit ? (label < 0 ? 0.6 : 0.9) : 0.15;
    }
    return marker;
  }
  function draw() {
    mask = matches();
    const view = squared(state.view || home);
    const axis = (range) => ({ range, visible: false, zeroline: false, showgrid: false });
    const trace = { type: kind, mode: "markers", x: data.x, y: data.y, hoverinfo: "none", marker: marks(), selected: { marker: { opacity: 1 } }, unselected: { marker: { opacity: 0.15 } } };
    const density = data.density && { source: data.density.source, xref: "x", yref: "y", x: data.density.left, y: data.density.top, sizex: data.density.width, sizey: data.density.height, sizing: "stretch", layer: "below" };
    const layout = {
      autosize: true, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      showlegend: false, hovermode: "closest", hoverdistance: 14, dragmode: "pan",
      xaxis: axis(view.x), yaxis: axis(view.y), images: density ? [density] : [],
    };
    return Plotly.newPlot(map, [trace], layout, { displayModeBar: false, scrollZoom: true, responsive: true, doubleClick: false }).then(() => {
      map.on("plotly_hover", (event) => card(event.points[0].pointIndex, event.event));
      map.on("plotly_unhover", () => { if (!$("card").classList.contains("pinned")) $("card").hidden = true; });
      map.on("plotly_click", (event) => pick(event.points[0].pointIndex, event.event));
      map.on("plotly_relayouting", (change) => placeLabels(viewOf(change)));
      map.on("plotly_relayout", (change) => {
        if (moving || !Object.keys(change).some((key) => key.includes("axis"))) return;
        state.view = current();
        chooseLabels();
        remember();
      });
      map.on("plotly_selected", (event) => { if (event && event.points.length) select(event.points.map((point) => point.pointIndex)); });
      chooseLabels();
      root.dataset.ready = "yes";
    });
  }
  function redraw() {
    mask = matches();
    const marker = marks();
    Plotly.restyle(map, { "marker.color": [marker.color], "marker.size": [marker.size], "marker.opacity": [marker.opacity] }, [0]);
    chooseLabels();
  }
  function go(view) {
    state.view = view === home ? null : view;
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
      if (change[`${side}axis.range[0]`] !== undefined) view[side] = [change[`${side}axis.range[0]`], change[`${side}axis.range[1]`]];
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

  // ---- threads under the points ------------------------------------------------------------------------------------
  // A story's headlines are joined by their shortest tree, so that the eye finds them together; long threads are faint.
  const THREADED = 20000; // points; more lie so close that threads would only cover them
  const FAR_THREADED = 5000; // the same for threads across the map
  const LONGEST = 400; // rows of a story whose tree is worth its time
  const threads = count > THREADED ? [] : stories.map((story) => ({ number: story.number, edges: shortestTree((rowsOf.get(story.number) || []).slice(0, LONGEST)) }));

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
  function weave(view, box) {
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
    for (const { number, edges } of threads) {
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
      pen.strokeStyle = colour(number);
      if (count <= FAR_THREADED) stroke(lines.far, 1, 0.16);
      stroke(lines.near, wide * weight, 0.15);
      stroke(lines.near, 1.4, 0.5);
    }
  }

  // ---- labels on the map -------------------------------------------------------------------------------------------
  // The largest stories in view get theirs first; a label that would cover another is left out until one zooms in.
  const ruler = document.createElement("canvas").getContext("2d");
  let placed = [];

  function chooseLabels() {
    const view = current();
    const box = map.getBoundingClientRect();
    const zoom = (home.x[1] - home.x[0]) / (view.x[1] - view.x[0]);
    const most = Math.round(Math.min(70, ((box.width * box.height) / 34000) * Math.min(Math.max(zoom, 1), 3)));
    const active = filtering() || state.story !== null;
    const ranked = [];
    for (const story of stories) {
      if (!story.place || (state.story !== null && story.number !== state.story)) continue;
      const rows = rowsOf.get(story.number) || [];
      const lit = active ? rows.reduce((sum, row) => sum + mask[row], 0) : story.size;
      if (lit) ranked.push({ story, lit });
    }
    ranked.sort((a, b) => b.lit - a.lit || a.story.number - b.story.number);
    placed = [];
    let tried = 0;
    const family = getComputedStyle(document.body).fontFamily;
    for (const { story, lit } of ranked) {
      if (placed.length >= most || ++tried > 6 * most) break;
      const x = across(story.place[0], view, box);
      const y = down(story.place[1], view, box);
      if (x < 0 || y < 0 || x > box.width || y > box.height) continue;
      const size = lit * 2.5 >= ranked[0].lit ? 14.5 : lit * 6 >= ranked[0].lit ? 13 : 12;
      ruler.font = `600 ${size}px ${family}`;
      const room = Math.min(box.width - 34, story.number === state.story ? 300 : box.width < 500 ? 130 : 165);
      const lines = broken(story, room, ruler.font);
      const width = Math.max(...lines.map((line) => ruler.measureText(line).width)) + 21; // the dot and the rim
      const height = lines.length * size * 1.25 + 4;
      const spot = [[0, -height * 0.95], [0, height * 0.95], [width * 0.55, 0], [-width * 0.55, 0]]
        .map(([right, lower]) => {
          const left = Math.min(Math.max(x + right - width / 2, 4), box.width - width - 4);
          return { left, top: y + lower - height / 2, right: left + width, bottom: y + lower + height / 2 };
        })
        .find((area) => area.top > 2 && area.bottom < box.height - 4 && !placed.some((other) => overlap(area, other.area)));
      if (spot) placed.push({ story, lines, size, area: spot, x: spot.left - x, y: spot.top - y });
    }
    $("labels").replaceChildren(...placed.map((label) => {
      label.node = make("span", label.lines.join("\n"));
      label.node.style.fontSize = label.size + "px";
      label.node.style.setProperty("--story", colour(label.story.number));
      return label.node;
    }));
    placeLabels(view);
  }
  // A title in two lines at most, broken between words; what does not fit is cut.
  const known = new Map();
  function broken(story, room, font) {
    const key = `${story.number} ${room} ${font}`;
    if (!known.has(key)) known.set(key, fitted(story.title, room));
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
    return letters.slice(0, fits).join("").replace(/[\s,;:.–-]+$/, "") + "…";
  }
  const overlap = (a, b) => a.left < b.right + 4 && a.right + 4 > b.left && a.top < b.bottom + 1 && a.bottom + 1 > b.top;
  const across = (value, view, box) => ((value - view.x[0]) / (view.x[1] - view.x[0])) * box.width;
  const down = (value, view, box) => ((view.y[1] - value) / (view.y[1] - view.y[0])) * box.height;

  function placeLabels(view) {
    const box = map.getBoundingClientRect();
    weave(view, box);
    for (const label of placed) {
      const left = across(label.story.place[0], view, box) + label.x;
      const top = down(label.story.place[1], view, box) + label.y;
      label.area = { left, top, right: left + (label.area.right - label.area.left), bottom: top + (label.area.bottom - label.area.top) };
      label.node.style.transform = `translate(${left}px, ${top}px)`;
    }
  }
  // Labels let the mouse through to the map, which is dragged and zoomed; a click on one is found by its place.
  function labelAt(event) {
    const box = map.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    return placed.find(({ area }) => x >= area.left && x <= area.right && y >= area.top && y <= area.bottom);
  }

  // ---- hover card --------------------------------------------------------------------------------------------------
  function card(row, event, pinned = false) {
    const node = $("card");
    if (node.classList.contains("pinned") && !node.hidden && !pinned) return;
    const label = data.label[row];
    const story = storyOf.get(label);
    const title = make("strong");
    title.append(headlineLink(row));
    const of = story ? button(`Story ${label}: ${story.title}`, () => open(label), "plain") : make("span", label < 0 ? "In no story" : `Story ${label}`);
    node.replaceChildren(title, make("span", origin(row)), of);
    node.style.setProperty("--story", colour(label));
    node.classList.toggle("pinned", pinned);
    node.hidden = false;
    const box = $("stage").getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    const below = y + 18 + node.offsetHeight <= box.height;
    node.style.left = Math.max(4, Math.min(x + 14, box.width - node.offsetWidth - 6)) + "px";
    node.style.top = (below ? y + 18 : Math.max(4, y - node.offsetHeight - 12)) + "px";
  }
  function pick(row, event) {
    card(row, event, true);
    if (storyOf.has(data.label[row])) open(data.label[row], { focus: false });
  }
  function unpin() {
    $("card").classList.remove("pinned");
    $("card").hidden = true;
  }

  // ---- list of stories ---------------------------------------------------------------------------------------------
  const growth = (story) => story.size - story.previous;
  const order = {
    size: (a, b) => b.size - a.size || a.number - b.number,
    growth: (a, b) => growth(b) - growth(a) || b.size - a.size,
    latest: (a, b) => b.last - a.last,
  };
  const absorbed = new Map(); // story -> those that went into it in this run
  for (const story of stories) if (story.successor >= 0) absorbed.set(story.successor, [...(absorbed.get(story.successor) || []), story.number]);

  function badges(story) {
    const from = absorbed.get(story.number);
    const texts = {
      born: story.parents.length ? `split from ${story.parents.join(", ")}` : "new",
      grown: `growing +${growth(story)}`,
      merged: from ? `merged from ${from.join(", ")}` : "merged",
      split: "split",
      closed: story.successor >= 0 ? `went into ${story.successor}` : "closing",
    };
    return story.events.filter((event) => texts[event]).map((event) => make("span", texts[event], `badge ${event}`));
  }
  function list() {
    const active = filtering();
    const hits = new Map();
    if (active) for (const [number, rows] of rowsOf) hits.set(number, rows.reduce((sum, row) => sum + mask[row], 0));
    const visible = stories.filter((story) => !active || hits.get(story.number)).sort(order[state.sort]);
    const closing = stories.filter((story) => story.events.includes("closed")).length;
    const all = several(stories.length - (active ? 0 : closing), "story").replace("storys", "stories");
    $("count").textContent = active ? `${said(visible.length)} of ${all}` : closing ? `${all}, ${said(closing)} closing` : all;
    if (data.storiesLeftOut && !active) $("count").textContent += `, the largest of ${said(stories.length + data.storiesLeftOut)}`;
    $("stories").replaceChildren(...visible.slice(0, state.shown).map((story) => {
      const found = hits.get(story.number);
      const size = active && found !== story.size ? `${said(found)}/${said(story.size)}` : said(story.size);
      const meta = make("span", undefined, "meta");
      meta.append(...badges(story), [when(story.last), story.languages.slice(0, 4).join(" "), story.keywords.slice(0, 3).join(", ")].filter(Boolean).join(" · "));
      const entry = button(undefined, () => open(story.number));
      entry.dataset.story = story.number;
      entry.style.setProperty("--story", colour(story.number));
      entry.append(make("span", size, "size"), make("span", story.title, "title"), meta);
      const item = make("li");
      item.append(entry);
      return item;
    }));
    if (!visible.length) $("stories").append(make("li", active ? "No story matches." : "No stories yet.", "empty"));
    $("more").hidden = visible.length <= state.shown;
    const wanted = words();
    const found = [];
    if (wanted.length) for (let row = 0; row < count && found.length < 200; row++) if (mask[row] && titleHas(row, wanted)) found.push(row);
    const title = found.length === 200 ? "200 headlines and more" : several(found.length, "headline");
    $("found").replaceChildren(...(found.length ? [make("h3", title), headlines(found.slice(0, 60), true)] : []));
  }
  function headlines(rows, withStory) {
    const items = make("ul", undefined, "headlines");
    items.append(...rows.map((row) => {
      const item = make("li");
      const meta = make("span", origin(row), "meta");
      if (withStory && storyOf.has(data.label[row])) meta.append(" · ", button(`story ${data.label[row]}`, () => open(data.label[row]), "plain"));
      item.append(headlineLink(row), meta);
      return item;
    }));
    return items;
  }

  // ---- one story ---------------------------------------------------------------------------------------------------
  function open(number, { focus = true } = {}) {
    const story = storyOf.get(number);
    if (!story) return close();
    state.story = number;
    const rows = (rowsOf.get(number) || []).slice().sort((a, b) => data.time[b] - data.time[a]);
    const back = button("‹ all stories", close);
    back.id = "back";
    const top = make("div", undefined, "row");
    top.append(back);
    if (rows.length) top.append(button("show on map", () => zoomTo(rows)));
    const meta = make("p", undefined, "meta");
    meta.append(...badges(story), `Story ${number} · ${several(story.size, "headline")} · ${when(story.first)} – ${when(story.last)}`);
    const chips = make("div", undefined, "chips");
    chips.append(...story.keywords.map((word) => make("span", word)));
    const from = `${several(story.sourceCount, "source")}: ${story.sources.slice(0, 8).join(", ")}${story.sourceCount > 8 ? " …" : ""} · ${story.languages.join(" ")}`;
    const parts = [top, make("h2", story.title), meta];
    if (rows.length) parts.push(timeline(rows));
    parts.push(chips, make("p", from, "meta"));
    if (story.size > rows.length) parts.push(make("p", `${said(rows.length)} of its headlines are on this page.`, "meta"));
    $("story").style.setProperty("--story", colour(number));
    $("story").replaceChildren(...parts, headlines(rows.slice(0, 500)));
    $("story").scrollTop = 0;
    show("story");
    if (map.layout) redraw();
    remember();
    if (focus) back.focus({ preventScroll: true });
  }
  function close() {
    const was = state.story;
    state.story = null;
    unpin();
    show("list");
    update();
    const entry = document.querySelector(`[data-story="${was}"]`);
    if (entry) entry.focus();
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
  function timeline(rows) {
    const bins = new Array(BINS).fill(0);
    rows.forEach((row) => bins[binOf(data.time[row])]++);
    const figure = make("figure");
    const picture = svg("svg", { preserveAspectRatio: "none", role: "img", "aria-label": "Its headlines over time" });
    bars(picture, bins);
    const caption = make("figcaption");
    caption.append(make("span", when(begin)), make("span", when(end)));
    figure.append(picture, caption);
    return figure;
  }
  function bars(picture, bins, lit) {
    const most = Math.max(...bins, 1);
    picture.setAttribute("viewBox", `0 0 ${bins.length} 10`);
    picture.replaceChildren(...bins.map((number, bin) => {
      const height = number ? 0.6 + (9.4 * number) / most : 0.15;
      const bar = svg("rect", { x: bin + 0.08, width: 0.84, y: 10 - height, height });
      if (lit && lit(bin)) bar.setAttribute("class", "in");
      return bar;
    }));
  }
  function show(which) {
    for (const id of ["list", "story", "selection"]) $(id).hidden = id !== which;
  }

  // ---- lasso to a table --------------------------------------------------------------------------------------------
  function select(rows) {
    state.selected = rows.sort((a, b) => data.time[b] - data.time[a]);
    $("selection").querySelector("h2").textContent = `${several(rows.length, "headline")} selected`;
    $("selection").querySelector("tbody").replaceChildren(...state.selected.slice(0, 500).map((row) => {
      const line = make("tr");
      const cell = make("td");
      cell.append(headlineLink(row));
      line.append(make("td", when(data.time[row])), make("td", data.label[row] < 0 ? "–" : data.label[row]), cell);
      return line;
    }));
    show("selection");
  }
  function csv() {
    // A cell that begins like a formula would be run by a spreadsheet.
    const cell = (value) => {
      const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? "'" + value : String(value);
      return /[",\n\r]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
    };
    const lines = state.selected.map((row) => [new Date(data.time[row]).toISOString(), data.label[row], data.title[row], sourceOf(row), languageOf(row), data.url[row]]);
    return "\ufeff" + [["published_at", "cluster_label", "title", "source", "language", "url"], ...lines].map((line) => line.map(cell).join(",") + "\r\n").join("");
  }
  function save() {
    const url = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    const to = make("a");
    to.href = url;
    to.download = `headlines-run-${root.dataset.run}.csv`;
    to.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
  function lasso(on) {
    $("lasso").setAttribute("aria-pressed", on);
    Plotly.relayout(map, { dragmode: on ? "lasso" : "pan" });
    if (!on) Plotly.restyle(map, { selectedpoints: [null] }, [0]).then(() => Plotly.relayout(map, { selections: [] }));
  }

  // ---- state in the address ----------------------------------------------------------------------------------------
  let remembering;
  function remember() {
    clearTimeout(remembering);
    remembering = setTimeout(write, 150); // browsers count how often an address changes
  }
  function write() {
    clearTimeout(remembering);
    const at = new URLSearchParams();
    if (state.story !== null) at.set("story", state.story);
    if (state.query) at.set("q", state.query);
    if (state.language) at.set("lang", state.language);
    if (state.source) at.set("source", state.source);
    if (state.from > 0 || state.to < BINS) at.set("time", `${Math.round(timeOf(state.from))}-${Math.round(timeOf(state.to))}`);
    if (state.sort !== "size") at.set("sort", state.sort);
    if (state.theme) at.set("theme", state.theme);
    if (state.view) at.set("view", [...state.view.x, ...state.view.y].map((value) => value.toFixed(3)).join(","));
    history.replaceState(null, "", String(at) ? "#" + at : location.pathname + location.search);
  }
  function recall() {
    const at = new URLSearchParams(location.hash.slice(1));
    const text = (name) => at.get(name) || "";
    const story = Number(text("story"));
    state.story = at.has("story") && storyOf.has(story) ? story : null;
    state.query = text("q").slice(0, 200);
    state.theme = ["light", "dark"].includes(text("theme")) ? text("theme") : "";
    state.language = data.languages.includes(text("lang")) ? text("lang") : "";
    state.source = data.sources.includes(text("source")) ? text("source") : "";
    state.sort = Object.hasOwn(order, text("sort")) ? text("sort") : "size";
    const time = text("time").match(/^(\d{1,15})-(\d{1,15})$/);
    const bin = (ms) => Math.round(((Number(ms) - begin) / (end - begin)) * BINS);
    state.from = time ? Math.min(Math.max(bin(time[1]), 0), BINS - 1) : 0;
    state.to = time ? Math.max(Math.min(bin(time[2]), BINS), state.from + 1) : BINS;
    const view = text("view").split(",").map(Number);
    const sound = view.length === 4 && view.every(Number.isFinite) && view[0] < view[1] && view[2] < view[3];
    state.view = sound ? { x: view.slice(0, 2), y: view.slice(2) } : null;
    $("query").value = state.query;
    for (const id of ["language", "source", "sort", "from", "to"]) $(id).value = state[id];
    paint();
  }
  function paint() {
    root.dataset.theme = state.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  }
  const published = new Array(BINS).fill(0);
  data.time.forEach((ms) => published[binOf(ms)]++);
  function histogram() {
    bars($("histogram"), published, (bin) => bin >= state.from && bin < state.to);
    $("span").textContent = `${when(timeOf(state.from))} – ${when(timeOf(state.to))}`;
  }
  function update() {
    state.shown = SHOWN;
    histogram();
    if (map.layout) redraw();
    else mask = matches();
    list();
    remember();
  }
  function repaint() {
    paint();
    if (state.story !== null) open(state.story, { focus: false });
    update();
  }

  // ---- renewal -----------------------------------------------------------------------------------------------------
  // latest.html asks every few seconds which run is the latest and loads itself again; the address keeps the view. A page
  // opened as a file may not fetch, but may load a script.
  const ownRun = Number(root.dataset.run);
  const live = root.dataset.live === "yes";
  function learn(latest) {
    const runs = latest.runs || [];
    const before = runs.filter((run) => run < ownRun).at(-1);
    const after = runs.find((run) => run > ownRun);
    const page = (run) => `run-${String(run).padStart(6, "0")}.html`;
    $("previous").hidden = before === undefined;
    if (before !== undefined) $("previous").href = page(before);
    $("next").hidden = live || after === undefined;
    if (after !== undefined) $("next").href = after === latest.run ? "latest.html" : page(after);
    if (!live || root.dataset.events === "yes" || !(latest.run > ownRun)) return; // a server that tells of runs, offers them
    if (!$("selection").hidden) $("renewed").hidden = false; // not while a selection would be lost
    else renew();
  }
  function renew() {
    write();
    try { sessionStorage.setItem("newstide scroll", $("list").scrollTop); } catch { /* storage may be off */ }
    location.reload();
  }
  function ask() {
    if (document.hidden || root.dataset.live === "alone") return;
    if (location.protocol === "file:") {
      const script = make("script");
      script.src = "latest.js?" + Date.now();
      script.onload = () => { script.remove(); learn(window.newstideLatest || {}); };
      script.onerror = () => script.remove();
      document.head.append(script);
    } else {
      fetch("latest.json", { cache: "no-store" }).then((answer) => (answer.ok ? answer.json() : {})).then(learn).catch(() => {});
    }
  }
  function age() {
    const minutes = Math.floor((Date.now() - data.finished) / 60000);
    $("when").textContent = minutes < 1 ? "just now" : minutes < 60 ? `${minutes} min ago` : minutes < 2880 ? `${Math.floor(minutes / 60)} h ago` : when(data.finished);
    $("when").title = when(data.finished);
  }

  // ---- wiring ------------------------------------------------------------------------------------------------------
  function choices(select, codes, names, said) {
    const counts = new Array(names.length).fill(0);
    codes.forEach((code) => counts[code]++);
    const ranked = names.map((name, code) => [name, counts[code]]).filter(([name, number]) => name && number).sort((a, b) => b[1] - a[1]);
    select.append(...ranked.slice(0, 300).map(([name, number]) => {
      const option = make("option", `${said(name)} (${number.toLocaleString()})`);
      option.value = name;
      return option;
    }));
  }
  function languageName(tag) {
    try { return new Intl.DisplayNames(["en"], { type: "language" }).of(tag) || tag; } catch { return tag; }
  }
  choices($("language"), data.language, data.languages, languageName);
  choices($("source"), data.source, data.sources, (name) => shorten(name, 40));
  if (data.leftOut) {
    $("left-out").textContent = `${said(count)} of ${said(count + data.leftOut)} headlines are drawn as points, every story's most typical first; the grey shade shows where all of them lie`;
    $("left-out").hidden = false;
  }
  let typing;
  $("query").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      state.query = $("query").value;
      state.story = null;
      show("list");
      update();
    }, 120);
  });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["language", "source", "sort"]) $(id).addEventListener("change", () => { state[id] = $(id).value; update(); });
  for (const id of ["from", "to"]) $(id).addEventListener("input", () => {
    const [from, to] = [Number($("from").value), Number($("to").value)];
    if (from >= to) $(id).value = id === "from" ? to - 1 : from + 1;
    state.from = Number($("from").value);
    state.to = Number($("to").value);
    update();
  });
  // The brush: a drag across the histogram chooses the time between, a double click all of it.
  let brushed = null;
  function span(from, to) {
    if (from === state.from && to === state.to) return;
    state.from = from;
    state.to = to;
    $("from").value = from;
    $("to").value = to;
    update();
  }
  function binAt(event) {
    const box = $("histogram").getBoundingClientRect();
    return Math.min(BINS, Math.max(0, ((event.clientX - box.left) / box.width) * BINS));
  }
  $("histogram").addEventListener("pointerdown", (event) => {
    brushed = binAt(event);
    $("histogram").setPointerCapture(event.pointerId);
  });
  $("histogram").addEventListener("pointermove", (event) => {
    if (brushed === null || Math.abs(binAt(event) - brushed) < 0.5) return;
    const from = Math.min(BINS - 1, Math.floor(Math.min(binAt(event), brushed)));
    span(from, Math.max(from + 1, Math.ceil(Math.max(binAt(event), brushed))));
  });
  for (const end of ["pointerup", "pointercancel"]) $("histogram").addEventListener(end, () => { brushed = null; });
  $("histogram").addEventListener("dblclick", () => span(0, BINS));
  $("more").addEventListener("click", () => { state.shown += 200; list(); });
  $("home").addEventListener("click", () => { go(home); remember(); });
  $("lasso").addEventListener("click", () => lasso($("lasso").getAttribute("aria-pressed") !== "true"));
  $("close-selection").addEventListener("click", () => { lasso(false); show(state.story === null ? "list" : "story"); });
  $("export").addEventListener("click", save);
  $("renewed").addEventListener("click", renew);
  $("theme").addEventListener("click", () => { state.theme = dark() ? "light" : "dark"; repaint(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  addEventListener("hashchange", () => {
    recall();
    if (state.story !== null) open(state.story, { focus: false });
    else show("list");
    update();
    if (map.layout) go(state.view || home);
  });
  let pressed = null;
  $("stage").addEventListener("pointerdown", (event) => { pressed = map.contains(event.target) ? { x: event.clientX, y: event.clientY, label: labelAt(event) } : null; }, true);
  addEventListener("pointerup", (event) => {
    if (!pressed) return;
    const still = Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) < 5;
    if (still && pressed.label) open(pressed.label.story.number);
    else if (still && !$("card").contains(event.target)) unpin();
    pressed = null;
  }, true);
  $("stage").addEventListener("pointermove", (event) => map.classList.toggle("on-label", Boolean(labelAt(event))));
  map.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.15, 0, 1], ArrowRight: [0.15, 0, 1], ArrowUp: [0, 0.15, 1], ArrowDown: [0, -0.15, 1], "+": [0, 0, 0.7], "=": [0, 0, 0.7], "-": [0, 0, 1.4] }[event.key];
    if (step) { event.preventDefault(); nudge(...step); }
    if (event.key === "0") { go(home); remember(); }
  });
  addEventListener("keydown", (event) => {
    const typed = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typed) { event.preventDefault(); $("query").focus(); }
    if (event.key !== "Escape") return;
    if (!$("selection").hidden) $("close-selection").click();
    else if (!$("card").hidden) unpin();
    else if (state.story !== null) close();
    else if (state.query) { $("query").value = state.query = ""; update(); }
  });
  let resizing;
  new ResizeObserver(() => {
    clearTimeout(resizing);
    resizing = setTimeout(() => { if (map.layout) go(state.view || home); }, 150);
  }).observe($("stage"));

  recall();
  age();
  histogram();
  mask = matches();
  list();
  if (state.story !== null) open(state.story, { focus: false });
  else show("list");
  try {
    const scroll = sessionStorage.getItem("newstide scroll");
    if (scroll !== null) $("list").scrollTop = Number(scroll);
    sessionStorage.removeItem("newstide scroll");
  } catch { /* storage may be off */ }
  await draw();
  ask();
  setInterval(age, 30000);
  setInterval(ask, 5000);
})();
