"""Bytes and paths to articles. What comes in is not trusted: limits are kept before anything is parsed.

The readers of single formats are imported when a file needs them: a search does not load an HTML parser.
"""

import io
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

from service.reading.draft import Draft, Refusal, Skipped, identity
from service.reading.formats import BY_SUFFIX, JSON_LINES, articles, guarded, name_of
from service.reading.source import Source, named
from service.settings import MIB

__all__ = [
    "FORMATS",
    "Draft",
    "Refusal",
    "Skipped",
    "count",
    "identity",
    "name_of",
    "read_bytes",
    "read_lines",
    "read_path",
]

# Which suffix is read as what.
FORMATS = {suffix: each.name for suffix, each in BY_SUFFIX.items()}
MAX_ARTICLE_BYTES = 64 * MIB


def read_path(path: Path, limit: int = MAX_ARTICLE_BYTES) -> Iterator[Draft | Refusal]:
    """Yield the articles in a file, or in all files of a folder and its folders, by name.

    What cannot be read is yielded as a refusal, and the rest goes on. Hidden files in folders are left out.
    `limit` is the largest article, in bytes: a file of one, a line of JSON lines, a message, the member of an archive.
    """
    if path.is_dir():
        yield from _read_folder(path, limit)
    else:
        yield from _read_file(path, limit)


def read_bytes(
    data: bytes, name: str, limit: int = MAX_ARTICLE_BYTES, *, charset: str | None = None, address: str | None = None
) -> Iterator[Draft | Refusal]:
    """Yield the articles in `data`, whose format the suffix of `name` tells unless they begin as another's do.

    `charset` is the encoding of the text, and `address` where it was found, where that is known. Raises UnreadableInput
    where no article can be had, and ExtraMissing.
    """
    source = Source(*(name, name, limit, partial(io.BytesIO, data)), size=len(data), charset=charset, address=address)
    yield from articles(source)


def read_lines(stream: IO[bytes], where: str, limit: int = MAX_ARTICLE_BYTES) -> Iterator[Draft | Refusal]:
    """Yield the articles of JSON lines that come from a stream, each as soon as its line is there."""
    from service.reading.jsonlines import read_stream

    yield from read_stream(stream, where, limit)


def count(path: Path) -> int:
    """Return quickly about how many articles `read_path` will yield; JSON lines are counted."""
    try:
        if path.is_dir():
            shown = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
            return sum(count(entry) for entry in shown if not (entry.is_symlink() and entry.is_dir()))
        if BY_SUFFIX.get(path.suffix.lower()) is JSON_LINES:
            with path.open("rb") as stream:
                return sum(block.count(b"\n") for block in iter(lambda: stream.read(MIB), b""))
    except OSError:
        pass  # reading will tell
    return 1


def _read_folder(folder: Path, limit: int) -> Iterator[Draft | Refusal]:
    """Yield the articles of a folder; links to folders are not followed, so that a circle of them ends."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Refusal(_name(folder), (error.strerror or str(error)).lower())
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _read_folder(Path(entry.path), limit)
        else:
            yield from _read_file(Path(entry.path), limit)


def _read_file(path: Path, limit: int) -> Iterator[Draft | Refusal]:
    """Yield the articles of one file, or the reason why there are none."""
    where = _name(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            yield Refusal(where, "this is not a file or a folder")
            return
        source = Source(
            *(path.name, where, limit, lambda: path.open("rb")),
            size=status.st_size,
            id=_identity(path),
            path=path,
        )
    except OSError as error:
        yield Refusal(where, (error.strerror or str(error)).lower())
        return
    yield from guarded(source)


def _identity(path: Path) -> str:
    """Return the id of a file's article: the same when it is edited, another for a namesake elsewhere."""
    return named(path.stem, path.resolve().as_posix())


def _name(path: Path) -> str:
    """Return a path as it can be printed; a name that is not UTF-8 has its odd bytes escaped."""
    return str(path).encode(errors="surrogateescape").decode(errors="backslashreplace")
