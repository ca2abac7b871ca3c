// Adding articles: files that are chosen or dropped, a text, or what is at an address; and what became of each.

import { call, send } from "./api.js";
import { $, element, written } from "./element.js";
import { languageName, text } from "./texts.js";
import { line } from "./trouble.js";

let stopping = null;

export function start() {
  $("open-add").addEventListener("click", open);
  for (const tab of tabs()) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const shown = tabs(), ahead = document.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
      if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
      const to = shown[(shown.indexOf(tab) + (event.key === ahead ? 1 : -1) + shown.length) % shown.length];
      choose(to);
      to.focus();
    });
  }
  for (const form of [$("add-files"), $("add-text"), $("add-address")]) form.addEventListener("submit", (event) => event.preventDefault());
  $("files").addEventListener("change", () => { add(fromFiles($("files").files)); $("files").value = ""; });
  $("add-text").addEventListener("submit", () => {
    const article = Object.fromEntries([...new FormData($("add-text"))].filter(([, value]) => value.trim()));
    add([{ name: article.title || text("add.text"), run: (signal) => call("v1/articles", { body: article, signal }) }], () => $("add-text").reset());
  });
  $("add-address").addEventListener("submit", () => {
    const addresses = $("add-address").elements.addresses.value.split(/\s+/).filter(Boolean);
    add(addresses.map((url) => ({ name: url, run: (signal) => call("v1/fetch", { body: { url }, signal }) })), () => $("add-address").reset());
  });
  $("stop").addEventListener("click", () => stopping?.abort());
  dropping();
}

const tabs = () => [...$("adding").querySelectorAll("[role=tab]")];

function open() {
  if (!$("adding").open) $("adding").showModal();
}

function choose(tab) {
  for (const each of tabs()) {
    each.ariaSelected = String(each === tab);
    each.tabIndex = each === tab ? 0 : -1;
    $(each.getAttribute("aria-controls")).hidden = each !== tab;
  }
}

// Files may be dropped anywhere on the page.
function dropping() {
  const files = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => { if (files(event)) { event.preventDefault(); $("dropping").hidden = false; } });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("dropping").hidden = true; });
  addEventListener("drop", (event) => {
    $("dropping").hidden = true;
    if (!files(event)) return;
    event.preventDefault();
    open();
    choose($("tab-files"));
    add(fromFiles(event.dataTransfer.files));
  });
}

const fromFiles = (files) => [...files].map((file) => ({
  name: file.name,
  run: (signal, sent) => send(`v1/files?name=${encodeURIComponent(file.name)}`, file, { signal, sent }),
}));

// Add one thing after the other, and tell what became of each; `done` once all of them were taken.
const queue = [];
async function add(jobs, done = () => {}) {
  if (!jobs.length) return;
  for (const job of jobs) {
    job.item = element("li", {}, element("bdi", { className: "name" }, job.name), element("p", { className: "note" }, text("add.waiting")));
    $("outcomes").append(job.item);
  }
  $("progress").hidden = false;
  const running = queue.length > 0;
  if (!running) counts = { done: 0, all: 0 };
  queue.push(...jobs);
  counts.all += jobs.length;
  tally();
  jobs.at(-1).done = done;
  if (!running) await run();
}

let counts = { done: 0, all: 0 };
function tally() {
  $("whole").max = counts.all;
  if (counts.all === 1 && !counts.done) $("whole").removeAttribute("value"); else $("whole").value = counts.done;
  $("counted").textContent = text("add.done", { done: counts.done, count: counts.all });
  $("stop").hidden = counts.done === counts.all;
}

async function run() {
  stopping = new AbortController();
  let taken = true;
  while (queue.length) {
    const job = queue[0];
    const note = job.item.lastChild;
    if (stopping.signal.aborted) note.textContent = text("add.stopped");
    else {
      job.item.className = "running";
      note.textContent = text("add.sending");
      const sent = (share) => { note.textContent = text(share < 1 ? "add.sending" : "add.encoding"); };
      try {
        tell(job.item, await job.run(stopping.signal, sent));
      } catch (problem) {
        taken = false;
        job.item.className = "refused";
        note.replaceWith(problem.name === "AbortError" ? element("p", { className: "note" }, text("add.stopped")) : line(problem));
      }
    }
    if (job.done && taken && !stopping.signal.aborted) job.done();
    queue.shift();
    counts.done += 1;
    tally();
  }
  document.dispatchEvent(new CustomEvent("added"));
}

function tell(item, { articles = [], skipped = [], refused = [] }) {
  item.className = refused.length ? "refused" : "added";
  const outcomes = articles.slice(0, 20).map((each) => element("p", { className: "note" },
    articles.length > 1 ? written("span", null, { className: "id" }, each.id, " ") : null,
    `${text(`outcome.${each.action}`)} · ${text("count.passages", { count: each.passages })} · ${languageName(each.language)}`));
  if (articles.length > 20) outcomes.push(element("p", { className: "note" }, text("add.more", { count: articles.length - 20 })));
  const told = [...skipped, ...refused].map(({ where, reason }) => element("p", { lang: "en", dir: "ltr", className: "detail" }, `${where}: ${reason}`));
  item.lastChild.replaceWith(...outcomes, ...told);
}
