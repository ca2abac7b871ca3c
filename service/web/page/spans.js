// Characters of a text. The API counts code points, JavaScript's strings UTF-16 units.

const ASTRAL = /[\ud800-\udfff]/;

// Return a function that cuts `[start, end)` of a text that begins at the character `offset` of its article.
export function cutter(text, offset = 0) {
  if (!ASTRAL.test(text)) return (start, end) => text.slice(Math.max(start - offset, 0), end === undefined ? end : Math.max(end - offset, 0));
  const all = Array.from(text);
  return (start, end) => all.slice(Math.max(start - offset, 0), end === undefined ? end : Math.max(end - offset, 0)).join("");
}

// How many characters a text has.
export const length = (text) => ASTRAL.test(text) ? Array.from(text).length : text.length;

// Return the pieces of a text, `[start, end)` of it, where `spans` (in order, without overlap) are made by `make`.
export function pieces(cut, start, end, spans, make) {
  const made = [];
  let at = start;
  for (const span of spans) {
    if (span.start < at || span.end > end) continue;
    made.push(cut(at, span.start), make(cut(span.start, span.end), span));
    at = span.end;
  }
  return [...made, cut(at, end)];
}
