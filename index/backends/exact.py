"""Exact search in NumPy alone: short enough to be seen to be right. What the other backends are compared
with.
"""

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]


class ExactIndex:
    """Vectors in an array, searched by a matrix product."""

    name = "exact"

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._rows: Rows = np.empty(0, np.int64)
        self._vectors: Vectors = np.empty((0, dim), np.float32)

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> Rows:
        """Return the rows, ascending (n,)."""
        return self._rows.copy()

    def holds(self, rows: Rows) -> NDArray[np.bool_]:
        """Tell of each row (n,) whether it is here."""
        return np.isin(rows, self._rows)

    def vectors(self, rows: Rows) -> Vectors:
        """Return the vectors of rows (n, dim); raises KeyError for a row that is not here."""
        positions = np.searchsorted(self._rows, rows)
        known = positions < len(self._rows)
        if not known.all() or not np.array_equal(self._rows[positions], rows):
            raise KeyError("a row that is not in the index was asked for")
        return self._vectors[positions]

    def add(self, rows: Rows, vectors: Vectors) -> None:
        """Add vectors (n, dim) under rows (n,), each row once; a row that is here already gets its new
        vector.
        """
        self.remove(rows)
        joined = np.concatenate([self._rows, rows])
        order = np.argsort(joined)
        self._rows = joined[order]
        self._vectors = np.concatenate([self._vectors, vectors.astype(np.float32)])[order]

    def remove(self, rows: Rows) -> None:
        """Remove rows; those that are not here are passed over."""
        keep = ~np.isin(self._rows, rows)
        self._rows, self._vectors = self._rows[keep], self._vectors[keep]

    def search(self, queries: Vectors, k: int, allowed: Rows | None = None) -> tuple[Vectors, Rows]:
        """Return the k best rows of each query; see `index.dense.DenseIndex.search`."""
        keep = slice(None) if allowed is None else np.isin(self._rows, allowed)
        rows, vectors = self._rows[keep], self._vectors[keep]
        scores = np.full((len(queries), k), -np.inf, np.float32)
        found = np.full((len(queries), k), -1, np.int64)
        best = min(k, len(rows))
        if best:
            similarities = queries @ vectors.T
            # Rows ascend, so a stable sort leaves equal scores in the order of their rows.
            order = np.argsort(-similarities, axis=1, kind="stable")[:, :best]
            scores[:, :best] = np.take_along_axis(similarities, order, axis=1)
            found[:, :best] = rows[order]
        return scores, found

    def save(self, stream: BinaryIO) -> None:
        """Write all of it, for `load`."""
        np.lib.format.write_array(stream, self._rows, allow_pickle=False)
        np.lib.format.write_array(stream, self._vectors, allow_pickle=False)

    def load(self, stream: BinaryIO) -> None:
        """Take what `save` wrote in place of what is here; raises ValueError where it is not that."""
        rows = np.lib.format.read_array(stream, allow_pickle=False)
        vectors = np.lib.format.read_array(stream, allow_pickle=False)
        if rows.dtype != np.int64 or vectors.dtype != np.float32 or vectors.shape != (len(rows), self.dim):
            raise ValueError(f"an index of dimension {self.dim} was expected, not {vectors.dtype} {vectors.shape}")
        self._rows, self._vectors = rows, vectors
