"""Token vectors of passages that were lately compared, in memory as they are kept: reading and checking them anew would
take a tenth of a search.
"""

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Mapping

from index import changes
from index.changes import Change, Rows
from index.tokens import Tokens

# Bytes of token vectors that are held: some 20,000 passages of the default model.
ROOM = 256 * 1024 * 1024


class Held:
    """Tokens of passages by row, at one change of the library: those used last. Safe to use from many threads."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._known: OrderedDict[int, Tokens] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._known)

    def of(self, rows: Rows) -> dict[int, Tokens]:
        """Return by row the tokens of those of the rows that are held."""
        with self._lock:
            found = {row: self._known[row] for row in rows.tolist() if row in self._known}
            for row in found:
                self._known.move_to_end(row)
        return found

    def keep(self, tokens: Mapping[int, Tokens]) -> None:
        """Hold what was read at this change."""
        with self._lock:
            for row, own in tokens.items():
                self._drop(row)
                self._known[row] = own
                self._size += own.codes.nbytes
            while self._size > self._room:
                self._drop(next(iter(self._known)))

    def followed(self, connection: sqlite3.Connection, since: Change) -> "Held":
        """Return what is held as it is at the later change that the connection sees: without what was written or
        removed since, and nothing where the log of changes does not reach back.
        """
        held = Held(self._room)
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
            self._size -= own.codes.nbytes


class Following:
    """What is held, brought along from one change of the library to the next. Safe to use from many threads."""

    def __init__(self) -> None:
        self._now: tuple[Change | None, Held] = (None, Held())

    def at(self, connection: sqlite3.Connection, change: Change) -> Held:
        """Return what was read that is still so at this change, which the connection sees."""
        at, held = self._now
        if at == change:
            return held
        if at is not None and at.number > change.number:
            return Held()  # another search is ahead of this one: it is not sent back
        held = Held() if at is None else held.followed(connection, at)
        self._now = change, held
        return held
