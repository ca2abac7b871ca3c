"""Slides to text, through python-pptx: what is on each, and the speaker's notes."""

import io
from collections.abc import Iterator
from typing import Any

import pptx

from service.reading.draft import Draft
from service.reading.packages import article_text, package
from service.reading.source import Source


def read(source: Source) -> Iterator[Draft]:
    """Yield the article in a presentation; its title is the file's own, or else that of its first slide."""
    slides = pptx.Presentation(io.BytesIO(package(source)))
    lines: list[str] = []
    for slide in slides.slides:
        for shape in slide.shapes:
            lines.extend(_lines(shape))
        if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None:
            lines.extend(paragraph.text for paragraph in notes.paragraphs)
    told = slides.core_properties
    titles = (slide.shapes.title.text for slide in slides.slides if slide.shapes.title is not None)
    own = told.title.strip()
    published = told.modified or told.created
    yield Draft(
        article_text(lines),
        # The library's own template names every file so.
        title=own if own and own != "PowerPoint Presentation" else next(filter(None, titles), ""),
        published_at=published.date().isoformat() if published else None,
        metadata={"author": told.author} if told.author else {},
    )


def _lines(shape: Any) -> Iterator[str]:
    """Yield the paragraphs of a shape, of those it groups, and the rows of a table."""
    if hasattr(shape, "shapes"):
        for inner in shape.shapes:
            yield from _lines(inner)
    elif shape.has_text_frame:
        for paragraph in shape.text_frame.paragraphs:
            yield paragraph.text.replace("\v", " ")
    elif getattr(shape, "has_table", False):
        for row in shape.table.rows:
            yield " ".join(cell.text for cell in row.cells)
