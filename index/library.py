"""The library: a folder of articles that many can search, and one at a time write to."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Concatenate, Literal, ParamSpec, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from index import changes, grouping, inspection, segments, snapshots, stories, tables, warmth
from index.changes import Change, Rows
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
from index.facets import FACETS, Facets
from index.filters import Filter
from index.fusion import Evidence, probability
from index.grouping import GROUPED, Found
from index.guard import Guard
from index.hybrid import NEAREST, WINDOW, Asked, Held, Hybrid, Source, similarity
from index.lexical import Lexical
from index.lexicon import Lexicon, among
from index.lock import WriterLock
from index.migrations import SCHEMA
from index.neutral import Neutral
from index.records import Article, Count, Group, Hit, LibraryInfo, Mode, Page, Passage, Problem, Status, Warm
from index.recovery import Space, log
from index.selection import Selection
from index.store import DATABASE, Store, damage, writable
from index.tables import Vectors
from index.tokens import TokenSpace

Answer = TypeVar("Answer")
Action = Literal["added", "replaced", "unchanged"]

# The places of a page, their relevance, the rows of the ranking's window, and the relevance of its first passage.
Ranked = tuple[list[Place], list[float | None], tuple[int, ...], float | None]

# The modes whose ranking begins with a window of passages for which all evidence is gathered.
WINDOWED = ("hybrid", "lexical")

# Passages that mode `lexical` ranks.
MOST_LEXICAL = 200

Asked_ = ParamSpec("Asked_")


def in_one_space(
    method: Callable[Concatenate["Library", Asked_], Answer],
) -> Callable[Concatenate["Library", Asked_], Answer]:
    """Have a method of the library see the same space from its beginning to its end, whenever the means move."""

    @wraps(method)
    def held(library: "Library", /, *given: Asked_.args, **named: Asked_.kwargs) -> Answer:
        with library.moving.shared():
            return method(library, *given, **named)

    return held


class Library:
    """A folder of articles, open. Safe to use from many threads; close it, or use it as a context manager."""

    def __init__(self, folder: Path, store: Store, info: LibraryInfo) -> None:
        """Not for callers: `Library.open` makes a library."""
        self.folder = folder
        self.model, self.fingerprint, self.dim = info.model, info.fingerprint, info.dim
        self._store = store
        self._lock = WriterLock(folder)
        self._selection = Selection()
        self._facets = Facets()
        self._known = Neutral.for_model(info.model).priors
        self._warming = info.warming
        self._log = warmth.Log()
        with store.reading() as connection:
            self._seen = (warmth.read(connection, "passages", info.dim), warmth.read(connection, "queries", info.dim))
        self._neutral = Neutral(self._known, warmth.means(self._known, *self._seen))
        self._spaces = self._made(self._neutral)
        # Held alone while the means, and all that follows from them, are exchanged for others.
        self.moving = Guard()
        # So many passages were there when it was last looked whether the means should follow.
        self._passages, self._looked = info.passages, info.passages
        self._lexical = Lexical(store, keep=True)
        known = TokenSpace.of(self._known)
        # None where no token vectors are kept, or only ones of another kind than this version compares.
        self.token_space = known if known and known.identity == info.tokens else None
        self.hybrid = Hybrid(self._neutral, self.token_space)
        self._held: tuple[Change | None, Held] = (None, Held())
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
        late_interaction: bool = True,
        warming: bool | None = None,
    ) -> Self:
        """Open the library in `folder`, or make one there if `create`.

        A new library keeps token vectors, if `late_interaction` and they are known of the model; one that exists goes
        on as it began. With `warming` its means follow its passages and its questions, without they stay what is known
        of the model, and what was kept of questions is removed; None leaves it as it is, off in a new library.

        A folder that cannot be written to is opened to be searched only. Raises ModelMismatch if the library
        was built with another model, NewerSchema, DamagedLibrary, LibraryAbsent, ReadOnlyLibrary.
        """
        info = cls.describe(folder)
        if info is None:
            if not create or read_only:
                raise LibraryAbsent(f"There is no library in {folder}: add articles to it first (dragoman add).")
            info = cls._create(folder, model, fingerprint, dim, late_interaction, warming is True)
        info.check(model, fingerprint, dim)
        store = Store(folder, read_only=read_only or not writable(folder))
        try:
            if not store.read_only:
                snapshots.clear(folder)
                segments.clear(folder)
                if info.schema < SCHEMA:
                    with WriterLock(folder).held(timeout=30.0):
                        store.prepare({})
                if warming is not None and warming != info.warming:
                    with WriterLock(folder).held(timeout=30.0), store.writing() as connection:
                        warmth.switch(connection, on=warming)
                    info = replace(info, warming=warming)
            library = cls(folder, store, info)
            library._follow()
            return library
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
            told = meta["model"], meta["fingerprint"], int(meta["dim"])
            warming = meta.get("warming") == "on"
            return LibraryInfo(*told, schema, change, articles, passages, meta.get("tokens", ""), warming)
        except (KeyError, ValueError) as error:
            raise DamagedLibrary(
                damage(f"{folder / DATABASE} does not say what it was built with ({error})")
            ) from error
        finally:
            store.close()

    @classmethod
    def _create(
        cls, folder: Path, model: str, fingerprint: str, dim: int, late_interaction: bool, warming: bool
    ) -> LibraryInfo:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ReadOnlyLibrary(f"{folder} cannot be made ({error}): choose another folder with --data.") from error
        if not writable(folder):
            raise ReadOnlyLibrary(f"{folder} cannot be written to: choose another folder with --data.")
        store = Store(folder)
        try:
            with WriterLock(folder).held(timeout=30.0):
                space = TokenSpace.of(Neutral.for_model(model).priors) if late_interaction else None
                tokens = space.identity if space else ""
                told = {"model": model, "fingerprint": fingerprint, "dim": str(dim), "tokens": tokens}
                store.prepare(told | {"warming": "on" if warming else "off"})
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
            self._remember()
            for space in set(self._spaces.values()):
                space.close(wrote=self._wrote)
            self._lexical.close(wrote=self._wrote)
        except LibraryError as error:
            log.warning("no snapshot was written on closing: %s", error)
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

    def add(
        self,
        article: Article,
        passages: Sequence[Passage],
        vectors: Mapping[int, NDArray[np.float32]],
        tokens: Mapping[int, bytes] | None = None,
    ) -> Action:
        """Add an article, or put it in place of the one with its id: one transaction, durable when this
        returns.

        `vectors` holds, by position in `passages`, a unit vector (dim,) for each that `missing` named;
        `tokens` its token vectors as `token_space.compress` makes them, where they are kept.
        Passages whose ids stay keep their vectors; an article of the same content is left as it is. Raises
        InvalidArticle, LibraryBusy, LibraryFull, ReadOnlyLibrary.
        """
        self._check(article, passages, vectors)
        with self.writing(), self._store.writing() as connection:
            before = tables.stored_hash(connection, article.id)
            if before == article.content_hash:
                return "unchanged"
            try:
                tables.put(connection, article, passages, vectors, tokens or {} if self.token_space else {})
            except sqlite3.IntegrityError as error:
                raise InvalidArticle(f"Article {article.id!r} cannot be stored: {error}.") from error
        self._after_write()
        self._passages += len(vectors)
        if self._passages >= max(warmth.LEAST, warmth.LOOK * self._looked):
            self._follow()
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

    # Warming

    def note(self, queries: Vectors, languages: Sequence[Mapping[str, float]]) -> None:
        """Let query vectors (q, dim), of these language probabilities, count for the means to come, if that is on.

        No text is kept, and no sum of fewer than `warmth.LEAST`; they are written when many wait, and on closing.
        """
        if self._warming and not self._store.read_only and self._log.note(queries, languages):
            self._remember()

    def warm(self) -> None:
        """Let the means follow all passages, and all questions that are kept, now; searches go on meanwhile.

        Cursors of before are then refused. Raises LibraryBusy, ReadOnlyLibrary, DamagedLibrary.
        """
        with self.writing():
            self._remember()
            with self._store.writing() as connection:
                passages = warmth.summed(connection, self.dim)
                queries = warmth.read(connection, "asked", self.dim) if self._warming else warmth.Sums()
                warmth.write(connection, "passages", passages)
                warmth.write(connection, "queries", queries)
            self._seen = passages, queries
            self._move(Neutral(self._known, warmth.means(self._known, passages, queries)))

    def _follow(self) -> None:
        """Let the means follow if it is time and nobody else writes. Means that are known stay where warming is off.

        What hinders it hinders nothing else: the means of before are as right as they were.
        """
        self._looked = self._passages
        if self._store.read_only or not (self._warming or self._known is None):
            return
        try:
            with self._store.reading() as connection:
                asked = warmth.read(connection, "asked", self.dim) if self._warming else warmth.Sums()
                now = tables.passages_by_language(connection), asked.counts
            if warmth.due(self._known, (self._seen[0].counts, self._seen[1].counts), now):
                with self.writing(timeout=0.0):
                    self.warm()
        except LibraryError as error:
            log.info("the language means stay as they are: %s", error)

    def _remember(self) -> None:
        """Write down the sums of questions that wait; where another process writes, they wait on."""
        if waiting := self._log.take():
            try:
                with self.writing(timeout=0.0), self._store.writing() as connection:
                    warmth.write(connection, "asked", warmth.read(connection, "asked", self.dim) + waiting)
            except LibraryError as error:
                log.info("questions are not counted yet: %s", error)
                self._log.put_back(waiting)

    def _move(self, neutral: Neutral) -> None:
        """Go over to another space; its index is made aside."""
        if neutral.identity == self._neutral.identity:
            return
        spaces = self._made(neutral)
        if self._spaces["dense"].loaded:
            spaces["dense"].catch_up()
        with self.moving.alone():
            self._neutral, self._spaces, self.hybrid = neutral, spaces, Hybrid(neutral, self.token_space)
            self._held = (None, Held())

    def _made(self, neutral: Neutral) -> dict[Literal["dense", "raw"], Space]:
        """Return the spaces in which passages are compared, not yet loaded."""

        def space(of: Neutral, *, keep: bool) -> Space:
            named = {"fingerprint": self.fingerprint, "identity": of.identity}
            return Space(self._store, self.dim, of.passages, **named, keep=keep)

        dense = space(neutral, keep=True)
        # Where there are no means the neutral space is the raw one.
        return {"dense": dense, "raw": dense if neutral.means is None else space(Neutral(None), keep=False)}

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
            row = self._row(connection, passage_id)
            return tables.read_rows(connection, [row])[row][:2]

    def tokens(self, rows: Sequence[int]) -> dict[int, Vectors]:
        """Return by row the neutral token vectors (t, width) that are kept, none of a row without; DamagedLibrary."""
        with self._store.reading() as connection:
            found = self.hybrid.tokens(np.array(rows, np.int64), connection, Held())
        return dict(zip(rows, found, strict=True))

    def article_ids(self, rows: Rows) -> dict[int, str]:
        """Return by row the id of its article."""
        with self._store.reading() as connection:
            return tables.article_ids(connection, rows.tolist())

    def _found(self, connection: sqlite3.Connection, article_id: str) -> tuple[int, Article]:
        found = tables.find_article(connection, article_id)
        if found is None:
            raise ArticleNotFound(f"There is no article {article_id!r}; `dragoman search` shows ids that exist.")
        return found

    def _row(self, connection: sqlite3.Connection, passage_id: str) -> int:
        row = tables.row_of(connection, passage_id)
        if row is None:
            raise PassageNotFound(f"There is no passage {passage_id!r}; the search gives ids that exist.")
        return row

    # Searching

    def load(self) -> None:
        """Bring the indexes into memory now; else the first search does."""
        self._spaces["dense"].catch_up()
        self._lexical.catch_up()

    @in_one_space
    def rank(
        self,
        queries: Vectors,
        languages: Sequence[Mapping[str, float]],
        k: int,
        wheres: Sequence[Filter | None] = (None,),
        mode: Mode = "dense",
        texts: Sequence[str] | None = None,
        tokens: Sequence[Vectors] | None = None,
    ) -> list[Rows]:
        """Return for each filter the rows (q, k) of the best passages for each query vector (q, dim), best first.

        `languages` holds for each query the probabilities of its languages. Where fewer than k match, row -1 fills
        up. Mode `raw` compares the encoder's own vectors. `texts`, and `tokens`, the raw token vectors, are what modes
        `hybrid` and `lexical` need besides.
        """
        vectors = self._queries(queries, languages, mode)
        ranked = [np.full((len(vectors), k), -1, np.int64) for _ in wheres]

        def ask(source: Source, _: Rows | None) -> list[Rows]:
            held = self._holding(source.change)
            alloweds = self._filtered(source, wheres)
            depth = max(k, NEAREST) if mode == "hybrid" else k
            nearest = [source.index.search(vectors, depth, allowed)[1] for allowed in alloweds]
            if mode in ("dense", "raw"):
                return nearest
            for number in range(len(vectors)):
                asked = self._asked(vectors[number], languages[number], number, texts, tokens)
                if mode == "lexical":
                    orders = [self.hybrid.lexical(asked, source, allowed, k, held) for allowed in alloweds]
                else:
                    near = [rows[number][rows[number] >= 0] for rows in nearest]
                    windows = self.hybrid.windows(asked, near, alloweds, source, held)
                    orders = [np.append(own, n[~np.isin(n, own)]) for (own, _), n in zip(windows, near, strict=True)]
                for rows, order in zip(ranked, orders, strict=True):
                    rows[number, : min(k, len(order))] = order[:k]
            return ranked

        with self._consistent(mode, None, ask) as (_, found):
            return found

    @in_one_space
    def first(
        self,
        queries: Vectors,
        languages: Sequence[Mapping[str, float]],
        wheres: Sequence[Filter | None] = (None,),
        mode: Mode = "dense",
        texts: Sequence[str] | None = None,
        tokens: Sequence[Vectors] | None = None,
    ) -> tuple[Rows, Vectors]:
        """Return for each filter and query the row of the first hit, -1 where there is none, and how relevant it is,
        (filters, q) each: its relevance; in mode `raw`, and without calibration, its similarity. As `rank` otherwise.
        """
        vectors = self._queries(queries, languages, mode)
        shape = (len(wheres), len(vectors))
        first, relevance = np.full(shape, -1, np.int64), np.zeros(shape, np.float32)

        def ask(source: Source, _: Rows | None) -> tuple[Rows, Vectors]:
            held = self._holding(source.change)
            alloweds = self._filtered(source, wheres)
            depth = NEAREST if mode == "hybrid" else 1
            nearest = [source.index.search(vectors, depth, allowed) for allowed in alloweds]
            for number in range(len(vectors)):
                asked = self._asked(vectors[number], languages[number], number, texts, tokens)
                if mode == "hybrid":
                    near = [rows[number][rows[number] >= 0] for _, rows in nearest]
                    windows = self.hybrid.windows(asked, near, alloweds, source, held)
                    found = [(rows[:1], probability(logits[:1])) for rows, logits in windows]
                elif mode == "lexical":
                    tops = [self.hybrid.lexical(asked, source, allowed, 1, held) for allowed in alloweds]
                    found = [(top, probability(self.hybrid.judge(asked, top, source, held)[1])) for top in tops]
                else:
                    found = [
                        (rows[number][:1], self._relevance(scores[number][:1], asked.vector, mode))
                        for scores, rows in nearest
                    ]
                for place, (row, chance) in enumerate(found):
                    if len(row) and row[0] >= 0:
                        first[place, number], relevance[place, number] = row[0], chance[0]
            return first, relevance

        with self._consistent(mode, None, ask) as (_, answered):
            return answered

    @in_one_space
    def offsets(self, query: Mapping[str, float], passage: str, mode: Mode) -> tuple[Vectors, Vectors]:
        """Return what is subtracted, (dim,) each, of the vectors of a query of these languages and of a passage in one,
        before `search` compares them in this mode.
        """
        if mode == "raw" or self._neutral.means is None:
            return np.zeros(self.dim, np.float32), np.zeros(self.dim, np.float32)
        return self._neutral.query_offsets([query])[0], self._neutral.passage_offsets([passage])[0]

    def _filtered(self, source: Source, wheres: Sequence[Filter | None]) -> list[Rows | None]:
        """Return for each filter the rows, ascending, that it lets through; None for all."""
        return [self._selection.rows(source.connection, where, source.change) if where else None for where in wheres]

    def _holding(self, change: Change) -> Held:
        """Return what was read while other questions were ranked at this change."""
        at, held = self._held
        if at != change:
            held = Held()
            self._held = change, held
        return held

    def _relevance(self, scores: Vectors, query: Vectors, mode: Mode) -> NDArray[np.float64]:
        if mode == "raw" or not self._neutral.calibrated:
            return scores.astype(np.float64)
        return self._neutral.relevance(scores, query)

    @in_one_space
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
        text: str = "",
        tokens: Vectors | None = None,
        phrases: Sequence[str] = (),
        without: Sequence[str] = (),
        group: Group = "none",
    ) -> Page:
        """Return the best passages for one query vector (dim,), at most `limit`, after `cursor` if one is
        given.

        `language` holds the probabilities of the query's languages. `text` and `tokens`, the raw token vectors
        (t, token_dim), are what mode `hybrid` needs besides, and mode `lexical` the text. Of `phrases` each must
        occur, and none of the words in `without`. With `group` a hit is the best passage of an article, or of a story,
        and `limit` counts those. Whatever is added between pages, no hit comes twice and none that
        was there is left out. Raises InvalidCursor, NotCalibrated, DamagedLibrary.
        """
        where = where or Filter()
        if min_relevance is not None and (mode == "raw" or not self._neutral.calibrated):
            raise NotCalibrated(
                f"Relevance is not known in mode {mode!r} for the model {self.model!r}: leave min_relevance out."
            )
        identity = f"{self._neutral.identity} {self.hybrid.identity if mode in WINDOWED else ''}"
        mark = fingerprint(query, language, where, mode, identity, text, phrases, without, group)
        after = Cursor.decode(cursor, mark) if cursor is not None else None
        vector = self._queries(query[None], [language], mode)[0]
        asked = self._asked(vector, language, 0, [text], None if tokens is None else [tokens])

        if group != "none":
            return self._grouped(asked, query, mode, where, limit, after, min_relevance, phrases, without, group, mark)

        def ask(source: Source, allowed: Rows | None) -> Ranked:
            return self._page(asked, mode, source, allowed, limit, after, min_relevance)

        with self._consistent(mode, where, ask, phrases, without) as (connection, (places, chances, window, first)):
            read = tables.read_rows(connection, [place.row for place in places[:limit]])
        seen = after.rank if after else 0
        hits = []
        for rank, ((score, row), chance) in enumerate(zip(places[:limit], chances, strict=False), seen + 1):
            passage, article, raw = read[row]
            # A sum of float32 can exceed 1 by its last bit, which no cosine does.
            hits.append(Hit(rank, passage, article, cosine(score), cosine(float(raw @ query)), chance, row))
        if len(places) <= limit:
            return Page(hits, None, first)
        return Page(hits, Cursor(places[limit - 1], seen + limit, mark, window, first).encode(), first)

    @in_one_space
    def similar(
        self, passage_id: str, *, limit: int = 10, where: Filter | None = None, same_language: bool = False
    ) -> list[Hit]:
        """Return the passages of other articles that say most nearly what a stored one says, at most `limit`.

        Only those in other languages than its own, unless `same_language`, or `where` itself names languages. Both
        sides are compared as passages: by their vectors in the neutral space, and the first `WINDOW` by their token
        vectors where they are kept. Relevance is of questions, and None. Raises PassageNotFound, DamagedLibrary.
        """
        where = where or Filter()
        anywhere = same_language or where != where.without("language")

        def ask(source: Source, _: Rows | None) -> tuple[int, list[Place]]:
            row = self._row(source.connection, passage_id)
            own = tables.languages_of(source.connection, [row])[row]
            (allowed,) = self._filtered(source, [where if anywhere else where.outside(own)])
            rows = source.index.rows() if allowed is None else allowed
            rows = rows[~np.isin(rows, tables.siblings(source.connection, row))]
            vector = source.index.vectors(np.array([row], np.int64))[0]
            # No fewer than the window, so that the order does not depend on the limit.
            places = best(source.index, vector, max(limit, WINDOW), rows)
            return row, self.hybrid.closest(row, places, source)[:limit]

        with self._consistent("dense", None, ask) as (connection, (row, places)):
            read = tables.read_rows(connection, [row, *(place.row for place in places)])
        _, _, asked = read[row]
        hits = []
        for rank, (score, found) in enumerate(places, 1):
            passage, article, raw = read[found]
            hits.append(Hit(rank, passage, article, cosine(score), cosine(float(raw @ asked)), None, found))
        return hits

    def facets(
        self, where: Filter | None = None, *, phrases: Sequence[str] = (), without: Sequence[str] = ()
    ) -> dict[str, list[Count]]:
        """Return by facet (`language`, `source`) how many passages and articles have each value, most passages first.

        Counted are all passages that a search with this filter, these phrases and exclusions looks at; each facet
        without the filter's own conditions on it, so that what could be chosen instead is told. Raises DamagedLibrary.
        """
        where = where or Filter()

        def ask(source: Source, said: Rows | None) -> dict[str, list[Count]]:
            rows = source.index.rows() if said is None else said
            holdings = self._facets.holdings(source.connection, source.change)
            filtered = self._filtered(source, [where.without(name) for name in FACETS])
            return {
                name: holdings.count(name, rows if allowed is None else rows[among(rows, allowed)])
                for name, allowed in zip(FACETS, filtered, strict=True)
            }

        with self._consistent("dense", None, ask, phrases, without) as (_, counted):
            return counted

    def _grouped(
        self,
        asked: Asked,
        query: Vectors,
        mode: Mode,
        where: Filter,
        limit: int,
        after: Cursor | None,
        least: float | None,
        phrases: Sequence[str],
        without: Sequence[str],
        group: Group,
        mark: str,
    ) -> Page:
        """Return a page of groups, each as its best hit."""

        def ask(source: Source, allowed: Rows | None) -> tuple[list[list[Found]], Cursor]:
            return self._groups(asked, mode, source, allowed, limit, after, least, group)

        with self._consistent(mode, where, ask, phrases, without) as (connection, (groups, start)):
            shown = groups[:limit]
            read = tables.read_rows(connection, [each.place.row for found in shown for each in found])
        seen = after.rank if after else 0
        hits = []
        for rank, found in enumerate(shown, seen + 1):
            own = {}
            for each in found:
                (score, row), (passage, article, raw) = each.place, read[each.place.row]
                similar = cosine(score), cosine(float(raw @ query))
                own[row] = Hit(rank, passage, article, *similar, each.relevance, row)
            hits.append(grouping.told(found, own))
        if len(groups) <= limit:
            return Page(hits, None, start.best)
        cursor = replace(start, place=shown[-1][0].place, rank=seen + limit, search=mark)
        return Page(hits, cursor.encode(), start.best)

    @in_one_space
    def likeness(self, where: Filter | None = None) -> tuple[list[str], stories.Likeness]:
        """Return the ids of the articles (n) that a filter lets through, and how alike they are, for `index.stories`.

        It is by what a search groups stories; here it is for those who fit or study it, or group a library of some
        thousand articles as a whole: what it takes grows with the square of their number. Raises DamagedLibrary.
        """

        def ask(source: Source, allowed: Rows | None) -> tuple[list[str], stories.Likeness]:
            rows = source.index.rows() if allowed is None else allowed
            ids = tables.article_ids(source.connection, rows.tolist())
            numbers = tables.article_numbers(source.connection, rows.tolist())
            articles = {number: ids[row] for row, number in numbers.items()}
            told = stories.read(source.connection, source.index, list(articles))
            sample = self.hybrid.sample(source)
            sampled = source.index.vectors(sample.rows)
            return list(articles.values()), stories.likeness(told, sample, sampled, self._neutral)

        with self._consistent("dense", where, ask) as (_, found):
            return found

    @in_one_space
    def evidence(
        self,
        query: Vectors,
        language: Mapping[str, float],
        wheres: Sequence[Filter | None],
        k: int,
        *,
        text: str,
        tokens: Vectors | None,
    ) -> tuple[Evidence, Rows]:
        """Return what speaks for the passages nearest to a query under any of the filters, `k` under each, and their
        rows (n,), ascending. It is what `search` weighs; here it is for those who fit or study the weights.
        """
        vector = self._queries(query[None], [language], "hybrid")[0]
        asked = self._asked(vector, language, 0, [text], None if tokens is None else [tokens])

        def ask(source: Source, _: Rows | None) -> tuple[Evidence, Rows]:
            nearest = [
                source.index.search(vector[None], k, allowed)[1][0] for allowed in self._filtered(source, wheres)
            ]
            rows = np.unique(np.concatenate(nearest))
            rows = rows[rows >= 0]
            return self.hybrid.evidence(asked, rows, source, [None], Held(), late=True), rows

        with self._consistent("hybrid", None, ask) as (_, found):
            return found

    def _page(
        self,
        asked: Asked,
        mode: Mode,
        source: Source,
        allowed: Rows | None,
        limit: int,
        after: Cursor | None,
        least: float | None,
    ) -> Ranked:
        """Return the places of a page and one more where there is one, their relevance, the window's rows, and the
        relevance of the ranking's first passage.

        In a ranking with a window, what is under the `least` relevance is left out of it; behind the window the order
        is not that of relevance, and it ends where none of so many as a window holds is relevant enough.
        """
        index = source.index
        if mode not in WINDOWED:
            place, seen = (after.place, after.rank) if after else (None, 0)
            places = best(index, asked.vector, limit + 1, allowed, place, seen)
            chances = self._chances(places, asked.vector, mode)
            first = after.best if after else next(iter(chances), None)
            if least is not None:
                # Of one query, relevance falls as the score does: what is left out is the end.
                places = places[: sum(chance is not None and chance >= least for chance in chances)]
            return places, chances[: len(places)], (), first
        held = Held()
        window = after.window if after else self._window(asked, mode, source, allowed, held)
        opening = np.array(window[:1], np.int64)
        first = after.best if after else next(iter(self._judged(asked, opening, source, held)[1]), None)
        left = window
        if after:
            left = window[window.index(after.place.row) + 1 :] if after.place.row in window else ()
        # Some may be gone since the window was opened.
        rows = np.array(left, np.int64)
        rows = rows[among(rows, index.rows() if allowed is None else allowed)]
        found, chances = self._relevant(asked, rows, source, held, least, limit + 1)
        place = after.place if after and after.place.row not in window else None
        while len(found) <= limit and mode == "hybrid":
            # Behind the window: by meaning, without the rows that were in it.
            behind = best(index, asked.vector, WINDOW + len(window), allowed, place)
            rows = np.array([each.row for each in behind if each.row not in window], np.int64)
            more, likely = self._relevant(asked, rows, source, held, least, limit + 1 - len(found))
            found, chances = found + more, chances + likely
            if len(behind) < WINDOW + len(window) or not more:
                break
            place = behind[-1]
        return found, chances, window, first

    def _groups(
        self,
        asked: Asked,
        mode: Mode,
        source: Source,
        allowed: Rows | None,
        limit: int,
        after: Cursor | None,
        least: float | None,
        group: Group,
    ) -> tuple[list[list[Found]], Cursor]:
        """Return the groups of a page and one more where there is one, and the cursor that they began with.

        Behind the grouped rows an article stands where its nearest passage does, if that is relevant enough. Whether it
        was given before can be told from the place of that passage alone.
        """
        index, held = source.index, Held()
        start = after or self._opened(asked, mode, source, allowed, held, group)
        begun = start.window.index(start.place.row) if start.place.row in start.window else len(start.window)
        rows = np.array(start.window, np.int64)
        rows = rows[among(rows, index.rows() if allowed is None else allowed)]
        found = self._answering(asked, mode, rows, source, held, least)
        groups = grouping.gathered(found, dict(zip(start.window, start.groups, strict=True)))
        if after:
            groups = [each for each in groups if start.window.index(each[0].place.row) > begun]
        given = set(tables.article_numbers(source.connection, rows.tolist()).values())
        place = after.place if after and after.place.row not in start.window else None
        while len(groups) <= limit and mode != "lexical":
            behind = best(index, asked.vector, WINDOW + len(start.window), allowed, place)
            numbers = tables.article_numbers(source.connection, [each.row for each in behind])
            others = [each.row for each in behind if numbers[each.row] not in given]
            more = self._answering(asked, mode, np.array(others, np.int64), source, held, least)
            groups += [[each] for each in more if self._nearest(asked, each, source, allowed)]
            if len(behind) < WINDOW + len(start.window) or (least is not None and others and not more):
                break
            place = behind[-1]
        return groups[: limit + 1], start

    def _opened(
        self, asked: Asked, mode: Mode, source: Source, allowed: Rows | None, held: Held, group: Group
    ) -> Cursor:
        """Return the cursor before the first page: the first rows of the ranking, and their groups."""
        rows = list(self._window(asked, mode, source, allowed, held)) if mode in WINDOWED else []
        if mode != "lexical":
            rows += [each.row for each in best(index=source.index, query=asked.vector, limit=GROUPED, allowed=allowed)]
        window = tuple(dict.fromkeys(rows))[:GROUPED]
        neutral = Neutral(None) if mode == "raw" else self._neutral
        groups = grouping.groups(source, window, group, self.hybrid.sample(source), neutral)
        first = self._answering(asked, mode, np.array(window[:1], np.int64), source, held, None)
        return Cursor(Place(0.0, 0), 0, "", window, first[0].relevance if first else None, groups)

    def _answering(
        self, asked: Asked, mode: Mode, rows: Rows, source: Source, held: Held, least: float | None
    ) -> list[Found]:
        """Return the rows that are relevant enough, in the order that they came in."""
        if mode in WINDOWED:
            places, chances = self._judged(asked, rows, source, held)
        else:
            scores = similarity(asked, rows, source).tolist()
            places = [Place(score, row) for score, row in zip(scores, rows.tolist(), strict=True)]
            chances = self._chances(places, asked.vector, mode)
        numbers = tables.article_numbers(source.connection, rows.tolist())
        return [
            Found(place, chance, numbers[place.row])
            for place, chance in zip(places, chances, strict=True)
            if least is None or (chance is not None and chance >= least)
        ]

    def _nearest(self, asked: Asked, found: Found, source: Source, allowed: Rows | None) -> bool:
        """Tell whether a passage is the nearest in meaning of those of its article that are searched."""
        rows = tables.rows_of(source.connection, found.article)
        rows = rows if allowed is None else rows[among(rows, allowed)]
        return int(rows[np.argmax(similarity(asked, rows, source))]) == found.place.row

    def _window(self, asked: Asked, mode: Mode, source: Source, allowed: Rows | None, held: Held) -> tuple[int, ...]:
        """Return the rows of the window in their order."""
        if mode == "lexical":
            return tuple(self.hybrid.lexical(asked, source, allowed, MOST_LEXICAL, held).tolist())
        _, rows = source.index.search(asked.vector[None], NEAREST, allowed)
        ((window, _),) = self.hybrid.windows(asked, [rows[0][rows[0] >= 0]], [allowed], source, held)
        return tuple(window.tolist())

    def _relevant(
        self, asked: Asked, rows: Rows, source: Source, held: Held, least: float | None, most: int
    ) -> tuple[list[Place], list[float | None]]:
        """Return the places of the first rows, at most `most`, that are relevant enough, and their relevance."""
        places, chances = self._judged(asked, rows if least is not None else rows[:most], source, held)
        if least is None:
            return places, chances
        kept = [number for number, chance in enumerate(chances) if chance is not None and chance >= least][:most]
        return [places[number] for number in kept], [chances[number] for number in kept]

    def _judged(self, asked: Asked, rows: Rows, source: Source, held: Held) -> tuple[list[Place], list[float | None]]:
        """Return rows as places, by their similarity, and their relevance, in the order that they came in."""
        if not len(rows):
            return [], []
        similarity, logits = self.hybrid.judge(asked, rows, source, held)
        places = [Place(score, row) for score, row in zip(similarity.tolist(), rows.tolist(), strict=True)]
        return places, probability(logits).tolist() if self._neutral.calibrated else [None] * len(rows)

    def _chances(self, places: Sequence[Place], query: Vectors, mode: Mode) -> list[float | None]:
        """Return the relevance of each place; None where it is not known."""
        if mode != "dense" or not self._neutral.calibrated:
            return [None] * len(places)
        scores = np.array([place.score for place in places], np.float32)
        chances: list[float | None] = self._neutral.relevance(scores, query).tolist()
        return chances

    def _queries(self, queries: Vectors, languages: Sequence[Mapping[str, float]], mode: Mode) -> Vectors:
        return queries if mode == "raw" else self._neutral.queries(queries, languages)

    def _asked(
        self,
        vector: Vectors,
        language: Mapping[str, float],
        number: int,
        texts: Sequence[str] | None,
        tokens: Sequence[Vectors] | None,
    ) -> Asked:
        """Return a question as it is ranked."""
        space = self.token_space
        small = space.query(tokens[number], language) if space and tokens is not None and len(tokens[number]) else None
        return Asked(vector, language, texts[number] if texts is not None else "", small)

    def _allowed(
        self,
        connection: sqlite3.Connection,
        lexicon: Lexicon | None,
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

    @contextmanager
    def _consistent(
        self,
        mode: Mode,
        where: Filter | None,
        ask: Callable[[Source, Rows | None], Answer],
        phrases: Sequence[str] = (),
        without: Sequence[str] = (),
    ) -> Iterator[tuple[sqlite3.Connection, Answer]]:
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
                        answer = ask(Source(connection, index, lexicon, now), allowed)  # type: ignore[arg-type]
                if answer is not None:
                    yield connection, answer
                    return
            space.catch_up()
            if lexical:
                lexical.catch_up()

    # Looking after it

    def status(self) -> Status:
        """Return the library in figures."""
        with self._store.reading() as connection:
            articles, passages, languages = tables.counts(connection)
            change = changes.current(connection).number
            kept, size = tables.token_figures(connection) if self.token_space else (0, 0)
        before = self._seen[0].counts, self._seen[1].counts
        warm = {
            code: Warm(before[0].get(code, 0), before[1].get(code, 0), round(share, 3))
            for code, share in warmth.shares(self._known, *before).items()
        }
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
            self.token_space is not None,
            kept,
            round(size / kept) if kept else 0,
            self._warming,
            warm,
        )

    @in_one_space
    def verify(self) -> list[Problem]:
        """Return all that is wrong with what is stored; nothing where all is well. Needs no model."""
        problems = inspection.inspect(self._store, self.dim, self._spaces["dense"], self._neutral.passages)
        if all(problem.repairable for problem in problems):
            problems += self._lexical.verify()
        return problems


def cosine(score: float) -> float:
    """Return a cosine that was summed in float32 as one: no more than 1."""
    return min(1.0, max(-1.0, score))
