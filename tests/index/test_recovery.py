import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index import Library, recovery, snapshots, tables
from index.backends.faiss import FaissIndex
from index.changes import Rows
from index.snapshots import SNAPSHOT, UNFINISHED
from tests.index.samples import Vectors, article, found, open_library, put, vector_of


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count what is read of the database to build or to mend an index: (the change from which on, -1 for
    all).
    """
    changes: list[int] = []
    vectors_since = tables.vectors_since

    def counted(connection: sqlite3.Connection, dim: int, change: int) -> Iterator[tuple[Rows, Vectors, list[str]]]:
        changes.append(change)
        return vectors_since(connection, dim, change)

    monkeypatch.setattr(tables, "vectors_since", counted)
    return changes


def fill(folder: Path, count: int = 40) -> None:
    """Make a library of some articles, with a snapshot."""
    with open_library(folder) as library:
        for id in range(count):
            put(library, article(f"a{id}"))
    assert (folder / SNAPSHOT).exists()


def whole(folder: Path, count: int = 40) -> None:
    """Assert that each article is found by its own words, and that all is well."""
    with open_library(folder) as library:
        for id in range(count):
            assert found(library, f"a{id} ends.", 1) == [f"a{id} ends."]
        assert library.verify() == []


def test_a_snapshot_is_read(folder: Path, built: list[int]) -> None:
    """A library that was closed is searched without reading its vectors from the database."""
    fill(folder)
    built.clear()
    with open_library(folder) as library:
        assert found(library, "a7 ends.", 1) == ["a7 ends."]

    assert built == []


def test_a_stale_snapshot_is_brought_up_to_date(folder: Path, built: list[int]) -> None:
    """Changes since the snapshot are replayed: what was added, replaced, deleted; nothing else is read."""
    fill(folder)
    stale = (folder / SNAPSHOT).read_bytes()
    with open_library(folder) as library:
        put(library, article("a1", "a1 changed", "a1 ends."))
        library.delete("a2")
        put(library, article("new"))
    (folder / SNAPSHOT).write_bytes(stale)
    built.clear()

    with open_library(folder) as library:
        assert built == []
        assert found(library, "a1 changed", 1) == ["a1 changed"]
        assert built == [40]
        assert found(library, "new ends.", 1) == ["new ends."]
        assert not {"a1 begins.", "a2 begins.", "a2 ends."} & set(found(library, "any", 1000))
        assert library.verify() == []


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.3, 0.9, 0.999])
def test_torn(folder: Path, share: float) -> None:
    """A snapshot that ends too soon is set aside, whole, and the index is built anew."""
    fill(folder)
    torn = (folder / SNAPSHOT).read_bytes()
    torn = torn[: int(len(torn) * share)]
    (folder / SNAPSHOT).write_bytes(torn)
    with open_library(folder) as library:
        assert [problem.repairable for problem in library.verify()] == [True]

    whole(folder)
    (aside,) = folder.glob(f"{SNAPSHOT}.damaged-*")
    assert aside.read_bytes() == torn


def test_flipped(folder: Path) -> None:
    """Whichever bit of a snapshot is flipped, it is not believed."""
    fill(folder, 10)
    good = (folder / SNAPSHOT).read_bytes()
    places = [*range(0, 300, 7), *np.random.default_rng(1).integers(0, len(good), 40).tolist(), len(good) - 1]
    for place in places:
        flipped = bytearray(good)
        flipped[place] ^= 1 << place % 8
        (folder / SNAPSHOT).write_bytes(flipped)
        with open_library(folder) as library:
            hits = library.search(vector_of("a3 ends."), {}, limit=1).hits
            assert [hit.passage.text for hit in hits] == ["a3 ends."]
            assert hits[0].similarity == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("field", ["change", "mark", "fingerprint", "neutral", "backend", "dim"])
def test_a_snapshot_of_something_else(folder: Path, built: list[int], field: str) -> None:
    """A whole snapshot of another change, history, model or way of making vectors neutral is not used."""
    fill(folder)
    header = snapshots.header(folder)
    assert header is not None
    told = {name: getattr(header, name) for name in header.__dataclass_fields__}
    other = told[field] + 1 if isinstance(told[field], int) else "ff"
    index = FaissIndex(told["dim"])
    index.add(np.arange(1, 3), np.stack([vector_of("wrong"), vector_of("wrong too")]))
    snapshots.write(folder, snapshots.Header(**{**told, field: other, "count": 2}), index.save)
    built.clear()

    whole(folder)
    assert -1 in built


def test_another_history(folder: Path, tmp_path: Path) -> None:
    """A copy that is put back and written on reaches the same change numbers; the newer snapshot is not of
    them.
    """
    fill(folder, 10)
    shutil.copytree(folder, tmp_path / "copy")
    with open_library(folder) as library:
        put(library, article("lost"))
    later = (folder / SNAPSHOT).read_bytes()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copy", folder)
    with open_library(folder) as library:
        put(library, article("a10"))
    (folder / SNAPSHOT).write_bytes(later)

    whole(folder, 11)
    with open_library(folder) as library:
        assert "lost ends." not in found(library, "lost ends.", 100)


def test_killed_while_writing(folder: Path) -> None:
    """What a killed process left of a snapshot is a problem that opening the library repairs."""
    fill(folder)
    with open_library(folder) as library:
        (folder / UNFINISHED).write_bytes(b"half a snapshot")
        assert [(problem.where, problem.repairable) for problem in library.verify()] == [(UNFINISHED, True)]

    whole(folder)
    assert not (folder / UNFINISHED).exists()


def test_no_room_for_a_snapshot(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A snapshot that cannot be written is left out, said so in the log; the old one stays, and nothing is
    lost.
    """
    fill(folder, 10)
    before = (folder / SNAPSHOT).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, open_library(folder) as library:
        for id in range(10, 40):
            put(library, article(f"a{id}"))
        assert found(library, "a30 ends.", 1) == ["a30 ends."]
        patched.setattr("os.fsync", full)
        library.close()

    assert "No space left" in caplog.text
    assert (folder / SNAPSHOT).read_bytes() == before
    whole(folder)


def test_when_it_pays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot is written while many rows come, and on closing only when enough changed to be worth it."""
    monkeypatch.setattr(recovery, "OPEN_ROWS", 20)
    with open_library(folder) as library:
        found(library, "any")
        for id in range(40):
            put(library, article(f"a{id}"))
            if id == 9:
                assert (folder / SNAPSHOT).exists()
    before = (folder / SNAPSHOT).read_bytes()
    with open_library(folder) as library:
        put(library, article("one more"))

    assert (folder / SNAPSHOT).read_bytes() == before


def test_read_only_sets_nothing_aside(folder: Path) -> None:
    """A library opened to be searched only builds its index in memory and leaves the folder as it is."""
    fill(folder)
    (folder / SNAPSHOT).write_bytes(b"damaged")
    with open_library(folder, read_only=True) as library:
        assert found(library, "a7 ends.", 1) == ["a7 ends."]

    assert (folder / SNAPSHOT).read_bytes() == b"damaged"
    assert list(folder.glob("*damaged*")) == []


def test_an_index_that_is_wrong_is_seen(numbers: Library) -> None:
    """Verify compares the index in memory with the database, values too."""
    put(numbers, article("a"))
    put(numbers, article("b"))
    found(numbers, "any")
    with numbers._spaces["dense"].shared() as (index, _):
        index.add(np.array([2]), vector_of("wrong")[None])
    assert [problem.where for problem in numbers.verify()] == ["dense index, row 2"]
    with numbers._spaces["dense"].shared() as (index, _):
        index.remove(np.array([2]))
    assert any("lacks rows" in problem.what for problem in numbers.verify())
    with numbers._spaces["dense"].shared() as (index, _):
        index.add(np.array([2, 99]), np.stack([vector_of("a ends."), vector_of("x")]))
    assert any("5 rows" in problem.what for problem in numbers.verify())
