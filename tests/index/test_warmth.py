"""How the language means follow the library: by how much, when, and what is kept for it."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import InvalidCursor, Library
from index.neutral import Neutral, Priors
from index.warmth import ALL, KNOWN, LEAST, PASSAGES, WAITING, Log, Sums, due, means
from tests.index.samples import DIM, Vectors, article, open_library, put, units, vector_of

BN, HI = {"bn": 1.0}, {"hi": 1.0}


def priors() -> Priors:
    """Return what is known of a model, of two languages."""
    spread = (np.eye(DIM) / 16).astype(np.float32)
    return Priors("numbers", ("bn", "hi"), units(1, 2), units(2, 2), 0.7, 0.2, units(1, 3)[0] / 4, spread, 2.0, -1.0)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Priors:
    """Have the library know means of its model."""
    told = priors()
    monkeypatch.setattr(Neutral, "for_model", classmethod(lambda *_: Neutral(told)))
    return told


def filled(library: Library, count: int, language: str = "bn", begin: int = 0) -> None:
    """Add articles of two passages each."""
    for number in range(begin, begin + count):
        put(library, article(f"{language}{number}", language=language))


def asked(count: int, seed: int = 5) -> Vectors:
    """Return vectors of questions."""
    return units(seed, count)


def stored(folder: Path) -> dict[tuple[str, str], int]:
    """Return the counts that are kept, by side and language."""
    with sqlite3.connect(folder / "library.sqlite") as connection:
        rows = connection.execute("SELECT side, language, count FROM warmth").fetchall()
    connection.close()
    return {(side, language): count for side, language, count in rows}


# How far


def test_known_means_go_together_by_the_smaller_count() -> None:
    """Thirty passages and ninety questions move both means as thirty would."""
    told, passages, queries = priors(), units(3, 30), units(4, 90)

    moved = means(told, Sums.of(passages, ["bn"] * 30), Sums.of(queries, ["bn"] * 90))

    assert moved is not None
    weight = 30 / (30 + KNOWN)
    expected = told.passages[0] + weight * (passages.mean(axis=0) - told.passages[0])
    np.testing.assert_allclose(moved.passages[0], expected, atol=1e-6)
    expected = told.queries[0] + weight * (queries.mean(axis=0) - told.queries[0])
    np.testing.assert_allclose(moved.queries[0], expected, atol=1e-6)
    np.testing.assert_array_equal(moved.passages[1], told.passages[1])


def test_passages_alone_do_not_move_known_means() -> None:
    """A mean of passages from here and one of queries from elsewhere do worse than either: they wait for each other."""
    assert means(priors(), Sums.of(units(3, 500), ["bn"] * 500), Sums()) is None
    assert means(priors(), Sums(), Sums.of(units(3, 500), ["bn"] * 500)) is None


def test_a_language_of_which_nothing_is_known_begins_at_the_mean_of_all() -> None:
    """Its means go from there to its own."""
    told, passages, queries = priors(), units(3, 60), units(4, 60)

    moved = means(told, Sums.of(passages, ["sw"] * 60), Sums.of(queries, ["sw"] * 60))

    assert moved is not None
    assert moved.languages == ("bn", "hi", "sw")
    expected = (told.passages.mean(axis=0) + passages.mean(axis=0)) / 2
    np.testing.assert_allclose(moved.passages[2], expected, atol=1e-6)


def test_means_of_an_unknown_model_come_from_the_library() -> None:
    """A language's passages are drawn towards all passages, these towards nothing, questions towards passages."""
    bn, hi, queries = units(3, 40), units(4, 4), units(5, 30)
    passages = Sums.of(np.vstack([bn, hi]), ["bn"] * 40 + ["hi"] * 4)

    found = means(None, passages, Sums.of(queries, ["bn"] * 30))

    assert found is not None
    assert found.languages == ("bn", "hi")
    everything = (bn.sum(axis=0) + hi.sum(axis=0)) / (44 + ALL)
    own = (hi.sum(axis=0) + ALL * everything) / (4 + ALL)
    np.testing.assert_allclose(found.passages[1], own, atol=1e-6)
    np.testing.assert_allclose(found.queries[1], own, atol=1e-6)  # none seen: as its passages
    expected = (queries.sum(axis=0) + PASSAGES * found.passages[0]) / (30 + PASSAGES)
    np.testing.assert_allclose(found.queries[0], expected, atol=1e-6)


def test_they_follow_when_a_language_has_doubled_or_halved() -> None:
    """Neither a few passages nor some more of many are worth an index that is made anew."""
    assert not due(None, ({}, {}), ({"bn": LEAST - 1}, {}))
    assert due(None, ({}, {}), ({"bn": LEAST}, {}))
    assert not due(None, ({"bn": 100}, {}), ({"bn": 199}, {}))
    assert due(None, ({"bn": 100}, {}), ({"bn": 200}, {}))
    assert due(None, ({"bn": 100}, {}), ({"bn": 50}, {}))
    assert due(None, ({"bn": 100}, {}), ({"bn": 100}, {"bn": LEAST}))
    assert not due(priors(), ({"bn": 100}, {}), ({"bn": 1000}, {"bn": LEAST - 1}))
    assert due(priors(), ({"bn": 100}, {"bn": 30}), ({"bn": 100}, {"bn": 60}))


# What is kept


def test_no_sum_of_few_questions_leaves_the_memory() -> None:
    """Twenty-four questions wait, with the twenty-fifth they are one sum; a doubtful language counts for none."""
    waiting = Log()
    waiting.note(asked(LEAST - 1), [BN] * (LEAST - 1))
    waiting.note(asked(50), [{"bn": 0.7, "hi": 0.3}] * 50)
    assert not waiting.take()

    waiting.note(asked(1, seed=9), [BN])
    taken = waiting.take()

    assert taken.counts == {"bn": LEAST}
    expected = asked(LEAST - 1).sum(axis=0) + asked(1, seed=9)[0]
    np.testing.assert_allclose(taken.seen["bn"][1], expected, atol=1e-5)
    assert not waiting.take()


@pytest.mark.usefixtures("known")
def test_off_keeps_nothing(folder: Path) -> None:
    """A library that nobody turned warming on for keeps nothing of its questions, and its means stay."""
    with open_library(folder) as library:
        filled(library, 30)
        cold = library._neutral.identity
        library.note(asked(200), [BN] * 200)
        assert not library.status().warming
    with open_library(folder) as library:
        assert library._neutral.identity == cold
    assert stored(folder) == {}


@pytest.mark.usefixtures("known")
def test_questions_are_kept_over_openings_and_followed_at_the_next(folder: Path) -> None:
    """What was asked counts from the next opening on: passages are then compared by the means that came of it."""
    with open_library(folder, warming=True) as library:
        filled(library, 30)
        library.note(asked(40), [HI] * 40)  # of a language without passages
        library.note(asked(40), [BN] * 40)
        before = library.search(vector_of("q"), BN).hits[0].similarity
    with open_library(folder) as library:
        status = library.status()
        assert (status.warming, status.warmth["bn"].passages, status.warmth["bn"].queries) == (True, 60, 40)
        assert status.warmth["bn"].share == pytest.approx(40 / (40 + KNOWN), abs=1e-3)
        assert "hi" not in status.warmth
        told = means(
            priors(),
            Sums.of(np.stack([vector_of(f"bn{n} {w}.") for n in range(30) for w in ("begins", "ends")]), ["bn"] * 60),
            Sums.of(asked(40), ["bn"] * 40),
        )
        hit = library.search(vector_of("q"), BN).hits[0]
        neutral = Neutral(priors(), told)
        query = neutral.queries(vector_of("q")[None], [BN])[0]
        passage = neutral.passages(vector_of(hit.passage.text)[None], ["bn"])[0]
        assert hit.similarity == pytest.approx(float(query @ passage), abs=1e-5)
        assert hit.similarity != pytest.approx(before, abs=1e-4)
        assert library.verify() == []


@pytest.mark.usefixtures("known")
def test_many_questions_are_written_while_the_library_is_open(folder: Path) -> None:
    """A service that runs for months does not lose what it was asked."""
    with open_library(folder, warming=True) as library:
        for start in range(WAITING):
            library.note(asked(1, seed=start), [BN])
        assert stored(folder) == {("asked", "bn"): WAITING}


@pytest.mark.usefixtures("known")
def test_turned_off_it_forgets(folder: Path) -> None:
    """The means are those of the model again, and what questions left is gone; unset, all stays as it was."""
    with open_library(folder, warming=True) as library:
        filled(library, 30)
        cold = library._neutral.identity
        library.note(asked(60), [BN] * 60)
        library.warm()
        warm = library._neutral.identity
        assert warm != cold
    with open_library(folder) as library:
        assert library._neutral.identity == warm
    with open_library(folder, read_only=True) as library:
        assert library._neutral.identity == warm
    with open_library(folder, warming=False) as library:
        assert library._neutral.identity == cold
        assert stored(folder) == {}


def test_damaged_sums_are_told_and_not_used(folder: Path) -> None:
    """A bit that fell over does not move the space: means are taken again from the passages."""
    with open_library(folder) as library:
        filled(library, 20)
        library.warm()
        whole = library._neutral.identity
    with sqlite3.connect(folder / "library.sqlite") as connection:
        connection.execute("UPDATE warmth SET total = zeroblob(length(total))")
    connection.close()
    with open_library(folder, read_only=True) as library:
        assert library._neutral.identity == "none"
        assert [(each.where, each.repairable) for each in library.verify()] == [("warmth passages bn", True)]
    with open_library(folder) as library:
        assert library._neutral.identity == whole
        assert library.verify() == []


# A model of which nothing is known


def test_an_unknown_model_is_ranked_by_the_librarys_means_once_there_are_passages(numbers: Library) -> None:
    """Two languages in corners of their own meet when these are subtracted; nothing has to be asked or reopened."""
    filled(numbers, 5)
    assert numbers._neutral.identity == "none"
    filled(numbers, 60)
    filled(numbers, 60, "hi")

    vectors = {hit.passage.text: hit.raw for hit in numbers.search(vector_of("q"), BN, limit=300).hits}
    hits = numbers.search(vector_of("q"), BN, limit=300).hits

    assert numbers._neutral.identity != "none"
    assert len(vectors) == 240
    neutral = numbers._neutral
    query = neutral.queries(vector_of("q")[None], [BN])[0]
    for hit in hits[:20]:
        passage = neutral.passages(vector_of(hit.passage.text)[None], [hit.article.language])[0]
        assert hit.similarity == pytest.approx(float(query @ passage), abs=1e-5)
        assert hit.relevance is None
    raw = numbers.search(vector_of("q"), BN, limit=300, mode="raw").hits
    assert [hit.raw for hit in raw] == sorted((hit.raw for hit in raw), reverse=True)


def test_a_cursor_of_before_is_refused(numbers: Library) -> None:
    """Pages of two spaces do not go together, and the reader is told why."""
    filled(numbers, 20)
    cursor = numbers.search(vector_of("q"), BN, limit=5).next_cursor
    filled(numbers, 5, begin=20)
    assert numbers.search(vector_of("q"), BN, limit=5, cursor=cursor).hits[0].rank == 6  # nothing moved yet

    numbers.warm()

    with pytest.raises(InvalidCursor, match="means have moved"):
        numbers.search(vector_of("q"), BN, limit=5, cursor=cursor)


def test_a_search_sees_one_space_while_the_means_move(numbers: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they move between the question's way into the space and the look at its passages, both are of before."""
    filled(numbers, 30)
    filled(numbers, 15, "hi")
    before = numbers._neutral
    moving = threading.Thread(target=numbers.warm)
    ready = numbers._asked

    def slowly(*given: Any) -> Any:
        moving.start()
        moving.join(timeout=1.0)  # without the guard it would be over by then
        return ready(*given)

    monkeypatch.setattr(numbers, "_asked", slowly)
    hit = numbers.search(vector_of("q"), BN, limit=1).hits[0]
    moving.join()

    assert numbers._neutral.identity != before.identity
    passage = before.passages(vector_of(hit.passage.text)[None], [hit.article.language])[0]
    expected = float(before.queries(vector_of("q")[None], [BN])[0] @ passage)
    assert hit.similarity == pytest.approx(expected, abs=1e-5)
