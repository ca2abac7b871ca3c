import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from index.backends import quantised
from index.backends.exact import ExactIndex
from index.backends.faiss import FaissIndex
from index.backends.quantised import QuantisedIndex
from index.dense import DenseIndex, Place, best
from tests.index.samples import DIM, Vectors, units

Rows = NDArray[np.int64]
Backend = Callable[[int], DenseIndex]


class Quantised(QuantisedIndex):
    """One that is built anew whenever it grew: so small, all lists are looked at, and it must be right."""

    def add(self, rows: Rows, vectors: Vectors) -> None:
        """Add, and build every second time, so that there are rows in the lists and beside them."""
        super().add(rows, vectors)
        self.added = getattr(self, "added", 0) + 1
        if self.added % 2:
            rows = self.rows()
            self.build(rows, self.vectors(rows), 1.0)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have codes propose, and several lists, however few rows there are."""
    monkeypatch.setattr(quantised, "FEW", 0)
    monkeypatch.setattr(quantised, "IN_LIST", 50)


BACKENDS = pytest.mark.parametrize("made", [ExactIndex, FaissIndex, Quantised], ids=["exact", "faiss", "quantised"])


@pytest.fixture(params=[ExactIndex, FaissIndex, Quantised], ids=["exact", "faiss", "quantised"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each kind of index in turn."""
    made: Backend = request.param
    return made


def brute(known: dict[int, Vectors], query: Vectors, k: int) -> list[tuple[int, float]]:
    """Rank by plain Python: best score first, then the lower row."""
    scores = [(row, float(np.dot(vector.astype(float), query.astype(float)))) for row, vector in known.items()]
    return sorted(scores, key=lambda pair: (-pair[1], pair[0]))[:k]


def same(index: DenseIndex, known: dict[int, Vectors], queries: Vectors, k: int, allowed: Rows | None) -> None:
    """Assert that the index finds what brute force finds, in rows and in scores."""
    scores, rows = index.search(queries, k, allowed)
    left = known if allowed is None else {row: known[row] for row in allowed.tolist()}

    assert scores.shape == rows.shape == (len(queries), k)
    for query, query_scores, query_rows in zip(queries, scores, rows, strict=True):
        expected = brute(left, query, k)
        assert query_rows.tolist() == [row for row, _ in expected] + [-1] * (k - len(expected))
        padded = [score for _, score in expected] + [-np.inf] * (k - len(expected))
        np.testing.assert_allclose(query_scores, padded, atol=1e-5)


@pytest.mark.parametrize("queries", [1, 40])
@pytest.mark.parametrize("allowed", [None, 1, 30, 300])
@pytest.mark.parametrize("k", [1, 10, 500])
def test_values(backend: Backend, queries: int, allowed: int | None, k: int) -> None:
    """What is found is what brute force finds: one query or many, all rows or few, fewer than asked for."""
    index = backend(DIM)
    rows, vectors = np.arange(300, dtype=np.int64) * 7 + 3, units(1, 300)
    index.add(rows, vectors)
    chosen = None if allowed is None else np.sort(np.random.default_rng(2).permutation(rows)[:allowed])

    same(index, dict(zip(rows.tolist(), vectors, strict=True)), units(3, queries), k, chosen)


def test_empty(backend: Backend) -> None:
    """An empty index finds nothing, also when every row was removed and when no row is allowed."""
    index = backend(DIM)
    nothing = np.empty(0, np.int64)
    for _ in range(2):
        scores, rows = index.search(units(1, 2), 3)

        assert len(index) == 0
        assert rows.tolist() == [[-1] * 3] * 2
        assert np.isneginf(scores).all()
        index.add(np.array([4, 5]), units(1, 2))
        assert index.search(units(1, 1), 3, nothing)[1].tolist() == [[-1] * 3]
        index.remove(np.array([4, 5]))


def test_no_query(backend: Backend) -> None:
    """No queries give no rankings."""
    index = backend(DIM)
    index.add(np.array([4, 5]), units(1, 2))

    assert index.search(np.empty((0, DIM), np.float32), 3)[1].shape == (0, 3)


def test_ties(backend: Backend) -> None:
    """Equal scores come in the order of their rows."""
    index = backend(DIM)
    index.add(np.array([2, 5, 9, 11]), np.repeat(units(1, 1), 4, axis=0))
    index.remove(np.array([5]))
    index.add(np.array([12, 13]), np.repeat(units(1, 1), 2, axis=0))

    assert index.search(units(1, 1), 10)[1].tolist() == [[2, 9, 11, 12, 13] + [-1] * 5]


def test_change_in_place(backend: Backend) -> None:
    """A row that is added again has its new vector and no other."""
    index = backend(DIM)
    index.add(np.array([1, 2, 3]), units(1, 3))
    index.add(np.array([2, 4]), units(2, 2))

    expected = {1: units(1, 3)[0], 2: units(2, 2)[0], 3: units(1, 3)[2], 4: units(2, 2)[1]}
    same(index, expected, units(5, 2), 10, None)
    np.testing.assert_array_equal(index.vectors(np.array([2, 4])), units(2, 2))


def test_unknown_row(backend: Backend) -> None:
    """The vector of a row that is not there is an error, and removing it is none."""
    index = backend(DIM)
    index.add(np.array([1, 3]), units(1, 2))
    index.remove(np.array([2, 3, 99]))

    assert index.rows().tolist() == [1]
    for row in (2, 3, 99):
        with pytest.raises(KeyError):
            index.vectors(np.array([row]))


def test_saved_and_loaded(backend: Backend) -> None:
    """What is loaded is what was saved, without what was removed; another dimension is refused."""
    index, again = backend(DIM), backend(DIM)
    index.add(np.arange(1, 101), units(1, 100))
    index.remove(np.arange(50, 54))
    stream = io.BytesIO()
    index.save(stream)
    stream.seek(0)
    again.load(stream)

    assert again.rows().tolist() == index.rows().tolist()
    np.testing.assert_array_equal(again.vectors(again.rows()), index.vectors(index.rows()))
    stream.seek(0)
    with pytest.raises(ValueError, match="dimension 5"):
        backend(5).load(stream)


steps = st.lists(
    st.tuples(st.sampled_from(["add", "remove"]), st.lists(st.integers(1, 60), min_size=1, unique=True)),
    max_size=12,
)


@BACKENDS
@settings(deadline=None, max_examples=60)
@given(steps=steps, k=st.integers(1, 70), asked=st.integers(1, 25), allow=st.none() | st.sets(st.integers(1, 60)))
def test_any_history(
    made: Backend, steps: list[tuple[str, list[int]]], k: int, asked: int, allow: set[int] | None
) -> None:
    """After any adds and removals, in any order, the index finds what brute force finds."""
    index, known = made(DIM), dict[int, Vectors]()
    for number, (step, rows) in enumerate(steps):
        if step == "add":
            vectors = units(number, len(rows))
            index.add(np.array(rows), vectors)
            known.update(zip(rows, vectors, strict=True))
        else:
            index.remove(np.array(rows))
            known = {row: vector for row, vector in known.items() if row not in rows}

    assert len(index) == len(known)
    assert index.rows().tolist() == sorted(known)
    looked = np.array([-1, 0, *sorted(known), 10**9])
    assert index.holds(looked).tolist() == [row in known for row in looked.tolist()]
    allowed = None if allow is None else np.array(sorted(allow & set(known)), np.int64)
    same(index, known, units(1000, asked), k, allowed)


@pytest.mark.parametrize("limit", [1, 7])
def test_best_in_pages(backend: Backend, limit: int) -> None:
    """Page by page every row comes once, in the order of brute force, sixty equal vectors among them."""
    index = backend(DIM)
    vectors = np.concatenate([units(1, 40), np.repeat(units(2, 1), 60, axis=0), units(3, 40)])
    index.add(np.arange(1, 141), vectors)
    pages, place = list[Place](), None
    while page := best(index, units(4, 1)[0], limit, None, place, len(pages)):
        pages += page
        place = page[-1]

    expected = brute(dict(zip(range(1, 141), vectors, strict=True)), units(4, 1)[0], 140)
    assert [place.row for place in pages] == [row for row, _ in expected]


def test_best_does_not_depend_on_the_company(backend: Backend) -> None:
    """A score is the same to its last bit whatever else is in the index, so pages fit while it grows."""
    query, vectors = units(4, 1, 384)[0], units(5, 500, 384)
    index = backend(384)
    index.add(np.arange(1, 6), vectors[:5])
    alone = best(index, query, 5)
    index.add(np.arange(6, 501), vectors[5:])

    together = {place.row: place.score for place in best(index, query, 500)}
    assert all(together[place.row] == place.score for place in alone)
