"""Paragraphs out of markup that has no main text to be looked for: a chapter, a letter."""

from typing import Any

import lxml.html

# https://html.spec.whatwg.org/#flow-content-2: what begins and ends a paragraph; of tables, a row is one.
_BLOCKS = frozenset(
    {
        *("address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "details", "div", "dl"),
        *("dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header"),
        *("hr", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr"),
        "ul",
    }
)
_SILENT = frozenset({"head", "script", "style", "template", "noscript", "title", "svg", "math"})


def paragraphs(html: str | bytes) -> list[str]:
    """Return the paragraphs of a page or a part of one, each on one line."""
    if not html.strip():
        return []
    parser = lxml.html.HTMLParser(encoding="utf-8" if isinstance(html, bytes) else None, no_network=True)
    root = lxml.html.document_fromstring(html, parser=parser, ensure_head_body=True)
    pieces: list[str] = []
    _collect(root.body, pieces)
    lines = (" ".join(line.split()) for line in "".join(pieces).split("\0"))
    return [line for line in lines if line]


def _collect(root: Any, pieces: list[str]) -> None:
    """Put the text of an element into `pieces`, with NUL where a paragraph ends; without recursion: pages nest deep."""
    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        element, closing = stack.pop()
        tag = element.tag if isinstance(element.tag, str) else ""
        if closing:
            pieces.append("\0" if tag in _BLOCKS else " " if tag in ("td", "th") else "")
            pieces.append((element.tail or "").replace("\0", " "))
            continue
        if not tag or tag in _SILENT:
            pieces.append((element.tail or "").replace("\0", " "))
            continue
        pieces.append("\0" if tag in _BLOCKS else "")
        pieces.append((element.text or "").replace("\0", " "))
        stack.append((element, True))
        stack.extend((child, False) for child in reversed(element))
