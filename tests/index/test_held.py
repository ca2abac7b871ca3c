"""Token vectors of passages that were lately compared stay in memory as long as they are what the library says."""

from pathlib import Path

import numpy as np

from index import Library, changes
from index.held import Held
from index.tokens import QuestionTokens, Tokens, cosines
from tests.index.samples import article, passages, units
from tests.index.test_hybrid import DEPTH, FAR, known

ROWS = np.arange(1, 5, dtype=np.int64)


def tokens(library: Library, number: int, count: int = 3) -> Tokens:
    """Return token vectors of chance as they are read."""
    assert library.token_space is not None
    return library.token_space.read(library.token_space.compress(FAR * units(number, count, DEPTH), "en"))


def test_what_was_written_or_removed_since_is_held_no_longer(folder: Path) -> None:
    """The rest goes over to the next change; another history of the library has nothing."""
    with known(folder) as library, library._store.reading() as connection:
        at = changes.current(connection)
        held = Held()
        held.keep({row: tokens(library, row) for row in ROWS.tolist()})
    with known(folder) as library:
        for number in range(4):
            written = article(f"a{number}", f"text {number}", language="en")
            library.add(written, passages(written), {0: units(number, 1, DEPTH)[0]}, {})
        with library._store.reading() as connection:
            before = changes.current(connection)
        library.delete("a0")
        elsewhere = article("a1", "text 1", language="bn")
        library.add(elsewhere, passages(elsewhere), {})
        with library._store.reading() as connection:
            assert sorted(held.followed(connection, before).of(ROWS)) == [3, 4]
            assert sorted(held.followed(connection, at).of(ROWS)) == []
            stranger = changes.Change(before.number, b"another!")
            assert len(held.followed(connection, stranger)) == 0
    assert sorted(held.of(ROWS)) == [1, 2, 3, 4]


def test_those_that_were_used_longest_ago_give_way(folder: Path) -> None:
    """Their bytes stay within the room, however often one is kept."""
    with known(folder) as library:
        own = {row: tokens(library, row) for row in ROWS.tolist()}
    held = Held(room=3 * own[1].codes.nbytes)
    for row in (1, 2, 1, 3):
        held.keep({row: own[row]})
    held.of(np.array([1]))
    held.keep({4: own[4]})

    assert sorted(held.of(ROWS)) == [1, 3, 4]
    assert np.array_equal(held.of(ROWS)[4].codes, own[4].codes)


def test_a_search_compares_the_tokens_that_are_there_now(folder: Path) -> None:
    """Those of an article that was said to be in another language are read anew, and cost no other's."""
    with known(folder) as library:
        space = library.token_space
        assert space is not None
        question = FAR * units(1007, 12, DEPTH)
        asked = QuestionTokens(question)

        def add(language: str, number: int) -> None:
            written = article("a", "text", language=language)
            vectors = {0: units(1, 1, DEPTH)[0]} if language == "en" else {}
            library.add(
                written, passages(written), vectors, {0: space.compress(FAR * units(number, 12, DEPTH), language)}
            )

        def similarity() -> float:
            (hit,) = library.search(units(99, 1, DEPTH)[0], {"en": 1.0}, mode="hybrid", tokens=asked).hits
            kept = library.tokens([hit.row])[hit.row]
            return float(cosines(space.query(question, {"en": 1.0}), [kept])[0].diagonal().mean())

        add("en", 1007)
        assert similarity() > 0.8
        add("bn", 5)
        assert abs(similarity()) < 0.3
