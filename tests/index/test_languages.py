"""The languages of passages are followed in memory."""

from pathlib import Path

import numpy as np
import pytest

from index import Library, changes, tables
from index.languages import Languages
from tests.index.samples import article, open_library, put


def told(languages: Languages, library: Library) -> dict[int, str]:
    """Return the language of every row that the library has, checked against the database."""
    with library._store.reading() as connection:
        rows = changes.column(connection.execute("SELECT row FROM passages ORDER BY row"))
        found = languages.of(rows, connection, changes.current(connection))
        known = dict(zip(rows.tolist(), found, strict=True))
        assert known == tables.languages_of(connection, rows.tolist())
        return known


def test_languages_follow_what_is_added_replaced_and_deleted(numbers: Library) -> None:
    """An article that is said to be in another language has its passages in that one."""
    languages = Languages()
    assert told(languages, numbers) == {}
    put(numbers, article("a", "one", language="bn"))
    put(numbers, article("b", "two", "three", language="hi"))
    assert told(languages, numbers) == {1: "bn", 2: "hi", 3: "hi"}

    put(numbers, article("a", "one", language="en"))
    put(numbers, article("c", "four", language="bn"))
    numbers.delete("b")

    assert sorted(told(languages, numbers).values()) == ["bn", "en"]


def test_what_is_replaced_is_forgotten(numbers: Library) -> None:
    """What is kept does not grow with the writes, but with the passages."""
    languages = Languages()
    for number in range(5):
        put(numbers, article("a", f"{number}", language="bn"))
        assert told(languages, numbers) == {number + 1: "bn"}
    assert languages._column is not None
    assert len(languages._column.rows) == 1


def test_languages_follow_what_another_process_writes(numbers: Library, folder: Path) -> None:
    """The log of changes tells."""
    languages = Languages()
    put(numbers, article("a", "one", language="bn"))
    told(languages, numbers)
    with open_library(folder) as other:
        put(other, article("b", "two", language="hi"))
        put(other, article("a", "one", language="ta"))

    assert sorted(told(languages, numbers).values()) == ["hi", "ta"]


def test_a_search_that_is_behind_is_told_what_it_sees(numbers: Library) -> None:
    """And sends nobody else back."""
    languages = Languages()
    put(numbers, article("a", "one", language="bn"))
    with numbers._store.reading() as behind:
        before = changes.current(behind)
        put(numbers, article("b", "two", language="hi"))
        told(languages, numbers)
        assert languages.of(np.array([1, 2]), behind, before) == ["bn", "und"]
    assert sorted(told(languages, numbers).values()) == ["bn", "hi"]


@pytest.mark.parametrize("row", [7, -1])
def test_a_row_that_is_not_there_is_in_no_language(numbers: Library, row: int) -> None:
    """Whether the library is empty or not."""
    languages = Languages()
    for _ in range(2):
        with numbers._store.reading() as connection:
            assert languages.of(np.array([row]), connection, changes.current(connection)) == ["und"]
        put(numbers, article("a", "one", language="bn"))
