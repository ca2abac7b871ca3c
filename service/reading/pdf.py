"""PDF to text, through PDFium: it alone of the readers at hand gives the letters of shaped scripts as they were typed.

What it does not give is told from where things are on the page: paragraphs, and in Bengali or Hindi the spaces.
"""

import ctypes
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from service.errors import UnreadableInput
from service.reading.draft import Draft
from service.reading.packages import article_text
from service.reading.source import Source

# PDFium works in one thread at a time (its own documentation).
_LOCK = threading.Lock()
# Lines this much farther apart than usual are not of one paragraph.
GAP = 1.4
# The most that lines of one paragraph are usually apart, by the size of their letters; where each paragraph is a line,
# what is usual on the page says nothing.
LEADING = 1.6
# A line that is so much shorter than the widest, and ends a sentence, ends a paragraph.
SHORT = 0.8
_ENDS = tuple('.!?…:"”»。！？।॥؟۔')
_SPACE, _HYPHENS = 0x20, ("\u00ad", "\u0002", "\ufffe")
# Where letters are shaped: Devanagari to Sinhala, Thai to Myanmar, Khmer.
_SHAPED = ((0x0900, 0x0DFF), (0x0E00, 0x109F), (0x1780, 0x17FF))


@dataclass(slots=True)
class Line:
    """A line of a page: where it is, in points from below and left, and the size of its letters."""

    text: str
    base: float
    left: float
    right: float
    size: float


def read(source: Source) -> Iterator[Draft]:
    """Yield the article in a PDF; its title is the document's."""
    with _LOCK:
        try:
            document = pdfium.PdfDocument(source.data())
        except pdfium.PdfiumError as error:
            locked = "password" in str(error).lower() or "security" in str(error).lower()
            reason = "it is protected by a password" if locked else f"the PDF is damaged: {error}"
            raise UnreadableInput(reason) from None
        try:
            told = document.get_metadata_dict(skip_empty=True)
            lines = [text for page in range(len(document)) for text in _paragraphs(_lines(document[page]))]
        finally:
            document.close()
    if not lines:
        raise UnreadableInput("the PDF has no text; if its pages are pictures, let them be recognised (OCR) first")
    yield Draft(
        article_text(lines),
        title=" ".join(told.get("Title", "").split()),
        published_at=_date(told.get("ModDate") or told.get("CreationDate") or ""),
        metadata={"author": told["Author"]} if told.get("Author") else {},
    )


def _lines(page: Any) -> list[Line]:
    """Return the lines of a page, in the order of its text."""
    text = page.get_textpage()
    blanks = _blanks(page)
    lines: list[Line] = []
    letters: list[str] = []
    first = last = -1
    try:
        for number in range(text.count_chars() + 1):
            code = raw.FPDFText_GetUnicode(text, number) if number < text.count_chars() else 0x0A
            if code in (0x0A, 0x0D):
                line = "".join(letters).strip()
                if line and first >= 0:
                    lines.append(_line(text, line, first, last))
                letters, first = [], -1
            elif code == _SPACE:
                if letters and not _is_artefact(text, number, blanks):
                    letters.append(" ")
            elif code:
                letters.append(chr(code))
                first, last = (number if first < 0 else first), number
    finally:
        text.close()
        page.close()
    return lines


def _line(text: Any, line: str, first: int, last: int) -> Line:
    _, base = _origin(text, first)
    start, end = _box(text, first), _box(text, last)
    # Letters of UTF-16 that come in halves are put together.
    whole = line.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Line(whole, base, min(start[0], end[0]), max(start[1], end[1]), _size(text, first))


def _blanks(page: Any) -> dict[int, list[float]]:
    """Return where a page has spaces as objects without ink, by the height of their line in points."""
    found: dict[int, list[float]] = {}
    for each in page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=8):
        left, _, right, _ = each.get_bounds()
        if right - left < 0.01:
            matrix = each.get_matrix().get()
            found.setdefault(round(matrix[5]), []).append(matrix[4])
    return found


def _is_artefact(text: Any, number: int, blanks: dict[int, list[float]]) -> bool:
    """Return whether a space is none that was typed.

    Where letters are shaped, writers (Skia in Chrome, for one) put each syllable as an object with its letters beside
    it, of which PDFium measures only the first shape, and takes the rest for a gap. The spaces that were typed are
    objects too: a gap without one of them is not a space. Where a page has none, all gaps count.
    """
    if not blanks or raw.FPDFText_IsGenerated(text, number) != 1 or not 0 < number < text.count_chars() - 1:
        return False
    before, after = (raw.FPDFText_GetUnicode(text, place) for place in (number - 1, number + 1))
    if not (_shaped(before) and _shaped(after)):
        return False
    (left, base), (right, _) = _origin(text, number - 1), _origin(text, number + 1)
    near = [x for height in (-1, 0, 1) for x in blanks.get(round(base) + height, ())]
    return not any(left < x < right for x in near)


def _shaped(code: int) -> bool:
    return any(first <= code <= last for first, last in _SHAPED)


def _origin(text: Any, number: int) -> tuple[float, float]:
    x, y = ctypes.c_double(), ctypes.c_double()
    raw.FPDFText_GetCharOrigin(text, number, x, y)
    return x.value, y.value


def _size(text: Any, number: int) -> float:
    """Return the size of a letter in points, as it is on the page."""
    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(text, number, matrix)
    return float(raw.FPDFText_GetFontSize(text, number) * math.hypot(matrix.c, matrix.d)) or 1.0


def _box(text: Any, number: int) -> tuple[float, float]:
    found = raw.FS_RECTF()
    raw.FPDFText_GetLooseCharBox(text, number, found)
    return found.left, found.right


def _paragraphs(lines: list[Line]) -> Iterator[str]:
    """Join the lines of a page to paragraphs; a word that is divided at the end of a line is put together."""
    gaps = [a.base - b.base for a, b in pairwise(lines) if 0 < a.base - b.base < 4 * a.size]
    usual = median(gaps) if gaps else 0.0
    widest = max((line.right for line in lines), default=0.0)
    said = ""
    before: Line | None = None
    for line in lines:
        if before is not None and _ends(before, line, usual, widest):
            yield said
            said = ""
        if said.endswith(_HYPHENS) or (said.endswith("-") and said[-2:-1].isalpha() and line.text[:1].islower()):
            said = said[:-1] + line.text
        else:
            said = f"{said} {line.text}".strip()
        before = line
    if said:
        yield said


def _ends(line: Line, following: Line, usual: float, widest: float) -> bool:
    """Return whether a paragraph ends with a line."""
    gap = line.base - following.base
    short = line.right - line.left < SHORT * (widest - line.left) and line.text.endswith(_ENDS)
    apart = GAP * min(usual, LEADING * line.size)
    return gap < 0 or gap > apart or abs(line.size - following.size) > 0.15 * line.size or short


def _date(text: str) -> str | None:
    """Return a date of PDF (ISO 32000-1, 7.9.4) as ISO 8601."""
    try:
        return datetime.strptime(text.removeprefix("D:")[:8], "%Y%m%d").date().isoformat()
    except ValueError:
        return None
