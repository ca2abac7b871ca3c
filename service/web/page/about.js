// What is told of every passage: a link to its place, where it is from, how likely it answers, its best sentence.

import { element, web, written } from "./element.js";
import { write } from "./address.js";
import { cutter, pieces } from "./spans.js";
import { date, languageName, number, percent, text } from "./texts.js";

// How likely it is that a passage answers, in words, from so much relevance on: those of service/cli/terminal.py.
const STEPS = [[0.75, "very-likely"], [0.5, "likely"], [0.25, "perhaps"], [0, "unlikely"]];
export const step = (relevance) => STEPS.find(([least]) => relevance >= least)?.[1] ?? "unlikely";

let headings = 0;
// The title of a hit, which leads to the passage in its article.
export function heading(found, state, name) {
  return element(name, { id: `title-${headings += 1}` },
    link(found, state, written("span", found.language, { className: found.title ? "" : "untitled" }, found.title || found.article_id)));
}

export function link(found, state, ...children) {
  const { article_id: article, passage_id: passage } = found;
  return element("a", { href: write({ ...state, article, passage }), className: "open", data: { article, passage } }, ...children);
}

export function about(found, { relevance = true } = {}) {
  return element("p", { className: "about" },
    relevance ? likelihood(found) : null,
    element("span", { className: "language" }, languageName(found.language)),
    found.source ? element("span", { className: "source" }, element("bdi", {}, found.source)) : null,
    found.published_at ? element("time", { dateTime: found.published_at }, date(found.published_at)) : null);
}

// Relevance as a bar and a word; of a model without calibration there is the similarity alone.
export function likelihood(found) {
  if (found.relevance === null) return element("span", { className: "relevance" }, text("similarity", { value: number(found.similarity, { maximumFractionDigits: 2 }) }));
  const level = step(found.relevance);
  return element("span", { className: `relevance ${level}`, title: percent(found.relevance) }, bar(found.relevance), text(`relevance.${level}`));
}

// A bar that is filled by `share`, 0..1; a little where it is nothing, so that it is seen to be one.
export function bar(share) {
  const filled = element("span");
  filled.style.inlineSize = `${Math.max(share, 0.03) * 100}%`;
  return element("span", { className: "bar", ariaHidden: "true" }, filled);
}

// The passage, its best sentence marked.
export function marked(found) {
  const best = found.best_sentence;
  if (!best || best.end - best.start === found.end - found.start) return [found.text];
  return pieces(cutter(found.text, found.start), found.start, found.end, [best], (sentence) => element("mark", {}, sentence));
}

// A link to where the article was published, if that is an address.
export function original({ url }) {
  const href = url && web(url);
  return href ? element("a", { href, className: "original", rel: "noreferrer noopener", target: "_blank" }, text("original")) : null;
}
