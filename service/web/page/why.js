// Why a passage matched: what each of its words adds, and which word of the question met which of it.

import { bar } from "./about.js";
import { within } from "./address.js";
import { call } from "./api.js";
import { element, opener, written } from "./element.js";
import { cutter, pieces } from "./spans.js";
import { number, text } from "./texts.js";
import { line as told } from "./trouble.js";

// So many of an article's passages are explained; and so many where the one that is asked for is not among them.
const LIMITS = [10, 100];
// So many pairs of words are shown, the nearest first.
const PAIRS = 8;

// Return the explanation of a hit, asked anew for its article's passages alone; null for a model that cannot tell.
async function explanation(found, state) {
  for (const limit of LIMITS) {
    const body = within(found.article_id, state, { limit, explain: true });
    const { hits } = await call("v1/search", { body });
    const same = hits.find((each) => each.passage_id === found.passage_id);
    if (same || hits.length < limit) return same?.explanation ?? null;
  }
  return null;
}

// Return the button and the panel; `passage` shows the hit's text, and `restore` shows it again as it was.
export function why(found, passage, state, restore) {
  const panel = element("div", { className: "why" });
  let known;
  const button = opener(text("why"), panel, async () => {
    try {
      known ??= await explanation(found, state);
    } catch (problem) {
      panel.replaceChildren(told(problem));
      return;
    }
    if (known) show(known, found, passage, state.question, panel);
    else panel.replaceChildren(element("p", { role: "status" }, text("why.unknown")));
  }, restore);
  button.classList.add("ask-why");
  return { button, panel };
}

function show(known, found, passage, question, panel) {
  const tokens = tinted(known.tokens, found, passage);
  const { line, words } = meant(known.words, question);
  const cut = cutter(found.text, found.start);
  const pairs = known.words.map((met, at) => ({ ...met, at })).sort((one, other) => other.cosine - one.cosine).slice(0, PAIRS).map((met) => {
    const pair = element("button", { type: "button", ariaPressed: "false", title: number(met.cosine, { maximumFractionDigits: 2 }) },
      element("bdi", {}, cutter(question)(met.query.start, met.query.end)), element("span", { className: "arrow", ariaHidden: "true" }), element("span", { className: "hidden" }, ` ${text("why.met")} `),
      written("bdi", found.language, {}, cut(met.passage.start, met.passage.end)), bar(met.cosine));
    light(pair, [...tokens.filter(({ start, end }) => start < met.passage.end && end > met.passage.start).map(({ made }) => made), words[met.at]]);
    return element("li", {}, pair);
  });
  panel.replaceChildren(
    element("p", { role: "status", className: "note" }, text("why.told")),
    line,
    element("ul", { className: "pairs", ariaLabel: text("why.pairs") }, ...pairs));
}

// Show the passage with each token tinted by its share of the similarity, the least not at all; return the tokens.
function tinted(tokens, found, passage) {
  const shares = tokens.map((token) => token.share), least = Math.min(...shares), range = Math.max(...shares) - least || 1;
  const made = [];
  passage.replaceChildren(...pieces(cutter(found.text, found.start), found.start, found.end, tokens, (word, token) => {
    const each = element("span", { className: "token" }, word);
    each.style.setProperty("--share", ((token.share - least) / range).toFixed(3));
    made.push({ ...token, made: each });
    return each;
  }));
  return made;
}

// The question, its words apart.
function meant(met, question) {
  const words = [], cut = cutter(question);
  const line = written("p", null, { className: "asked" }, ...pieces(cut, 0, undefined, met.map(({ query }, at) => ({ ...query, at })), (word, { at }) => words[at] = element("span", {}, word)));
  return { line, words };
}

// While a pair is pointed at, focused or pressed, its words are lit.
function light(pair, lit) {
  const set = (on) => lit.forEach((each) => each?.classList.toggle("lit", on));
  const pressed = () => pair.ariaPressed === "true";
  for (const event of ["mouseenter", "focus"]) pair.addEventListener(event, () => set(true));
  for (const event of ["mouseleave", "blur"]) pair.addEventListener(event, () => set(pressed()));
  pair.addEventListener("click", () => { pair.ariaPressed = String(!pressed()); set(true); });
}
