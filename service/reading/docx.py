"""Word documents to text, through python-docx: paragraphs and the rows of tables, in their order."""

import io
from collections.abc import Iterator
from typing import Any

import docx
from docx.table import Table
from docx.text.paragraph import Paragraph

from service.reading.draft import Draft
from service.reading.packages import article_text, package
from service.reading.source import Source


def read(source: Source) -> Iterator[Draft]:
    """Yield the article in a Word document; its title is the document's, or else its first heading."""
    document = docx.Document(io.BytesIO(package(source)))
    blocks = list(_blocks(document))
    told = document.core_properties
    headings = (text for text, style in blocks if style.startswith(("Title", "Heading")) and text)
    published = told.modified or told.created
    yield Draft(
        article_text([text for text, _ in blocks]),
        title=told.title.strip() or next(headings, ""),
        published_at=published.date().isoformat() if published else None,
        metadata={"author": told.author} if told.author else {},
    )


def _blocks(container: Any) -> Iterator[tuple[str, str]]:
    """Yield the text of each paragraph with the name of its style; a row of a table is one."""
    for block in container.iter_inner_content():
        if isinstance(block, Paragraph):
            style = block.style
            yield block.text, (style.name or "") if style is not None else ""
        elif isinstance(block, Table):
            for row in block.rows:
                # A cell that spans several columns is told once.
                cells = {id(cell._tc): cell.text for cell in row.cells}
                yield " ".join(" ".join(cells.values()).split()), ""
