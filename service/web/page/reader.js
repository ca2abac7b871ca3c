// An article in full, with the passage that was found in its place, and the others of it that may answer.

import { about, marked, original, step } from "./about.js";
import { go, within } from "./address.js";
import { call } from "./api.js";
import { $, element, written } from "./element.js";
import { cutter } from "./spans.js";
import { number, text } from "./texts.js";
import { similar } from "./similar.js";
import * as trouble from "./trouble.js";
import { why } from "./why.js";

// So many passages of an article are asked whether they answer too.
const LIMIT = 10;
let shown = null, turn = 0;

// Show the article of `state` with its passage in place.
export async function show(state) {
  const key = JSON.stringify([state.article, state.question]);
  if (shown?.key === key) return point(state);
  const own = turn += 1;
  shown = null;
  $("reader").ariaBusy = "true";
  $("reader").replaceChildren(back(), element("p", { role: "status", className: "note" }, text("reading")));
  try {
    const [article, matches] = await Promise.all([call(`v1/articles/${encodeURIComponent(state.article)}`), matching(state)]);
    if (own !== turn || $("reader").hidden) return; // the reader has gone on meanwhile
    shown = { key, ...lay(article, matches, state), state };
    point(state);
  } catch (problem) {
    if (own !== turn) return;
    const place = element("div", { role: "alert" });
    $("reader").replaceChildren(back(), element("h1", { id: "reader-title" }, text("article")), place);
    trouble.tell(place, problem, () => show(state));
  } finally {
    if (own === turn) $("reader").ariaBusy = "false";
  }
}

export function forget() {
  shown = null;
}

// The passages of the article that may answer, in the order of the text; none where that cannot be told.
async function matching(state) {
  if (!state.question) return [];
  try {
    const { hits } = await call("v1/search", { body: within(state.article, state, { limit: LIMIT }) });
    return hits.filter((each) => each.passage_id === state.passage || (each.relevance !== null && step(each.relevance) !== "unlikely"))
      .sort((one, other) => one.start - other.start);
  } catch {
    return [];
  }
}

function lay(article, matches, state) {
  const cut = cutter(article.text);
  const found = new Map(matches.map((each) => [each.passage_id, each]));
  const places = new Map();
  const text_ = written("div", article.language, { className: "text" });
  let paragraph = null, at = 0;
  for (const { passage_id: id, start, end } of article.passages) {
    const between = cut(at, start);
    if (!paragraph || between.includes("\n")) text_.append(paragraph = written("p", null));
    else paragraph.append(between);
    const match = found.get(id);
    const told = match ?? { passage_id: id, start, end, text: cut(start, end) };
    const place = element("span", { className: match ? "passage match" : "passage", tabIndex: -1, data: { passage: id } }, ...marked(told));
    paragraph.append(place);
    places.set(id, { place, told: { ...article, ...told, article_id: article.id }, paragraph });
    at = end;
  }
  const title = written("h1", article.language, { id: "reader-title", className: article.title ? "" : "untitled" }, article.title || article.id);
  const copy = element("button", { type: "button" }, element("span", {}, text("copy")));
  copy.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(location.href); copy.firstChild.textContent = text("copied"); } catch { copy.firstChild.textContent = location.href; }
  });
  const order = matches.map((each) => each.passage_id);
  const steps = order.length > 1 ? stepper(order) : null;
  $("reader").replaceChildren(back(), element("header", {}, title, about(article, { relevance: false }), element("div", { className: "actions" }, copy, original(article))), text_, ...(steps ? [steps.bar] : []));
  return { places, order, steps, tools: null };
}

// Go from one passage that may answer to the next.
export function next(by) {
  const order = shown?.order ?? [];
  if (!order.length) return;
  const at = order.indexOf(shown.passage);
  const to = at < 0 ? 0 : (at + by + order.length) % order.length;
  go({ article: shown.state.article, passage: order[to] }, { replace: true });
}

function stepper(order) {
  const said = element("span", { role: "status" });
  const button = (label, by) => {
    const made = element("button", { type: "button" }, text(label));
    made.addEventListener("click", () => next(by));
    return made;
  };
  const tell = (passage) => { said.textContent = text("passage-of", { place: order.indexOf(passage) + 1, count: order.length }); };
  return { tell, bar: element("nav", { className: "steps", ariaLabel: text("matches") }, button("previous", -1), said, button("next", 1)) };
}

// Light the passage up, bring it into view, and offer there what can be asked of it.
function point(state) {
  shown.places.get(shown.passage)?.place.classList.remove("current");
  shown.tools?.remove();
  shown.passage = state.passage;
  shown.tools = null;
  const found = shown.places.get(state.passage);
  document.title = `${$("reader-title").textContent} – Dragoman`;
  shown.steps?.tell(state.passage);
  if (!found) {
    scrollTo({ top: 0 });
    $("reader").querySelector(".back")?.focus({ preventScroll: true });
    return;
  }
  const { place, told, paragraph } = found;
  place.classList.add("current");
  const alike = similar(told, state);
  const reason = state.question ? why(told, place, state, () => place.replaceChildren(...marked(told))) : null;
  const { lang, dir } = document.documentElement; // not the article's
  shown.tools = element("div", { className: "tools", lang, dir }, element("div", { className: "actions" }, reason?.button, alike.button), reason?.panel, alike.panel);
  paragraph.after(shown.tools);
  place.focus({ preventScroll: true });
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  place.scrollIntoView({ block: "center", behavior: calm ? "instant" : "smooth" });
}

// Back to where the reader came from; who came by a shared address, to the results.
function back() {
  const state = { article: "", passage: "" };
  const made = element("button", { type: "button", className: "plain back" });
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  icon.classList.add("icon", "turns");
  icon.ariaHidden = "true";
  icon.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  icon.firstChild.setAttribute("href", "#i-back");
  made.append(icon, element("span", {}, text("back")));
  made.addEventListener("click", () => { if (history.state?.within) history.back(); else go(state); });
  return made;
}
