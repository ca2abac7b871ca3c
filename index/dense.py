"""The dense index: rows and their vectors, searched by inner product. What a backend must do, and the exact
order.
"""

import math
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from index.scope import Allowed

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

# Two ways of summing one float32 inner product of unit vectors differ by some 1e-7 (and less than dim *
# 2**-24 in the worst case); a score this far below another is below it however it is summed.
SLACK = 1e-5

# Places that are looked at beyond those asked for, among which the last of these is mostly told from what comes behind.
BEYOND = 16


class Searched(Protocol):
    """Rows (positive numbers) and their unit vectors, to be searched."""

    def __len__(self) -> int: ...

    def holds(self, rows: Rows) -> NDArray[np.bool_]:
        """Tell of each row (n,) whether it is here."""
        ...

    def vectors(self, rows: Rows) -> Vectors:
        """Return the vectors of rows (n, dim); raises KeyError for a row that is not here."""
        ...

    def search(self, queries: Vectors, k: int, allowed: Any = None) -> tuple[Vectors, Rows]:
        """Return scores and rows (q, k) of the best for each query (q, dim), by inner product.

        Best first, equal scores by row. `allowed` rows alone are looked at, so k of them come back whenever
        that many are here; where fewer are, row -1 and score -inf fill up. Scores are within `SLACK` of the
        true ones. What tells the allowed ones is an array of rows, or a `Scope` of the same index.
        """
        ...


class DenseIndex(Searched, Protocol):
    """One that is kept in memory. `index.recovery.Space` guards it for threads."""

    name: str
    dim: int

    def rows(self) -> Rows:
        """Return the rows, ascending (n,)."""
        ...

    def add(self, rows: Rows, vectors: Vectors) -> None:
        """Add vectors (n, dim) under rows (n,), each row once; a row that is here already gets its new
        vector.
        """
        ...

    def remove(self, rows: Rows) -> None:
        """Remove rows; those that are not here are passed over."""
        ...

    def save(self, stream: BinaryIO) -> None:
        """Write all of it, for `load`."""
        ...

    def load(self, stream: BinaryIO) -> None:
        """Take what `save` wrote in place of what is here; raises ValueError where it is not that."""
        ...


class Place(NamedTuple):
    """A place in a ranking: by score, falling, then by row, rising."""

    score: float
    row: int


@dataclass(frozen=True, slots=True)
class Sizing:
    """From how many passages on a library is searched by codes, and what recall@10 that must reach (0..1)."""

    threshold: int = 1_000_000
    recall: float = 0.99


def make(dim: int, name: str = "faiss") -> DenseIndex:
    """Return an empty dense index of a kind that a library uses: exact `faiss`, or `quantised`."""
    # They take a moment to load, and `describe` does without.
    if name == "quantised":
        from index.backends.quantised import QuantisedIndex

        return QuantisedIndex(dim)
    from index.backends.faiss import FaissIndex

    return FaissIndex(dim)


def exact(vectors: Vectors, query: Vectors) -> Vectors:
    """Return the inner products of vectors (n, dim) with a query (dim,), the same whatever vectors come with each."""
    # einsum sums each row by itself, whatever rows come with it; a matrix product would not.
    products = np.einsum("nd,d->n", vectors.astype(np.float64), query.astype(np.float64))
    found: Vectors = products.astype(np.float32)
    return found


def best(
    index: Searched,
    query: Vectors,
    limit: int,
    allowed: Allowed | None = None,
    after: Place | None = None,
    seen: int = 0,
) -> list[Place]:
    """Return the best places for one query (dim,), at most `limit`, that come after a place; `seen` lie
    before it.

    The order depends on nothing but the vectors: a backend may sum in another order as it grows, or for another
    number of queries, so the scores are taken again, in one way, until no vector that the backend left out for want
    of room could come first. A `quantised` backend may miss vectors altogether. What it gives are the first of one
    list of candidates however many are asked for, and exact beyond that list, so no place comes twice on any page,
    and none of the list is skipped; what it missed within the list stays missed behind it.
    """
    size = len(index) if allowed is None else len(allowed)
    # On later pages more may lie before the place than was seen: what was added since.
    wanted = (limit if after is None else 2 * (seen + limit)) + BEYOND
    while True:
        wanted = min(wanted, size)
        rough, rows = index.search(query[None], wanted, allowed)
        found = rows[0][rows[0] >= 0]
        scores = exact(index.vectors(found), query)
        order = np.lexsort((found, -scores))
        least = float(rough[0, -1]) + SLACK if wanted < size else -math.inf
        places = (
            Place(score, row)
            for score, row in zip(scores[order].tolist(), found[order].tolist(), strict=True)
            if score > least and (after is None or (-score, row) > (-after.score, after.row))
        )
        following = list(islice(places, limit))
        if len(following) == limit or wanted == size:
            return following
        wanted *= 2
