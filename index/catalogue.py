"""What is known of passages by row, as it was at one change: what a ranking reads besides the indexes."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from index import stories, tables
from index.changes import Change, Rows
from index.held import Following, Held
from index.languages import Languages
from index.records import Article, Passage
from index.stories import Told
from index.tables import Known, Vectors
from index.tokens import Tokens


class Catalogue(Protocol):
    """Passages by row, and articles by number, which is the library's own; all of it as at one change.

    What is read is what was written, else DamagedLibrary is raised.
    """

    def languages(self, rows: Rows) -> list[str]:
        """Return the language of each row (n,); of a row that is not here, "und"."""
        ...

    def tokens(self, rows: Sequence[int]) -> dict[int, bytes]:
        """Return by row the token vectors that are kept, as `TokenSpace.compress` makes them."""
        ...

    def held(self, *, sampled: bool = False) -> Held:
        """Return the tokens in memory that are still those of their rows: of the passages that were lately compared, or
        of the sampled ones.
        """
        ...

    def numbers(self, rows: Sequence[int]) -> dict[int, int]:
        """Return by row the number of its article."""
        ...

    def ids(self, rows: Sequence[int]) -> dict[int, str]:
        """Return by row the id of its article."""
        ...

    def row_of(self, passage_id: str) -> int | None:
        """Return the row of a passage; None where there is none."""
        ...

    def rows_of(self, number: int) -> Rows:
        """Return the rows of an article's passages, ascending."""
        ...

    def rows_of_articles(self, ids: Sequence[str]) -> Rows:
        """Return the rows of the passages of articles, ascending; an id that is not there has none."""
        ...

    def read(self, rows: Sequence[int]) -> Mapping[int, tuple[Passage, Article, Vectors]]:
        """Return passages, their articles, and their raw vectors (dim,), by row."""
        ...

    def told(self, numbers: Sequence[int]) -> dict[int, Told]:
        """Return by number how articles begin, for `index.stories`."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """The catalogue of a library on disk, by a connection that sees the change. What of it is in memory is brought up
    to date as it is asked for.
    """

    connection: sqlite3.Connection
    change: Change
    known: Languages
    searched: Following[Tokens]
    sample: Following[Tokens]
    shown: Following[Known]

    def languages(self, rows: Rows) -> list[str]:
        """Return the language of each row (n,)."""
        return self.known.of(rows, self.connection, self.change)

    def tokens(self, rows: Sequence[int]) -> dict[int, bytes]:
        """Return by row the token vectors that are kept."""
        return tables.tokens_of(self.connection, rows)

    def held(self, *, sampled: bool = False) -> Held:
        """Return the tokens in memory."""
        return (self.sample if sampled else self.searched).at(self.connection, self.change)

    def numbers(self, rows: Sequence[int]) -> dict[int, int]:
        """Return by row the number of its article."""
        return tables.article_numbers(self.connection, rows)

    def ids(self, rows: Sequence[int]) -> dict[int, str]:
        """Return by row the id of its article."""
        return tables.article_ids(self.connection, rows)

    def row_of(self, passage_id: str) -> int | None:
        """Return the row of a passage."""
        return tables.row_of(self.connection, passage_id)

    def rows_of(self, number: int) -> Rows:
        """Return the rows of an article's passages."""
        return tables.rows_of(self.connection, number)

    def rows_of_articles(self, ids: Sequence[str]) -> Rows:
        """Return the rows of the passages of articles."""
        return tables.rows_of_articles(self.connection, ids)

    def read(self, rows: Sequence[int]) -> dict[int, Known]:
        """Return passages, their articles, and their raw vectors."""
        held = self.shown.at(self.connection, self.change)
        found = held.of(np.array(rows, np.int64))
        if unknown := [row for row in rows if row not in found]:
            read = tables.read_rows(self.connection, unknown)
            held.keep(read)
            found |= read
        return found

    def told(self, numbers: Sequence[int]) -> dict[int, Told]:
        """Return by number how articles begin."""
        found = {}
        for number, article in tables.articles_by_number(self.connection, numbers).items():
            passages = tables.passages_of(self.connection, number)[: stories.LEADING]
            texts = [tables.read_passage(passage, article).text for passage in passages]
            found[number] = Told(article.language, [passage.row for passage in passages], texts)
        return found
