"""HTML to text, through trafilatura: the main text without menus and footers, its title, date and address."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import trafilatura
from trafilatura.settings import Document

from service.errors import UnreadableInput
from service.reading.draft import Draft
from service.reading.encodings import decode_any
from service.reading.source import Source

# Elements of trafilatura's tree that hold one paragraph each.
_BLOCKS = {"p", "head", "item", "quote", "row", "code", "ab"}
_CHARSET = re.compile(rb"<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE)
_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_LANGUAGE = re.compile(rb"<html[^>]*?\slang\s*=\s*[\"']?([A-Za-z]{2,3}(?:-[A-Za-z0-9]+)*)", re.IGNORECASE)


def read(source: Source) -> Iterator[Draft]:
    """Yield the article in a web page."""
    yield read_html(source.data(), source.charset, source.address)


def read_html(data: bytes, charset: str | None = None, address: str | None = None) -> Draft:
    """Return the article in a web page.

    The page's declared language goes to `metadata.declared_language` and not to `language`: templates so
    often declare the wrong one that the text itself is asked. `charset` is the encoding that a server told; else it is
    as the page says itself, or as its letters say. `address` is where the page was found, for what it says of its own
    address may be told from there. Raises UnreadableInput where there is no text.
    """
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\0" in data:
        raise UnreadableInput("this is binary data, not HTML (it holds NUL characters)")
    html = _text(data, charset)
    found = trafilatura.bare_extraction(html, include_comments=False, with_metadata=True)
    page = found if isinstance(found, Document) else trafilatura.extract_metadata(html)
    paragraphs = _paragraphs(page.body)
    if not paragraphs:
        # Extraction looks for the body of an article and finds none in a page of a sentence or two.
        paragraphs = [line.strip() for line in trafilatura.html2txt(html).splitlines() if line.strip()]
    if not paragraphs:
        raise UnreadableInput("no text could be found in the HTML; it may be a page that a script fills in")
    declared = _LANGUAGE.search(data[:4096])
    return Draft(
        "\n\n".join(paragraphs),
        title=page.title or "",
        url=_canonical(html, address) or page.url,
        source=page.sitename,
        published_at=page.date,
        metadata={"declared_language": declared[1].decode("ascii")} if declared else {},
    )


def _canonical(html: str, address: str | None) -> str | None:
    """Return the address that the page says it is at."""
    tree = trafilatura.load_html(html)
    for link in () if tree is None else tree.iterfind(".//link[@href]"):
        if "canonical" in (link.get("rel") or "").lower().split():
            try:
                url = urljoin(address or "", link.get("href").strip())
            except ValueError:
                return None
            return url if url.startswith(("http://", "https://")) else None
    return None


def _text(data: bytes, charset: str | None) -> str:
    """Return a page as text; the declaration of an encoding is left out, for it holds no longer."""
    told = _CHARSET.search(data[:4096])
    text = decode_any(data, charset or (told[1].decode("ascii") if told else None))
    return _DECLARATION.sub("", text, count=1)


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
