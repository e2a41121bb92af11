"use strict";
// The slider over the runs: oldest at the left, newest at the right.
(() => {
  const runs = JSON.parse(document.getElementById("runs").textContent).reverse();
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => { root.dataset.theme = system.matches ? "dark" : "light"; };
  system.addEventListener("change", paint);
  paint();
  if (runs.length < 2) return;

  let playing = null;
  const slider = $("at");
  function show() {
    const run = runs[Number(slider.value)];
    $("picture").replaceChildren(...run.points.map(([x, y, place]) => {
      const point = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      point.setAttribute("cx", x);
      point.setAttribute("cy", y);
      point.setAttribute("r", 0.55);
      point.setAttribute("class", "p" + place);
      return point;
    }));
    $("shown").textContent = `Run ${run.run} · ${run.finished}`;
    $("counts").textContent = `${run.headlines} headlines · ${run.stories} stories · ${run.changes}`;
    $("visit").href = run.page;
  }
  function stop() {
    clearInterval(playing);
    playing = null;
    $("play").textContent = "▶ play";
  }
  slider.max = runs.length - 1;
  slider.value = runs.length - 1;
  slider.addEventListener("input", () => { stop(); show(); });
  $("play").addEventListener("click", () => {
    if (playing !== null) return stop();
    if (Number(slider.value) === runs.length - 1) slider.value = 0;
    $("play").textContent = "❚❚ pause";
    show();
    playing = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) === runs.length - 1) stop();
    }, 600);
  });
  show();
  $("player").hidden = false;
  setInterval(() => { if (!document.hidden && playing === null) location.reload(); }, 60000);
})();
