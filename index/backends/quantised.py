"""Approximate search for large libraries: a quantised FAISS index proposes, the vectors themselves decide.

In memory lie codes and rows; the vectors lie in the snapshot and are read through mmap. What the codes propose is
scored again from the vectors, so scores are exact, and only which vectors are looked at is approximate. Rows that
came since the index was built lie beside it in a `FaissIndex`; rows that went, or got another vector, are passed over.
"""

import json
import mmap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

import faiss
import numpy as np
from numpy.typing import NDArray

from index.backends.faiss import PIECE, FaissIndex

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Bits = NDArray[np.bool_]

# Vectors in a list on average, rounds of k-means, and vectors that each list is trained with.
IN_LIST, ROUNDS, TRAINED = 512, 8, 40

# So many or fewer rows that a filter keeps are all scored exactly: reading them costs less than finding them.
FEW = 20_000

# Recall is measured with so many questions made for it, at this depth. Passages would be too easy: they lie near to
# each other, and questions do not. A made question shares `SHARED` of how a passage differs from the mean; the rest is
# chance, which varies as so many of the library's vectors do. Among a million passages the nearest to it is then at a
# cosine of 0.65, to a real question at 0.63, and to a passage at 0.98 (benchmarks/results.md).
ASKED, DEPTH = 200, 10
SHARED, VARIED = 0.4, 2_000

# Lists that are looked at and candidates that are scored again, at the least; and what the latter may grow to. Less
# would save a fraction of a millisecond.
LISTS, CANDIDATES, MOST = 64, 500, 4_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard is searched: lists that are looked at, candidates that are scored again; and the recall, against exact
    search, that was measured with it.
    """

    lists: int
    candidates: int
    recall: float


class QuantisedIndex:
    """Codes of vectors in inverted lists, the vectors in a file, and what came since beside them."""

    name = "quantised"
    _codes: Any  # a faiss.IndexIVF, whose kind has no annotations; None where nothing is quantised

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._clear()

    def __len__(self) -> int:
        return int(self._alive.sum()) + len(self._since)

    @property
    def changed(self) -> int:
        """Return how many rows came, went or changed since the index was built."""
        return len(self._alive) - int(self._alive.sum()) + len(self._since)

    def build(self, rows: Rows, vectors: Vectors, target: float) -> None:
        """Take rows (n,), ascending, and their vectors (n, dim), which stay where they lie, in place of what is here;
        the least effort is chosen with which recall@10 reaches `target`.
        """
        self._clear()
        self._rows, self._vectors, self._alive = rows, vectors, np.ones(len(rows), np.bool_)
        if not len(rows):
            return
        chance = np.random.default_rng(0)
        lists = max(1, len(rows) // IN_LIST)
        self._codes = faiss.index_factory(self.dim, f"IVF{lists},{_codes(self.dim)}", faiss.METRIC_INNER_PRODUCT)
        self._codes.cp.niter, self._codes.cp.min_points_per_centroid = ROUNDS, 1
        size = max(TRAINED * lists, 1_000)  # of fewer vectors some are taken more than once
        some = chance.choice(len(rows), size, replace=len(rows) < size)
        self._codes.train(np.ascontiguousarray(vectors[np.sort(some)]))
        for piece in _pieces(len(rows)):
            self._codes.add(np.ascontiguousarray(vectors[piece]))
        self._measure(target, self._questions(chance))

    def _questions(self, chance: np.random.Generator) -> Vectors:
        """Return questions (`ASKED`, dim), unit length, that are as far from the passages as people's."""
        count = min(len(self._rows), VARIED)
        some = self._vectors[np.sort(chance.choice(len(self._rows), count, replace=False))]
        mean = some.mean(axis=0)
        passages = some[chance.integers(count, size=ASKED)]
        varied = chance.standard_normal((ASKED, count)).astype(np.float32) @ (some - mean) / np.float32(np.sqrt(count))
        made = mean + SHARED * (passages - mean) + np.float32(np.sqrt(1 - SHARED**2)) * varied
        questions: Vectors = made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), np.float32(1e-9))
        return questions

    def _measure(self, target: float, questions: Vectors) -> None:
        """Choose the least effort with which the nearest of questions (q, dim) are found as `target` says."""
        depth = min(DEPTH, len(self._rows))
        # What scores as the last of the nearest does is as good as it, but for how it is summed.
        least = self._scan(questions, np.arange(len(self._rows)), depth)[0][:, -1] - np.float32(1e-6)
        lists, candidates = min(LISTS, self._codes.nlist), CANDIDATES
        while True:
            self.effort = Effort(lists, candidates, 0.0)
            shares = []
            for number, worst in enumerate(least):
                query = questions[number : number + 1]
                found = self._proposed(query, None)
                scores = self._scan(query, found, min(depth, len(found)))[0]
                shares.append((scores >= worst).sum() / depth)
            self.effort = Effort(lists, candidates, float(np.mean(shares)))
            if self.effort.recall >= target or (lists == self._codes.nlist and candidates == MOST):
                return
            # Either may be what is wanting, and neither is dear where the other is small.
            lists, candidates = min(lists * 3 // 2 + 1, self._codes.nlist), min(candidates * 3 // 2, MOST)

    def rows(self) -> Rows:
        """Return the rows, ascending (n,)."""
        kept = self._rows[self._alive]
        return np.sort(np.concatenate([kept, self._since.rows()])) if len(self._since) else kept

    def holds(self, rows: Rows) -> Bits:
        """Tell of each row (n,) whether it is here."""
        return self._positions(rows)[1] | self._since.holds(rows)

    def vectors(self, rows: Rows) -> Vectors:
        """Return the vectors of rows (n, dim); raises KeyError for a row that is not here."""
        positions, here = self._positions(rows)
        found = np.empty((len(rows), self.dim), np.float32)
        found[here] = self._vectors[positions[here]]
        if not here.all():
            found[~here] = self._since.vectors(rows[~here])
        return found

    def add(self, rows: Rows, vectors: Vectors) -> None:
        """Add vectors (n, dim) under rows (n,), each row once; a row that is here already gets its new vector."""
        self._pass_over(rows)
        self._since.add(rows, vectors)

    def remove(self, rows: Rows) -> None:
        """Remove rows; those that are not here are passed over."""
        self._pass_over(rows)
        self._since.remove(rows)

    def search(self, queries: Vectors, k: int, allowed: Rows | None = None) -> tuple[Vectors, Rows]:
        """Return the k best rows of each query; see `index.dense.DenseIndex.search`.

        Up to as many as there are candidates they are the first of one list, whatever `k`; more are found exactly.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        scores, found = self._since.search(queries, k, allowed)
        keep: Bits | None = None if self._alive.all() else self._alive
        if allowed is not None:
            positions, here = self._positions(allowed)
            keep = np.zeros(len(self._rows), np.bool_)
            keep[positions[here]] = True
        many = len(self._rows) if keep is None else int(keep.sum())
        if not many or not len(queries) or not k:
            return scores, found
        best = min(k, many)
        if many <= FEW or best > self.effort.candidates:
            everything = np.arange(len(self._rows)) if keep is None else np.flatnonzero(keep)
            near, places = self._scan(queries, everything, best)
        else:
            near = np.full((len(queries), best), -np.inf, np.float32)
            places = np.zeros((len(queries), best), np.int64)
            for number in range(len(queries)):
                query = queries[number : number + 1]
                proposed = self._proposed(query, keep)
                if len(proposed) < best:
                    proposed = np.arange(len(self._rows)) if keep is None else np.flatnonzero(keep)
                (near[number],), (places[number],) = self._scan(query, proposed, best)
        return _merged(np.hstack([scores, near]), np.hstack([found, self._rows[places]]), k)

    def save(self, stream: BinaryIO) -> None:
        """Write all of it, for `load`; the vectors first, in pieces, so that memory does not double."""
        told = {"descr": "<f4", "fortran_order": False, "shape": (len(self._rows), self.dim)}
        np.lib.format.write_array(stream, self._rows, allow_pickle=False)
        np.lib.format.write_array_header_1_0(stream, told)
        for piece in _pieces(len(self._rows)):
            stream.write(np.ascontiguousarray(self._vectors[piece]).tobytes())
        codes = np.zeros(0, np.uint8) if self._codes is None else faiss.serialize_index(self._codes)
        effort = np.frombuffer(json.dumps(asdict(self.effort)).encode(), np.uint8)
        for array in (self._alive, effort, codes):
            np.lib.format.write_array(stream, array, allow_pickle=False)
        self._since.save(stream)

    def load(self, stream: BinaryIO) -> None:
        """Take what `save` wrote in place of what is here; raises ValueError where it is not that.

        Of a file the vectors are not read but mapped; the file may be replaced by another meanwhile.
        """
        rows = np.lib.format.read_array(stream, allow_pickle=False)
        vectors = _mapped(stream)
        alive, effort, codes = (np.lib.format.read_array(stream, allow_pickle=False) for _ in range(3))
        if rows.dtype != np.int64 or vectors.dtype != np.float32 or vectors.shape != (len(rows), self.dim):
            raise ValueError(f"an index of dimension {self.dim} was expected, not {vectors.dtype} {vectors.shape}")
        since = FaissIndex(self.dim)
        since.load(stream)
        self._rows, self._vectors, self._alive, self._since = rows, vectors, alive, since
        self._codes = faiss.deserialize_index(codes) if len(codes) else None
        self.effort = Effort(**json.loads(effort.tobytes()))

    def _proposed(self, query: Vectors, keep: Bits | None) -> Rows:
        """Return the positions of the candidates for one query (1, dim), ascending."""
        lists = self.effort.lists
        parameters = faiss.SearchParametersIVF()
        if keep is not None:
            # The selector reads these bits where they lie, so they are named and stay until the search is over.
            bits = np.packbits(keep, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(keep), faiss.swig_ptr(bits))
            parameters.sel = selector
            # What a filter keeps lies further apart, and in more lists.
            lists = min(self._codes.nlist, lists * len(keep) // max(1, int(keep.sum())) + 1)
        parameters.nprobe = lists
        wanted = min(self.effort.candidates, len(self._rows))
        found: Rows = self._codes.search(query, wanted, params=parameters)[1][0]
        return np.sort(found[found >= 0])

    def _scan(self, queries: Vectors, positions: Rows, k: int) -> tuple[Vectors, Rows]:
        """Return scores and positions (q, k) of the best of these positions, scored from the vectors."""
        scores = np.full((len(queries), k), -np.inf, np.float32)
        found = np.full((len(queries), k), -1, np.int64)
        whole = len(positions) == len(self._rows)
        for piece in _pieces(len(positions)):
            some = positions[piece]
            near = queries @ (self._vectors[piece] if whole else self._vectors[some]).T
            own = np.broadcast_to(some, near.shape)
            scores, found = _merged(np.hstack([scores, near]), np.hstack([found, own]), k)
        return scores, found

    def _positions(self, rows: Rows) -> tuple[Rows, Bits]:
        """Return where each row lies in the file, and whether it does and holds."""
        if not len(self._rows):
            return np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
        positions = np.minimum(np.searchsorted(self._rows, rows), len(self._rows) - 1)
        return positions, (self._rows[positions] == rows) & self._alive[positions]

    def _pass_over(self, rows: Rows) -> None:
        positions, here = self._positions(rows)
        self._alive[positions[here]] = False

    def _clear(self) -> None:
        self._rows, self._alive = np.empty(0, np.int64), np.empty(0, np.bool_)
        self._vectors = np.empty((0, self.dim), np.float32)
        self._codes = None
        self._since = FaissIndex(self.dim)
        self.effort = Effort(0, CANDIDATES, 1.0)


def _merged(scores: Vectors, rows: Rows, k: int) -> tuple[Vectors, Rows]:
    """Return the k best (q, k) of scores and rows (q, n >= k), best first, equal scores by row."""
    if scores.shape[1] > 4 * k:
        # All that score as the k-th does stay, so that equal scores come by row; the rest need no order.
        least = np.partition(scores, scores.shape[1] - k, axis=1)[:, -k]
        kept = np.flatnonzero((scores >= least[:, None]).any(axis=0)) if k else np.zeros(0, np.int64)
        scores, rows = scores[:, kept], rows[:, kept]
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _codes(dim: int) -> str:
    """Return FAISS's name of the codes: 4 bits for each pair of numbers, the best of the sweep for its memory, which is
    136 bytes for a vector of 384 and its row (benchmarks/results.md).
    """
    return f"PQ{dim // 2}x4fs" if dim % 2 == 0 else "RaBitQfs"


def _pieces(count: int) -> Iterator[slice]:
    return (slice(start, min(start + PIECE, count)) for start in range(0, count, PIECE))


def _mapped(stream: BinaryIO) -> Vectors:
    """Return the array that comes next in a stream, mapped where it is a file, and go on behind it."""
    if not hasattr(stream, "name"):
        read: Vectors = np.lib.format.read_array(stream, allow_pickle=False)
        return read
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("vectors in another format were found")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    start = stream.tell()
    size = int(np.prod(shape)) * dtype.itemsize
    if not size:
        return np.empty(shape, np.float32)
    mapped = np.memmap(stream, dtype, "r", start, shape)
    if hasattr(mmap, "MADV_RANDOM"):
        # Else with each vector that is read its neighbours would come into memory.
        mapped._mmap.madvise(mmap.MADV_RANDOM)  # type: ignore[attr-defined]
    stream.seek(start + size)
    vectors: Vectors = mapped.view(np.ndarray)
    return vectors
