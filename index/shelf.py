"""A library on this machine's disk, to be searched: the indexes derived from its database, all at one change."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Literal, TypeVar

import numpy as np

from index import changes, stories, warmth
from index.catalogue import Catalogue, Stored
from index.changes import Change, Rows
from index.dense import DenseIndex, Sizing
from index.facets import FACETS, Facets
from index.filters import Filter
from index.held import READ_ROOM, Following
from index.hybrid import Hybrid, Source
from index.languages import Languages
from index.lexical import Lexical
from index.lexicon import TantivyLexicon
from index.neutral import Neutral
from index.ranking import WINDOWED
from index.records import Count, LibraryInfo, Mode
from index.recovery import Space
from index.scope import Allowed, among
from index.searcher import Searcher, itself
from index.selection import Selection
from index.store import Store
from index.tables import Known
from index.tokens import Tokens

Answer = TypeVar("Answer")
Result = TypeVar("Result")


class Shelf(Searcher):
    """The database and what is derived from it. Safe to use from many threads."""

    def __init__(self, store: Store, info: LibraryInfo) -> None:
        """Not for callers: `Library.open` makes one."""
        with store.reading() as connection:
            seen = warmth.read(connection, "passages", info.dim), warmth.read(connection, "queries", info.dim)
        super().__init__(info, *seen)
        self._store = store
        self._selection, self._facets = Selection(), Facets()
        self._sizing = Sizing()
        self._spaces = self._made(self._neutral)
        self._lexical = Lexical(store, keep=True)
        self._languages = Languages()
        self._held: Following[Tokens] = Following()
        self._sampled: Following[Tokens] = Following()
        self._shown: Following[Known] = Following(READ_ROOM)

    def _made(self, neutral: Neutral) -> dict[Literal["dense", "raw"], Space]:
        """Return the spaces in which passages are compared, not yet loaded."""

        def space(of: Neutral, *, keep: bool) -> Space:
            named = {"fingerprint": self.fingerprint, "identity": of.identity}
            return Space(self._store, self.dim, of.passages, **named, keep=keep, sizing=self._sizing)

        dense = space(neutral, keep=True)
        # Where there are no means the neutral space is the raw one.
        return {"dense": dense, "raw": dense if neutral.means is None else space(Neutral(None), keep=False)}

    def _move(self, neutral: Neutral) -> None:
        """Go over to another space; its index is made aside."""
        if neutral.identity == self._neutral.identity:
            return
        spaces = self._made(neutral)
        if self._spaces["dense"].loaded:
            spaces["dense"].catch_up()
        for space in self._spaces.values():
            space.retire()
        with self.moving.alone():
            self._neutral, self._spaces, self.hybrid = neutral, spaces, Hybrid(neutral, self.token_space)
            self._held, self._sampled = Following(), Following()

    @property
    def sizing(self) -> Sizing:
        """From how many passages on, and with what recall, the dense index is approximate."""
        return self._sizing

    @sizing.setter
    def sizing(self, sizing: Sizing) -> None:
        self._sizing = sizing
        for space in self._spaces.values():
            space.sizing = sizing

    @property
    def dense_recall(self) -> float:
        """Return the recall@10 of the dense index against exact search, measured when it was built
        with questions made from the library's own vectors; 1 where it is exact.
        """
        return self._spaces["dense"].recall

    def settle(self) -> None:
        """Wait until no dense index is built in the background."""
        self._spaces["dense"].settle()

    def load(self) -> None:
        """Bring the indexes into memory now; else the first search does."""
        self._spaces["dense"].catch_up()
        self._lexical.catch_up()

    def _catalogue(self, connection: sqlite3.Connection, now: Change) -> Stored:
        return Stored(connection, now, self._languages, self._held, self._sampled, self._shown)

    def _filtered(self, source: Source, wheres: Sequence[Filter | None]) -> list[Allowed | None]:
        """Return for each filter the rows, ascending, that it lets through; None for all."""
        connection = _connection(source)
        return [self._selection.rows(connection, where, source.change) if where else None for where in wheres]

    def likeness(self, where: Filter | None = None) -> tuple[list[str], stories.Likeness]:
        """Return the ids of the articles (n) that a filter lets through, and how alike they are, for `index.stories`.

        It is by what a search groups stories; here it is for those who fit or study it, or group a library of some
        thousand articles as a whole: what it takes grows with the square of their number. Raises DamagedLibrary.
        """

        def ask(source: Source, allowed: Allowed | None) -> tuple[list[str], stories.Likeness]:
            rows = source.some_rows() if allowed is None else _told(allowed)
            ids, numbers = source.catalogue.ids(rows.tolist()), source.catalogue.numbers(rows.tolist())
            articles = {number: ids[row] for row, number in numbers.items()}
            told = stories.read(source.catalogue.told(list(articles)), source.index, list(articles))
            sample = self.hybrid.sample(source)
            sampled = source.index.vectors(sample.rows)
            return list(articles.values()), stories.likeness(told, sample, sampled, self._neutral)

        with self.moving.shared():
            return self._consistent("dense", where, ask, itself)

    def facets(
        self, where: Filter | None = None, *, phrases: Sequence[str] = (), without: Sequence[str] = ()
    ) -> dict[str, list[Count]]:
        """Return by facet (`language`, `source`, `year`) how many passages and articles have each value.

        Those of most passages come first. Counted are all passages that a search with this filter, these phrases and
        exclusions looks at; each facet without the filter's own conditions on it, so that what could be chosen instead
        is told. Raises DamagedLibrary.
        """
        where = where or Filter()

        def ask(source: Source, said: Allowed | None) -> dict[str, list[Count]]:
            rows = source.some_rows() if said is None else _told(said)
            holdings = self._facets.holdings(_connection(source), source.change)
            filtered = self._filtered(source, [where.without(name) for name in FACETS])
            return {
                name: holdings.count(name, rows if allowed is None else rows[among(rows, allowed)])
                for name, allowed in zip(FACETS, filtered, strict=True)
            }

        return self._consistent("dense", None, ask, itself, phrases, without)

    def _allowed(
        self,
        connection: sqlite3.Connection,
        lexicon: TantivyLexicon | None,
        index: DenseIndex,
        where: Filter | None,
        phrases: Sequence[str],
        without: Sequence[str],
    ) -> Rows | None:
        """Return the rows, ascending, that filter, phrases and exclusions let through; None for all."""
        allowed = self._selection.rows(connection, where, changes.current(connection)) if where else None
        if not phrases and not without:
            return allowed
        assert lexicon is not None
        rows = index.rows() if allowed is None else allowed
        for phrase in phrases:
            rows = rows[np.isin(rows, lexicon.phrase(phrase))]
        for words in without:
            rows = rows[~np.isin(rows, lexicon.phrase(words))]
        return rows

    def _consistent(
        self,
        mode: Mode,
        where: Filter | None,
        ask: Callable[[Source, Allowed | None], Answer],
        read: Callable[[Catalogue, Answer], Result],
        phrases: Sequence[str] = (),
        without: Sequence[str] = (),
    ) -> Result:
        """Put a question to the indexes and go on reading the database, all at the same change.

        The indexes are held before the database is first read, so they are never ahead; where one is behind, because
        this or another process wrote, it catches up first. The log of changes tells, in one read of its last
        row.
        """
        space = self._spaces["raw" if mode == "raw" else "dense"]
        lexical = self._lexical if mode in WINDOWED or phrases or without else None
        nothing = nullcontext((None, None))
        while True:
            with self._store.reading() as connection:
                with (
                    space.shared() as (index, change),
                    nothing if lexical is None else lexical.shared() as (lexicon, at),
                ):
                    now = changes.current(connection)
                    whole = now == change and (lexical is None or now == at)
                    answer = None
                    if whole:
                        allowed = self._allowed(connection, lexicon, index, where, phrases, without)
                        catalogue = self._catalogue(connection, now)
                        answer = ask(Source(catalogue, index, lexicon, now, index.rows), allowed)  # type: ignore[arg-type]
                if answer is not None:
                    return read(catalogue, answer)
            space.catch_up()
            if lexical:
                lexical.catch_up()


def _connection(source: Source) -> sqlite3.Connection:
    assert isinstance(source.catalogue, Stored)
    return source.catalogue.connection


def _told(allowed: Allowed) -> Rows:
    """Return rows that are told one by one, as they are of a library on disk."""
    assert isinstance(allowed, np.ndarray)
    return allowed
