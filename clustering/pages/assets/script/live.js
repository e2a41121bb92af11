// Put into each page that `newstide web` serves. When a run ends, it offers the new map; a click shows it in the same view.
// The newest map also renews itself where nobody is reading, or where the reader has asked for that.
import { button, root, store, stored } from "./dom.js";
import { said } from "./words.js";

const own = root.dataset.run === undefined ? null : Number(root.dataset.run);
const newest = root.dataset.live === "yes";
const IDLE = 30000; // ms without a key, a click or a move of the mouse
const CHOICE = "newstide renew";
let known = own;
let latest = null;
let refused = 0; // the run that the reader did not want to see now
let source = null;
let active = Date.now();
let failures = 0;

// ---- the offer ---------------------------------------------------------------------------------------------------
const box = document.createElement("div");
box.id = "offer";
box.setAttribute("role", "status"); // read out when it fills
Object.assign(box.style, { position: "fixed", left: "0", right: "0", bottom: "1rem", margin: "0 auto", width: "fit-content", zIndex: "8", display: "flex", flexWrap: "wrap", justifyContent: "center", alignItems: "center", gap: ".4rem", maxWidth: "calc(100vw - 1.5rem)" });
document.body.append(box);

function choice(text, pressed, loud) {
  const node = button(text, pressed);
  if (loud) Object.assign(node.style, { background: "var(--accent)", color: "var(--paper)", borderColor: "var(--accent)", boxShadow: "var(--shadow)" });
  return node;
}
function offer() {
  const born = latest.events && latest.events.born;
  const news = born ? `${said(born)} ${born === 1 ? "story" : "stories"} born` : latest.headlines === undefined ? "" : `${said(latest.headlines)} headlines`;
  const parts = [choice(`New map: run ${latest.run}${news ? `, ${news}` : ""} — show`, show, true)];
  if (newest) parts.push(choice("always", () => { store("localStorage", CHOICE, "always"); show(); }));
  parts.push(choice("✕", () => { refused = latest.run; box.replaceChildren(); }));
  if (newest) parts[1].title = "Show new maps without asking";
  parts.at(-1).setAttribute("aria-label", "Not now");
  box.replaceChildren(...parts);
}
// What renews itself is told before, so that it can keep its view.
function renews() {
  dispatchEvent(new Event("newstide-renews"));
}
function show() {
  box.replaceChildren();
  store("sessionStorage", "newstide renewed", "yes");
  if (own !== null) renews();
  if (newest) location.reload();
  else location.assign("latest.html" + location.hash);
}
function maybe() {
  if (latest === null || known === null || latest.run <= Math.max(known, refused)) return;
  const selection = document.getElementById("selection");
  const free = newest && !(selection && !selection.hidden); // a selection would be lost
  const idle = refused === 0 && Date.now() - active > IDLE; // who refused a map decides about the next one, too
  if (free && (idle || stored("localStorage", CHOICE) === "always")) {
    known = latest.run;
    show();
  } else if (box.dataset.run !== String(latest.run)) {
    box.dataset.run = latest.run;
    offer();
  }
  if (own === null && idle) renews(); // the list of runs loads itself again
}
function told() {
  if (stored("sessionStorage", "newstide renewed") === null) return;
  store("sessionStorage", "newstide renewed", null);
  if (stored("localStorage", CHOICE) !== "always") return;
  box.append(choice("New maps are shown without asking. Ask first?", () => { store("localStorage", CHOICE, null); box.replaceChildren(); }));
  setTimeout(() => { if (box.dataset.run === undefined) box.replaceChildren(); }, 8000);
}

// ---- the server's word -------------------------------------------------------------------------------------------
// Browsers open few connections to one server: a page that is not seen gives its own back.
function listen() {
  if (source !== null || document.hidden) return;
  root.dataset.events = "yes"; // the page itself need not ask meanwhile
  source = new EventSource("events");
  source.addEventListener("open", () => { failures = 0; });
  source.addEventListener("run", (event) => {
    latest = JSON.parse(event.data);
    known ??= latest.run;
    maybe();
  });
  source.addEventListener("error", () => {
    delete root.dataset.events;
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    stop();
    setTimeout(listen, Math.min(60000, 5000 * 2 ** failures++));
  });
}
function stop() {
  if (source !== null) source.close();
  source = null;
  delete root.dataset.events;
}
document.addEventListener("visibilitychange", () => (document.hidden ? stop() : listen()));
for (const kind of ["pointerdown", "pointermove", "wheel", "keydown", "touchstart"]) addEventListener(kind, () => { active = Date.now(); }, { passive: true, capture: true });
setInterval(maybe, 1000);
told();
listen();
