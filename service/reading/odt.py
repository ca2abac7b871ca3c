"""OpenDocument texts, through odfdo: paragraphs and headings, those of tables and lists among them."""

import io
from collections.abc import Iterator

from odfdo import Document, Element

from service.reading.draft import Draft
from service.reading.packages import article_text, package
from service.reading.source import Source


def read(source: Source) -> Iterator[Draft]:
    """Yield the article in an OpenDocument text; its title is the document's, or else its first heading."""
    document = Document(io.BytesIO(package(source)))
    blocks = [each for each in document.body.xpath("//text:p | //text:h") if isinstance(each, Element)]
    lines = [each.text_recursive for each in blocks]
    headings = (each.text_recursive for each in blocks if each.tag == "text:h")
    told = document.meta
    published = told.get_modification_date() or told.get_creation_date()
    author = told.get_creator() or told.get_initial_creator()
    yield Draft(
        article_text(lines),
        title=" ".join((told.get_title() or next(headings, "")).split()),
        published_at=published.date().isoformat() if published else None,
        metadata={"author": author} if author else {},
    )
