// The answer to a question: what is said of it, the hits, and the next page of them.

import { step } from "./about.js";
import { asked, filters } from "./address.js";
import { call } from "./api.js";
import { $, element } from "./element.js";
import { clear as clearFilters, count, fill } from "./filters.js";
import { hit } from "./hit.js";
import { languageName, text } from "./texts.js";
import * as trouble from "./trouble.js";

const LIMIT = 10;
let shown = null, under = null, question = "";

// Show the results of `state`, asked for where they are not those that are shown. Return whether they were there.
export async function show(state) {
  const body = asked(state, { limit: LIMIT }), key = JSON.stringify(body);
  fill(state);
  if (key === shown) return true;
  if (question !== state.question) scrollTo({ top: 0, behavior: "instant" });
  question = state.question;
  shown = key;
  await ask(state, body, (answer) => {
    $("hits").replaceChildren();
    if (answer.facets) count(answer.facets, state);
    page(answer, state, body);
  }, { facets: true });
  return false;
}

// Forget what is shown, for something has changed.
export function forget() {
  shown = null;
}

async function ask(state, body, tell, more = {}) {
  under?.abort();
  const own = under = new AbortController();
  const again = () => ask(state, body, tell, more);
  $("found").ariaBusy = "true";
  $("more").disabled = true;
  try {
    const answer = await call("v1/search", { body: { ...body, ...more }, signal: own.signal });
    trouble.clear($("trouble"));
    tell(answer);
  } catch (problem) {
    if (problem.name === "AbortError") return; // another question has been asked meanwhile
    if (!body.cursor) { $("hits").replaceChildren(); $("said").replaceChildren(); $("more").hidden = true; shown = null; }
    trouble.tell($("trouble"), problem, again);
  } finally {
    if (own === under) { $("found").ariaBusy = "false"; $("more").disabled = false; }
  }
}

function page(answer, state, body) {
  // Of a model without calibration nobody knows what is likely.
  $("likely").closest("label").hidden = answer.answer.found === null;
  const first = $("hits").querySelectorAll(".hit").length;
  $("hits").append(...answer.hits.map((each) => element("li", { data: { level: each.relevance === null ? "unknown" : step(each.relevance) } }, hit(each, state))));
  divide();
  said(answer, state);
  $("more").hidden = !answer.next_cursor;
  $("more").onclick = () => ask(state, { ...body, cursor: answer.next_cursor }, (next) => page(next, state, body));
  if (first) $("hits").querySelectorAll(":scope > li > .hit")[first]?.focus();
}

// A line between what may answer and what hardly does. The order of hits is not quite that of relevance.
function divide() {
  $("hits").querySelector(".divider")?.remove();
  const items = [...$("hits").children], last = items.findLastIndex((each) => each.dataset.level !== "unlikely");
  if (last >= 0 && last + 1 < items.length) items[last].after(element("li", { className: "divider" }, text("unlikely.below")));
}

function said({ answer, query_language: language }, state) {
  const many = $("hits").querySelectorAll(":scope > li > .hit").length;
  const parts = [];
  if (answer.found === false) {
    const perhaps = step(answer.relevance ?? 0) === "perhaps";
    parts.push(element("p", { className: "nothing" }, element("strong", {}, text(perhaps ? "nothing.perhaps" : "nothing")), many ? ` ${text("nothing.nearest")}` : ""));
    if (filters(state)) {
      const button = element("button", { type: "button" }, text("filter.clear"));
      button.addEventListener("click", clearFilters);
      parts.push(element("p", {}, button));
    }
  }
  const counted = text(`count.${{ story: "stories", article: "articles", none: "passages" }[state.group]}`, { count: many });
  parts.push(element("p", { className: "note" }, `${counted} · ${text("asked-in", { language: languageName(language.code) })}`));
  $("said").replaceChildren(...parts);
}
