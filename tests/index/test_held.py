"""What was lately read of passages stays in memory as long as it is what the library says."""

from pathlib import Path

import numpy as np

from index import Hit, Library, changes, tables
from index.held import ByRow, Held
from index.tokens import QuestionTokens, Tokens, nearest
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
    held = Held(room=3 * own[1].nbytes)
    for row in (1, 2, 1, 3):
        held.keep({row: own[row]})
    held.of(np.array([1]))
    held.keep({4: own[4]})

    assert sorted(held.of(ROWS)) == [1, 3, 4]
    assert np.array_equal(held.of(ROWS)[4].steps, own[4].steps)


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
            asking = units(99, 1, DEPTH)[0], {"en": 1.0}
            page = library.search(*asking, mode="hybrid", tokens=asked, with_tokens=True)
            kept = page.tokens[page.hits[0].row]
            return float(nearest(space.query(question, {"en": 1.0}), [kept]).mean())

        add("en", 1007)
        assert similarity() > 0.8
        add("bn", 5)
        assert abs(similarity()) < 0.3


def test_a_search_shows_what_is_there_now(folder: Path) -> None:
    """Of an article that was replaced or removed nothing that was read before is shown, of others it is the same."""
    query = units(1, 1, DEPTH)[0]

    def write(library: Library, id: str, text: str, title: str) -> None:
        written = article(id, text, title=title)
        library.add(written, passages(written), {0: query}, {})

    with known(folder) as library:

        def shown() -> dict[str, Hit]:
            return {hit.article.id: hit for hit in library.search(query, {"en": 1.0}).hits}

        for id in ("a", "b", "c"):
            write(library, id, f"text of {id}", "first")
        before = shown()
        write(library, "a", "text of a", "second")
        library.delete("b")
        after = shown()

        assert {id: hit.article.title for id, hit in after.items()} == {"a": "second", "c": "first"}
        assert after["c"].article is before["c"].article
        assert after["a"].passage == before["a"].passage


def test_passages_that_are_held_take_no_more_room_than_there_is(folder: Path) -> None:
    """Each counts with all that is known of its article, metadata and all."""
    with known(folder) as library:
        for number in range(4):
            written = article(f"a{number}", "text " * 100, metadata={"all": "m" * 10_000})
            library.add(written, passages(written), {0: units(number, 1, DEPTH)[0]}, {})
        with library._store.reading() as connection:
            read = tables.read_rows(connection, ROWS.tolist())
    held = ByRow[tables.Known](room=30_000)
    held.keep(read)

    assert all(10_000 < each.nbytes < 15_000 for each in read.values())
    assert sorted(held.of(ROWS)) == [3, 4]
