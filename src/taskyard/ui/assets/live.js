// Keeps a page as it is on the server: asks for it again, and takes over the parts that changed.
// data-refresh on <main>: the seconds until the next look, as the server can bear it.
// data-part: where that part of the page is that changes, else it is all asked for.
// data-stream: server-sent events that say when to look. data-live: a part that may change, with an id.

import { tell } from "./times.js";

const SOONEST = 500; // ms between two looks at a page with a stream
const main = document.querySelector("main");
const button = document.querySelector("[data-live-switch]");
let wanted = true; // the switch
let timer = 0;
let due = Infinity; // when the timer ends
let source = null;
let tag = null; // of what is shown, if the server gives one

// Look after so many milliseconds, unless that is done sooner anyway.
function later(ms) {
  const then = performance.now() + ms;
  if (then >= due) return;
  stop();
  due = then;
  timer = setTimeout(look, ms);
}

function stop() {
  clearTimeout(timer);
  due = Infinity;
}

async function look() {
  due = Infinity;
  if (document.hidden || !wanted) return;
  try {
    const headers = { Accept: "text/html", ...(tag && { "If-None-Match": tag }) };
    const answer = await fetch(main.dataset.part ?? location.href, { headers, cache: "no-store" });
    if (answer.redirected) return location.reload(); // the session has ended
    if (!answer.ok && answer.status !== 304) throw new Error(answer.statusText);
    if (answer.ok) takeOver(new DOMParser().parseFromString(await answer.text(), "text/html"));
    tag = answer.headers.get("ETag");
    button?.classList.remove("broken");
  } catch {
    button?.classList.add("broken"); // the next look may do better
  }
  if (main.dataset.refresh) later(1000 * main.dataset.refresh);
}

function takeOver(page) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = page.getElementById(part.id);
    if (!other || other.isEqualNode(part.untouched ?? part) || isUsed(part)) continue;
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    const fresh = document.importNode(other, true);
    fresh.untouched = other; // as it came: scripts write titles, people open details
    part.replaceWith(fresh);
    if (focused) document.getElementById(focused)?.focus();
    tell(fresh);
  }
  const refresh = page.querySelector("main")?.dataset.refresh;
  if (refresh) main.dataset.refresh = refresh;
}

// Nothing is taken out of somebody's hands: an open form, or text that is being selected.
function isUsed(part) {
  const selection = getSelection();
  const selects = !selection.isCollapsed && part.contains(selection.anchorNode);
  return selects || part.querySelector("details.action[open]") !== null;
}

function follow() {
  if (!main.dataset.stream || source) return;
  source = new EventSource(main.dataset.stream);
  const soon = () => later(SOONEST);
  source.addEventListener("change", soon);
  source.addEventListener("log", soon);
  source.addEventListener("progress", soon);
}

function start() {
  if (document.hidden || !wanted) {
    stop();
    source?.close(); // a browser has few connections for all its tabs
    source = null;
  } else {
    follow();
    later(0);
  }
}

if (main.dataset.refresh || main.dataset.stream) {
  for (const part of document.querySelectorAll("[data-live]")) part.untouched = part.cloneNode(true);
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      wanted = !wanted;
      button.setAttribute("aria-pressed", wanted);
      start();
    });
  }
  document.addEventListener("visibilitychange", start);
  if (main.dataset.refresh) later(1000 * main.dataset.refresh);
  follow();
}

tell(); // after what came was kept: it writes titles
setInterval(() => document.hidden || tell(), 10_000);
