"""Exact inner product in FAISS: the dense index of a library.

FAISS's own `IndexIDMap2` is not used: removing one row from it moves all that follow and builds its map anew
(14 ms at 100,000 vectors), and it cannot change a vector in place. Here rows are kept ascending beside an
`IndexFlatIP`; what is removed is first only passed over, by the selector that filters use too, and swept out
in one go.
"""

from typing import BinaryIO

import faiss
import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

# Removed vectors are swept out when they are more than one in this many: the sweep costs a pass over the
# vectors.
SWEEP = 16

# From this many queries FAISS multiplies matrices instead of vectors, but only without a selector. With one,
# the allowed vectors are gathered first, as long as the copy stays below this size.
BATCH = 20
GATHER_BYTES = 256 * 1024 * 1024

# Vectors that are written at once.
PIECE = 8192


class FaissIndex:
    """An `IndexFlatIP` with the rows of its vectors."""

    name = "faiss"

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._rows: Rows = np.empty(0, np.int64)
        self._alive: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._clear()

    def __len__(self) -> int:
        return self._index.ntotal - self._dead

    def rows(self) -> Rows:
        """Return the rows, ascending (n,)."""
        return self._rows[: self._index.ntotal][self._alive[: self._index.ntotal]]

    def holds(self, rows: Rows) -> NDArray[np.bool_]:
        """Tell of each row (n,) whether it is here."""
        return self._positions(rows)[1]

    def vectors(self, rows: Rows) -> Vectors:
        """Return the vectors of rows (n, dim); raises KeyError for a row that is not here."""
        positions, here = self._positions(rows)
        if not here.all():
            raise KeyError("a row that is not in the index was asked for")
        return self._view().take(positions, axis=0)

    def add(self, rows: Rows, vectors: Vectors) -> None:
        """Add vectors (n, dim) under rows (n,), each row once; a row that is here already gets its new
        vector.
        """
        positions, here = self._positions(rows)
        if here.any():
            self._view()[positions[here]] = vectors[here]
        if here.all():
            return
        order = np.argsort(rows[~here], kind="stable")
        fresh, added = rows[~here][order], np.ascontiguousarray(vectors[~here][order], np.float32)
        count = self._index.ntotal
        if count and fresh[0] <= self._rows[count - 1]:
            # Rows out of order: a library never has them, since its rows only grow. Everything is laid anew.
            self._sweep()
            kept, old = self._rows[: len(self)].copy(), self._view().copy()
            joined = np.concatenate([kept, fresh])
            order = np.argsort(joined)
            fresh, added = joined[order], np.concatenate([old, added])[order]
            self._clear()
        self._append(fresh, added)

    def remove(self, rows: Rows) -> None:
        """Remove rows; those that are not here are passed over."""
        positions, here = self._positions(rows)
        self._alive[positions[here]] = False
        self._dead = self._index.ntotal - int(self._alive[: self._index.ntotal].sum())
        if self._dead * SWEEP > self._index.ntotal:
            self._sweep()

    def search(self, queries: Vectors, k: int, allowed: Rows | None = None) -> tuple[Vectors, Rows]:
        """Return the k best rows of each query; see `index.dense.DenseIndex.search`."""
        count = self._index.ntotal
        keep = self._alive[:count]
        if allowed is not None:
            keep = keep & np.isin(self._rows[:count], allowed, assume_unique=True)
        many = len(self) if allowed is None else int(keep.sum())
        best = min(k, many)
        scores, found = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        if best and len(queries):
            near, positions = self._nearest(np.ascontiguousarray(queries, np.float32), best, keep, many)
            rows = self._rows[positions]
            query, order = np.arange(len(queries))[:, None], np.lexsort((rows, -near), axis=1)
            scores, found = near[query, order], rows[query, order]
        if (lacking := k - scores.shape[1]) > 0:
            scores = np.pad(scores, ((0, 0), (0, lacking)), constant_values=-np.inf)
            found = np.pad(found, ((0, 0), (0, lacking)), constant_values=-1)
        return scores, found

    def save(self, stream: BinaryIO) -> None:
        """Write all of it, for `load`, in pieces: nothing changes, and memory does not double."""
        np.lib.format.write_array(stream, self.rows(), allow_pickle=False)
        shape = {"descr": "<f4", "fortran_order": False, "shape": (len(self), self.dim)}
        np.lib.format.write_array_header_1_0(stream, shape)
        for start in range(0, self._index.ntotal, PIECE):
            piece = slice(start, min(start + PIECE, self._index.ntotal))
            stream.write(self._view()[piece][self._alive[piece]].tobytes())

    def load(self, stream: BinaryIO) -> None:
        """Take what `save` wrote in place of what is here; raises ValueError where it is not that."""
        rows = np.lib.format.read_array(stream, allow_pickle=False)
        vectors = np.lib.format.read_array(stream, allow_pickle=False)
        if rows.dtype != np.int64 or vectors.dtype != np.float32 or vectors.shape != (len(rows), self.dim):
            raise ValueError(f"an index of dimension {self.dim} was expected, not {vectors.dtype} {vectors.shape}")
        self._clear()
        self._append(rows, vectors)

    def _nearest(self, queries: Vectors, k: int, keep: NDArray[np.bool_], many: int) -> tuple[Vectors, Rows]:
        """Return scores and positions of the k nearest vectors among the `many` that are kept."""
        if many == len(keep):
            near, positions = self._index.search(queries, k)
        elif len(queries) >= BATCH and many * self.dim * 4 <= GATHER_BYTES:
            kept = np.flatnonzero(keep)
            near, numbers = faiss.knn(queries, self._view()[kept], k, metric=faiss.METRIC_INNER_PRODUCT)
            positions = kept[numbers]
        else:
            # The selector reads these bits where they lie, so they are named and stay until the search is
            # over.
            bits = np.packbits(keep, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(keep), faiss.swig_ptr(bits))
            parameters = faiss.SearchParameters()
            parameters.sel = selector
            near, positions = self._index.search(queries, k, params=parameters)
        return near, positions

    def _view(self) -> Vectors:
        """Return the vectors as they lie in FAISS, not a copy: (count, dim), until the next change."""
        count = self._index.ntotal
        if not count:
            return np.empty((0, self.dim), np.float32)
        view: Vectors = faiss.rev_swig_ptr(self._index.get_xb(), count * self.dim).reshape(count, self.dim)
        return view

    def _positions(self, rows: Rows) -> tuple[Rows, NDArray[np.bool_]]:
        """Return where each row lies, and whether it does."""
        count = self._index.ntotal
        if not count:
            return np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
        positions = np.minimum(np.searchsorted(self._rows[:count], rows), count - 1)
        return positions, (self._rows[positions] == rows) & self._alive[positions]

    def _append(self, rows: Rows, vectors: Vectors) -> None:
        count, total = self._index.ntotal, self._index.ntotal + len(rows)
        if total > len(self._rows):
            room = max(total, 2 * len(self._rows)) - count
            self._rows = np.concatenate([self._rows[:count], np.zeros(room, np.int64)])
            self._alive = np.concatenate([self._alive[:count], np.zeros(room, np.bool_)])
        self._index.add(vectors)
        self._rows[count:total] = rows
        self._alive[count:total] = True

    def _sweep(self) -> None:
        """Take the removed vectors out; those that stay keep their order."""
        count = self._index.ntotal
        keep = self._alive[:count]
        bits = np.packbits(~keep, bitorder="little")
        self._index.remove_ids(faiss.IDSelectorBitmap(count, faiss.swig_ptr(bits)))
        rows = self._rows[:count][keep]
        self._rows, self._alive, self._dead = rows, np.ones(len(rows), np.bool_), 0

    def _clear(self) -> None:
        self._index = faiss.IndexFlatIP(self.dim)
        self._rows, self._alive, self._dead = np.empty(0, np.int64), np.empty(0, np.bool_), 0
