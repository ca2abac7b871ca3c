// The page: begins in the reader's language, and shows what its address says.

import * as add from "./add.js";
import { go, read } from "./address.js";
import { call, unlock } from "./api.js";
import { $, element } from "./element.js";
import * as filters from "./filters.js";
import * as keys from "./keys.js";
import * as reader from "./reader.js";
import * as results from "./results.js";
import { LANGUAGES, languageName, load, number, preferred, remember, remembered, text } from "./texts.js";

// So many languages are told of at the beginning, those of most articles.
const LANGUAGES_SHOWN = 24;

// Where the reader was among the results when an article was opened, and the question that was shown last.
let left = null, question = "";

async function show(state = read()) {
  const view = state.article ? "article" : state.question ? "results" : "home";
  const came = document.body.dataset.view;
  if (came === "results" && view === "article") left = { top: scrollY, hit: document.activeElement?.closest?.("#hits > li > .hit") };
  document.body.dataset.view = view;
  $("welcome").hidden = view !== "home";
  $("results").hidden = view !== "results";
  $("reader").hidden = view !== "article";
  if (question !== state.question) $("question").value = question = state.question;
  document.title = state.question ? `${state.question} – Dragoman` : "Dragoman";
  if (view === "article") await reader.show(state);
  if (view === "results") {
    const there = await results.show(state);
    if (there && came === "article" && left) {
      scrollTo({ top: left.top, behavior: "instant" });
      (left.hit ?? $("question")).focus({ preventScroll: true });
    }
  }
}

// How much the library holds, and in which languages.
async function holding() {
  try {
    const { articles, passages, languages } = await call("v1/status");
    const told = text("held", { count: articles, languages: Object.keys(languages).length });
    $("held").textContent = articles ? told : text("held.nothing");
    $("whole-library").textContent = `${text("count.articles", { count: articles })} · ${text("count.passages", { count: passages })}`;
    const most = Object.entries(languages).sort(([, one], [, other]) => other - one);
    $("languages-held").replaceChildren(...most.slice(0, LANGUAGES_SHOWN).map(([code, many]) => element("li", {}, languageName(code), " ", element("span", { className: "many" }, number(many)))));
  } catch (problem) {
    $("held").textContent = problem.status === 401 ? "" : problem.message || text("trouble.offline");
  }
}

function themes() {
  const order = ["auto", "light", "dark"];
  const apply = (chosen) => {
    if (chosen === "auto") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = chosen;
    const label = text("theme", { theme: text(`theme.${chosen}`) });
    Object.assign($("theme"), { title: label, ariaLabel: label });
    $("theme").querySelector("use").setAttribute("href", `#i-${chosen}`);
  };
  let chosen = order.includes(remembered("theme")) ? remembered("theme") : "auto";
  apply(chosen);
  $("theme").addEventListener("click", () => {
    chosen = order[(order.indexOf(chosen) + 1) % order.length];
    remember("theme", chosen === "auto" ? null : chosen);
    apply(chosen);
  });
}

function languages() {
  const names = Object.entries(LANGUAGES).map(([code, name]) => element("option", { value: code, lang: code }, name));
  $("interface").replaceChildren(...names);
  $("interface").value = document.documentElement.lang;
  $("interface").addEventListener("change", () => { remember("interface", $("interface").value); location.reload(); });
}

function listen() {
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    const question = $("question").value.trim();
    if (question) { results.forget(); go({ question }); } else $("question").focus();
  });
  // A plain click on a link to a passage stays on the page; others (a new tab) are the browser's.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (link.matches(".open")) { event.preventDefault(); go({ article: link.dataset.article, passage: link.dataset.passage }); }
    if (link.id === "home") { event.preventDefault(); go(read("")); $("question").value = ""; $("question").focus(); }
  });
  document.addEventListener("moved", (event) => show(event.detail));
  addEventListener("popstate", () => show());
  document.addEventListener("added", () => { results.forget(); reader.forget(); holding(); if (document.body.dataset.view !== "home") show(); });
  document.addEventListener("locked", ({ detail }) => {
    $("unlock").hidden = false;
    $("unlock-said").textContent = text(detail.status === 401 ? "key.needed" : "key.beyond");
  });
  $("unlock").addEventListener("submit", (event) => {
    event.preventDefault();
    unlock($("key").value.trim());
    $("key").value = "";
    $("unlock").hidden = true;
    results.forget();
    holding();
    show();
  });
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); }); // beside it
  }
}

history.scrollRestoration = "manual";
await load(preferred());
document.documentElement.classList.remove("loading");
languages();
themes();
filters.start();
add.start();
keys.start();
listen();
holding();
if (read().question || read().article) show(); else $("question").focus();
