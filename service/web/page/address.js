// What the page shows, as its address: it can be shared, and the back button goes through it.

const EMPTY = { question: "", languages: [], sources: [], from: "", to: "", group: "story", likely: false, article: "", passage: "" };
const GROUPS = ["story", "article", "none"];
const DAY = /^\d{4}-\d\d-\d\d$/;

export function read(search = location.search) {
  const given = new URLSearchParams(search);
  const day = (name) => DAY.test(given.get(name) ?? "") ? given.get(name) : "";
  return {
    question: (given.get("q") ?? "").trim(),
    languages: given.getAll("language").filter(Boolean),
    sources: given.getAll("source").filter(Boolean),
    from: day("from"),
    to: day("to"),
    group: GROUPS.includes(given.get("group")) ? given.get("group") : EMPTY.group,
    likely: given.has("likely"),
    article: given.get("article") ?? "",
    passage: given.get("passage") ?? "",
  };
}

export function write(state) {
  const told = new URLSearchParams();
  if (state.question) told.set("q", state.question);
  for (const code of state.languages) told.append("language", code);
  for (const source of state.sources) told.append("source", source);
  for (const name of ["from", "to", "article", "passage"]) if (state[name]) told.set(name, state[name]);
  if (state.group !== EMPTY.group) told.set("group", state.group);
  if (state.likely) told.set("likely", "");
  const search = told.toString();
  return search ? `?${search}` : location.pathname;
}

// Show another state. Who changes what is shown already may `replace` it instead of adding to the history.
export function go(change, { replace = false } = {}) {
  const state = { ...read(), article: "", passage: "", ...change };
  const address = write(state);
  if (replace || address === (location.search || location.pathname)) history.replaceState(history.state, "", address);
  else history.pushState({ within: true }, "", address);
  document.dispatchEvent(new CustomEvent("moved", { detail: state }));
}

// The body of a search; `more` are further members.
export function asked(state, more = {}) {
  const filter = {
    ...(state.sources.length ? { source: state.sources } : {}),
    ...(state.from || state.to ? { published_at: { ...(state.from && { gte: state.from }), ...(state.to && { lte: state.to }) } } : {}),
  };
  return {
    query: state.question,
    group: state.group,
    ...(state.languages.length ? { languages: state.languages } : {}),
    ...(Object.keys(filter).length ? { filter } : {}),
    ...(state.likely ? { min_relevance: 0.5 } : {}),
    ...more,
  };
}

// The body of a search for the same in one article alone.
export const within = (article, state, more) => ({ query: state.question, filter: { article_id: article }, ...more });

// How many filters there are.
export const filters = (state) => state.languages.length + state.sources.length + (state.from || state.to ? 1 : 0) + (state.likely ? 1 : 0);
