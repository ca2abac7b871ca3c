"""HTML to text, through trafilatura: the main text without menus and footers, its title, date and address."""

import re
from typing import Any

import trafilatura
from trafilatura.settings import Document

from service.errors import UnreadableInput
from service.reading.draft import Draft

# Elements of trafilatura's tree that hold one paragraph each.
_BLOCKS = {"p", "head", "item", "quote", "row", "code", "ab"}
_LANGUAGE = re.compile(rb"<html[^>]*?\slang\s*=\s*[\"']?([A-Za-z]{2,3}(?:-[A-Za-z0-9]+)*)", re.IGNORECASE)


def read_html(data: bytes) -> Draft:
    """Return the article in a web page.

    The page's declared language goes to `metadata.declared_language` and not to `language`: templates so
    often declare the wrong one that the text itself is asked. Raises UnreadableInput where there is no text.
    """
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\0" in data:
        raise UnreadableInput("this is binary data, not HTML (it holds NUL characters)")
    found = trafilatura.bare_extraction(data, include_comments=False, with_metadata=True)
    page = found if isinstance(found, Document) else trafilatura.extract_metadata(data)
    paragraphs = _paragraphs(page.body)
    if not paragraphs:
        # Extraction looks for the body of an article and finds none in a page of a sentence or two.
        paragraphs = [line.strip() for line in trafilatura.html2txt(data).splitlines() if line.strip()]
    if not paragraphs:
        raise UnreadableInput("no text could be found in the HTML; it may be a page that a script fills in")
    declared = _LANGUAGE.search(data[:4096])
    return Draft(
        "\n\n".join(paragraphs),
        title=page.title or "",
        url=page.url,
        source=page.sitename,
        published_at=page.date,
        metadata={"declared_language": declared[1].decode("ascii")} if declared else {},
    )


def _paragraphs(body: Any) -> list[str]:
    """Return the paragraphs of trafilatura's tree, each on one line; a block in a block is told once."""
    paragraphs = []
    if body is None:
        return []
    for element in body.iter(*_BLOCKS):
        if any(ancestor.tag in _BLOCKS for ancestor in element.iterancestors()):
            continue
        line = " ".join(" ".join(element.itertext()).split() if element.tag == "row" else _joined(element))
        if line:
            paragraphs.append(line)
    return paragraphs


def _joined(element: Any) -> list[str]:
    """Return the words of an element; a line break is a space, other markup joins what it divides."""
    for br in element.iter("lb"):
        br.tail = " " + (br.tail or "")
    return str("".join(element.itertext())).split()
