"""Bytes and paths to articles. What comes in is not trusted: limits are kept before anything is parsed.

The readers of single formats are imported when a file needs them: a search does not load an HTML parser.
"""

import hashlib
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from service.errors import TooLarge, UnreadableInput
from service.reading.draft import Draft, Refusal, Skipped, identity
from service.settings import MIB

__all__ = ["FORMATS", "Draft", "Refusal", "Skipped", "count", "identity", "read_bytes", "read_lines", "read_path"]

# Which suffix is read as what.
FORMATS = {
    ".txt": "plain text",
    ".text": "plain text",
    ".md": "Markdown",
    ".markdown": "Markdown",
    ".html": "HTML",
    ".htm": "HTML",
    ".xhtml": "HTML",
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
}
MAX_ARTICLE_BYTES = 64 * MIB


def read_path(path: Path, limit: int = MAX_ARTICLE_BYTES) -> Iterator[Draft | Refusal]:
    """Yield the articles in a file, or in all files of a folder and its folders, by name.

    What cannot be read is yielded as a refusal, and the rest goes on. Hidden files in folders are left out.
    `limit` is the largest file, or line of JSON lines, in bytes.
    """
    if path.is_dir():
        yield from _read_folder(path, limit)
    else:
        yield from _read_file(path, limit)


def read_bytes(
    data: bytes, name: str, limit: int = MAX_ARTICLE_BYTES, *, charset: str | None = None, address: str | None = None
) -> Iterator[Draft | Refusal]:
    """Yield the articles in `data`, whose format the suffix of `name` tells; raises UnreadableInput.

    `charset` is the encoding of the text, and `address` where it was found, where that is known.
    """
    suffix = Path(name).suffix.lower()
    if _format(suffix) == "JSON lines":
        yield from read_lines(io.BytesIO(data), name, limit)
    elif len(data) > limit:
        raise TooLarge(_too_large(len(data), limit))
    else:
        yield _read_one(data, suffix, charset, address)


def read_lines(stream: IO[bytes], where: str, limit: int = MAX_ARTICLE_BYTES) -> Iterator[Draft | Refusal]:
    """Yield the articles of JSON lines that come from a stream, each as soon as its line is there."""
    from service.reading.jsonlines import read_jsonlines

    yield from read_jsonlines(_lines(stream, limit), where, limit)


def count(path: Path) -> int:
    """Return quickly about how many articles `read_path` will yield; JSON lines are counted."""
    try:
        if path.is_dir():
            shown = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
            return sum(count(entry) for entry in shown if not (entry.is_symlink() and entry.is_dir()))
        if FORMATS.get(path.suffix.lower()) == "JSON lines":
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
        yield Refusal(_name(folder), _reason(error))
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
            raise UnreadableInput("this is not a file or a folder")
        if _format(path.suffix.lower()) == "JSON lines":
            with path.open("rb") as stream:
                yield from read_lines(stream, where, limit)
            return
        if status.st_size > limit:
            raise TooLarge(_too_large(status.st_size, limit))
        draft = _read_one(path.read_bytes(), path.suffix.lower())
    except UnreadableInput as error:
        yield Refusal(where, str(error))
    except OSError as error:
        yield Refusal(where, _reason(error))
    else:
        yield replace(draft, id=_identity(path), where=where)


def _read_one(data: bytes, suffix: str, charset: str | None = None, address: str | None = None) -> Draft:
    """Return the one article in a file that is not JSON lines."""
    match _format(suffix):
        case "Markdown":
            from service.reading.markdown import read_markdown

            return read_markdown(data, charset)
        case "HTML":
            from service.reading.html import read_html

            return read_html(data, charset, address)
        case _:
            from service.reading.plain import read_plain

            return read_plain(data, charset)


def _format(suffix: str) -> str:
    """Return the format of a suffix; raises UnreadableInput naming those there are."""
    if suffix not in FORMATS:
        kind = f"{suffix} files are" if suffix else "files without a suffix are"
        raise UnreadableInput(f"{kind} not read; these are: {', '.join(FORMATS)}")
    return FORMATS[suffix]


def _lines(stream: IO[bytes], limit: int) -> Iterator[bytes | None]:
    """Yield the lines of a stream; one over the limit is not held in memory, and given as `None`."""
    while line := stream.readline(limit + 2):
        if len(line.rstrip(b"\r\n")) <= limit:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(MIB)
        yield None


def _identity(path: Path) -> str:
    """Return the id of a file's article: the same when it is edited, another for a namesake elsewhere."""
    address = path.resolve().as_posix().encode(errors="surrogateescape")
    stem = "".join(c if c.isprintable() and not "\ud800" <= c <= "\udfff" else "_" for c in path.stem.strip())
    return f"{stem[:200]}-{hashlib.sha256(address).hexdigest()[:8]}"


def _name(path: Path) -> str:
    """Return a path as it can be printed; a name that is not UTF-8 has its odd bytes escaped."""
    return str(path).encode(errors="surrogateescape").decode(errors="backslashreplace")


def _too_large(size: int, limit: int) -> str:
    return f"{size:,} bytes are over the limit of {limit:,}; DRAGOMAN_MAX_ARTICLE_BYTES raises it"


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
