"""What was fetched before: by it a page is asked for only if it has changed, and the same text is not added twice."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS visit (
    address TEXT PRIMARY KEY, article TEXT, text_hash TEXT, etag TEXT, modified TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS visit_text ON visit (text_hash);
"""


@dataclass(frozen=True, slots=True)
class Visit:
    """What an address answered: the `article` that came of it (None for a feed), and the server's own marks."""

    article: str | None
    etag: str | None
    modified: str | None


class Visits:
    """A small file beside the library; losing it costs nothing but fetching again. Threads and processes may share it.

    `exists` tells whether the library still has an article: what was deleted is fetched and added again.
    """

    def __init__(self, path: Path, exists: Callable[[str], bool]) -> None:
        self._path = path
        self._exists = exists
        self._noted: set[str] = set()

    def of(self, address: str) -> Visit | None:
        """Return what came of an address, None where it was not fetched yet or the article is gone."""
        with self._open() as connection:
            row = connection.execute(
                "SELECT article, etag, modified FROM visit WHERE address = ?", (address,)
            ).fetchone()
        if row is None or (row[0] is not None and not self._here(row[0])):
            return None
        return Visit(*row)

    def same(self, text: str, article: str) -> str | None:
        """Return another article that was fetched and says the same text, if the library has one."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT article FROM visit WHERE text_hash = ? AND article <> ?", (_hash(text), article)
            ).fetchall()
        return next((str(found) for (found,) in rows if self._here(found)), None)

    def note(self, address: str, article: str | None, text: str | None, etag: str | None, modified: str | None) -> None:
        """Remember what came of an address; the article counts as there already."""
        if article is not None:
            self._noted.add(article)
        with self._open() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO visit VALUES (?, ?, ?, ?, ?)",
                (address, article, None if text is None else _hash(text), etag, modified),
            )

    def _here(self, article: str) -> bool:
        return article in self._noted or self._exists(article)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10)) as connection, connection:
            connection.executescript(_SCHEMA)
            yield connection


def _hash(text: str) -> str:
    """Return a hash of what is said, whatever the white space."""
    return hashlib.sha256(" ".join(text.split()).encode(errors="replace")).hexdigest()
