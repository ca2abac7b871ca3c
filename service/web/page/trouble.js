// What went wrong, in words, and a way to try again: by itself where that may help.

import { element } from "./element.js";
import { text } from "./texts.js";

const HEADS = { 0: "trouble.offline", 401: "trouble.key", 403: "trouble.forbidden", 404: "trouble.gone", 413: "trouble.large", 422: "trouble.wrong", 429: "trouble.many", 503: "trouble.busy", 504: "trouble.busy" };
const waiting = new WeakMap();

const head = (problem) => text(HEADS[problem.status] ?? "trouble.other");

// What the service says is English.
const detail = (name, problem) => problem.message ? element(name, { lang: "en", dir: "ltr", className: "detail" }, problem.message) : null;

// A problem in a line, where something small went wrong.
export const line = (problem) => element("p", { role: "status", className: "trouble-line" }, head(problem), " ", detail("span", problem));

// Tell of a problem in `place`; `again` tries again and shows what comes of it.
export function tell(place, problem, again) {
  const tries = waiting.get(place)?.tries ?? 0;
  clear(place);
  const left = element("span", { className: "left", ariaHidden: "true" });
  // What was wrong with a request is wrong the next time too.
  const button = problem.passes || problem.status >= 500 ? element("button", { type: "button" }, text("trouble.again")) : null;
  place.replaceChildren(element("div", { className: "trouble" },
    element("p", {}, element("strong", {}, head(problem))),
    detail("p", problem),
    button ? element("p", {}, button, left) : null));
  const retry = () => { stop(place); again(); };
  button?.addEventListener("click", retry);
  if (!problem.passes) return;
  let seconds = Math.max(problem.after, Math.min(3 * 2 ** tries, 60));
  const count = () => {
    if (seconds <= 0) return retry();
    left.textContent = text("trouble.waiting", { count: seconds });
    seconds -= 1;
  };
  count();
  addEventListener("online", retry);
  waiting.set(place, { tries: tries + 1, retry, timer: setInterval(count, 1000) });
}

function stop(place) {
  const { timer, retry } = waiting.get(place) ?? {};
  clearInterval(timer);
  removeEventListener("online", retry);
}

export function clear(place) {
  stop(place);
  waiting.delete(place);
  place.replaceChildren();
}
