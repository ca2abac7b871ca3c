"""Subtitles to text, through pysubs2: what is said, in sentences, without times and styles."""

from collections.abc import Iterable, Iterator

import pysubs2

from service.errors import UnreadableInput
from service.reading.draft import Draft
from service.reading.encodings import decode_any
from service.reading.source import Source

PAUSE_MS = 3_000  # after so long a silence another paragraph begins
LONGEST = 600  # characters after which a paragraph ends with the next line
_ENDS = tuple('.!?…"”»。！？।॥؟۔')


def read(source: Source) -> Iterator[Draft]:
    """Yield what is said in a film as one article."""
    text = decode_any(source.data(), source.charset)
    subtitles = pysubs2.SSAFile.from_string(text)
    paragraphs = list(_paragraphs(event for event in subtitles if event.is_text))
    if not paragraphs:
        raise UnreadableInput("there are no subtitles in the file")
    yield Draft("\n\n".join(paragraphs), title=subtitles.info.get("Title", "").strip())


def _paragraphs(events: Iterable[pysubs2.SSAEvent]) -> Iterator[str]:
    """Join lines to sentences, and those to paragraphs; a line that is shown on and on is told once."""
    said: list[str] = []
    end, before = 0, ""
    for event in events:
        line = " ".join(event.plaintext.split())
        if not line or line == before:
            continue
        length = sum(map(len, said))
        complete = said and said[-1].endswith(_ENDS)
        if said and (event.start - end > PAUSE_MS or (complete and length > LONGEST // 3) or length > LONGEST):
            yield " ".join(said)
            said = []
        said.append(line)
        end, before = event.end, line
    if said:
        yield " ".join(said)
