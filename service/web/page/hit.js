// A hit as it is shown: its title, what is told of it, the passage, and what leads on from it.

import { about, heading, likelihood, link, marked, original } from "./about.js";
import { element, written } from "./element.js";
import { languageName, list, text } from "./texts.js";
import { similar } from "./similar.js";
import { why } from "./why.js";

// Return a hit of a search for `state`; `inner` where it is part of another.
export function hit(found, state, { inner = false } = {}) {
  const title = heading(found, state, inner ? "h3" : "h2");
  const passage = written("p", found.language, { className: "passage" }, ...marked(found));
  const reason = why(found, passage, state, () => passage.replaceChildren(...marked(found)));
  const alike = inner ? null : similar(found, state);
  const made = element("article", { className: inner ? "hit inner" : "hit", tabIndex: -1, data: { passage: found.passage_id } },
    title, about(found), passage,
    element("div", { className: "actions" }, reason.button, alike?.button, original(found)),
    reason.panel, alike?.panel,
    further(found.passages ?? [], state), sources(found.sources ?? [], state));
  made.setAttribute("aria-labelledby", title.id);
  return made;
}

function further(passages, state) {
  if (!passages.length) return null;
  return element("details", { className: "further" },
    element("summary", {}, text("further", { count: passages.length })),
    element("ul", {}, ...passages.map((each) => element("li", {},
      element("p", { className: "about" }, likelihood(each)),
      written("p", each.language, { className: "passage" }, ...marked(each)),
      element("p", { className: "actions" }, link(each, state, text("in-place")))))));
}

// The other articles that tell the same story.
function sources(others, state) {
  if (!others.length) return null;
  const languages = [...new Set(others.map((each) => each.language))].map(languageName);
  return element("details", { className: "sources" },
    element("summary", {}, element("strong", {}, text("sources", { count: others.length })), " ", element("span", {}, list(languages))),
    element("ul", {}, ...others.map((each) => element("li", {}, hit(each, state, { inner: true })))));
}
