"""What is read: bytes that are somewhere, their name, and the limits that hold for them."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from service.errors import TooLarge, UnreadableInput

HEAD = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or the member of an archive, or what came over HTTP.

    `name` ends in the suffix that should tell its format; `where` it is, is for messages. `size` in bytes is None where
    it is not known before it is read; `limit` is the most of it, or of one article in it, that is held in memory.
    `open` gives a stream from its start, each time anew. `id` is that of its article, if there is but one; `charset`
    the encoding of text, and `address` where it was found, where that is known. `path` is where it lies, for formats
    that need a file of their own. `packed` is whether it came out of an archive.
    """

    name: str
    where: str
    limit: int
    open: Callable[[], IO[bytes]]
    size: int | None = None
    id: str | None = None
    charset: str | None = None
    address: str | None = None
    path: Path | None = None
    packed: bool = False

    @property
    def suffix(self) -> str:
        """The end of the name, in small letters: `.txt`."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def stem(self) -> str:
        """The name without folders and suffix."""
        return PurePosixPath(self.name).stem

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Give the stream, and close it."""
        stream = self.open()
        try:
            yield stream
        finally:
            stream.close()

    def head(self, size: int = HEAD) -> bytes:
        """Return the first bytes."""
        with self.opened() as stream:
            return stream.read(size)

    def data(self) -> bytes:
        """Return all bytes; raises TooLarge, without reading them where the size is known."""
        if self.size is not None and self.size > self.limit:
            raise TooLarge(too_large(self.size, self.limit))
        with self.opened() as stream:
            data = stream.read(self.limit + 1)
        if len(data) > self.limit:
            raise TooLarge(f"it is over the limit of {self.limit:,} bytes; DRAGOMAN_MAX_ARTICLE_BYTES raises it")
        return data

    def file(self) -> Path:
        """Return the path of a file; raises UnreadableInput for what has none."""
        if self.path is None:
            raise UnreadableInput("this format is read from a file of its own alone: `dragoman add FILE`")
        return self.path


def too_large(size: int, limit: int) -> str:
    """Return the reason why something is not read for its size."""
    return f"{size:,} bytes are over the limit of {limit:,}; DRAGOMAN_MAX_ARTICLE_BYTES raises it"


def named(stem: str, address: str) -> str:
    """Return the id of the one article of what is at `address`: the same when it changes, another elsewhere."""
    shown = "".join(c if c.isprintable() and not "\ud800" <= c <= "\udfff" else "_" for c in stem.strip())
    return f"{shown[:200]}-{hashlib.sha256(address.encode(errors='surrogateescape')).hexdigest()[:8]}"
