// Pictures of the runs, and the slider over them: oldest at the left, newest at the right.
import { $, make, root } from "./dom.js";
import { inItsLanguage, wishedOf } from "./language.js";
import { read } from "./read.js";

const { runs, played, frame, colours } = await read($("data"));
const system = matchMedia("(prefers-color-scheme: dark)");

// All pictures share one frame: a story stays where it is from run to run.
function draw(canvas, points) {
  const box = canvas.getBoundingClientRect();
  const sharp = devicePixelRatio || 1;
  canvas.width = box.width * sharp;
  canvas.height = box.height * sharp;
  const pen = canvas.getContext("2d");
  const [left, bottom, right, top] = frame;
  const unit = 0.92 * Math.min(canvas.width / (right - left || 1), canvas.height / (top - bottom || 1));
  const dot = Math.max(Math.min(canvas.width / 100, canvas.height / 60) * 0.5, 1.3 * sharp);
  const { noise, stories } = colours[root.dataset.theme];
  for (const [x, y, label] of points) {
    pen.beginPath();
    const across = canvas.width / 2 + (x - (left + right) / 2) * unit;
    const down = canvas.height / 2 - (y - (bottom + top) / 2) * unit;
    pen.arc(across, down, label < 0 ? dot * 0.6 : dot, 0, 7);
    pen.fillStyle = label < 0 ? noise : stories[label % stories.length];
    pen.fill();
  }
}
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    draw(target, runs[target.dataset.picture].points);
    seen.unobserve(target);
  }
});
// The theme comes from the map that led here, and goes back with every link.
function paint() {
  const asked = new URLSearchParams(location.hash.slice(1)).get("theme");
  const chosen = ["light", "dark"].includes(asked) ? asked : "";
  root.dataset.theme = chosen || (system.matches ? "dark" : "light");
  for (const link of document.querySelectorAll("a")) link.hash = chosen ? `theme=${chosen}` : "";
  for (const canvas of document.querySelectorAll(".card canvas")) {
    seen.unobserve(canvas);
    seen.observe(canvas);
  }
  if (!$("player").hidden) show();
}

// The titles of its largest stories, in the reader's language where they have one in it.
function titles({ largest, wanted }) {
  return largest.map((story) => {
    const tag = wishedOf(story.titles, wanted);
    const item = make("li");
    item.append(inItsLanguage(tag === undefined ? story.title : story.titles[tag], tag));
    return item;
  });
}
for (const list of document.querySelectorAll(".card [data-run]")) {
  list.replaceChildren(...titles(runs[list.dataset.run]));
}

const slider = $("at");
let playing = null;
function show() {
  const run = runs[played[Number(slider.value)]];
  draw($("picture"), run.points);
  $("shown").textContent = `Run ${run.run} · ${run.finished}`;
  $("titles").replaceChildren(...titles(run));
  $("newest").textContent = run.newest ? `newest headline ${run.newest}` : "";
  $("counts").textContent = `${run.headlines} · ${run.stories} · ${run.born} born · ${run.closed} closed`;
  $("visit").href = run.page + location.hash;
  slider.setAttribute("aria-valuetext", $("shown").textContent);
}
function stop() {
  clearInterval(playing);
  playing = null;
  $("play").textContent = "▶ play";
}
const atEnd = () => slider.value === slider.max;
slider.max = Math.max(played.length - 1, 0);
slider.value = slider.max;
slider.addEventListener("input", () => { stop(); show(); });
$("play").addEventListener("click", () => {
  if (playing !== null) {
    stop();
    return;
  }
  if (atEnd()) slider.value = 0;
  $("play").textContent = "❚❚ pause";
  show();
  playing = setInterval(() => {
    slider.value = Number(slider.value) + 1;
    show();
    if (atEnd()) stop();
  }, Math.max(80, Math.min(600, 20000 / played.length)));
});
$("player").hidden = played.length < 2;
paint();
system.addEventListener("change", paint);
addEventListener("hashchange", paint);
addEventListener("resize", paint);

// The list is loaded again while nobody uses it: each minute, or where a server tells of a run, when it does.
function renew() {
  const idle = playing === null && atEnd() && document.activeElement === document.body;
  if (idle && !document.hidden) location.reload();
}
addEventListener("newstide-renews", renew);
setInterval(() => { if (root.dataset.events !== "yes") renew(); }, 60000);
