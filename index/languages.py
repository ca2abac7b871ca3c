"""The language of every passage, in memory: ten bytes each, so that no search has to read articles for it."""

import sqlite3
import threading
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from index import changes, tables
from index.changes import Change, Rows

UNKNOWN = "und"


@dataclass(frozen=True, slots=True)
class Column:
    """Rows (n,), ascending, and the places (n,) of their languages among the `names`, at a change."""

    at: Change
    rows: Rows
    places: NDArray[np.uint16]
    names: tuple[str, ...]

    def of(self, rows: Rows) -> list[str]:
        """Return the language of each of these rows (m,); of a row that is not here, "und"."""
        if not len(self.rows):
            return [UNKNOWN] * len(rows)
        found = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        here = (self.rows[found] == rows).tolist()
        names = [self.names[place] for place in self.places[found].tolist()]
        return [name if there else UNKNOWN for name, there in zip(names, here, strict=True)]

    def without(self, rows: Rows) -> "Column":
        """Return the column without rows: else it would grow as long as passages are replaced."""
        stays = np.isin(self.rows, rows, invert=True)
        return self if stays.all() else replace(self, rows=self.rows[stays], places=self.places[stays])

    def followed(self, at: Change, rows: Rows, languages: list[str]) -> "Column":
        """Return the column at a later change, by which rows (m,), ascending, had these languages."""
        names = tuple(dict.fromkeys((*self.names, *languages)))
        number = {name: place for place, name in enumerate(names)}
        places = np.array([number[name] for name in languages], np.uint16)
        new = rows > (self.rows[-1] if len(self.rows) else 0)
        kept = self.places
        if not new.all():
            kept = kept.copy()
            before = np.minimum(np.searchsorted(self.rows, rows[~new]), len(self.rows) - 1)
            here = self.rows[before] == rows[~new]
            kept[before[here]] = places[~new][here]
        return Column(at, np.concatenate([self.rows, rows[new]]), np.concatenate([kept, places[new]]), names)


class Languages:
    """The column of a library, brought up to date by what changed. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._column: Column | None = None

    def of(self, rows: Rows, connection: sqlite3.Connection, now: Change) -> list[str]:
        """Return the language of each row (m,), at the change that the connection sees."""
        with self._lock:
            column = self._column
            if column is None or (column.at != now and not changes.remembers(connection, column.at)):
                if column is not None and column.at.number > now.number:
                    # Another search is ahead of this one: it is not sent back.
                    told = tables.languages_of(connection, rows.tolist())
                    return [told.get(row, UNKNOWN) for row in rows.tolist()]
                column = Column(now, np.zeros(0, np.int64), np.zeros(0, np.uint16), ())
                column = column.followed(now, *tables.languages_since(connection, -1))
            elif column.at != now:
                column = column.without(changes.removed_since(connection, column.at.number))
                column = column.followed(now, *tables.languages_since(connection, column.at.number))
            self._column = column
        return column.of(rows)
