// What the page says, in the reader's language: the texts, the names of languages, dates and numbers.

// The languages there are texts in, each in `texts/CODE.json`, and what each calls itself.
export const LANGUAGES = { ar: "العربية", bn: "বাংলা", en: "English", es: "Español", hi: "हिन्दी", ru: "Русский", ur: "اردو" };
const RIGHT_TO_LEFT = ["ar", "fa", "he", "ps", "sd", "ug", "ur", "yi"];

export let locale = "en";
let texts = {};

// The language that was chosen, else the first of the browser's that there are texts in.
export function preferred() {
  const wanted = [remembered("interface"), ...navigator.languages].filter(Boolean);
  return wanted.map((tag) => tag.split("-")[0].toLowerCase()).find((code) => code in LANGUAGES) ?? "en";
}

export async function load(code) {
  const answer = await fetch(new URL(`texts/${code}.json`, import.meta.url));
  texts = await answer.json();
  // The browser's own kind of it, where that is the one: it tells how dates and numbers are written.
  locale = navigator.languages.find((tag) => tag.split("-")[0].toLowerCase() === code) ?? code;
  document.documentElement.lang = code;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(code) ? "rtl" : "ltr";
  fill(document);
}

// Put texts where the markup asks for them.
function fill(within) {
  const places = { text: "textContent", label: "ariaLabel", placeholder: "placeholder", title: "title" };
  for (const [name, property] of Object.entries(places)) {
    for (const each of within.querySelectorAll(`[data-${name}]`)) each[property] = text(each.dataset[name]);
  }
}

// A text with its `{places}` filled: numbers as they are written, words kept apart from the direction around them.
export function text(key, values = {}) {
  let found = texts[key] ?? key;
  if (typeof found === "object") found = found[new Intl.PluralRules(locale).select(values.count)] ?? found.other;
  return found.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : `\u2068${value}\u2069`;
  });
}

export const number = (value, options) => new Intl.NumberFormat(locale, options).format(value);
export const percent = (value) => number(value, { style: "percent" });
export const list = (items) => new Intl.ListFormat(locale, { type: "conjunction" }).format(items);

export function languageName(code) {
  if (code === "und") return text("language.unknown");
  try { return new Intl.DisplayNames(locale, { type: "language" }).of(code) ?? code; } catch { return code; }
}

// A date as exactly as it is known: a year, a month, a day, or a moment.
export function date(published) {
  const exact = { 4: { year: "numeric" }, 7: { year: "numeric", month: "long" }, 10: { dateStyle: "medium" } }[published.length];
  const moment = new Date(published);
  if (Number.isNaN(moment.getTime())) return published;
  const options = exact ? { ...exact, timeZone: "UTC" } : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(locale, options).format(moment);
}

// What the reader chose before; storage may be off.
export function remembered(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

export function remember(name, value) {
  try { if (value === null) localStorage.removeItem(name); else localStorage.setItem(name, value); } catch { /* for this visit only */ }
}
