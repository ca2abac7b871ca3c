"""The library: a folder of articles that many can search, and one at a time write to."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from index import changes, inspection, snapshots, tables
from index.changes import Rows
from index.cursor import Cursor, fingerprint
from index.dense import DenseIndex, Place, best
from index.errors import (
    ArticleNotFound,
    DamagedLibrary,
    InvalidArticle,
    LibraryAbsent,
    LibraryError,
    NotCalibrated,
    PassageNotFound,
    ReadOnlyLibrary,
)
from index.filters import Filter
from index.lock import WriterLock
from index.migrations import SCHEMA
from index.neutral import Neutral
from index.records import Article, Hit, LibraryInfo, Mode, Page, Passage, Problem, Status
from index.recovery import Space, log
from index.selection import Selection
from index.store import DATABASE, Store, damage, writable
from index.tables import Vectors

Answer = TypeVar("Answer")
Action = Literal["added", "replaced", "unchanged"]


class Library:
    """A folder of articles, open. Safe to use from many threads; close it, or use it as a context manager."""

    def __init__(self, folder: Path, store: Store, info: LibraryInfo) -> None:
        """Not for callers: `Library.open` makes a library."""
        self.folder = folder
        self.model, self.fingerprint, self.dim = info.model, info.fingerprint, info.dim
        self._store = store
        self._lock = WriterLock(folder)
        self._selection = Selection()
        self._neutral = Neutral.for_model(info.model)
        neutral = Space(
            store,
            info.dim,
            self._neutral.passages,
            fingerprint=info.fingerprint,
            identity=self._neutral.identity,
            keep=True,
        )
        raw = Space(
            store,
            info.dim,
            lambda vectors, _: vectors,
            fingerprint=info.fingerprint,
            identity="none",
            keep=False,
        )
        # Where nothing is known of the model the neutral space is the raw one.
        self._spaces: dict[Mode, Space] = {
            "dense": neutral,
            "raw": neutral if self._neutral.identity == "none" else raw,
        }
        self._wrote = False
        self._closed = False

    # Opening and closing

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        model: str,
        fingerprint: str,
        dim: int,
        create: bool = True,
        read_only: bool = False,
    ) -> Self:
        """Open the library in `folder`, or make one there if `create`.

        A folder that cannot be written to is opened to be searched only. Raises ModelMismatch if the library
        was built with another model, NewerSchema, DamagedLibrary, LibraryAbsent, ReadOnlyLibrary.
        """
        info = cls.describe(folder)
        if info is None:
            if not create or read_only:
                raise LibraryAbsent(f"There is no library in {folder}: add articles to it first (dragoman add).")
            info = cls._create(folder, model, fingerprint, dim)
        info.check(model, fingerprint, dim)
        store = Store(folder, read_only=read_only or not writable(folder))
        try:
            if not store.read_only:
                snapshots.clear(folder)
                if info.schema < SCHEMA:
                    with WriterLock(folder).held(timeout=30.0):
                        store.prepare({})
            return cls(folder, store, info)
        except BaseException:
            store.close()
            raise

    @classmethod
    def describe(cls, folder: Path) -> LibraryInfo | None:
        """Return what the library in `folder` was built with and how much it holds; None if there is none."""
        if not (folder / DATABASE).exists():
            return None
        store = Store(folder, read_only=True)
        try:
            schema = store.schema()
            if not schema:
                return None
            with store.reading() as connection:
                meta = tables.meta(connection)
                articles, passages, _ = tables.counts(connection)
                change = changes.current(connection).number
            return LibraryInfo(meta["model"], meta["fingerprint"], int(meta["dim"]), schema, change, articles, passages)
        except (KeyError, ValueError) as error:
            raise DamagedLibrary(
                damage(f"{folder / DATABASE} does not say what it was built with ({error})")
            ) from error
        finally:
            store.close()

    @classmethod
    def _create(cls, folder: Path, model: str, fingerprint: str, dim: int) -> LibraryInfo:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ReadOnlyLibrary(f"{folder} cannot be made ({error}): choose another folder with --data.") from error
        if not writable(folder):
            raise ReadOnlyLibrary(f"{folder} cannot be written to: choose another folder with --data.")
        store = Store(folder)
        try:
            with WriterLock(folder).held(timeout=30.0):
                store.prepare({"model": model, "fingerprint": fingerprint, "dim": str(dim)})
        finally:
            store.close()
        info = cls.describe(folder)
        assert info is not None
        return info

    def close(self) -> None:
        """Write a snapshot if it pays, and give everything back. What was acknowledged is on disk already."""
        if self._closed:
            return
        self._closed = True
        try:
            for space in set(self._spaces.values()):
                space.close(wrote=self._wrote)
        except LibraryError as error:
            log.warning("no snapshot of the dense index was written on closing: %s", error)
        finally:
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Writing

    @contextmanager
    def writing(self, timeout: float = 10.0) -> Iterator[None]:
        """Be the one writer while the block lasts; a thread that is may enter again.

        Waits at most `timeout` seconds, then raises LibraryBusy, naming the holder. Raises ReadOnlyLibrary.
        """
        if self._store.read_only:
            raise ReadOnlyLibrary(f"{self.folder} is open to be searched only: nothing can be added or deleted here.")
        with self._lock.held(timeout):
            yield

    def unchanged(self, article: Article) -> bool:
        """Tell whether an article with this id and the same content is stored."""
        with self._store.reading() as connection:
            return tables.stored_hash(connection, article.id) == article.content_hash

    def missing(self, passages: Sequence[Passage]) -> list[int]:
        """Return which of the passages, by place, have no vector stored: these are to be encoded."""
        with self._store.reading() as connection:
            known = tables.known_ids(connection, [passage.id for passage in passages])
        return [place for place, passage in enumerate(passages) if passage.id not in known]

    def add(self, article: Article, passages: Sequence[Passage], vectors: Mapping[int, NDArray[np.float32]]) -> Action:
        """Add an article, or put it in place of the one with its id: one transaction, durable when this
        returns.

        `vectors` holds, by position in `passages`, a unit vector (dim,) for each that `missing` named.
        Passages whose ids stay keep their vectors; an article of the same content is left as it is. Raises
        InvalidArticle, LibraryBusy, LibraryFull, ReadOnlyLibrary.
        """
        self._check(article, passages, vectors)
        with self.writing(), self._store.writing() as connection:
            before = tables.stored_hash(connection, article.id)
            if before == article.content_hash:
                return "unchanged"
            try:
                tables.put(connection, article, passages, vectors)
            except sqlite3.IntegrityError as error:
                raise InvalidArticle(f"Article {article.id!r} cannot be stored: {error}.") from error
        self._after_write()
        return "added" if before is None else "replaced"

    def delete(self, article_id: str) -> bool:
        """Remove an article for good, durably when this returns; return whether there was one."""
        with self.writing(), self._store.writing() as connection:
            there = tables.remove(connection, article_id)
        self._after_write()
        return there

    def _after_write(self) -> None:
        """Let the indexes in memory follow at once, so that no search has to."""
        self._wrote = True
        for space in set(self._spaces.values()):
            if space.loaded:
                space.catch_up()

    def _check(self, article: Article, passages: Sequence[Passage], vectors: Mapping[int, NDArray[np.float32]]) -> None:
        """Raise InvalidArticle for what could not be read back as it is."""
        wrong = inspection.unstorable(article, passages)
        for place, vector in vectors.items():
            if unfit := inspection.unfit(vector, self.dim):
                wrong = f"the vector of passage {place} {unfit}"
        if wrong:
            raise InvalidArticle(f"Article {article.id[:200]!r} cannot be stored: {wrong}.")

    # Reading

    def get(self, article_id: str) -> Article:
        """Return an article; raises ArticleNotFound, DamagedLibrary."""
        with self._store.reading() as connection:
            return self._found(connection, article_id)[1]

    def passages(self, article_id: str) -> list[Passage]:
        """Return an article's passages in their order; raises ArticleNotFound, DamagedLibrary."""
        with self._store.reading() as connection:
            number, article = self._found(connection, article_id)
            return [tables.read_passage(stored, article) for stored in tables.passages_of(connection, number)]

    def passage(self, passage_id: str) -> tuple[Passage, Article]:
        """Return a passage and its article; raises PassageNotFound, DamagedLibrary."""
        with self._store.reading() as connection:
            row = tables.row_of(connection, passage_id)
            if row is None:
                raise PassageNotFound(f"There is no passage {passage_id!r}; the search gives ids that exist.")
            return tables.read_rows(connection, [row])[row]

    def article_ids(self, rows: Rows) -> dict[int, str]:
        """Return by row the id of its article."""
        with self._store.reading() as connection:
            return tables.article_ids(connection, rows.tolist())

    def _found(self, connection: sqlite3.Connection, article_id: str) -> tuple[int, Article]:
        found = tables.find_article(connection, article_id)
        if found is None:
            raise ArticleNotFound(f"There is no article {article_id!r}; `dragoman search` shows ids that exist.")
        return found

    # Searching

    def load(self) -> None:
        """Bring the dense index into memory now; else the first search does."""
        self._spaces["dense"].catch_up()

    def rank(
        self,
        queries: Vectors,
        languages: Sequence[Mapping[str, float]],
        k: int,
        where: Filter | None = None,
        mode: Mode = "dense",
    ) -> tuple[Vectors, Rows]:
        """Return scores and rows (q, k) of the best passages for each query vector (q, dim), best first.

        `languages` holds for each query the probabilities of its languages. Where fewer than k match, row -1
        and score -inf fill up. Mode `raw` compares the encoder's own vectors.
        """
        vectors = self._queries(queries, languages, mode)
        ask = self._asking(where, lambda index, allowed: index.search(vectors, k, allowed))
        with self._consistent(mode, ask) as (_, ranked):
            return ranked

    def search(
        self,
        query: Vectors,
        language: Mapping[str, float],
        *,
        limit: int = 10,
        where: Filter | None = None,
        mode: Mode = "dense",
        min_relevance: float | None = None,
        cursor: str | None = None,
    ) -> Page:
        """Return the best passages for one query vector (dim,), at most `limit`, after `cursor` if one is
        given.

        `language` holds the probabilities of the query's languages. Whatever is added between pages, no hit
        comes twice and none that was there is left out. Raises InvalidCursor, NotCalibrated, DamagedLibrary.
        """
        where = where or Filter()
        if min_relevance is not None and (mode == "raw" or not self._neutral.calibrated):
            raise NotCalibrated(
                f"Relevance is not known in mode {mode!r} for the model {self.model!r}: leave min_relevance out."
            )
        mark = fingerprint(query, language, where, mode, self._neutral.identity)
        after = Cursor.decode(cursor, mark) if cursor is not None else None
        vector = self._queries(query[None], [language], mode)[0]
        place, seen = (after.place, after.rank) if after else (None, 0)
        # One more than asked for tells whether there is a next page.
        ask = self._asking(where, lambda index, allowed: best(index, vector, limit + 1, allowed, place, seen))
        with self._consistent(mode, ask) as (connection, places):
            chances = self._chances(places, vector, mode)
            if min_relevance is not None:
                # Of one query, relevance falls as the score does: what is left out is the end.
                places = places[: sum(chance is not None and chance >= min_relevance for chance in chances)]
            read = tables.read_rows(connection, [place.row for place in places[:limit]])
        hits = [
            # A sum of float32 can exceed 1 by its last bit, which no cosine does.
            Hit(rank, *read[place.row], min(1.0, max(-1.0, place.score)), chance, place.row)
            for rank, (place, chance) in enumerate(zip(places[:limit], chances, strict=False), seen + 1)
        ]
        more = Cursor(places[limit - 1], seen + limit, mark).encode() if len(places) > limit else None
        return Page(hits, more)

    def _chances(self, places: Sequence[Place], query: Vectors, mode: Mode) -> Sequence[float | None]:
        """Return the relevance of each place; None where it is not known."""
        if mode != "dense" or not self._neutral.calibrated:
            return [None] * len(places)
        scores = np.array([place.score for place in places], np.float32)
        chances: list[float | None] = self._neutral.relevance(scores, query).tolist()
        return chances

    def _queries(self, queries: Vectors, languages: Sequence[Mapping[str, float]], mode: Mode) -> Vectors:
        return self._neutral.queries(queries, languages) if mode == "dense" else queries

    def _asking(
        self, where: Filter | None, ask: Callable[[DenseIndex, Rows | None], Answer]
    ) -> Callable[[sqlite3.Connection, DenseIndex], Answer]:
        """Return the question with the rows that the filter lets through."""

        def asked(connection: sqlite3.Connection, index: DenseIndex) -> Answer:
            if not where:
                return ask(index, None)
            return ask(index, self._selection.rows(connection, where, changes.current(connection)))

        return asked

    @contextmanager
    def _consistent(
        self, mode: Mode, ask: Callable[[sqlite3.Connection, DenseIndex], Answer]
    ) -> Iterator[tuple[sqlite3.Connection, Answer]]:
        """Put a question to the index and go on reading the database, both at the same change.

        The index is held before the database is first read, so it is never ahead; where it is behind, because
        this or another process wrote, it catches up first. The log of changes tells, in one read of its last
        row.
        """
        space = self._spaces[mode]
        while True:
            with self._store.reading() as connection:
                with space.shared() as (index, change):
                    whole = changes.current(connection) == change
                    answer = ask(connection, index) if whole else None
                if answer is not None:
                    yield connection, answer
                    return
            space.catch_up()

    # Looking after it

    def status(self) -> Status:
        """Return the library in figures."""
        with self._store.reading() as connection:
            articles, passages, languages = tables.counts(connection)
            change = changes.current(connection).number
        return Status(
            articles,
            passages,
            languages,
            self.model,
            self.fingerprint,
            self.dim,
            self._store.schema(),
            change,
            self._store.size(),
            self._spaces["dense"].backend,
            self._store.read_only,
        )

    def verify(self) -> list[Problem]:
        """Return all that is wrong with what is stored; nothing where all is well. Needs no model."""
        return inspection.inspect(self._store, self.dim, self._spaces["dense"], self._neutral.passages)
