// The keyboard: to the question, along the hits, into an article and back.

import { $, element } from "./element.js";
import { next } from "./reader.js";
import { text } from "./texts.js";

const SHOWN = [["/", "keys.question"], ["j ↓", "keys.next"], ["k ↑", "keys.previous"], ["Enter", "keys.open"], ["w", "keys.why"], ["m", "keys.similar"], ["a", "add"], ["Esc", "keys.back"], ["?", "help"]];

const typing = (target) => target.matches?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
const current = () => document.activeElement?.closest?.("#hits > li > .hit");
const view = () => document.body.dataset.view;

export function start() {
  $("keys").replaceChildren(...SHOWN.flatMap(([keys, told]) => [
    element("dt", {}, ...keys.split(" ").map((key) => element("kbd", {}, key))), element("dd", {}, text(told))]));
  $("open-help").addEventListener("click", () => $("help").showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
    const name = typing(event.target) ? `typing ${event.key}` : event.key;
    if (KEYS[name]?.(event) !== false && name in KEYS) event.preventDefault();
  });
}

const onward = (event) => move(1, event), backward = (event) => move(-1, event);
const KEYS = {
  "/": () => { $("question").focus(); $("question").select(); },
  "?": () => $("help").showModal(),
  a: () => $("open-add").click(),
  j: onward, ArrowDown: onward, k: backward, ArrowUp: backward,
  w: () => press(".ask-why"),
  m: () => press(".ask-similar"),
  Enter: () => document.activeElement === current() ? current().querySelector(".open").click() : false,
  Escape: () => view() === "article" ? $("reader").querySelector(".back").click() : false,
  "typing ArrowDown": (event) => event.target === $("question") && view() === "results" ? move(1, event) : false,
  "typing Escape": (event) => event.target === $("question") && $("question").value === "" ? $("question").blur() : false,
};

function press(name) {
  const place = view() === "article" ? $("reader") : current();
  const button = place?.querySelector(name);
  if (!button) return false;
  button.click();
  return true;
}

// To the next hit, or the next passage of an article that may answer. The arrows scroll an article, and choose a radio.
function move(by, event) {
  const arrow = event.key.startsWith("Arrow");
  if (view() === "article") return arrow ? false : next(by);
  const hits = [...document.querySelectorAll("#hits > li > .hit")];
  if (!hits.length || (arrow && event.target.matches("[type=radio], summary, [role=tab]"))) return false;
  const at = hits.indexOf(current());
  const to = hits[at < 0 ? (by > 0 ? 0 : hits.length - 1) : Math.min(Math.max(at + by, 0), hits.length - 1)];
  to.focus({ preventScroll: true });
  to.scrollIntoView({ block: "nearest" });
  return true;
}
