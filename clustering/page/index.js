"use strict";
// Pictures of the runs, and the slider over them: oldest at the left, newest at the right.
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const { runs, palettes } = JSON.parse($("runs").textContent);
  runs.reverse();
  const byPage = new Map(runs.map((run) => [run.page, run]));
  const system = matchMedia("(prefers-color-scheme: dark)");

  // Points run from 0 to 100 across and 0 to 60 down; a few lie outside.
  function draw(canvas, points) {
    const box = canvas.getBoundingClientRect();
    const sharp = devicePixelRatio || 1;
    canvas.width = box.width * sharp;
    canvas.height = box.height * sharp;
    const pen = canvas.getContext("2d");
    const unit = Math.min(canvas.width / 108, canvas.height / 68);
    const dark = root.dataset.theme === "dark";
    for (const [x, y, place] of points) {
      pen.beginPath();
      pen.arc(canvas.width / 2 + (x - 50) * unit, canvas.height / 2 + (y - 30) * unit, Math.max(unit * (place < 0 ? 0.3 : 0.5), (place < 0 ? 0.8 : 1.3) * sharp), 0, 7);
      pen.fillStyle = place < 0 ? (dark ? "#4b505c" : "#c9c6bd") : palettes[dark ? "dark" : "light"][place];
      pen.fill();
    }
  }
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      draw(target, byPage.get(target.dataset.page)?.points || []);
      seen.unobserve(target);
    }
  });
  function paint() {
    root.dataset.theme = system.matches ? "dark" : "light";
    for (const canvas of document.querySelectorAll(".card canvas")) {
      seen.unobserve(canvas);
      seen.observe(canvas);
    }
    if (!$("player").hidden) show();
  }

  const slider = $("at");
  let playing = null;
  function show() {
    const run = runs[Number(slider.value)];
    draw($("picture"), run.points);
    $("shown").textContent = `Run ${run.run} · ${run.finished}`;
    $("counts").textContent = `${run.headlines} headlines · ${run.stories} stories · ${run.changes}`;
    $("visit").href = run.page;
  }
  function stop() {
    clearInterval(playing);
    playing = null;
    $("play").textContent = "▶ play";
  }
  slider.max = Math.max(runs.length - 1, 0);
  slider.value = slider.max;
  slider.addEventListener("input", () => { stop(); show(); });
  $("play").addEventListener("click", () => {
    if (playing !== null) return stop();
    if (slider.value === slider.max) slider.value = 0;
    $("play").textContent = "❚❚ pause";
    show();
    playing = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (slider.value === slider.max) stop();
    }, 600);
  });
  $("player").hidden = runs.length < 2;
  paint();
  system.addEventListener("change", paint);
  addEventListener("resize", paint);
  setInterval(() => { if (!document.hidden && playing === null && slider.value === slider.max) location.reload(); }, 60000);
})();
