"""What was lately read of passages, in memory: their token vectors as they are compared, and what hits tell of them. To
read, check and unpack it anew would take half of a search.
"""

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Generic, Protocol, TypeAlias, TypeVar

from index import changes
from index.changes import Change, Rows
from index.tokens import Tokens


class Sized(Protocol):
    """What can be held: it tells, always alike, about how many bytes it takes."""

    @property
    def nbytes(self) -> int:
        """Return the bytes."""
        ...


Value = TypeVar("Value", bound=Sized)

# Bytes of token vectors that are held, as they are compared: some 5,000 passages of the default model. And of passages
# with their articles: some 20,000.
ROOM, READ_ROOM = 256 * 1024 * 1024, 128 * 1024 * 1024


class ByRow(Generic[Value]):
    """What was read of passages by row, at one change of the library: what was used last. Safe to use from many
    threads.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._known: OrderedDict[int, Value] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._known)

    def of(self, rows: Rows) -> dict[int, Value]:
        """Return by row what is held of these rows."""
        with self._lock:
            found = {row: self._known[row] for row in rows.tolist() if row in self._known}
            for row in found:
                self._known.move_to_end(row)
        return found

    def keep(self, values: Mapping[int, Value]) -> None:
        """Hold what was read at this change."""
        with self._lock:
            for row, own in values.items():
                self._drop(row)
                self._known[row] = own
                self._size += own.nbytes
            while self._size > self._room:
                self._drop(next(iter(self._known)))

    def followed(self, connection: sqlite3.Connection, since: Change) -> "ByRow[Value]":
        """Return what is held as it is at the later change that the connection sees: without what was written or
        removed since, and nothing where the log of changes does not reach back.
        """
        held: ByRow[Value] = ByRow(self._room)
        if changes.remembers(connection, since):
            with self._lock:
                held._known, held._size = self._known.copy(), self._size
            for rows in (
                changes.touched_since(connection, since.number),
                changes.removed_since(connection, since.number),
            ):
                for row in rows.tolist():
                    held._drop(row)
        return held

    def _drop(self, row: int) -> None:
        if (own := self._known.pop(row, None)) is not None:
            self._size -= own.nbytes


Held: TypeAlias = ByRow[Tokens]


class Following(Generic[Value]):
    """What is held, brought along from one change of the library to the next. Safe to use from many threads."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._now: tuple[Change | None, ByRow[Value]] = (None, ByRow(room))

    def at(self, connection: sqlite3.Connection, change: Change) -> ByRow[Value]:
        """Return what was read that is still so at this change, which the connection sees."""
        at, held = self._now
        if at == change:
            return held
        if at is not None and at.number > change.number:
            return ByRow(self._room)  # another search is ahead of this one: it is not sent back
        held = ByRow(self._room) if at is None else held.followed(connection, at)
        self._now = change, held
        return held
