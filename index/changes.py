"""The log of changes: by it a process knows whether its index says what the database says, and what not."""

import os
import sqlite3
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.errors import DamagedLibrary
from index.store import damage

Rows = NDArray[np.int64]

# Changes that the log remembers. A process whose index is further behind builds it anew.
LOG_LENGTH = 100_000


@dataclass(frozen=True, slots=True)
class Change:
    """A committed transaction: its number, and a mark that no other history of the library shares."""

    number: int
    mark: bytes


def current(connection: sqlite3.Connection) -> Change:
    """Return the last change."""
    found = connection.execute("SELECT number, mark FROM changes ORDER BY number DESC LIMIT 1").fetchone()
    if found is None:
        raise DamagedLibrary(damage("The library's log of changes is empty"))
    return Change(*found)


def remembers(connection: sqlite3.Connection, change: Change) -> bool:
    """Tell whether the log reaches back to this very change, so that what came after it can be replayed."""
    found = connection.execute("SELECT mark FROM changes WHERE number = ?", (change.number,)).fetchone()
    return found is not None and found[0] == change.mark


def numbered(connection: sqlite3.Connection, number: int) -> Change | None:
    """Return the change of a number; None where the log does not reach back to it."""
    found = connection.execute("SELECT number, mark FROM changes WHERE number = ?", (number,)).fetchone()
    return None if found is None else Change(*found)


def advance(connection: sqlite3.Connection) -> int:
    """Begin a change and return its number; forget those that are too old."""
    number = current(connection).number + 1
    connection.execute("INSERT INTO changes (number, mark) VALUES (?, ?)", (number, os.urandom(8)))
    connection.execute("DELETE FROM changes WHERE number <= ?", (number - LOG_LENGTH,))
    connection.execute("DELETE FROM removals WHERE change <= ?", (number - LOG_LENGTH,))
    return number


def forget_before_now(connection: sqlite3.Connection) -> None:
    """Forget all changes but the last, so that nobody replays them: whoever follows builds his index anew."""
    connection.execute("DELETE FROM changes WHERE number < (SELECT max(number) FROM changes)")


def removed_since(connection: sqlite3.Connection, change: int) -> Rows:
    """Return the rows that were removed after a change."""
    return column(connection.execute("SELECT row FROM removals WHERE change > ?", (change,)))


def touched_since(connection: sqlite3.Connection, change: int) -> Rows:
    """Return the rows of all articles that were written after a change, ascending."""
    return column(
        connection.execute(
            "SELECT row FROM passages WHERE article IN (SELECT number FROM articles WHERE change > ?) ORDER BY row",
            (change,),
        )
    )


def column(cursor: sqlite3.Cursor) -> Rows:
    """Return the one column that a query gives, of numbers."""
    return np.fromiter((row for (row,) in cursor), np.int64)
