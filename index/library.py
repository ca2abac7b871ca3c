"""The library: a folder of articles that many can search, and one at a time write to."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index import changes, generations, inspection, segments, snapshots, tables, warmth
from index.changes import Change, Rows
from index.errors import (
    ArticleNotFound,
    DamagedLibrary,
    InvalidArticle,
    LibraryAbsent,
    LibraryError,
    ReadOnlyLibrary,
)
from index.filters import Filter
from index.lock import WriterLock
from index.migrations import KEEPING_TOKENS, SCHEMA
from index.neutral import Neutral
from index.records import Action, Addition, Article, Holding, LibraryInfo, Passage, Problem, Status, Warm
from index.recovery import log
from index.searcher import absent
from index.shelf import Shelf
from index.store import DATABASE, Store, damage, writable
from index.tables import Vectors
from index.tokens import TokenSpace


class Library(Shelf):
    """A folder of articles, open. Safe to use from many threads; close it, or use it as a context manager."""

    def __init__(self, folder: Path, store: Store, info: LibraryInfo) -> None:
        """Not for callers: `Library.open` makes a library."""
        super().__init__(store, info)
        self.folder = folder
        self._lock = WriterLock(folder)
        self._warming = info.warming
        self._log = warmth.Log()
        # So many passages were there when it was last looked whether the means should follow.
        self._passages, self._looked = info.passages, info.passages
        self._wrote = False
        self._behind = False  # by what was added in a block of `writing` that goes on
        self._following = False
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
        following: bool = False,
    ) -> Self:
        """Open the library in `folder`, or make one there if `create`.

        A new library keeps token vectors, if `late_interaction` and they are known of the model; one that exists goes
        on as it began. With `warming` its means follow its passages and its questions, without they stay what is known
        of the model, and what was kept of questions is removed; None leaves it as it is, off in a new library.

        With `following` a generation that does not serve can be written to, by what has it follow the one that does.
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
                if late_interaction:
                    info = cls._with_tokens(folder, store, info)
                if warming is not None and warming != info.warming:
                    with WriterLock(folder).held(timeout=30.0), store.writing() as connection:
                        warmth.switch(connection, on=warming)
                    info = replace(info, warming=warming)
            library = cls(folder, store, info)
            library._following = following
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

    @classmethod
    def _with_tokens(cls, folder: Path, store: Store, info: LibraryInfo) -> LibraryInfo:
        """Let a library of before there were token vectors, or with ones of another kind, keep those of this version.

        Its passages have none until their articles are added again, or it is repaired.
        """
        space = TokenSpace.of(Neutral.for_model(info.model).priors)
        if space is None or info.tokens == space.identity or not (info.tokens or info.schema < KEEPING_TOKENS):
            return info
        with WriterLock(folder).held(timeout=30.0), store.writing() as connection:
            tables.remove_tokens(connection)
            tables.remember(connection, "tokens", space.identity)
        return replace(info, tokens=space.identity)

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

        Waits at most `timeout` seconds, then raises LibraryBusy, naming the holder. Raises ReadOnlyLibrary, Superseded.
        """
        if self._store.read_only:
            raise ReadOnlyLibrary(f"{self.folder} is open to be searched only: nothing can be added or deleted here.")
        with self._lock.held(timeout):
            if not self._following:
                generations.check(self.folder)
            yield
            if self._behind and not self._lock.nested:
                self._after_write()

    def unchanged(self, article: Article) -> bool:
        """Tell whether an article with this id and the same content is stored, and all that belongs to it is sound.

        A passage without token vectors, where the library keeps them, is not.
        """
        with self._store.reading() as connection:
            if tables.stored_hash(connection, article.id) != article.content_hash:
                return False
            return inspection.whole(connection, article.id, self.dim, tokens=self.token_space is not None)

    def unchanged_among(self, articles: Sequence[Article]) -> set[str]:
        """Return the ids of those of the articles that are `unchanged`."""
        return {article.id for article in articles if self.unchanged(article)}

    def missing(self, passages: Sequence[Passage]) -> list[int]:
        """Return which of the passages, by place, have no vector stored, or no token vectors where these are kept, or
        damaged ones: these are to be encoded.
        """
        with self._store.reading() as connection:
            return inspection.lacking(connection, passages, tokens=self.token_space is not None)

    def add(
        self,
        article: Article,
        passages: Sequence[Passage],
        vectors: Mapping[int, NDArray[np.float32]],
        tokens: Mapping[int, bytes] | None = None,
    ) -> Action:
        """Add an article, or put it in place of the one with its id: one transaction, durable when this returns.

        Passages whose ids stay keep their vectors; an article of the same content is left as it is. Its words are
        indexed by the next search, or `load`; its vectors too, where it is one of several that are added in a block of
        `writing`, or else when that ends. Raises InvalidArticle, LibraryBusy, LibraryFull, ReadOnlyLibrary.
        """
        addition = Addition(article, passages, vectors, tokens or {})
        self._check(addition)
        with self.writing(), self._store.writing() as connection:
            action = self._put(connection, addition)
            self._wrote = self._behind = True
        self._count([addition])
        return action

    def add_all(self, additions: Sequence[Addition]) -> list[Action]:
        """Add articles as `add` does, in one transaction for all: where one cannot be stored, none is.

        Their words are indexed before it is committed, so no search waits for that.
        """
        for each in additions:
            self._check(each)
        with self.writing(), self._lexical.ahead() as index, self._store.writing() as connection:
            actions = [self._put(connection, each) for each in additions]
            if any(each.rows for each in additions):
                # Indexes that follow take new rows for the last ones, which chosen rows need not be.
                changes.forget_before_now(connection)
            index(connection)
        self._after_write()
        self._count(additions)
        return actions

    def _count(self, additions: Sequence[Addition]) -> None:
        self._passages += sum(len(each.vectors) for each in additions)
        if self._passages >= max(warmth.LEAST, warmth.LOOK * self._looked):
            self._follow()

    def _put(self, connection: sqlite3.Connection, addition: Addition) -> Action:
        article = addition.article
        before = tables.stored_hash(connection, article.id)
        tokens = addition.tokens if self.token_space else {}
        if before == article.content_hash:
            ids = [passage.id for passage in addition.passages]
            if inspection.whole(connection, article.id, self.dim, tokens=bool(tokens), ids=ids):
                return "unchanged"
        try:
            tables.put(connection, article, addition.passages, addition.vectors, tokens, addition.rows)
        except sqlite3.IntegrityError as error:
            raise InvalidArticle(f"Article {article.id!r} cannot be stored: {error}.") from error
        return "added" if before is None else "replaced"

    def delete(self, article_id: str) -> bool:
        """Remove an article for good, durably when this returns; return whether there was one."""
        with self.writing(), self._lexical.ahead() as index, self._store.writing() as connection:
            there = tables.remove(connection, article_id)
            index(connection)
        self._after_write()
        return there

    def _after_write(self) -> None:
        """Let the indexes in memory follow at once, so that no search has to."""
        self._wrote, self._behind = True, False
        for space in set(self._spaces.values()):
            if space.loaded:
                space.catch_up()

    # Taking in what another library gave out (`index.transfer`)

    def receive(self, mark: str) -> bool:
        """Begin to take in what has this mark; return whether its passages may keep their rows: the library has never
        held anything else. Raises LibraryBusy, ReadOnlyLibrary.
        """
        with self.writing(), self._store.writing() as connection:
            if changes.current(connection).number == 0:
                tables.remember(connection, "receiving", mark)
            return tables.meta(connection).get("receiving") == mark

    def received(self, sums: Mapping[warmth.Side, warmth.Sums]) -> None:
        """End what `receive` began: all is there. Let the means be those of `sums`."""
        with self.writing():
            with self._store.writing() as connection:
                tables.forget(connection, "receiving")
                for side, kept in sums.items():
                    warmth.write(connection, side, kept)
            self._seen = sums["passages"], sums["queries"]
            self._move(Neutral(self._known, warmth.means(self._known, *self._seen)))

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

    def _check(self, addition: Addition) -> None:
        """Raise InvalidArticle for what could not be read back as it is."""
        wrong = inspection.unstorable(addition.article, addition.passages)
        for place, vector in addition.vectors.items():
            if unfit := inspection.unfit(vector, self.dim):
                wrong = f"the vector of passage {place} {unfit}"
        if wrong:
            raise InvalidArticle(f"Article {addition.article.id[:200]!r} cannot be stored: {wrong}.")

    # Reading

    def get(self, article_id: str) -> Article:
        """Return an article; raises ArticleNotFound, DamagedLibrary."""
        with self._store.reading() as connection:
            return self._found(connection, article_id)[1]

    def articles(self, after: str = "", most: int = 100, where: Filter | None = None) -> list[Article]:
        """Return the articles, at most so many, whose ids come after one, in their order (by UTF-8); DamagedLibrary.

        Only those that a filter lets through. An article that comes or goes between two such pages is on one or on
        none; every other is on one.
        """
        with self._store.reading() as connection:
            return tables.articles_after(connection, after, most, *(where or Filter()).sql())

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
                raise absent(passage_id)
            return tables.read_rows(connection, [row])[row][:2]

    def holdings(self, ids: Sequence[str]) -> dict[str, Holding]:
        """Return articles with all that is of them, by id, checked; one that is not there is left out."""
        found = {}
        with self._store.reading() as connection:
            for known in (tables.find_article(connection, id) for id in ids):
                if known is None:
                    continue
                number, article = known
                stored = tables.passages_of(connection, number)
                read = [tables.read_passage(each, article) for each in stored]
                kept = tables.tokens_of(connection, [each.row for each in stored]) if self.token_space else {}
                found[article.id] = tables.holding(article, stored, read, kept, self.dim)
        return found

    def article_ids(self, rows: Rows) -> dict[int, str]:
        """Return by row the id of its article."""
        with self._store.reading() as connection:
            return tables.article_ids(connection, rows.tolist())

    def contents(self) -> dict[str, tuple[str, str]]:
        """Return by id the content hash and the language of every article, in the order in which they first came."""
        with self._store.reading() as connection:
            return tables.contents(connection)

    def change(self) -> Change:
        """Return the last change."""
        with self._store.reading() as connection:
            return changes.current(connection)

    def written_since(self, since: Change, most: int) -> tuple[dict[str, int], Change] | None:
        """Return articles that were written after a change, at most so many, by id the number of the change that wrote
        each, and the change up to which these are all; None where the log does not reach back to it, or is another's.
        """
        with self._store.reading() as connection:
            found = tables.written_since(connection, since.number, most)
            upto = changes.numbered(connection, found[-1][1]) if len(found) == most else changes.current(connection)
            if upto is None or not changes.remembers(connection, since):
                return None
            return dict(found), upto

    def _found(self, connection: sqlite3.Connection, article_id: str) -> tuple[int, Article]:
        found = tables.find_article(connection, article_id)
        if found is None:
            raise ArticleNotFound(f"There is no article {article_id!r}; `dragoman search` shows ids that exist.")
        return found

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
            round(self.dense_recall, 4),
        )

    def verify(self) -> list[Problem]:
        """Return all that is wrong with what is stored; nothing where all is well. Needs no model."""
        with self.moving.shared():
            problems = inspection.inspect(self._store, self.dim, self._spaces["dense"], self._neutral.passages)
            if all(problem.repairable for problem in problems):
                problems += self._lexical.verify()
            return problems

    def mend(self) -> list[str]:
        """Build SQLite's own indexes anew, remove what belongs to no article, and forget what is derived.

        Returns the ids of articles that are to be added again: they are what was written, and their passages or token
        vectors are not, or are lacking. What is derived is built by the next search. Raises DamagedLibrary where the
        database cannot be read at all, LibraryBusy, ReadOnlyLibrary.
        """
        with self.writing():
            with self._store.writing() as connection:
                connection.execute("REINDEX")
                tables.remove_astray(connection)
            self._wrote = True
            for space in set(self._spaces.values()):
                space.forget()
            self._lexical.forget()
            with self._store.reading() as connection:
                return inspection.mendable(connection, self.dim, tokens=self.token_space is not None)
