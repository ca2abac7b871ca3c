"""Which rows a filter lets through, remembered from one search to the next and brought up to date."""

import sqlite3
import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from index import changes, tables
from index.changes import Change
from index.filters import Filter

Rows = NDArray[np.int64]

# Rows that are remembered over all filters: 8 bytes each, 64 MB.
ROOM = 8_000_000


class Selection:
    """The rows of passages by filter. A filter that is asked again pays only for what changed since."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Filter, tuple[Change, Rows]] = OrderedDict()

    def rows(self, connection: sqlite3.Connection, where: Filter, now: Change) -> Rows:
        """Return the rows, ascending, that the filter lets through at the change that the connection sees."""
        with self._lock:
            known = self._known.get(where)
        if known is not None and known[0] == now:
            rows = known[1]
        elif known is not None and changes.remembers(connection, known[0]):
            rows = self._renewed(connection, where, *known)
        else:
            rows = tables.rows_where(connection, *where.sql())
        self._remember(where, now, rows)
        return rows

    def _renewed(self, connection: sqlite3.Connection, where: Filter, then: Change, rows: Rows) -> Rows:
        """Return the rows as they are now from those of an earlier change."""
        gone = changes.removed_since(connection, then.number)
        touched = changes.touched_since(connection, then.number)
        if not len(gone) and not len(touched):
            return rows
        condition, parameters = where.sql()
        matching = tables.rows_where(connection, f"articles.change > ? AND {condition}", (then.number, *parameters))
        kept = rows[~np.isin(rows, np.concatenate([gone, touched]))]
        return np.union1d(kept, matching)

    def _remember(self, where: Filter, now: Change, rows: Rows) -> None:
        with self._lock:
            self._known[where] = (now, rows)
            self._known.move_to_end(where)
            while len(self._known) > 1 and sum(len(known) for _, known in self._known.values()) > ROOM:
                self._known.popitem(last=False)
