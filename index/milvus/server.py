"""Milvus as a library uses it: its collections, a few calls, and its errors in our words.

Every read asks for what was written before it by this process, and before what it has heard of from others, by a
timestamp of the server's own clock (`Server.heard`): without one Milvus answers from what it happens to have taken in.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.errors import LibraryClosed, LibraryError, LibraryFull, LibraryUnavailable
from index.lexicon import K1, B
from index.milvus.expressions import among, both, quoted

if TYPE_CHECKING:
    from pymilvus import MilvusClient

Name = Literal["meta", "changes", "articles", "texts", "passages", "raw"]
Record = dict[str, Any]
Answer = TypeVar("Answer")

# The longest string that a field holds, in bytes of UTF-8, and the most records of one answer (Milvus 2.3, limits).
LONGEST, MOST = 65_535, 16_384

# Records, and bytes of them, that are written at once: Milvus takes 64 MB in one call.
TOGETHER, TOGETHER_BYTES = 1000, 16_000_000

# Vectors that are searched for in one call.
ASKED_TOGETHER = 64

# Seconds until a call is given up, and for which a server that starts is waited for.
READING, WRITING, STARTING = 10.0, 60.0, 10.0

# Where nothing was heard of the server for so many seconds it may have been started anew: it takes some nine.
SILENCE = 4.0

# The graph of the dense index: neighbours of a node, and how many are looked at when it is built.
NEIGHBOURS, BUILDING = 30, 360

# A collection without vectors has this one, for Milvus wants one in each.
NO_VECTOR = [0.0, 0.0]

KEYS: dict[Name, str] = {
    "meta": "key",
    "changes": "number",
    "articles": "place",
    "texts": "place",
    "passages": "row",
    "raw": "row",
}
# Of articles and passages, what filters ask.
ASKED = {"article": str, "language": str, "source": str, "url": str, "published": int, "facts": dict}
FIELDS: dict[Name, dict[str, type]] = {
    "meta": {"key": str, "value": str},
    "changes": {"number": int, "state": int, "heard": int, "value": str},
    "articles": {"place": str, "edition": int, "version": int, "hash": str, "passages": int, "first": int, **ASKED},
    "texts": {"place": str, "edition": int, "version": int, "text": str},
    "passages": {
        "row": int,
        "edition": int,
        "version": int,
        "lot": int,
        "passage": str,
        "position": int,
        "start": int,
        "stop": int,
        "checksum": str,
        "tokens": str,
        "tokens_checksum": str,
        **ASKED,
    },
    "raw": {"row": int, "edition": int, "version": int, **ASKED},
}
VECTORS: tuple[Name, ...] = ("passages", "raw")

# What passages have besides where the server ranks by words (`index.milvus.served`): the fields that it ranks by, the
# one that it looks words up in, and all.
RANKING, LOOKED_UP, SAID = ("sounds", "words"), "words", ("sounds", "words", "characters")
BM25 = {"bm25_k1": K1, "bm25_b": B}

# The codes, and the words, of a server that is not ready yet: it has no node for a collection, and their kin.
PASSING = (101, 106, 500, 503)
NOT_YET = ("not loaded", "no available", "channel not", "not ready", "recovering", "not fully loaded")

log = logging.getLogger("dragoman.index")


@dataclass(frozen=True, slots=True)
class Near:
    """A record that is near to a vector: its key, the inner product, and the fields that were asked for."""

    key: int
    score: float
    record: Record


class Server:
    """The collections of one library, whose names begin with `prefix`. Safe to use from many threads."""

    def __init__(self, address: str, *, token: str = "", prefix: str = "dragoman") -> None:
        """Connect; `address` is that of a server (http://host:19530), or the path of a file for `milvus-lite`."""
        self.address, self.prefix = address, prefix
        self.remote = "://" in address
        self._lock = threading.Lock()
        self._heard = 1
        self._answered, self._lost, self._closed = 0.0, False, False
        self._loaded: set[Name] = set()
        self._token = token
        self._client = self._connected(token)

    def beside(self, prefix: str) -> Server:
        """Return a server over collections of another prefix, with a connection of its own."""
        return Server(self.address, token=self._token, prefix=f"{self.prefix}_{prefix}")

    def _connected(self, token: str) -> MilvusClient:
        try:
            from pymilvus import MilvusClient, MilvusException
        except ImportError as error:
            raise LibraryError(
                f"A library in Milvus takes the extra `milvus` ({error}): pip install 'dragoman[milvus]'."
            ) from error
        # It logs every failed call with its stack; what failed is told in an error.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        try:
            return MilvusClient(self.address, token=token, timeout=READING)
        except (MilvusException, OSError) as error:
            raise self._unavailable(error) from error

    @property
    def heard(self) -> int:
        """The server's time before which all that was written is seen by reads."""
        return self._heard

    def hear(self, timestamp: int) -> None:
        """Have reads see what was written before a time of the server."""
        with self._lock:
            self._heard = max(self._heard, timestamp)

    def lose(self) -> None:
        """Have the next read wait until the server has taken in all that it holds."""
        self._lost = True

    def version(self) -> str:
        """Return the server's version."""
        return str(self._asked(lambda: self._client.get_server_version()))

    def close(self) -> None:
        """Give the connection back."""
        self._closed = True
        self._client.close()

    # Collections

    def exists(self, name: Name = "meta") -> bool:
        """Tell whether the library has this collection."""
        return bool(self._asked(lambda: self._client.has_collection(self._full(name), timeout=READING)))

    def create(self, name: Name, dim: int, *, words: bool = False) -> None:
        """Make a collection, if it is not there; with `words`, that of the passages has them for the server to rank."""
        if self.exists(name):
            return
        from pymilvus import DataType, Function, FunctionType

        types = {str: DataType.VARCHAR, int: DataType.INT64, dict: DataType.JSON}
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        for field, kind in FIELDS[name].items():
            more: Record = {"max_length": LONGEST} if kind is str else {}
            schema.add_field(field, types[kind], is_primary=field == KEYS[name], **more)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim if name in VECTORS else len(NO_VECTOR))
        indexes = self._client.prepare_index_params()
        if name in VECTORS and self.remote:
            graph = {"M": NEIGHBOURS, "efConstruction": BUILDING}
            indexes.add_index("vector", index_type="HNSW", metric_type="IP", params=graph)
        else:
            indexes.add_index("vector", index_type="FLAT", metric_type="IP")
        # pymilvus sends the parameters of an index one by one; the double reads them together, or goes by its own.
        how: Record = BM25 if self.remote else {"params": BM25}
        cut: Record = {"enable_analyzer": True, "analyzer_params": {"tokenizer": "standard"}}
        for field in SAID if words and name == "passages" else ():
            more = {**cut, "enable_match": field == LOOKED_UP} if field in RANKING else {}
            schema.add_field(field, DataType.VARCHAR, max_length=LONGEST, **more)
            if field in RANKING:
                schema.add_field(_ranks(field), DataType.SPARSE_FLOAT_VECTOR)
                schema.add_function(Function(_ranks(field), FunctionType.BM25, [field], [_ranks(field)]))
                indexes.add_index(_ranks(field), index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params=how)
        self._asked(
            lambda: self._client.create_collection(
                self._full(name), schema=schema, index_params=indexes, timeout=WRITING
            )
        )

    def has(self, name: Name, field: str) -> bool:
        """Tell whether the records of a collection have a field."""
        told = self._asked(lambda: self._client.describe_collection(self._full(name), timeout=READING))
        return any(each["name"] == field for each in told["fields"])

    def drop(self, *names: Name) -> None:
        """Remove collections, all where none is named, for good."""
        for name in names or FIELDS:
            self._asked(lambda name=name: self._client.drop_collection(self._full(name), timeout=WRITING))  # type: ignore[misc]

    def _full(self, name: Name) -> str:
        return f"{self.prefix}_{name}"

    # Writing

    def insert(self, name: Name, records: Sequence[Record]) -> None:
        """Write new records, some at a time."""
        for some in _portions(records):
            told = [record if "vector" in record else {**record, "vector": NO_VECTOR} for record in some]
            self._asked(lambda told=told: self._client.insert(self._full(name), told, timeout=WRITING))  # type: ignore[misc]

    def put(self, name: Name, *records: Record, timeout: float = WRITING) -> None:
        """Write records, each in the place of the one with its key, if any; give up after so many seconds."""
        told = [{**record, "vector": NO_VECTOR} for record in records]
        self._asked(lambda: self._client.upsert(self._full(name), told, timeout=timeout), min(STARTING, timeout))

    def delete(self, name: Name, keys: Sequence[int | str]) -> None:
        """Remove the records of these keys."""
        for start in range(0, len(keys), TOGETHER):
            # Not by `ids`, which pymilvus puts into an expression as they are.
            where = among(KEYS[name], keys[start : start + TOGETHER])
            self._asked(lambda where=where: self._client.delete(self._full(name), filter=where, timeout=WRITING))  # type: ignore[misc]

    def now(self) -> int:
        """Return a time of the server's clock that is behind all that was written so far."""
        if not self.remote:
            return self._heard  # the double sees all at once
        # The one call for it is of the connection that the client keeps to itself.
        return int(self._asked(lambda: self._client._get_connection().alloc_timestamp()))

    # Reading

    def query(self, name: Name, where: str, fields: Sequence[str], most: int | None = None) -> list[Record]:
        """Return the records that meet an expression, at most so many, in the order of their keys."""
        found: list[Record] = []
        for some in self.pages(name, where, fields, MOST if most is None else min(most, MOST)):
            found.extend(some)
            if most is not None and len(found) >= most:
                return found[:most]
        return found

    def pages(self, name: Name, where: str, fields: Sequence[str], size: int = MOST) -> Iterator[list[Record]]:
        """Yield the records that meet an expression, `size` at a time, in the order of their keys."""
        key = KEYS[name]
        asked, after = list(dict.fromkeys((key, *fields))), ""
        # Of so many the server gives the first by their keys, the double any; but it gives all, too.
        limit = {"limit": size} if self.remote else {}
        while True:
            expression = both(where, after) or _every(key)
            some = self._read(
                lambda expression=expression, **named: self._client.query(
                    self._full(name), filter=expression, output_fields=asked, **limit, **named
                ),
                name,
            )
            records: list[Record] = sorted((dict(each) for each in some), key=lambda each: each[key])
            yield from (records[start : start + size] for start in range(0, len(records), size))
            if not self.remote or len(records) < size:
                return
            after = f"{key} > {quoted(records[-1][key])}"

    def by_key(self, name: Name, keys: Sequence[int | str], fields: Sequence[str]) -> dict[Any, Record]:
        """Return the records of these keys that are there, by key."""
        key, found = KEYS[name], {}
        for start in range(0, len(keys), TOGETHER):
            some = keys[start : start + TOGETHER]
            for record in self.query(name, among(key, some), fields):
                found[record[key]] = record
        return found

    def having(self, name: Name, field: str, values: Sequence[int | str], fields: Sequence[str]) -> list[Record]:
        """Return the records whose field has one of these values."""
        found: list[Record] = []
        for start in range(0, len(values), TOGETHER):
            found += self.query(name, among(field, values[start : start + TOGETHER]), fields)
        return found

    def count(self, name: Name, where: str = "") -> int:
        """Return how many records meet an expression."""
        told = self._read(
            lambda **named: self._client.query(self._full(name), filter=where, output_fields=["count(*)"], **named),
            name,
        )
        return int(told[0]["count(*)"])

    def near(
        self, name: Name, vectors: NDArray[np.float32], k: int, where: str, fields: Sequence[str]
    ) -> list[list[Near]]:
        """Return for each vector (q, dim) the records nearest to it by inner product, at most `k`, best first."""
        if len(vectors) > ASKED_TOGETHER:
            portions = (vectors[start : start + ASKED_TOGETHER] for start in range(0, len(vectors), ASKED_TOGETHER))
            return [hits for some in portions for hits in self.near(name, some, k, where, fields)]
        effort = {"ef": min(32_768, max(2 * k, 256))} if self.remote else {}
        how = {"metric_type": "IP", "params": effort}
        return self._search(name, "vector", vectors.astype(np.float32).tolist(), k, where, fields, how)

    def ranked(self, field: str, texts: Sequence[str], k: int, where: str, fields: Sequence[str]) -> list[list[Near]]:
        """Return for each text the passages with the most BM25 in a field, at most `k`, best first."""
        if len(texts) > ASKED_TOGETHER:
            portions = (texts[start : start + ASKED_TOGETHER] for start in range(0, len(texts), ASKED_TOGETHER))
            return [hits for some in portions for hits in self.ranked(field, some, k, where, fields)]
        return self._search("passages", _ranks(field), texts, k, where, fields, {"metric_type": "BM25", "params": {}})

    def _search(
        self, name: Name, field: str, data: Sequence[Any], k: int, where: str, fields: Sequence[str], how: Record
    ) -> list[list[Near]]:
        key = KEYS[name]
        found = self._read(
            lambda **named: self._client.search(
                self._full(name),
                data=list(data),
                anns_field=field,
                filter=where,
                limit=k,
                output_fields=list(fields),
                search_params=how,
                **named,
            ),
            name,
        )
        # The double names a key by its field, the server by "id"; and tells BM25 with a minus.
        sign = -1 if how["metric_type"] == "BM25" and not self.remote else 1
        return [
            [
                Near(int(hit["id"] if "id" in hit else hit[key]), sign * float(hit["distance"]), hit["entity"])
                for hit in hits
            ]
            for hits in found
        ]

    def _read(self, ask: Callable[..., Answer], name: Name) -> Answer:
        self.wait_loaded(name)
        named = {"consistency_level": "Customized", "guarantee_timestamp": self._heard, "timeout": READING}
        return self._asked(lambda: ask(**named))

    def wait_loaded(self, name: Name) -> None:
        """Return when a collection can be read whole; raises LibraryUnavailable where it takes too long.

        A server that was started anew answers before it has taken in all that it holds.
        """
        if self._lost or time.monotonic() - self._answered > SILENCE:
            with self._lock:
                self._loaded.clear()
                self._lost = False
        if name in self._loaded:
            return
        end = time.monotonic() + STARTING
        while True:
            told = self._asked(lambda: self._client.get_load_state(self._full(name), timeout=READING))
            state = str(getattr(told["state"], "name", told["state"]))
            if state == "Loaded":
                with self._lock:
                    self._loaded.add(name)
                return
            if state == "NotLoad":
                self._asked(lambda: self._client.load_collection(self._full(name), timeout=READING))
            if time.monotonic() > end:
                raise LibraryUnavailable(f"Milvus at {self.address} is still loading {self._full(name)}: try again.")
            time.sleep(0.1)

    def _asked(self, ask: Callable[[], Answer], patience: float = STARTING) -> Answer:
        """Return what a call returns; where the server is not ready to answer it, it is asked again for a while."""
        from pymilvus import MilvusException

        end = time.monotonic() + patience
        while True:
            if self._closed:
                raise LibraryClosed("The library was closed.")
            try:
                answer = ask()
            except MilvusException as error:
                self._lost = True
                if not _passing(error) or time.monotonic() > end:
                    raise self._told(error) from error
                time.sleep(0.2)
            except Exception as error:  # of gRPC, which it does not always translate
                self._lost = True
                if not type(error).__module__.startswith(("grpc", "pymilvus")):
                    raise
                raise self._unavailable(error) from error
            else:
                self._answered = time.monotonic()
                return answer

    def _told(self, error: Exception) -> LibraryError:
        said = str(getattr(error, "message", "") or error)
        if "disk" in said.lower() and ("full" in said.lower() or "quota" in said.lower() or "space" in said.lower()):
            return LibraryFull(f"Milvus at {self.address} has no room left ({said}): give it more, then add again.")
        return self._unavailable(error)

    def _unavailable(self, error: Exception) -> LibraryUnavailable:
        said = str(getattr(error, "message", "") or error).strip()[:300]
        return LibraryUnavailable(
            f"Milvus at {self.address} does not answer ({said}): see that it runs and can be reached, and try again."
            " What was acknowledged is kept."
        )


def _ranks(field: str) -> str:
    """Return the name of the sparse vectors that Milvus makes of a field."""
    return f"{field}_bm25"


def _passing(error: Exception) -> bool:
    """Tell whether a server says that it is not ready yet."""
    return getattr(error, "code", None) in PASSING or any(each in str(error).lower() for each in NOT_YET)


def _every(key: str) -> str:
    # Without a filter a limit is needed, and with one an order is kept.
    return f'{key} != ""' if key in ("key", "place") else f"{key} > {-(2**62)}"


def _portions(records: Sequence[Record]) -> Iterable[list[Record]]:
    some: list[Record] = []
    size = 0
    for record in records:
        some.append(record)
        size += 64 + sum(8 * len(each) if isinstance(each, list) else len(str(each)) for each in record.values())
        if len(some) == TOGETHER or size > TOGETHER_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some
