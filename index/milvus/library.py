"""The library in Milvus: what `index.library.Library` is on disk, shared by any number of processes."""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from index import inspection, warmth
from index.catalogue import Catalogue
from index.changes import Change
from index.dates import EPOCH, MICROSECOND, interval
from index.dense import Sizing
from index.errors import (
    ArticleNotFound,
    DamagedLibrary,
    InvalidArticle,
    LibraryAbsent,
    LibraryUnavailable,
    NewerSchema,
    ReadOnlyLibrary,
)
from index.facets import FACETS, MOST
from index.filters import Filter
from index.hybrid import Hybrid, Source
from index.lexicon import TantivyLexicon
from index.milvus.catalogue import (
    PIECE,
    Cards,
    Conditions,
    Gone,
    Memory,
    MilvusIndex,
    Newer,
    behind,
    by_edition,
    code_of,
    damaged,
    lot_of,
    number_of,
    pieces_of,
    place_of,
    sound_articles,
    storable,
    sum_of,
    told,
    vector,
)
from index.milvus.expressions import among, both, columns, expression, present, quoted
from index.milvus.following import Followed
from index.milvus.ledger import GRACE, ROOM, Committed, Ledger, Write
from index.milvus.served import TERMS, Served, ServedLexicon, said
from index.milvus.server import FIELDS, KEYS, Name, Record, Server
from index.milvus.trial import ranks_words
from index.neutral import Neutral
from index.ranking import WINDOWED
from index.records import (
    Action,
    Addition,
    Article,
    Count,
    Holding,
    LibraryInfo,
    Mode,
    Passage,
    Problem,
    Status,
)
from index.scope import Allowed
from index.searcher import Searcher, absent
from index.tables import token_checksum
from index.tokens import TokenSpace
from index.warmth import Side, Sums

Answer = TypeVar("Answer")
Result = TypeVar("Result")
Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

# What is in the collections, and how; a library of a higher one is of a newer Dragoman. One in which the server does
# not rank by words is of the first.
SCHEMA, FIRST = 2, 1

# Who ranks by words: Milvus where it can, or every process by an index of its own.
Words = Literal["server", "process"]

# How often a search is made again because something was written in between.
TRIES = 20

# Counts that are asked for at once, and values of a facet that are counted at all.
COUNTING, COUNTED = 8, 500

# Articles that are looked at together where all are, and what of them is; and what belongs to articles.
TOGETHER = 256
LOOKED_AT = ("edition", "article", "hash", "language", "passages")
PARTS: tuple[Name, ...] = ("passages", "raw", "texts")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a library in Milvus is: the server's address (or a file, for `milvus-lite`), its token (or user:password),
    and how the names of its collections begin; and who ranks by words. Where that is to be the server, one that is made
    is made for it if the server can, and of one that was not made for it the process does.
    """

    address: str
    token: str = ""
    prefix: str = "dragoman"
    words: Words = "server"

    def server(self) -> Server:
        """Connect to the server. Raises LibraryUnavailable."""
        return Server(self.address, token=self.token, prefix=self.prefix)


@dataclass(slots=True)
class Kept:
    """What is stored of an article: of each passage that is what was written, by id, its raw vector (dim,), and its
    token vectors, if any; and what is wrong.
    """

    passages: dict[str, tuple[Vectors, bytes | None]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def mute(self) -> bool:
        """Tell whether token vectors are lacking."""
        return any(code is None for _, code in self.passages.values())


class MilvusLibrary(Searcher):
    """Articles in Milvus, to be searched and written to. Safe to use from many threads; close it, or use it as a
    context manager. Ranking and relevance are those of a library on disk.

    One process writes at a time, whichever it is; the language means are those that it was made with.
    """

    distant = True

    def __init__(
        self, server: Server, ledger: Ledger, info: LibraryInfo, sums: Mapping[Side, Sums], words: Words
    ) -> None:
        """Not for callers: `MilvusLibrary.open` makes one."""
        super().__init__(info, sums.get("passages", Sums()), sums.get("queries", Sums()))
        self._server, self._ledger = server, ledger
        self._memory = Memory()
        # The terms that passages are written with, for the server to rank by; "" where they are written without.
        self._terms = ledger.remembered("built").get("terms", "")
        served = words == "server" and self._terms == TERMS
        self._lexical: Served | Followed = Served(server) if served else Followed(server, ledger)
        self._values: dict[str, set[str]] = {}  # that facets count, as far as it is known that they are noted
        self._counting = ThreadPoolExecutor(COUNTING, "counting")
        self.read_only = False
        # Of a library on disk, where it lies.
        self.folder: Path | None = None
        # Of a library on disk: how its own dense index is made. Milvus makes its own.
        self.sizing = Sizing()
        self.dense_recall = 1.0

    # Opening and closing

    @classmethod
    def open(
        cls,
        place: Place,
        *,
        model: str,
        fingerprint: str,
        dim: int,
        create: bool = True,
        read_only: bool = False,
        late_interaction: bool = True,
    ) -> Self:
        """Open the library at a place, or make one there if `create`.

        Raises ModelMismatch, NewerSchema, LibraryAbsent, LibraryUnavailable, LibraryError where pymilvus is missing.
        """
        server = place.server()
        try:
            ledger = Ledger(server)
            info = _described(server, ledger)
            if info is None:
                if not create or read_only:
                    raise LibraryAbsent(_lacking(place))
                space = TokenSpace.of(Neutral.for_model(model).priors) if late_interaction else None
                words = place.words == "server" and ranks_words(server)
                built = LibraryInfo(model, fingerprint, dim, SCHEMA, 0, 0, 0, space.identity if space else "")
                _create(server, ledger, built, words)
                info = _described(server, ledger)
                assert info is not None
            info.check(model, fingerprint, dim)
            library = cls(server, ledger, info, _sums(ledger), place.words)
            library.read_only = read_only
            return library
        except BaseException:
            server.close()
            raise

    @classmethod
    def existing(cls, place: Place) -> Self:
        """Open the library at a place to be read, whatever model it was built with. Raises LibraryAbsent."""
        info = cls.describe(place)
        if info is None:
            raise LibraryAbsent(_lacking(place))
        return cls.open(
            place, model=info.model, fingerprint=info.fingerprint, dim=info.dim, create=False, read_only=True
        )

    def info(self) -> LibraryInfo:
        """Return what the library was built with and how much it holds now."""
        found = _described(self._server, self._ledger)
        assert found is not None
        return found

    @classmethod
    def describe(cls, place: Place) -> LibraryInfo | None:
        """Return what the library at a place was built with and how much it holds; None if there is none."""
        server = place.server()
        try:
            return _described(server, Ledger(server))
        finally:
            server.close()

    def close(self) -> None:
        """Give everything back. What was acknowledged is kept already."""
        self._ledger.close()
        self._counting.shutdown()
        self._lexical.close()
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def load(self) -> None:
        """Take in what the first search would have to."""
        for name in FIELDS:
            self._server.wait_loaded(name)
        self._lexical.at(self._index(self._ledger.committed()))

    def settle(self) -> None:
        """Wait for nothing: Milvus builds its indexes by itself."""

    # Searching

    def _consistent(
        self,
        mode: Mode,
        where: Filter | None,
        ask: Callable[[Source, Allowed | None], Answer],
        read: Callable[[Catalogue, Answer], Result],
        phrases: Sequence[str] = (),
        without: Sequence[str] = (),
    ) -> Result:
        """Put a question to Milvus as of one moment; if something is written meanwhile that matters, put it again."""

        def attempt(now: Committed) -> Result:
            source = self._source(now, mode, lexical=mode in WINDOWED or bool(phrases or without))
            return read(source.catalogue, ask(source, self._allowed(source, where, phrases, without)))

        return self._again(attempt)

    def _again(self, attempt: Callable[[Committed], Answer]) -> Answer:
        """Return what an attempt comes to as of one moment; it is made again where something was written meanwhile that
        matters. Raises DamagedLibrary where something is gone, and nothing was written.
        """
        for number in range(TRIES):
            now, begun = self._ledger.committed(), time.monotonic()
            try:
                answer = attempt(now)
            except Gone as gone:
                if not isinstance(gone, Newer) and number > TRIES / 4 and self._ledger.committed() == now:
                    raise DamagedLibrary(damaged(str(gone))) from gone
                time.sleep(min(0.01 * number, 0.2))
            else:
                # Of what was there when it began, nothing is removed within the time of grace.
                if time.monotonic() - begun < GRACE / 2 or not self._replaced_since(now):
                    return answer
        raise LibraryUnavailable("The library was written to all the while that it was searched: try again.")

    def _replaced_since(self, now: Committed) -> bool:
        since = self._ledger.since(now.number)
        return since is None or any(each.replaced for each in since)

    def _source(self, now: Committed, mode: Mode, *, lexical: bool) -> Source:
        cards = self._cards(now)
        index = self._index(now, "raw") if mode == "raw" else cards.index
        lexicon = self._lexical.at(cards.index) if lexical else None
        return Source(cards, index, lexicon, now.change, cards.some_rows)  # type: ignore[arg-type]

    def _cards(self, now: Committed) -> Cards:
        return Cards(self._server, now, self._memory, self._index(now))

    def _index(self, now: Committed, name: Name = "passages") -> MilvusIndex:
        return MilvusIndex(self._server, name, now, self._memory, self.dim)

    def _filtered(self, source: Source, wheres: Sequence[Filter | None]) -> list[Allowed | None]:
        """Return for each filter what it lets through; None for all."""
        return [self._allowed(source, where, (), ()) for where in wheres]

    def _allowed(
        self, source: Source, where: Filter | None, phrases: Sequence[str], without: Sequence[str]
    ) -> Conditions | None:
        if not where and not phrases and not without:
            return None
        assert isinstance(source.catalogue, Cards)
        said = _said(source, phrases, without)
        return Conditions(self._server, both(source.catalogue.now.expression, expression(where), said))

    def facets(
        self, where: Filter | None = None, *, phrases: Sequence[str] = (), without: Sequence[str] = ()
    ) -> dict[str, list[Count]]:
        """Return by facet (`language`, `source`, `year`) how many passages and articles have each value, as
        `index.shelf.Shelf.facets`.

        Of more than `COUNTED` values of one facet, those that came first are counted. With phrases or exclusions
        articles are counted by those passages.
        """
        where = where or Filter()
        now = self._ledger.committed()
        source = self._source(now, "dense", lexical=bool(phrases or without))
        known = {name: sorted(self._ledger.remembered(name))[:COUNTED] for name in FACETS}
        asked: list[tuple[str, str, str]] = []
        said = _said(source, phrases, without)
        for name in FACETS:
            others = both(now.exact, expression(where.without(name)))
            asked += [(name, value, both(others, _valued(name, value))) for value in known[name]]

        def count(each: tuple[str, str, str]) -> Count:
            _, value, condition = each
            if not said:
                return Count(
                    value, self._server.count("passages", condition), self._server.count("articles", condition)
                )
            found = self._server.query("passages", both(condition, said), ["edition"])
            return Count(value, len(found), len({each["edition"] for each in found}))

        counted: dict[str, list[Count]] = {name: [] for name in FACETS}
        for (name, *_), found in zip(asked, self._counting.map(count, asked), strict=True):
            if found.passages:
                counted[name].append(found)
        return {name: sorted(own, key=lambda each: -each.passages)[:MOST] for name, own in counted.items()}

    # Writing

    @contextmanager
    def writing(self, timeout: float = 20.0) -> Iterator[None]:
        """Be the one writer while the block lasts, over all processes; a thread that is may enter again.

        Waits about `timeout` seconds, by default longer than a writer that was killed keeps others out, then raises
        LibraryBusy, naming the holder. Raises ReadOnlyLibrary, LibraryUnavailable.
        """
        if self.read_only:
            raise ReadOnlyLibrary("The library is open to be searched only: nothing can be added or deleted here.")
        with self._ledger.writing(timeout):
            yield

    def unchanged(self, article: Article) -> bool:
        """Tell whether an article with this id and the same content is stored, with all its passages."""
        return bool(self.unchanged_among([article]))

    def unchanged_among(self, articles: Sequence[Article]) -> set[str]:
        """Return the ids of those of the articles that are `unchanged`."""
        known = self._editions([article.id for article in articles]) if articles else {}
        same = {
            article.id: known[article.id]
            for article in articles
            if article.id in known and known[article.id]["hash"] == article.content_hash
        }
        kept = self._kept(list(same.values())) if same else {}
        return {
            id
            for id, each in same.items()
            if not kept[each["edition"]].wrong and not (self.token_space and kept[each["edition"]].mute)
        }

    def missing(self, passages: Sequence[Passage]) -> list[int]:
        """Return which of the passages, by place, have no vector stored, or no token vectors where these are kept, or
        damaged ones: these are to be encoded.
        """
        known = self._editions([each.article_id for each in passages]) if passages else {}
        stored = self._kept(list(known.values())).values() if known else ()
        kept = (each for own in stored for each in own.passages.items())
        there = {id for id, (_, code) in kept if code is not None or self.token_space is None}
        return [place for place, each in enumerate(passages) if each.id not in there]

    def add(
        self,
        article: Article,
        passages: Sequence[Passage],
        vectors: Mapping[int, NDArray[np.float32]],
        tokens: Mapping[int, bytes] | None = None,
    ) -> Action:
        """Add an article, or put it in place of the one with its id: all of it or nothing, kept when this returns.

        Raises InvalidArticle, LibraryBusy, LibraryFull, LibraryUnavailable, ReadOnlyLibrary.
        """
        return self.add_all([Addition(article, passages, vectors, tokens or {})])[0]

    def add_all(self, additions: Sequence[Addition]) -> list[Action]:
        """Add articles as `add` does, all in one step; where one cannot be stored, none is. Of very many, those whose
        ids one record has room for are one step.
        """
        for each in additions:
            self._check(each)
        actions: list[Action] = []
        with self.writing():
            for some in _portions(additions):
                actions += self._put(some)
        return actions

    def delete(self, article_id: str) -> bool:
        """Remove an article for good; return whether there was one."""
        with self.writing():
            known = self._edition(article_id)
            if known is None:
                return False
            write = self._ledger.begin([], [known["edition"]])
            self._ledger.commit(write)
            return True

    def _check(self, addition: Addition) -> None:
        """Raise InvalidArticle for what could not be kept, or read back as it is."""
        wrong = inspection.unstorable(addition.article, addition.passages)
        for place, each in addition.vectors.items():
            if unfit := inspection.unfit(each, self.dim):
                wrong = f"the vector of passage {place} {unfit}"
        if not wrong:
            fields = columns(addition.article)
            held = {"metadata": json.dumps(fields.pop("facts"), ensure_ascii=False)}
            held |= {name: str(value) for name, value in fields.items()}
            held["id"] = json.dumps(held.pop("article"), ensure_ascii=False)
            sizes = {f"its {name}": len(value.encode()) for name, value in held.items()}
            sizes |= {f"the tokens of passage {place}": len(code) * 5 // 4 for place, code in addition.tokens.items()}
            name, size = max(sizes.items(), key=lambda each: each[1])
            if size > PIECE:
                wrong = f"{name} would take {size} bytes of the {PIECE} that a field of Milvus has"
        if wrong:
            raise InvalidArticle(f"Article {addition.article.id[:200]!r} cannot be stored: {wrong}.")

    def _put(self, additions: Sequence[Addition]) -> list[Action]:
        before = self._editions([each.article.id for each in additions])
        actions: list[Action] = []
        fresh: dict[str, Addition] = {}
        for each in additions:
            known = before.get(each.article.id)
            if each.article.id in fresh:
                actions.append("replaced")
            elif known is None:
                actions.append("added")
            elif known["hash"] == each.article.content_hash and self._same(known, each):
                actions.append("unchanged")
                continue
            else:
                actions.append("replaced")
            fresh[each.article.id] = each  # of several, the last
        if not fresh:
            return actions
        replaced = [before[id]["edition"] for id in fresh if id in before]
        self._remember_values([each.article for each in fresh.values()])
        write = self._ledger.begin(list(fresh), replaced)
        try:
            self._write(write, list(fresh.values()), before)
        except (InvalidArticle, DamagedLibrary):
            self._ledger.undo(write)
            raise
        self._ledger.commit(write)
        return actions

    def _write(self, write: Write, additions: Sequence[Addition], before: Mapping[str, Record]) -> None:
        """Write what is new: nobody looks at it before it is committed."""
        passages: list[Record] = []
        raw: list[Record] = []
        articles: list[Record] = []
        texts: list[Record] = []
        rows = iter(self._rows(additions))
        for number, each in enumerate(additions):
            article = each.article
            asked = columns(article)
            edition = number_of(article.id, write.number)
            marks = {"edition": edition, "version": write.number}
            old = before.get(article.id)
            first = old["first"] if old else write.number * 1024 + number
            vectors, codes = self._vectors(each, old)
            neutral = self._neutral.passages(vectors, [article.language] * len(vectors)) if len(vectors) else vectors
            for passage, own, code in zip(each.passages, vectors, codes, strict=True):
                row = next(rows)
                span = (passage.position, passage.start, passage.end)
                passages.append(
                    {
                        "row": row,
                        **marks,
                        "lot": lot_of(row),
                        "passage": passage.id,
                        "position": span[0],
                        "start": span[1],
                        "stop": span[2],
                        "checksum": sum_of(passage.id, article.id, span, own),
                        "tokens": base64.b85encode(code).decode() if code is not None else "",
                        "tokens_checksum": token_checksum(row, code).hex() if code is not None else "",
                        "vector": neutral[passage.position].tolist(),
                        **asked,
                        **(said(passage.text) if self._terms else {}),
                    }
                )
                raw.append({"row": row, **marks, "vector": own.tolist(), **asked})
            place = place_of(article.id, write.number)
            about = {"hash": article.content_hash, "passages": len(each.passages), "first": first}
            articles.append({"place": place, **marks, **about, **asked})
            texts += [
                {"place": f"{edition:019d}.{piece:06d}", **marks, "text": text}
                for piece, text in enumerate(pieces_of(article))
            ]
        self._server.insert("texts", texts)
        self._server.insert("raw", raw)
        self._server.insert("passages", passages)
        self._server.insert("articles", articles)

    def _rows(self, additions: Sequence[Addition]) -> list[int]:
        """Return the rows of all passages in their order: those that they came with, and the next ones."""
        chosen = [
            each.rows.get(passage.position) if each.rows else None for each in additions for passage in each.passages
        ]
        given = iter(self._ledger.rows(chosen.count(None), max((row for row in chosen if row), default=0)))
        return [row or next(given) for row in chosen]

    def _vectors(self, addition: Addition, old: Record | None) -> tuple[Vectors, list[bytes | None]]:
        """Return raw vectors (n, dim) and token vectors of all passages, those that came or those that are stored."""
        came = addition.vectors, addition.tokens if self.token_space else addition.vectors
        whole = all(each.position in own for each in addition.passages for own in came)
        stored = self._kept([old])[old["edition"]].passages if old and not whole else {}
        vectors: list[Vectors] = []
        codes: list[bytes | None] = []
        for each in addition.passages:
            own, code = stored.get(each.id, (None, None))
            own = addition.vectors.get(each.position, own)
            if own is None:
                raise InvalidArticle(
                    f"Passage {each.position} of article {addition.article.id!r} came without a vector and has none"
                    " stored: give vectors for all that Library.missing names, asked when no other write of the"
                    " article is under way."
                )
            # Token vectors are kept as the language of the article makes them.
            if old and old["language"] != addition.article.language:
                code = None
            vectors.append(own.astype(np.float32))
            codes.append(addition.tokens.get(each.position, code) if self.token_space else None)
        return np.array(vectors, np.float32).reshape(len(vectors), self.dim), codes

    def _same(self, known: Record, addition: Addition) -> bool:
        """Tell whether what is stored of an article is these passages, whole, with token vectors where these came."""
        kept = self._kept([known])[known["edition"]]
        if kept.wrong or kept.passages.keys() != {each.id for each in addition.passages}:
            return False
        return not (self.token_space and addition.tokens and kept.mute)

    def _kept(self, known: Sequence[Record]) -> dict[int, Kept]:
        """Return by edition what is stored of articles, looking at all of it."""
        editions = [each["edition"] for each in known]
        articles = sound_articles(self._server, known)
        fields = ["passage", "article", "position", "start", "stop", "checksum", "tokens", "tokens_checksum", "vector"]
        of = by_edition(self._server, editions, fields)
        raw = {each["row"]: vector(each) for each in self._server.having("raw", "edition", editions, ["vector"])}
        found = {}
        for each in known:
            kept = found[each["edition"]] = Kept()
            for record in of[each["edition"]]:
                self._look(record, each, raw.get(record["row"]), kept)
            if each["edition"] not in articles or len(of[each["edition"]]) != each["passages"]:
                kept.wrong.append("is not all there")
        return found

    def _look(self, record: Record, known: Record, raw: Vectors | None, kept: Kept) -> None:
        """Take in a passage as far as it is what was written."""
        span, id = (record["position"], record["start"], record["stop"]), record["passage"]
        if raw is None or record["checksum"] != sum_of(id, known["article"], span, raw):
            kept.wrong.append(f"has a passage ({id}) that is not what was written")
            return
        (neutral,) = self._neutral.passages(raw[None], [known["language"]])
        if record["article"] != known["article"] or np.abs(neutral - vector(record)).max() > inspection.SAME:
            kept.wrong.append(f"has a passage ({id}) with another vector")
        code: bytes | None = None
        if record["tokens"]:
            try:
                code = code_of(record["row"], record)
            except DamagedLibrary:
                kept.wrong.append(f"has token vectors (row {record['row']}) that are not what was written")
        kept.passages[id] = raw, code

    def _edition(self, article_id: str) -> Record | None:
        return self._editions([article_id]).get(article_id)

    def _editions(self, ids: Sequence[str]) -> dict[str, Record]:
        """Return what is known of the articles of these ids that are committed."""
        return self._again(lambda now: self._editions_at(ids, now))

    def _editions_at(self, ids: Sequence[str], now: Committed) -> dict[str, Record]:
        asked = list(dict.fromkeys(id for id in ids if storable(id)))
        fields = ["edition", "version", "hash", "passages", "first", "article", "language"]
        found: dict[str, Record] = {}
        for each in self._server.having("articles", "article", asked, fields):
            if each["version"] > now.number and each["version"] not in now.open:
                raise Newer(f"Article {each['article']!r}")
            if now.sees(each):
                found[each["article"]] = each
        return found

    def _remember_values(self, articles: Sequence[Article]) -> None:
        """Note the values that facets count."""
        told: dict[str, set[str]] = {}
        for article in articles:
            values = [("language", article.language)]
            if article.source is not None and len(article.source.encode()) < 1000:
                values.append(("source", article.source))
            if article.published_at is not None:
                values.append(("year", _year(interval(article.published_at)[0])))
            for name, value in values:
                told.setdefault(name, set()).add(value)
        for name, own in told.items():
            if name not in self._values:
                self._values[name] = set(self._ledger.remembered(name))
            if new := own - self._values[name]:
                self._ledger.remember(name, dict.fromkeys(new, ""))
                self._values[name] |= new

    # Taking in what another library gave out (`index.transfer`)

    def receive(self, mark: str) -> bool:
        """Begin to take in what has this mark; return whether its passages may keep their rows."""
        with self.writing():
            if self._ledger.committed().number == 0:
                self._ledger.remember("receiving", {"mark": mark})
            return self._ledger.remembered("receiving").get("mark") == mark

    def received(self, _: Mapping[Side, Sums]) -> None:
        """End what `receive` began: all is there. The means are those of before, or `take_means` has set them."""
        with self.writing():
            self._ledger.forget("receiving", ["mark"])

    def take_means(self, sums: Mapping[Side, Sums]) -> None:
        """Let the means of a library that holds nothing yet be those of `sums`: its vectors are written by them."""
        with self.writing():
            if self._ledger.committed().number:
                return
            for side in get_args(Side):
                for code, (count, total) in sums.get(side, Sums()).seen.items():
                    kept = json.dumps([count, base64.b64encode(total.astype("<f8").tobytes()).decode()])
                    self._ledger.remember("sums", {f"{side}/{code}": kept})
            self._seen = sums.get("passages", Sums()), sums.get("queries", Sums())
            neutral = Neutral(self._known, warmth.means(self._known, *self._seen))
            with self.moving.alone():
                self._neutral, self.hybrid = neutral, Hybrid(neutral, self.token_space)

    def sums(self) -> dict[Side, Sums]:
        """Return what the means are of."""
        return _sums(self._ledger)

    def note(self, queries: Vectors, languages: Sequence[Mapping[str, float]]) -> None:
        """Take no note of questions: the means stay as they are."""

    def warm(self) -> None:
        """Leave the means as they are."""

    # Reading

    def get(self, article_id: str) -> Article:
        """Return an article; raises ArticleNotFound, DamagedLibrary."""
        return self._again(lambda now: self._got(article_id, now)[1])

    def _got(self, article_id: str, now: Committed) -> tuple[int, Article]:
        """Return an article's edition, and the article."""
        known = self._editions_at([article_id], now).get(article_id)
        if known is None:
            raise ArticleNotFound(f"There is no article {article_id!r}; `dragoman search` shows ids that exist.")
        return known["edition"], self._cards(now).articles([known["edition"]])[known["edition"]]

    def articles(self, after: str = "", most: int = 100, where: Filter | None = None) -> list[Article]:
        """Return the articles, at most so many, whose ids come after one, in their order (by UTF-8); DamagedLibrary."""

        def attempt(now: Committed) -> list[Article]:
            cards = self._cards(now)
            later = f"place > {quoted(behind(after))}" if storable(after) else ""
            asked = both(now.exact, expression(where), later)
            found = self._server.query("articles", asked, ["edition"], most)
            articles = cards.articles([each["edition"] for each in found])
            return [articles[each["edition"]] for each in found]

        return self._again(attempt)

    def passages(self, article_id: str) -> list[Passage]:
        """Return an article's passages in their order; raises ArticleNotFound, DamagedLibrary."""

        def attempt(now: Committed) -> list[Passage]:
            edition, _ = self._got(article_id, now)
            rows = self._server.having("passages", "edition", [edition], ["row"])
            read = self._cards(now).read([each["row"] for each in rows])
            return sorted((passage for passage, *_ in read.values()), key=lambda each: each.position)

        return self._again(attempt)

    def passage(self, passage_id: str) -> tuple[Passage, Article]:
        """Return a passage and its article; raises PassageNotFound, DamagedLibrary."""

        def attempt(now: Committed) -> tuple[Passage, Article]:
            cards = self._cards(now)
            row = cards.row_of(passage_id)
            if row is None:
                raise absent(passage_id)
            return cards.read([row])[row][:2]

        return self._again(attempt)

    def article_ids(self, rows: Rows) -> dict[int, str]:
        """Return by row the id of its article."""
        return self._cards(self._ledger.committed()).ids(rows.tolist())

    def contents(self) -> dict[str, tuple[str, str]]:
        """Return by id the content hash and the language of every article, in the order in which they first came."""
        fields = ["article", "hash", "language", "first"]
        found = self._server.query("articles", self._ledger.committed().exact, fields)
        found.sort(key=lambda each: each["first"])
        return {each["article"]: (each["hash"], each["language"]) for each in found}

    def holdings(self, ids: Sequence[str]) -> dict[str, Holding]:
        """Return articles with all that is of them, by id, checked; one that is not there is left out."""

        def attempt(now: Committed) -> dict[str, Holding]:
            known = self._editions_at(ids, now)
            held = self._held(self._cards(now), [each["edition"] for each in known.values()])
            return {each.article.id: each for each in held}

        return self._again(attempt)

    def everything(self) -> Iterator[Holding]:
        """Yield every article with all that is of it, checked; one that goes meanwhile is left out."""
        now = self._ledger.committed()
        for some in self._server.pages("articles", now.exact, ["article"], TOGETHER):
            yield from self.holdings([each["article"] for each in some]).values()

    def _held(self, cards: Cards, editions: Sequence[int]) -> list[Holding]:
        """Return editions with all that is of them; raises Gone, DamagedLibrary."""
        articles = cards.articles(editions)
        of = by_edition(self._server, editions, ["passage", "tokens", "tokens_checksum", "position"])
        read = cards.read([each["row"] for stored in of.values() for each in stored])
        found = []
        for edition, stored in of.items():
            rows = [each["row"] for each in stored]
            vectors = np.array([read[row][2] for row in rows], np.float32).reshape(len(rows), self.dim)
            codes = [code_of(each["row"], each) if each["tokens"] else None for each in stored]
            found.append(Holding(articles[edition], [read[row][0] for row in rows], rows, vectors, codes))
        return found

    def change(self) -> Change:
        """Return the last change."""
        return self._ledger.committed().change

    def written_since(self, since: Change, most: int) -> tuple[dict[str, int], Change] | None:
        """Return articles that were written after a change, by id the number of the change that wrote each, and the
        change up to which these are all, at most about so many; None where the log does not reach back to it.
        """
        now = self._ledger.committed()
        writes = self._ledger.since(since.number, most)
        if writes is None:
            return None
        found: dict[str, int] = {}
        upto = since
        for write in writes:
            if write.number > now.number:
                break
            found |= dict.fromkeys(write.articles, write.number)
            upto = Committed(write.number).change
            if len(found) >= most:
                return found, upto
        return found, now.change if len(writes) < most else upto

    # Looking after it

    def status(self) -> Status:
        """Return the library in figures; Milvus tells nobody how many bytes it takes, so that is 0."""
        now = self._ledger.committed()
        languages = sorted(self._ledger.remembered("language"))

        def count(language: str) -> int:
            return self._server.count("articles", both(now.exact, among("language", [language])))

        by_language = dict(zip(languages, self._counting.map(count, languages), strict=True))
        passages = self._server.count("passages", now.exact)
        with_tokens = self._server.count("passages", both(now.exact, 'tokens != ""')) if self.token_space else 0
        some = self._server.query("passages", 'tokens != ""', ["tokens"], 100) if with_tokens else []
        size = round(sum(len(each["tokens"]) for each in some) * 4 / 5 / len(some)) if some else 0
        order = sorted((code for code in by_language if by_language[code]), key=lambda code: (-by_language[code], code))
        return Status(
            sum(by_language.values()),
            passages,
            {code: by_language[code] for code in order},
            self.model,
            self.fingerprint,
            self.dim,
            SCHEMA if self._terms else FIRST,
            now.number,
            0,
            f"milvus {self._server.version()}" + (", ranking by words" if isinstance(self._lexical, Served) else ""),
            self.read_only,
            self.token_space is not None,
            with_tokens,
            size,
            False,
            {},
            1.0,
        )

    def verify(self) -> list[Problem]:
        """Return all that is wrong with what is stored, looking at every article; nothing where all is well."""
        now = self._ledger.committed()
        problems = []
        if now.open and not self._ledger.held():
            problems = [Problem(f"write {each}", "was left undone; the next write ends it", True) for each in now.open]
        seen: set[int] = set()
        for some in self._server.pages("articles", now.exact, LOOKED_AT, TOGETHER):
            wrong = self._wrong(some)
            seen.update(each["edition"] for each in some)
            # What was replaced meanwhile is not looked at.
            still = {each["edition"] for each in self._editions(list(wrong)).values()} if wrong else set()
            problems += [
                Problem(f"article {each['article']!r}", f"{what}: add it again", False)
                for each in some
                if each["edition"] in still
                for what in wrong.get(each["article"], [])
            ]
        for name in PARTS:
            found = self._server.query(name, now.exact, ["edition"])
            if astray := {each["edition"] for each in found} - seen:
                problems.append(
                    Problem(name, f"of {len(astray)} editions belong to no article; repair removes them", True)
                )
        return problems

    def _wrong(self, articles: Sequence[Record]) -> dict[str, list[str]]:
        """Return what is wrong with some articles, by id."""
        kept = self._kept(articles)
        return {each["article"]: wrong for each in articles if (wrong := kept[each["edition"]].wrong)}

    def mend(self) -> list[str]:
        """End what was left undone, and remove what belongs to no article; return the ids of articles that are to be
        added again.
        """
        with self.writing():
            now = self._ledger.committed()
            seen = {each["edition"] for each in self._server.query("articles", "", ["edition"])}
            for name in PARTS:
                found = self._server.query(name, now.expression, ["edition"])
                self._server.delete(name, [each[KEYS[name]] for each in found if each["edition"] not in seen])
            self._server.hear(self._server.now())
            wrong: list[str] = []
            for some in self._server.pages("articles", now.exact, LOOKED_AT, TOGETHER):
                wrong += self._wrong(some)
            return wrong

    def drop(self) -> None:
        """Remove the library, for good."""
        with self.writing():
            pass
        self._server.drop()


def _described(server: Server, ledger: Ledger) -> LibraryInfo | None:
    if not server.exists("meta"):
        return None
    server.hear(server.now())
    built = ledger.remembered("built")
    if not built:
        return None
    if int(built["schema"]) > SCHEMA:
        raise NewerSchema(
            f"The library in Milvus at {server.address} was written by a newer Dragoman (schema {built['schema']}, this"
            f" version knows {SCHEMA}): use that version."
        )
    now = ledger.committed()
    articles, passages = (server.count(name, now.exact) for name in ("articles", "passages"))
    return LibraryInfo(
        built["model"],
        built["fingerprint"],
        int(built["dim"]),
        int(built["schema"]),
        now.number,
        articles,
        passages,
        built["tokens"],
    )


def _lacking(place: Place) -> str:
    return (
        f"There is no library {place.prefix!r} in Milvus at {place.address}: add articles to it first (dragoman add)."
    )


def _create(server: Server, ledger: Ledger, info: LibraryInfo, words: bool) -> None:
    """Make the collections; the last thing that is written says that they are there."""
    with ThreadPoolExecutor(len(FIELDS)) as making:
        list(making.map(lambda name: server.create(name, info.dim, words=words), FIELDS))
    # Of the passages, who was here before and was interrupted may have made others.
    words = server.has("passages", "words")
    built = {"fingerprint": info.fingerprint, "dim": str(info.dim), "tokens": info.tokens, "model": info.model}
    ledger.remember("built", {**built, "terms": TERMS if words else "", "schema": str(SCHEMA if words else FIRST)})


def _sums(ledger: Ledger) -> dict[Side, Sums]:
    found: dict[Side, dict[str, tuple[int, NDArray[np.float64]]]] = {side: {} for side in get_args(Side)}
    for key, kept in ledger.remembered("sums").items():
        side, code = key.split("/", 1)
        count, total = json.loads(kept)
        found[side][code] = count, np.frombuffer(base64.b64decode(total), "<f8")  # type: ignore[index]
    return {side: Sums(seen) for side, seen in found.items()}


def _said(source: Source, phrases: Sequence[str], without: Sequence[str]) -> str:
    """Return the expression of the passages in which all phrases occur, and none of the words that must not."""
    having = [_having(source, each) for each in phrases]
    return both(*having, *(f"not ({_having(source, each)})" for each in without))


def _having(source: Source, phrase: str) -> str:
    """Return the expression of the passages in which a phrase occurs."""
    lexicon, index = source.lexicon, source.index
    assert isinstance(lexicon, ServedLexicon | TantivyLexicon)
    assert isinstance(index, MilvusIndex)
    # Of raw vectors it is not kept what the passages say.
    if isinstance(lexicon, ServedLexicon) and index.name == "passages":
        return lexicon.expression(phrase)
    return told(lexicon.phrase(phrase))


def _valued(name: str, value: str) -> str:
    """Return the expression that an article has a value of a facet."""
    if name == "year":
        begin, end = interval(value)
        return f"published >= {begin} and published < {end}"
    return among(name, [value if name == "language" else present(value)])


def _year(moment: int) -> str:
    """Return the year of a moment in microseconds since 1970 UTC."""
    return f"{(EPOCH + moment * MICROSECOND).year:04d}"


def _portions(additions: Sequence[Addition]) -> Iterator[list[Addition]]:
    """Yield the additions in portions whose ids one record of a write has room for."""
    some: list[Addition] = []
    size = 0
    for each in additions:
        taken = 30 + len(json.dumps(each.article.id, ensure_ascii=False).encode())
        if some and size + taken > ROOM:
            yield some
            some, size = [], 0
        some.append(each)
        size += taken
    if some:
        yield some
