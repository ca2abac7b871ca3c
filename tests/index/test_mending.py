"""What is damaged in one article is undone by adding it again; what is lacking is given it."""

import sqlite3
from pathlib import Path

import pytest

from index import Library, TokenSpace
from index.neutral import Neutral
from index.snapshots import SNAPSHOT
from index.store import DATABASE
from tests.index.samples import article, found, open_library, passages, put, units, vector_of

DAMAGE = [
    "UPDATE passages SET vector = zeroblob(64) WHERE row = 2",
    "UPDATE passages SET vector = x'00' WHERE row = 2",
    "UPDATE passages SET start = 1 WHERE row = 2",
    "UPDATE passages SET position = 7 WHERE row = 2",
    "UPDATE passages SET article = 2 WHERE row = 2",
    "UPDATE passages SET id = 'other' WHERE row = 2",
    "UPDATE passages SET checksum = 5 WHERE row = 2",
    "DELETE FROM passages WHERE row = 1",
    "UPDATE articles SET text = 'other text altogether' WHERE id = 'a'",
    "UPDATE articles SET language = 'bn' WHERE id = 'a'",
    "UPDATE articles SET metadata = '{}' WHERE id = 'a'",
    "UPDATE articles SET published = 3 WHERE id = 'a'",
]
DEFAULT = "intfloat/multilingual-e5-small"


def change(folder: Path, statement: str) -> None:
    """Change the database behind the library's back."""
    connection = sqlite3.connect(folder / DATABASE)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("statement", DAMAGE)
def test_adding_a_damaged_article_again_mends_it(folder: Path, statement: str) -> None:
    """Whatever of an article is not what was written: it is not unchanged, and adding it again makes all well."""
    written = article("a", metadata={"x": 1}, published_at="2023-01-01")
    with open_library(folder) as library:
        put(library, written)
        put(library, article("b"))
        found(library, "any")
    change(folder, statement)

    with open_library(folder) as library:
        assert not library.unchanged(written)
        assert library.unchanged(article("b")) == ("article = 2" not in statement)
        assert put(library, written) == "replaced"
        if statement.startswith("DELETE"):
            assert library.mend() == []  # an index that knows a row which is gone is to be built anew
        assert library.unchanged(written)
        assert library.verify() == []
        assert library.get("a") == written
        assert [passage.text for passage in library.passages("a")] == ["a begins.", "a ends."]
        for text in ("a begins.", "a ends.", "b begins.", "b ends."):
            assert found(library, text, 1) == [text]
        assert put(library, written) == "unchanged"


@pytest.mark.parametrize("statement", DAMAGE)
def test_what_can_be_mended_is_told(folder: Path, statement: str) -> None:
    """Mending names the articles that are sound themselves and whose passages are not, and no others."""
    written = article("a", metadata={"x": 1}, published_at="2023-01-01")
    with open_library(folder) as library:
        put(library, written)
        put(library, article("b"))
    change(folder, statement)

    with open_library(folder) as library:
        named = library.mend()
        spoilt = statement.startswith("UPDATE articles") and "published" not in statement
        assert "a" in named or spoilt
        assert {"b"} >= set(named) - {"a"}
        for id in named:
            put(library, written if id == "a" else article(id))
        assert bool(library.verify()) == spoilt


def test_what_is_derived_is_built_anew(folder: Path) -> None:
    """Mending forgets snapshot and lexical index, damaged or not, in use or not; searches go on, rightly."""
    with open_library(folder) as library:
        for number in range(30):
            put(library, article(f"a{number}"))
        library.load()
    (folder / SNAPSHOT).write_bytes(b"damaged")
    with open_library(folder) as other, open_library(folder) as library:
        assert found(other, "a7 ends.", 1) == ["a7 ends."]
        assert library.mend() == []
        assert not (folder / SNAPSHOT).exists() or (folder / SNAPSHOT).read_bytes() != b"damaged"
        for each in (library, other):
            assert found(each, "a7 ends.", 1) == ["a7 ends."]
            assert each.verify() == []
            hits = each.search(vector_of("x"), {}, mode="lexical", text="a7 ends").hits
            assert hits[0].passage.text == "a7 ends."


def test_passages_of_no_article_are_removed(folder: Path) -> None:
    """What belongs to an article that is gone cannot be answered, and hinders every search: mending removes it."""
    with open_library(folder) as library:
        put(library, article("a"))
        put(library, article("b"))
    change(folder, "DELETE FROM articles WHERE id = 'a'")
    with open_library(folder) as library:
        assert library.mend() == []
        assert library.verify() == []
        assert sorted(found(library, "any")) == ["b begins.", "b ends."]


def known(folder: Path, **options: object) -> Library:
    """Open a library of the default model, of which token vectors are kept."""
    return open_library(folder, model=DEFAULT, dim=384, **options)


def test_token_vectors_are_given_to_passages_that_lack_them(folder: Path) -> None:
    """Without them, or with damaged ones, an article is not unchanged; adding it again gives its passages theirs."""
    space = TokenSpace.of(Neutral.for_model(DEFAULT).priors)
    assert space is not None
    written = article("a", language="bn")
    cuts = passages(written)
    vectors = dict(enumerate(units(1, 2, 384)))
    codes = {place: space.compress(units(place, 5, space.depth), "bn") for place in range(2)}
    with known(folder) as library:
        assert library.add(written, cuts, vectors) == "added"
        assert library.add(written, cuts, vectors) == "unchanged"
        assert not library.unchanged(written)
        assert library.missing(cuts) == [0, 1]
        assert library.mend() == ["a"]
        assert library.add(written, cuts, vectors, codes) == "replaced"
        assert library.unchanged(written)
        assert library.missing(cuts) == []
        assert library.holdings(["a"])["a"].tokens == [codes[0], codes[1]]
    change(folder, "UPDATE tokens SET code = x'00' WHERE row = 2")
    with known(folder) as library:
        assert library.missing(cuts) == [1]
        assert library.add(written, cuts, {1: vectors[1]}, {1: codes[1]}) == "replaced"
        assert library.verify() == []
        assert library.unchanged(written)
        assert library.holdings(["a"])["a"].tokens == [codes[0], codes[1]]
