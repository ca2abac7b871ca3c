// Elements of the page. Whatever comes from articles goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const { data, ...plain } = properties;
  const made = Object.assign(document.createElement(name), plain);
  Object.assign(made.dataset, data);
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

// A text of an article or a reader's own: in its direction, and in its language where that is known.
export function written(name, language, properties, ...children) {
  const lang = language && language !== "und" ? { lang: language } : {};
  const made = element(name, { dir: "auto", ...lang, ...properties }, ...children);
  made.classList.add("written");
  return made;
}

// A link that a browser may follow, or null: an article's address may be any text.
export function web(address) {
  try { return ["http:", "https:"].includes(new URL(address).protocol) ? address : null; } catch { return null; }
}

// A button that opens and closes what `fill` puts into `panel`, and says so. `fill` may fail; it then tells why itself.
export function opener(label, panel, fill, closed = () => {}) {
  const button = element("button", { type: "button", ariaExpanded: "false" }, element("span", {}, label));
  panel.hidden = true;
  button.addEventListener("click", async () => {
    panel.hidden = !panel.hidden;
    button.ariaExpanded = String(!panel.hidden);
    if (panel.hidden) return closed();
    panel.ariaBusy = "true";
    await fill();
    panel.ariaBusy = "false";
    if (panel.hidden) closed(); // closed again meanwhile
  });
  return button;
}
