"""A library given out whole, and taken in elsewhere so that it answers the same.

What is ranked by depends on vectors, token vectors, means, and, where a sample stands for all, on the numbers of the
rows: so all of these go along.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeAlias, get_args

from index import tables, warmth
from index.errors import LibraryAbsent, ModelMismatch
from index.library import Library
from index.milvus import MilvusLibrary, Place
from index.neutral import Neutral
from index.records import Action, Addition, Holding, LibraryInfo
from index.store import Store
from index.tokens import TokenSpace
from index.warmth import Side, Sums

# A library, wherever it is kept.
AnyLibrary: TypeAlias = Library | MilvusLibrary

# Articles that are written in one transaction.
TOGETHER = 256


@dataclass(frozen=True, slots=True)
class Origin:
    """What a library was built with, as `LibraryInfo` tells it, and the `sums` that its means are of."""

    model: str
    fingerprint: str
    dim: int
    tokens: str
    warming: bool
    articles: int
    passages: int
    sums: Mapping[Side, Sums] = field(default_factory=dict)

    def fits(self, info: LibraryInfo) -> None:
        """Raise ModelMismatch where a library cannot take in these vectors."""
        own = (info.model, info.fingerprint, info.dim, info.tokens)
        if own != (self.model, self.fingerprint, self.dim, self.tokens):
            raise ModelMismatch(
                f"What is to be imported was encoded with {_told(self.model, self.fingerprint, self.tokens)}, and the"
                f" library here with {_told(info.model, info.fingerprint, info.tokens)}: have it encoded anew"
                " (--encode), or import into a new library (--data)."
            )

    def known(self) -> None:
        """Raise ModelMismatch where this version of Dragoman compares other token vectors."""
        space = TokenSpace.of(Neutral.for_model(self.model).priors)
        if self.tokens and (space is None or space.identity != self.tokens):
            raise ModelMismatch(
                "What is to be imported has token vectors of another kind than this version of Dragoman compares: have"
                " it encoded anew (--encode), or use the version that exported it."
            )


@contextmanager
def giving(folder: Path | Place) -> Iterator[tuple[Origin, Iterator[Holding]]]:
    """Give what the library in a folder, or in Milvus, was built with, and all it holds, checked, in the order in which
    it came.

    Everything is as it is at one change, whoever writes meanwhile, and read as it is asked for: of all that is
    held, one article at a time is in memory. From Milvus some articles are, in an order of the server's own, and one
    that is replaced meanwhile is left out, or given as it is then. Raises LibraryAbsent, DamagedLibrary.
    """
    if isinstance(folder, Place):
        with MilvusLibrary.existing(folder) as library:
            held, sums = library.info(), library.sums()
            about = held.model, held.fingerprint, held.dim, held.tokens, held.warming, held.articles, held.passages
            yield Origin(*about, sums), library.everything()
        return
    info = Library.describe(folder)
    if info is None:
        raise LibraryAbsent(f"There is no library in {folder}: --data names another.")
    store = Store(folder, read_only=True)
    try:
        with store.reading() as connection:
            articles, passages, _ = tables.counts(connection)
            sums = {side: warmth.read(connection, side, info.dim) for side in get_args(Side)}
            built = info.model, info.fingerprint, info.dim, info.tokens, info.warming
            keeps = tables.keeps_tokens(connection) and bool(info.tokens)

            def everything() -> Iterator[Holding]:
                for article, stored, read in tables.everything(connection):
                    codes = tables.tokens_of(connection, [each.row for each in stored]) if keeps else {}
                    yield tables.holding(article, stored, read, codes, info.dim)

            yield Origin(*built, articles, passages, sums), everything()
    finally:
        store.close()


def differing(library: AnyLibrary, holdings: Iterator[Holding]) -> Iterator[tuple[str, str | None]]:
    """Yield the id of each article that another library gave, and what is otherwise in this one; None where nothing is:
    its text and all about it, and of every passage its id, span, vector and token vectors, to the last bit.
    """
    while some := list(islice(holdings, TOGETHER)):
        there = library.holdings([each.article.id for each in some])
        for each in some:
            yield each.article.id, _difference(there.get(each.article.id), each)


def _difference(own: Holding | None, other: Holding) -> str | None:
    if own is None:
        return "is not there"
    if own.article != other.article:
        return "says something else"
    if own.passages != other.passages:
        return "has other passages"
    if own.vectors.tobytes() != other.vectors.tobytes():
        return "has other vectors"
    return None if list(own.tokens) == list(other.tokens) else "has other token vectors"


def take(library: AnyLibrary, origin: Origin, mark: str, holdings: Iterator[Holding]) -> Generator[tuple[str, Action]]:
    """Add what another library gave, encoding nothing; yield ids, and what became of each, once they are durable.

    What is there already, as it is, is left so; taking in the same again after an interruption goes on where it was.
    In a library that has never held anything else, rows and means come to be those of the other: then it answers the
    same. `mark` tells one export from others. Raises ModelMismatch, InvalidArticle, LibraryBusy.
    """
    with library.writing():
        same = library.receive(mark)
        if same and isinstance(library, MilvusLibrary):
            library.take_means(origin.sums)
        while some := list(islice(holdings, TOGETHER)):
            there = library.unchanged_among([each.article for each in some])
            additions = [
                Addition(
                    each.article,
                    each.passages,
                    dict(enumerate(each.vectors)),
                    {place: code for place, code in enumerate(each.tokens) if code is not None},
                    dict(enumerate(each.rows)) if same else None,
                )
                for each in some
                if each.article.id not in there
            ]
            actions = iter(library.add_all(additions) if additions else [])
            for each in some:
                yield each.article.id, "unchanged" if each.article.id in there else next(actions)
        if same:
            library.received(origin.sums)


def _told(model: str, fingerprint: str, tokens: str) -> str:
    return f"{model!r} ({fingerprint[:12]}, {'with' if tokens else 'without'} token vectors)"
