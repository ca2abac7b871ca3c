// Light or dark as was chosen, before anything is drawn; and nothing is drawn in a language that is then exchanged.
"use strict";
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* storage is off: as the system says */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  document.documentElement.classList.add("loading");
})();
