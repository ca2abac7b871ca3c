"""Archives to the articles of their members. Nothing is unpacked to disk, and no more than a bounded part to memory."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import IO, cast

from service.errors import TooLarge, UnreadableInput
from service.reading.draft import Draft, Refusal
from service.reading.formats import BY_SUFFIX, WARC, guarded
from service.reading.source import Source, named

MAX_MEMBERS = 100_000
# An archive may unpack to so many times its size; text packs to a tenth, a bomb to a thousandth.
MAX_RATIO = 100
_PACKED: dict[bytes, Callable[[IO[bytes]], object]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
Opener = Callable[[], IO[bytes]]


def read(source: Source) -> Iterator[Draft | Refusal]:
    """Yield the articles of every member, or why there are none; archives in archives are not opened."""
    if source.packed:
        raise UnreadableInput("archives in archives are not read; unpack the outer one")
    budget = Budget(max(MAX_RATIO * (source.size or 0), source.limit))
    head = source.head()
    try:
        if head.startswith(b"PK"):
            yield from _zip(source, budget)
        elif head[257:262] == b"ustar":
            yield from _tar(source, lambda: counted(source.open(), budget))
        else:
            yield from _packed(source, budget, head)
    except _DAMAGE as error:
        raise UnreadableInput(f"the archive is damaged: {error}") from None


@dataclass(slots=True)
class Budget:
    """How many bytes an archive may still unpack to."""

    left: int
    allowed: int = field(init=False)

    def __post_init__(self) -> None:
        self.allowed = self.left

    def spend(self, size: int) -> None:
        """Count bytes; raises Bomb where there are too many."""
        self.left -= size
        if self.left < 0:
            raise Bomb(
                f"the archive unpacks to over {self.allowed:,} bytes, {MAX_RATIO} times its size: that is no text"
            )


class Bomb(TooLarge):
    """An archive unpacks to more than is plausible."""


class Counted:
    """A stream of which every byte that is read counts; seeking is passed on."""

    def __init__(self, stream: IO[bytes], budget: Budget, under: IO[bytes] | None = None) -> None:
        self._stream = stream
        self._under = under
        self._budget = budget

    def read(self, size: int = -1) -> bytes:
        """Read bytes, no more of them than the budget has, and one."""
        most = self._budget.left + 1
        data = self._stream.read(most if size < 0 else min(size, most))
        self._budget.spend(len(data))
        return data

    def readline(self, size: int = -1) -> bytes:
        """Read a line, likewise."""
        most = self._budget.left + 1
        line = self._stream.readline(most if size < 0 else min(size, most))
        self._budget.spend(len(line))
        return line

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def writable(self) -> bool:
        """Return that it cannot be written to."""
        return False

    def seekable(self) -> bool:
        """Return that it is read from start to end: what seeks would unpack again and again, uncounted."""
        return False

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._stream.closed

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Close it, and what it unpacks."""
        self._stream.close()
        if self._under is not None:
            self._under.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def __enter__(self) -> "Counted":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def counted(stream: IO[bytes], budget: Budget, under: IO[bytes] | None = None) -> IO[bytes]:
    """Return a stream whose bytes count, which may unpack one `under` it."""
    return cast(IO[bytes], Counted(stream, budget, under))


def _zip(source: Source, budget: Budget) -> Iterator[Draft | Refusal]:
    with source.opened() as stream, zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise TooLarge(f"the archive has {len(members):,} members; {MAX_MEMBERS:,} are the most")
        for member in members:
            if member.is_dir():
                continue
            locked = "it is protected by a password" if member.flag_bits & 1 else None
            yield from _member(
                *(source, member.filename, member.file_size, locked),
                lambda member=member: counted(archive.open(member), budget),  # type: ignore[misc]
            )
            if budget.left < 0:
                return  # which the last member was refused for; the others would be too


def _tar(source: Source, opened: Opener) -> Iterator[Draft | Refusal]:
    """Yield the articles of a tar archive as it streams by."""
    with opened() as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for number, member in enumerate(archive):
            if number >= MAX_MEMBERS:
                raise TooLarge(f"the archive has over {MAX_MEMBERS:,} members")
            if member.isdir():
                continue
            special = None if member.isfile() else "it is a link or a device, and no file"
            data = b""
            if special is None and member.size <= source.limit:
                found = archive.extractfile(member)
                data = b"" if found is None else found.read()
            # A stream goes on only: a member is held, within the limit, while it is read.
            yield from _member(source, member.name, member.size, special, partial(io.BytesIO, data))


def _packed(source: Source, budget: Budget, head: bytes) -> Iterator[Draft | Refusal]:
    """Yield the articles of one file that is packed by itself, or of a tar archive that is."""
    unpack = next(opener for magic, opener in _PACKED.items() if head.startswith(magic))

    def opened() -> IO[bytes]:
        under = source.open()
        return counted(cast(IO[bytes], unpack(under)), Budget(budget.allowed), under)

    with opened() as stream:
        start = stream.read(512)
    if start[257:262] == b"ustar":
        yield from _tar(source, opened)
        return
    name = (
        source.name[: -len(source.suffix)]
        if BY_SUFFIX.get(source.suffix, WARC).module == __name__.rpartition(".")[2]
        else source.name
    )
    if start.startswith(WARC.signature):
        name = "pages.warc"
    inner = Source(
        *(name, source.where, source.limit, opened),
        id=source.id,
        charset=source.charset,
        address=source.address,
        packed=True,
    )
    yield from guarded(inner)


def _member(source: Source, name: str, size: int, refused: str | None, opener: Opener) -> Iterator[Draft | Refusal]:
    """Yield the articles of a member; hidden ones are left out, as in folders."""
    parts = name.replace("\\", "/").split("/")
    where = f"{source.where}: {name}"
    if ".." in parts or name.startswith(("/", "\\")) or ":" in parts[0]:
        yield Refusal(where, "its name leads out of the archive")
        return
    if any(part.startswith(".") or part == "__MACOSX" for part in parts if part != "."):
        return
    if refused:
        yield Refusal(where, refused)
        return
    yield from guarded(
        Source(
            *(name, where, source.limit, opener),
            size=size,
            id=named(parts[-1].rpartition(".")[0] or parts[-1], f"{source.id}/{name}") if source.id else None,
            packed=True,
        )
    )
