"""Passages and articles in Milvus as of one moment, and the dense index over them.

What has a row, or is of an edition, never changes: an article that is replaced is a new edition with new rows. So what
was read once is kept in memory, and only whether it is still there is asked again.
"""

import base64
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.background import SAMPLE
from index.errors import DamagedLibrary, InvalidFilter
from index.held import Held
from index.milvus.expressions import among, both, quoted
from index.milvus.ledger import Committed
from index.milvus.server import MOST, Name, Record, Server
from index.records import Article, Passage
from index.stories import LEADING, Told
from index.tables import checksum, token_checksum

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Value = TypeVar("Value")

# Passages of which both vectors are kept in memory, and articles: some 200 MB, and some 50.
VECTORS, ARTICLES = 32_768, 4_096

# Bytes of an article in one record.
PIECE = 60_000

# Rows that are told one by one in an expression.
TOLD = 100_000

# How the letters that stand before or at the end of an id in a key are written there: behind that end.
BEFORE_ALL = str.maketrans({"\x00": "\x01\x02", "\x01": "\x01\x03"})

# What is read of a raw vector, and of a passage.
RAW = ("edition", "language", "vector")
KNOWN: dict[Name, tuple[str, ...]] = {
    "raw": RAW,
    "passages": (*RAW, "version", "passage", "article", "position", "start", "stop", "checksum"),
}


class Gone(Exception):
    """What was found is there no more: something was written in between, or what is stored is not whole."""


class Newer(Gone):
    """What was found was written in between."""


@dataclass(frozen=True, slots=True)
class Known:
    """A passage that was read: the edition that it is of, its language, its vector (dim,), and the rest."""

    edition: int
    language: str
    vector: Vectors
    rest: Record


class Kept(Generic[Value]):
    """The last so many values that were read, by key. Safe to use from many threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[int, Value] = OrderedDict()

    def of(self, keys: Sequence[int], read: Callable[[list[int]], dict[int, Value]]) -> dict[int, Value]:
        """Return values by key, those that are not kept by one reading; what is not there is left out."""
        with self._lock:
            found = {key: self._values[key] for key in keys if key in self._values}
            for key in found:
                self._values.move_to_end(key)
        if lacking := [key for key in dict.fromkeys(keys) if key not in found]:
            more = read(lacking)
            found |= more
            self.keep(more)
        return found

    def keep(self, values: dict[int, Value]) -> None:
        """Keep what was read."""
        with self._lock:
            self._values |= values
            while len(self._values) > self._most:
                self._values.popitem(last=False)


@dataclass(slots=True)
class Memory:
    """What is kept of what was read, over all moments."""

    passages: Kept[Known] = field(default_factory=lambda: Kept(VECTORS))
    raw: Kept[Known] = field(default_factory=lambda: Kept(VECTORS))
    articles: Kept[Article] = field(default_factory=lambda: Kept(ARTICLES))
    sizes: dict[Name, tuple[Committed, int]] = field(default_factory=dict)
    searched: Held = field(default_factory=Held)
    sampled: Held = field(default_factory=Held)


class Conditions:
    """The passages that an expression lets through: an `index.scope.Scope` of a `MilvusIndex`.

    It is made for one search, or for many questions that are put together; a row is asked after once.
    """

    def __init__(self, server: Server, where: str) -> None:
        self._server, self.where = server, where
        self._size: int | None = None
        self._told: dict[int, bool] = {}

    def __len__(self) -> int:
        if self._size is None:
            self._size = self._server.count("passages", self.where)
        return self._size

    def among(self, rows: Rows) -> NDArray[np.bool_]:
        """Tell of each row (n,) whether it is one of them."""
        asked = rows.tolist()
        if unknown := [row for row in asked if row not in self._told]:
            found = self._server.query("passages", both(self.where, among("row", unknown)), ["row"])
            here = {each["row"] for each in found}
            self._told |= {row: row in here for row in unknown}
        return np.array([self._told[row] for row in asked], np.bool_)


def told(rows: Rows) -> str:
    """Return the expression for some rows; raises InvalidFilter where they are too many to be told."""
    if len(rows) > TOLD:
        raise InvalidFilter(
            f"A phrase or word that must occur, or must not, is in {len(rows)} passages, and at most {TOLD} can be told"
            " to Milvus: add words to it."
        )
    return among("row", rows.tolist())


@dataclass(frozen=True, slots=True)
class MilvusIndex:
    """The vectors of one collection as of a moment: what `index.dense.Searched` asks."""

    server: Server
    name: Name
    now: Committed
    memory: Memory
    dim: int

    def __len__(self) -> int:
        now, size = self.memory.sizes.get(self.name, (None, 0))
        if now != self.now:
            size = self.server.count(self.name, self.now.exact)
            self.memory.sizes[self.name] = self.now, size
        return size

    def holds(self, rows: Rows) -> NDArray[np.bool_]:
        """Tell of each row (n,) whether it is here."""
        return Conditions(self.server, self.now.expression).among(rows)

    def vectors(self, rows: Rows) -> Vectors:
        """Return the vectors of rows (n, dim); raises Gone for a row that is not here."""
        found = self.known(rows)
        vectors = [found[row].vector for row in rows.tolist()]
        return np.array(vectors, np.float32).reshape(len(rows), self.dim)

    def known(self, rows: Rows) -> dict[int, Known]:
        """Return what is known of rows; raises Gone for a row that is not here."""
        kept = self.memory.raw if self.name == "raw" else self.memory.passages
        found = kept.of(rows.tolist(), lambda lacking: known(self.server, self.name, lacking))
        if len(found) < len(set(rows.tolist())) or any(each.edition in self.now.replaced for each in found.values()):
            raise Gone("The vector of a passage")
        return found

    def search(self, queries: Vectors, k: int, allowed: Rows | Conditions | None = None) -> tuple[Vectors, Rows]:
        """Return the best k rows of each query; see `index.dense.Searched.search`. Of rows beyond Milvus' own limit,
        16,384, nothing is told.
        """
        scores = np.full((len(queries), k), -np.inf, np.float32)
        rows = np.full((len(queries), k), -1, np.int64)
        if k < 1:
            return scores, rows
        where = self.now.expression
        if isinstance(allowed, Conditions):
            where = allowed.where
        elif allowed is not None:
            if not len(allowed):
                return scores, rows
            where = both(where, told(allowed))
        for number, hits in enumerate(self.server.near(self.name, queries, min(k, MOST), where, ["version"])):
            if any(hit.record["version"] > self.now.number for hit in hits):
                raise Newer("A passage")
            order = sorted(hits, key=lambda hit: (-hit.score, hit.key))
            scores[number, : len(order)] = [hit.score for hit in order]
            rows[number, : len(order)] = [hit.key for hit in order]
        return scores, rows


@dataclass(frozen=True, slots=True)
class Cards:
    """The catalogue of a library in Milvus, as of a moment: what `index.catalogue.Catalogue` asks."""

    server: Server
    now: Committed
    memory: Memory
    index: MilvusIndex

    def languages(self, rows: Rows) -> list[str]:
        """Return the language of each row (n,); of a row that is not here, "und"."""
        found = self.memory.passages.of(rows.tolist(), self._read)
        return [found[row].language if row in found else "und" for row in rows.tolist()]

    def tokens(self, rows: Sequence[int]) -> dict[int, bytes]:
        """Return by row the token vectors that are kept, checked."""
        found = {}
        for row, each in self.server.by_key("passages", list(rows), ["tokens", "tokens_checksum"]).items():
            if each["tokens"]:
                found[row] = code_of(row, each)
        return found

    def held(self, *, sampled: bool = False) -> Held:
        """Return the tokens in memory: what has a row never changes."""
        return self.memory.sampled if sampled else self.memory.searched

    def numbers(self, rows: Sequence[int]) -> dict[int, int]:
        """Return by row the edition that it is of."""
        found = self.memory.passages.of(rows, self._read)
        if len(found) < len(set(rows)):
            raise Gone("A passage")
        return {row: found[row].edition for row in rows}

    def ids(self, rows: Sequence[int]) -> dict[int, str]:
        """Return by row the id of its article."""
        return {row: each["article"] for row, each in self.server.by_key("passages", list(rows), ["article"]).items()}

    def row_of(self, passage_id: str) -> int | None:
        """Return the row of a passage."""
        where = both(self.now.expression, f"passage == {quoted(passage_id)}")
        found = self.server.query("passages", where, ["row"], 2) if storable(passage_id) else []
        return found[0]["row"] if found else None

    def rows_of(self, number: int) -> Rows:
        """Return the rows of an edition's passages, ascending."""
        found = self.server.having("passages", "edition", [number], ["row"])
        return np.array(sorted(each["row"] for each in found), np.int64)

    def rows_of_articles(self, ids: Sequence[str]) -> Rows:
        """Return the rows of the passages of articles, ascending."""
        asked = [id for id in ids if storable(id)]
        found = self.server.having("passages", "article", asked, ["edition", "version"])
        return np.array(sorted(each["row"] for each in found if self.now.sees(each)), np.int64)

    def read(self, rows: Sequence[int]) -> dict[int, tuple[Passage, Article, Vectors]]:
        """Return passages, their articles, and their raw vectors (dim,), by row, checked."""
        stored = self.memory.passages.of(rows, self._read)
        raw = self.memory.raw.of(rows, lambda lacking: known(self.server, "raw", lacking))
        whole = len(stored) == len(raw) == len(set(rows))
        if not whole or not all(self.now.sees({"edition": each.edition, **each.rest}) for each in stored.values()):
            raise Gone("A passage, or its vector,")
        articles = self.articles({each.edition for each in stored.values()})
        found = {}
        for row, each in stored.items():
            article, own = articles[each.edition], raw[row].vector
            found[row] = passage_of(row, each.rest, article, own), article, own
        return found

    def told(self, numbers: Sequence[int]) -> dict[int, Told]:
        """Return by edition how articles begin."""
        articles = self.articles(numbers)
        found = {}
        for number, passages in by_edition(self.server, numbers, ["position", "start", "stop"]).items():
            if not passages:
                raise Gone(f"The passages of article {articles[number].id!r}")
            first = passages[:LEADING]
            text = articles[number].text
            texts = [text[each["start"] : each["stop"]] for each in first]
            found[number] = Told(articles[number].language, [each["row"] for each in first], texts)
        return found

    def articles(self, editions: Iterable[int]) -> dict[int, Article]:
        """Return articles by edition, checked; raises Gone for one that is not here."""
        wanted = list(set(editions))
        found = self.memory.articles.of(wanted, self._articles)
        if len(found) < len(wanted):
            raise Gone("The text of an article")
        return found

    def some_rows(self) -> Rows:
        """Return rows to draw a sample from (`index.background`): the first by chance, all if they are few."""
        size, share = len(self.index), 1.0
        if size > MOST:
            share = 1.3 * SAMPLE / size
        while True:
            where = f"lot <= {int(share * (2**63 - 1))}" if share < 1 else ""
            found = self.server.query("passages", both(self.now.exact, where), [])
            rows = [each["row"] for each in found]
            if len(rows) >= SAMPLE or share >= 1:
                return np.array(sorted(rows), np.int64)
            share = min(1.0, 2 * share)

    def _read(self, rows: list[int]) -> dict[int, Known]:
        return known(self.server, "passages", rows)

    def _articles(self, editions: list[int]) -> dict[int, Article]:
        return articles_of(self.server, editions)


def by_edition(server: Server, editions: Sequence[int], fields: Sequence[str]) -> dict[int, list[Record]]:
    """Return by edition the passages that are stored, in their order, with these fields and `position`."""
    of: dict[int, list[Record]] = {edition: [] for edition in editions}
    stored = server.having("passages", "edition", list(editions), ["edition", "position", *fields])
    for each in sorted(stored, key=lambda each: each["position"]):
        of[each["edition"]].append(each)
    return of


def articles_of(server: Server, editions: Sequence[int]) -> dict[int, Article]:
    """Return the articles of editions that are there; raises DamagedLibrary where one is not what was written."""
    known = server.having("articles", "edition", editions, ["edition", "article", "hash"])
    found = sound_articles(server, known)
    for each in known:
        if each["edition"] not in found:
            raise DamagedLibrary(damaged(f"Article {each['article']!r}"))
    return found


def sound_articles(server: Server, known: Sequence[Record]) -> dict[int, Article]:
    """Return by edition those of the articles of which `edition` and `hash` are known that are what was written."""
    pieces: dict[int, list[str]] = {each["edition"]: [] for each in known}
    texts = server.having("texts", "edition", list(pieces), ["edition", "text"])
    for each in sorted(texts, key=lambda each: each["place"]):
        pieces[each["edition"]].append(each["text"])
    found = {}
    for each in known:
        with suppress(ValueError, TypeError):
            article = Article(**json.loads("".join(pieces[each["edition"]])))
            if article.content_hash == each["hash"]:
                found[each["edition"]] = article
    return found


def pieces_of(article: Article) -> list[str]:
    """Return an article as JSON, in pieces that a record has room for."""
    told = json.dumps(
        {name: getattr(article, name) for name in Article.__slots__} | {"metadata": dict(article.metadata)},
        ensure_ascii=False,
    ).encode()
    pieces, start = [], 0
    while start < len(told):
        end = min(start + PIECE, len(told))
        while end < len(told) and told[end] & 0xC0 == 0x80:  # not within a letter
            end -= 1
        pieces.append(told[start:end].decode())
        start = end
    return pieces


def passage_of(row: int, record: Record, article: Article, raw: Vectors) -> Passage:
    """Return a passage with its text; raises DamagedLibrary where it is not what was written."""
    span = (record["position"], record["start"], record["stop"])
    if record["checksum"] != sum_of(record["passage"], article.id, span, raw) or record["article"] != article.id:
        raise DamagedLibrary(damaged(f"Passage {record['passage']!r} (row {row})"))
    return Passage(record["passage"], article.id, *span, article.text[span[1] : span[2]])


def code_of(row: int, record: Record) -> bytes:
    """Return the token vectors of a row; raises DamagedLibrary where they are not what was written."""
    try:
        code = base64.b85decode(record["tokens"])
    except ValueError:
        code = b""
    if record["tokens_checksum"] != token_checksum(row, code).hex():
        raise DamagedLibrary(damaged(f"The token vectors of row {row}"))
    return code


def sum_of(id: str, article_id: str, span: tuple[int, int, int], raw: Vectors) -> str:
    """Return the checksum of a passage, as the library on disk has it."""
    return checksum(id, article_id, span, raw.astype("<f4").tobytes()).hex()


def vector(record: Record) -> Vectors:
    """Return the vector of a record (dim,)."""
    return np.array(record["vector"], np.float32)


def number_of(*parts: object) -> int:
    """Return a number above 0, of 63 bits, that stands for something."""
    return int.from_bytes(blake2b(json.dumps(parts).encode(), digest_size=8).digest(), "big") >> 1 or 1


def lot_of(row: int) -> int:
    """Return the place of a row in the order by chance, as `index.background` draws it, in 63 bits."""
    return (row * 11400714819323198485 & 0xFFFF_FFFF_FFFF_FFFF) >> 1


def place_of(id: str, version: int) -> str:
    """Return the key of an edition of an article: keys are in the order of the ids, and all of one id together."""
    return f"{id.translate(BEFORE_ALL)}\x01\x01{version:016d}"


def behind(id: str) -> str:
    """Return what is behind the keys of all editions of an article, and before those of the next."""
    return f"{id.translate(BEFORE_ALL)}\x01\x01:"


def storable(text: str) -> bool:
    """Tell whether a string can be anybody's id."""
    try:
        return 0 < len(text.encode()) <= PIECE
    except UnicodeEncodeError:
        return False


def damaged(what: str) -> str:
    """Return the message of a DamagedLibrary."""
    return (
        f"{what} is not what was written to Milvus. Nothing is answered from it. `dragoman verify` lists all that is"
        " wrong; add again the articles that it names, or move the library in again (dragoman move)."
    )


def known(server: Server, name: Name, rows: Sequence[int]) -> dict[int, Known]:
    """Read by row what is known of passages, or of their raw vectors; what is not there is left out."""
    return {
        row: Known(each["edition"], each["language"], vector(each), {k: v for k, v in each.items() if k not in RAW})
        for row, each in server.by_key(name, rows, KNOWN[name]).items()
    }
