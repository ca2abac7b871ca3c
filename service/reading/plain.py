"""Plain text: one kind of line end, and never binary data taken for words."""

from collections.abc import Iterator

from service.errors import UnreadableInput
from service.reading.draft import Draft
from service.reading.encodings import decode_any
from service.reading.source import Source


def read(source: Source) -> Iterator[Draft]:
    """Yield the article in a plain text file."""
    yield read_plain(source.data(), source.charset)


def read_plain(data: bytes, charset: str | None = None) -> Draft:
    """Return the article in a plain text file, without a title: its first line may be anything."""
    text = decode_any(data, charset).strip("\n")
    if not text.strip():
        raise UnreadableInput("the file has no text")
    return Draft(text)
