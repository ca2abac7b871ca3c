"""Electronic books to text: the chapters in their order, as the package document tells (EPUB 3.3, W3C).

The library for it, EbookLib, is under the AGPL; a book is a zip file of pages, which is little to read.
"""

import io
import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from lxml import etree

from service.errors import UnreadableInput
from service.reading.draft import Draft
from service.reading.packages import article_text, package
from service.reading.prose import paragraphs
from service.reading.source import Source
from service.wire import moment


def read(source: Source) -> Iterator[Draft]:
    """Yield the book as one article."""
    with zipfile.ZipFile(io.BytesIO(package(source))) as book:
        container = _xml(book, "META-INF/container.xml")
        root = container.find(".//{*}rootfile")
        place = "" if root is None else root.get("full-path", "")
        opf = _xml(book, place)
        manifest = {item.get("id"): item.get("href", "") for item in opf.iterfind("{*}manifest/{*}item")}
        lines: list[str] = []
        for chapter in opf.iterfind("{*}spine/{*}itemref"):
            href = manifest.get(chapter.get("idref"))
            if href:
                name = posixpath.normpath(posixpath.join(posixpath.dirname(place), unquote(href.partition("#")[0])))
                lines.extend(paragraphs(_member(book, name)))
    told = {name: _told(opf, name) for name in ("title", "language", "creator", "publisher", "date")}
    yield Draft(
        article_text(lines),
        title=told["title"] or "",
        source=told["publisher"],
        published_at=_date(told["date"]),
        metadata={
            name: value
            for name, value in {"author": told["creator"], "declared_language": told["language"]}.items()
            if value
        },
    )


def _member(book: zipfile.ZipFile, name: str) -> bytes:
    try:
        return book.read(name)
    except KeyError:
        raise UnreadableInput(f"the book is incomplete: it lacks {name or 'its package document'}") from None


def _xml(book: zipfile.ZipFile, name: str) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    root = etree.fromstring(_member(book, name), parser)
    if root is None:
        raise UnreadableInput(f"the book is damaged: {name} is not XML")
    return root


def _told(opf: Any, name: str) -> str | None:
    """Return what the metadata say first under a name of Dublin Core."""
    found = opf.find(f"{{*}}metadata/{{http://purl.org/dc/elements/1.1/}}{name}")
    return " ".join((found.text or "").split()) or None if found is not None else None


def _date(text: str | None) -> str | None:
    try:
        return moment(text) if text else None
    except ValueError:
        return None
