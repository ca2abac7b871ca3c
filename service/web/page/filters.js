// What is searched and how it is shown: the form beside the results. Each count obeys all the other filters.

import { $, element } from "./element.js";
import { filters, go, read } from "./address.js";
import { date, languageName, number, text } from "./texts.js";

// Values of a facet, and years, that are shown before all of them are asked for.
const SHOWN = 6;
const FACETS = { language: { member: "languages", name: languageName }, source: { member: "sources", name: (value) => value } };
const opened = new Set();
let counted = {};

export function start() {
  const form = $("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    const { name, type, value, checked } = event.target;
    if (name in FACETS) {
      const { member } = FACETS[name], others = read()[member].filter((each) => each !== value);
      go({ [member]: checked ? [...others, value] : others });
    } else if (event.target.validity.valid) go({ [name]: type === "checkbox" ? checked : value });
  });
  $("clear").addEventListener("click", () => { clear(); $("question").focus(); });
  $("open-filters").addEventListener("click", () => {
    const open = $("narrow").classList.toggle("expanded");
    $("open-filters").ariaExpanded = String(open);
  });
}

export const clear = () => go({ languages: [], sources: [], from: "", to: "", likely: false });

// Show which filters there are.
export function fill(state) {
  const many = filters(state);
  $("filters").elements.group.value = state.group;
  $("likely").checked = state.likely;
  for (const name of ["from", "to"]) $(name).value = state[name];
  $("from").max = state.to;
  $("to").min = state.from || $("from").min;
  $("clear").hidden = !many;
  $("filters-set").textContent = many ? number(many) : "";
  count(counted, state);
}

// Show what the search looks at, by language, by source and by year.
export function count(facets, state) {
  counted = facets;
  const focused = document.activeElement?.closest?.(".facet input");
  const had = focused && { name: focused.name, value: focused.value };
  for (const [name, { member, name: called }] of Object.entries(FACETS)) {
    const chosen = state[member], counts = facets[name] ?? [];
    const gone = chosen.filter((value) => !counts.some((each) => each.value === value));
    const all = [...counts, ...gone.map((value) => ({ value, passages: 0, articles: 0 }))];
    const shown = opened.has(name) ? all : all.filter(({ value }, at) => at < SHOWN || chosen.includes(value));
    const items = shown.map((each) => item(name, called(each.value), each, chosen.includes(each.value), state));
    if (shown.length < all.length) items.push(element("li", {}, everything(name, all.length)));
    $(name).querySelector("ul").replaceChildren(...items);
    $(name).hidden = !all.length;
  }
  years(facets.year ?? [], state);
  if (had) [...$(had.name).querySelectorAll("input")].find((each) => each.value === had.value)?.focus();
}

const said = (state, passages, articles) => state.group === "none" ? text("count.passages", { count: passages }) : text("count.articles", { count: articles });

function item(name, label, { value, passages, articles }, checked, state) {
  const many = state.group === "none" ? passages : articles;
  return element("li", {}, element("label", { title: said(state, passages, articles) },
    element("input", { type: "checkbox", name, value, checked }),
    element("span", { className: "value" }, element("bdi", {}, label)),
    element("span", { className: "many" }, number(many))));
}

// The latest years there are articles of; one that is pressed is what the dates say.
function years(counts, state) {
  const had = document.activeElement?.closest?.("#years button")?.value;
  const latest = [...counts].sort((one, other) => other.value.localeCompare(one.value)).slice(0, SHOWN);
  $("years").replaceChildren(...latest.map(({ value, passages, articles }) => {
    const [from, to] = [`${value}-01-01`, `${value}-12-31`], pressed = state.from === from && state.to === to;
    const year = element("button", { type: "button", ariaPressed: String(pressed), value, title: said(state, passages, articles) },
      date(value), element("span", { className: "many" }, number(state.group === "none" ? passages : articles)));
    year.addEventListener("click", () => go(pressed ? { from: "", to: "" } : { from, to }));
    return element("li", {}, year);
  }));
  if (had) $("years").querySelector(`[value="${had}"]`)?.focus();
}

function everything(name, many) {
  const button = element("button", { type: "button", className: "plain" }, text("filter.all", { count: many }));
  button.addEventListener("click", () => { opened.add(name); count(counted, read()); $(name).querySelectorAll("input")[SHOWN]?.focus(); });
  return button;
}
