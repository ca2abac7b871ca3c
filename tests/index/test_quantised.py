import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index import Library, snapshots
from index.backends import quantised
from index.backends.quantised import QuantisedIndex
from index.dense import Place, Sizing, best
from index.snapshots import SNAPSHOT
from tests.index.samples import Vectors, article, found, open_library, put, units

LARGE = Sizing(threshold=40, recall=0.9)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have codes propose, and several lists, however few rows there are."""
    monkeypatch.setattr(quantised, "FEW", 0)
    monkeypatch.setattr(quantised, "IN_LIST", 20)


@pytest.fixture
def large(folder: Path) -> Iterator[Library]:
    """A library of 60 articles, whose index has become a quantised one."""
    with open_library(folder) as library:
        library.sizing = LARGE
        with library.writing():
            for id in range(60):
                put(library, article(f"a{id}"))
        library.warm()
        found(library, "any")
        library.settle()
        assert library.status().backend == "quantised"
        yield library


def test_chosen_by_size(folder: Path) -> None:
    """A library is searched exactly until it is as large as the threshold, then by codes."""
    with open_library(folder) as library:
        library.sizing = LARGE
        for id in range(19):
            put(library, article(f"a{id}"))
        found(library, "any")
        library.settle()
        assert (library.status().backend, library.dense_recall) == ("faiss", 1.0)
        put(library, article("a19"))
        library.settle()
        found(library, "any")
        library.settle()
        assert library.status().backend == "quantised"
        assert library.dense_recall >= LARGE.recall


def test_history(large: Library) -> None:
    """What is added, replaced and deleted after the build is found, or not, at once; verify sees no difference."""
    put(large, article("a1", "a1 changed", "a1 ends."))
    large.delete("a2")
    put(large, article("new"))

    assert found(large, "a1 changed", 1) == ["a1 changed"]
    assert found(large, "new ends.", 1) == ["new ends."]
    assert found(large, "a59 ends.", 1) == ["a59 ends."]
    assert not {"a1 begins.", "a2 begins.", "a2 ends."} & set(found(large, "any", 1000))
    assert large.verify() == []
    large.settle()
    assert found(large, "a1 changed", 1) == ["a1 changed"]


def test_reopened(large: Library, folder: Path) -> None:
    """A library that is opened again is searched by the codes that were built, and knows their recall."""
    put(large, article("new"))
    large.settle()
    recall = large.dense_recall
    large.close()
    with open_library(folder) as again:
        again.sizing = LARGE
        assert found(again, "new ends.", 1) == ["new ends."]
        assert (again.status().backend, again.dense_recall) == ("quantised", recall)
        assert again.verify() == []


def test_damaged(large: Library, folder: Path) -> None:
    """Whichever byte of the published index is another, it is not believed, but built anew."""
    large.close()
    good = (folder / SNAPSHOT).read_bytes()
    for place in np.random.default_rng(1).integers(0, len(good), 8).tolist():
        flipped = bytearray(good)
        flipped[place] ^= 1
        (folder / SNAPSHOT).write_bytes(flipped)
        with open_library(folder) as library:
            library.sizing = LARGE
            assert found(library, "a7 ends.", 1) == ["a7 ends."]
            library.settle()
            assert library.status().backend == "quantised"
            assert library.verify() == []
    snapshots.verify(folder)


def test_searched_while_built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an index is built searches go on, see what is written meanwhile, and see it afterwards."""
    begun, go_on = threading.Event(), threading.Event()
    build = QuantisedIndex.build

    def slow(index: QuantisedIndex, rows: quantised.Rows, vectors: Vectors, target: float) -> None:
        begun.set()
        assert go_on.wait(60)
        build(index, rows, vectors, target)

    monkeypatch.setattr(QuantisedIndex, "build", slow)
    with open_library(folder) as library:
        library.sizing = LARGE
        with library.writing():
            for id in range(60):
                put(library, article(f"a{id}"))
        assert found(library, "a7 ends.", 1) == ["a7 ends."]
        assert begun.wait(60)
        library.delete("a7")
        put(library, article("new"))
        for _ in range(2):
            assert found(library, "new ends.", 1) == ["new ends."]
            assert found(library, "a8 ends.", 1) == ["a8 ends."]
            assert "a7 ends." not in found(library, "a7 ends.", 1000)
            backend = library.status().backend
            go_on.set()
            library.settle()
        assert (backend, library.status().backend) == ("quantised", "quantised")
        assert library.verify() == []


def test_the_space_moves(large: Library) -> None:
    """When the means move the index is built anew in the new space."""
    before = large._spaces["dense"]
    with large.writing():
        for id in range(60, 90):
            put(large, article(f"a{id}"))
    large.warm()
    assert large._spaces["dense"] is not before
    assert found(large, "a7 ends.", 1) == ["a7 ends."]
    large.settle()
    assert large.status().backend == "quantised"
    assert large.verify() == []


def test_pages_of_an_approximate_index() -> None:
    """Page by page no row comes twice, and the rows are those of one long list."""
    index = QuantisedIndex(16)
    vectors = units(1, 3000)
    index.build(np.arange(1, 3001), vectors, 0.5)
    assert index.effort.lists < 3000 // 20
    query, pages = units(2, 1)[0], list[Place]()
    while len(pages) < 100:
        pages += best(index, query, 10, None, pages[-1] if pages else None, len(pages))

    assert pages == best(index, query, 100)
    assert len({place.row for place in pages}) == 100


def test_effort_is_raised_until_recall_is_reached() -> None:
    """More lists are looked at where recall is to be higher, and the recall that is told is the one that is had."""
    vectors, asked = units(1, 4000), units(3, 60)
    exact = [set(np.argsort(-(vectors @ query))[:10].tolist()) for query in asked]
    efforts = []
    for target in (0.5, 0.999):
        index = QuantisedIndex(16)
        index.build(np.arange(4000), vectors, target)
        found = index.search(asked, 10)[1]
        had = np.mean([len(own & set(rows.tolist())) / 10 for own, rows in zip(exact, found, strict=True)])
        assert index.effort.recall >= target
        assert had == pytest.approx(index.effort.recall, abs=0.08)
        efforts.append(index.effort.lists)

    assert efforts[0] < efforts[1]


def test_the_recall_that_is_told_is_that_of_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passages that lie close together find each other easily; what is told is what questions from elsewhere have."""
    monkeypatch.setattr(quantised, "LISTS", 8)
    monkeypatch.setattr(quantised, "CANDIDATES", 20)
    subjects = units(1, 200, 32)
    passages = np.repeat(subjects, 20, axis=0) + 0.2 * units(2, 4000, 32)
    passages /= np.linalg.norm(passages, axis=1, keepdims=True)
    index = QuantisedIndex(32)
    index.build(np.arange(4000), passages, 0.0)

    def recall(asked: Vectors, itself: int) -> float:
        exact = np.argsort(-(asked @ passages.T), axis=1)[:, itself : itself + 10]
        found = index.search(asked, 20)[1][:, : itself + 10]
        return float(np.mean([np.isin(own, rows).mean() for own, rows in zip(exact, found, strict=True)]))

    of_passages, of_questions = recall(passages[::20], 1), recall(units(3, 400, 32), 0)

    assert of_passages > of_questions + 0.1
    assert index.effort.recall == pytest.approx(of_questions, abs=0.05)


def test_vectors_are_mapped(tmp_path: Path) -> None:
    """Of a file the vectors are mapped, and read right after the file has been replaced."""
    index, again = QuantisedIndex(16), QuantisedIndex(16)
    vectors = units(1, 500)
    index.build(np.arange(500), vectors, 0.9)
    with (tmp_path / "kept").open("wb") as stream:
        index.save(stream)
    with (tmp_path / "kept").open("rb") as stream:
        again.load(stream)
    (tmp_path / "kept").unlink()

    assert isinstance(again._vectors.base, np.memmap)
    assert not again._vectors.flags.owndata
    np.testing.assert_array_equal(again.vectors(np.arange(500)), vectors)
