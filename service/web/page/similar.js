// What others write about the same, in other languages.

import { about, heading, original } from "./about.js";
import { call } from "./api.js";
import { element, opener, written } from "./element.js";
import { text } from "./texts.js";
import { line } from "./trouble.js";

const LIMIT = 5;

export function similar(found, state) {
  const panel = element("div", { className: "similar" });
  const button = opener(text("similar"), panel, async () => {
    try {
      const { hits } = await call(`v1/passages/${encodeURIComponent(found.passage_id)}/similar?limit=${LIMIT}`);
      panel.replaceChildren(hits.length
        ? element("ul", { ariaLabel: text("similar") }, ...hits.map((each) => element("li", {}, shown(each, state))))
        : element("p", { role: "status" }, text("similar.none")));
    } catch (problem) {
      panel.replaceChildren(line(problem));
    }
  });
  button.classList.add("ask-similar");
  return { button, panel };
}

function shown(found, state) {
  return element("article", { className: "hit inner" }, heading(found, state, "h3"), about(found, { relevance: false }),
    written("p", found.language, { className: "passage" }, found.text),
    element("div", { className: "actions" }, original(found)));
}
