"""Counts by language, source and year over the passages that a search looks at."""

import sqlite3
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index import tables
from index.changes import Change, Rows
from index.records import Count

# What is counted, and what of an article that is. The year is that of UTC, in which filters compare dates too; SQLite
# divides microseconds before 1970 towards zero, not down.
FACETS = {
    "language": "language",
    "source": "source",
    "year": "strftime('%Y', published / 1000000 - (published % 1000000 < 0), 'unixepoch')",
}
# Of each the values that are told: those of most passages.
MOST = 100


@dataclass(frozen=True, slots=True)
class Holdings:
    """Of every passage its `rows` (n,), ascending, and the place of its article (n,); of every article, by facet, the
    place of its value, -1 for none; and the values.
    """

    rows: Rows
    articles: Rows
    places: dict[str, NDArray[np.int64]]
    values: dict[str, list[str]]

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> "Holdings":
        """Read what the library holds."""
        rows, numbers, known = tables.holdings(connection, list(FACETS.values()))
        order = np.argsort(rows)
        stored = np.array([number for number, *_ in known], np.int64)
        places, values = {}, {}
        for column, name in enumerate(FACETS, 1):
            told = [None if each[column] is None else str(each[column]) for each in known]
            values[name] = sorted({value for value in told if value is not None})
            place = {value: number for number, value in enumerate(values[name])}
            places[name] = np.array([-1 if value is None else place[value] for value in told], np.int64)
        return cls(rows[order], np.searchsorted(stored, numbers[order]), places, values)

    def count(self, name: str, rows: Rows) -> list[Count]:
        """Return the counts of a facet over these rows, all of them held: most passages first, at most `MOST`."""
        held = np.bincount(self.articles[np.searchsorted(self.rows, rows)], minlength=len(self.places[name]))
        there = (held > 0) & (self.places[name] >= 0)
        places, size = self.places[name][there], len(self.values[name])
        articles = np.bincount(places, minlength=size)
        passages = np.bincount(places, held[there], minlength=size).astype(np.int64)
        order = np.argsort(-passages, kind="stable")[: min(MOST, np.count_nonzero(passages))]
        return [Count(self.values[name][place], int(passages[place]), int(articles[place])) for place in order]


class Facets:
    """The holdings of a library, read again when it has changed. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: tuple[Change, Holdings] | None = None

    def holdings(self, connection: sqlite3.Connection, now: Change) -> Holdings:
        """Return the holdings at the change that the connection sees."""
        with self._lock:
            if self._known is None or self._known[0] != now:
                self._known = now, Holdings.read(connection)
            return self._known[1]
