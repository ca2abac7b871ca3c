"""Snapshots of the dense index: written aside, synced, renamed, and checked to the last byte before they are
believed.

A snapshot is a file: one line that names the format, one line of JSON (the header), what the index writes of
itself, and 32 bytes SHA-256 of all before them.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from filelock import FileLock, Timeout

from index.store import sync_folder

SNAPSHOT = "dense.snapshot"
UNFINISHED = "dense.snapshot.unfinished"
LOCK = "dense.snapshot.lock"
FORMAT = b"dragoman dense snapshot 1\n"
DIGEST = 32
PIECE = 1 << 20


class BrokenSnapshot(Exception):
    """The file is not a snapshot that was written whole. No caller sees this: the index is rebuilt."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a snapshot is of: a change (number, mark in hex), a model, a way of making vectors neutral; and the recall
    that was measured of its index.
    """

    change: int
    mark: str
    fingerprint: str
    neutral: str
    backend: str
    dim: int
    count: int
    recall: float = 1.0


def write(folder: Path, header: Header, save: Callable[[BinaryIO], None]) -> None:
    """Write a snapshot in place of the one that is there. Raises OSError; then the one that was there is as
    it was.

    While another process writes one, nothing is done: one of the two is enough.
    """
    unfinished = folder / UNFINISHED
    with _alone(folder) as free:
        if not free:
            return
        try:
            with unfinished.open("wb") as stream:
                hashing = _Hashing(stream)
                hashing.write(FORMAT + json.dumps(asdict(header)).encode() + b"\n")
                save(cast(BinaryIO, hashing))
                stream.write(hashing.digest())
                stream.flush()
                os.fsync(stream.fileno())
            unfinished.replace(folder / SNAPSHOT)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise
    sync_folder(folder)


def header(folder: Path) -> Header | None:
    """Return the header alone, nothing checked; None where there is no snapshot or no header to read."""
    try:
        with (folder / SNAPSHOT).open("rb") as stream:
            return _header(stream)
    except (OSError, BrokenSnapshot):
        return None


def read(folder: Path, fits: Callable[[Header], bool], load: Callable[[BinaryIO], None]) -> Header | None:
    """Load the snapshot if there is one that fits. Raises BrokenSnapshot; OSError if it cannot be read."""
    try:
        stream = (folder / SNAPSHOT).open("rb")
    except FileNotFoundError:
        return None
    with stream:
        told = _header(stream)
        if not fits(told):
            return None
        body = stream.tell()
        _check(stream)
        stream.seek(body)
        try:
            load(stream)
        except (ValueError, EOFError) as error:
            raise BrokenSnapshot(str(error)) from error
        return told


def verify(folder: Path) -> None:
    """Raise BrokenSnapshot if there is a snapshot and it is not as it was written."""
    with suppress(FileNotFoundError), (folder / SNAPSHOT).open("rb") as stream:
        _header(stream)
        _check(stream)


def clear(folder: Path) -> None:
    """Remove what a process left that was killed while it wrote a snapshot."""
    with suppress(OSError), _alone(folder) as free:
        if free:
            (folder / UNFINISHED).unlink(missing_ok=True)


def unfinished(folder: Path) -> bool:
    """Tell whether an unfinished snapshot lies here that nobody is writing."""
    if not (folder / UNFINISHED).exists():
        return False
    with _alone(folder) as free:
        return free and (folder / UNFINISHED).exists()


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Hold the lock under which snapshots are written, if it is free; tell whether it was."""
    lock = FileLock(folder / LOCK, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _header(stream: IO[bytes]) -> Header:
    if stream.readline(len(FORMAT)) != FORMAT:
        raise BrokenSnapshot("it does not begin as one")
    try:
        header = Header(**json.loads(stream.readline(PIECE)))
        bytes.fromhex(header.mark)
        if not all(type(number) is int for number in (header.change, header.dim, header.count)):
            raise ValueError("a number in it is none")
        return header
    except (ValueError, TypeError) as error:
        raise BrokenSnapshot(f"its header cannot be read: {error}") from error


def _check(stream: IO[bytes]) -> None:
    stream.seek(0, os.SEEK_END)
    left = stream.tell() - DIGEST
    stream.seek(0)
    digest = hashlib.sha256()
    while left > 0 and (piece := stream.read(min(PIECE, left))):
        digest.update(piece)
        left -= len(piece)
    if stream.read() != digest.digest():
        raise BrokenSnapshot("its checksum is another")


class _Hashing:
    """A stream that is only written to, and remembers the digest of what went through."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._stream.write(data)

    def digest(self) -> bytes:
        return self._digest.digest()
