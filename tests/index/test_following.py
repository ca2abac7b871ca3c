"""Indexes follow what is written without a search that waits for it."""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import Addition, DamagedLibrary, InvalidArticle, Library
from index.changes import Change
from index.lexical import Lexical
from index.recovery import Space
from tests.index.samples import article, found, open_library, passages, put, vector_of


def addition(id: str, *texts: str) -> Addition:
    """Return an article of these paragraphs as it is added."""
    written = article(id, *texts)
    cuts = passages(written)
    return Addition(written, cuts, {place: vector_of(each.text) for place, each in enumerate(cuts)}, {})


def said(library: Library, phrase: str) -> list[str]:
    """Return the texts in which a phrase occurs."""
    return sorted(found(library, phrase, phrases=(phrase,)))


def test_articles_added_together_are_one_change_and_are_found(numbers: Library) -> None:
    """Each is told what became of it; one that comes twice in a row is the second."""
    put(numbers, article("a", "the river"))
    before = numbers.status().change

    actions = numbers.add_all(
        [addition("b", "the bank"), addition("a", "the river"), addition("c", "old"), addition("c", "the sea", "salt")]
    )

    assert actions == ["added", "unchanged", "added", "replaced"]
    assert numbers.status().change == before + 3
    assert said(numbers, "the") == ["the bank", "the river", "the sea"]
    assert said(numbers, "old") == []


def test_where_one_article_cannot_be_stored_none_is(numbers: Library) -> None:
    """Neither searches by meaning nor those for words know of the others, and what comes later is found."""
    put(numbers, article("a", "the river"))
    numbers.load()
    fine, clash = addition("b", "the bank"), addition("c", "the sea")
    taken = passages(article("a", "the river"))

    with pytest.raises(InvalidArticle, match="'c'"):
        numbers.add_all([fine, Addition(clash.article, taken, {0: vector_of("x")}, {})])

    assert said(numbers, "the") == ["the river"]
    assert found(numbers, "the bank") == ["the river"]
    put(numbers, article("d", "the moon"))
    assert said(numbers, "the") == ["the moon", "the river"]
    assert numbers.verify() == []


def test_what_is_indexed_of_a_transaction_that_fails_is_forgotten(
    numbers: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit fails after the words were indexed: they are not found, then or later."""
    put(numbers, article("a", "the river"))
    numbers.load()
    replayed = Lexical._replayed

    def and_no_more(leg: Lexical, connection: sqlite3.Connection, since: Change, now: Change) -> Any:
        made = replayed(leg, connection, since, now)
        connection.execute("ROLLBACK")  # COMMIT fails where there is no transaction
        return made

    monkeypatch.setattr(Lexical, "_replayed", and_no_more)
    with pytest.raises(DamagedLibrary, match="no transaction"):
        numbers.add_all([addition("b", "the bank")])
    monkeypatch.undo()

    assert said(numbers, "the") == ["the river"]
    put(numbers, article("c", "the sea"))
    assert said(numbers, "the") == ["the river", "the sea"]
    assert numbers.verify() == []


def test_no_search_has_to_bring_the_indexes_up_to_date(numbers: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are in memory, they are when an addition or a deletion is acknowledged."""
    put(numbers, article("a", "the river"))
    numbers.load()
    numbers.add_all([addition("b", "the bank")])
    numbers.delete("a")

    def never(_: object) -> None:
        raise AssertionError("a search brought an index up to date")

    monkeypatch.setattr(Lexical, "catch_up", never)
    monkeypatch.setattr(Space, "catch_up", never)
    assert said(numbers, "the") == ["the bank"]
    monkeypatch.undo()


def test_vectors_are_followed_once_for_all_that_one_block_adds(numbers: Library) -> None:
    """A search within the block finds them all the same, and none after it has to follow."""
    put(numbers, article("a", "the river"))
    numbers.load()
    space = numbers._spaces["dense"]
    with numbers.writing():
        put(numbers, article("b", "the bank"))
        put(numbers, article("c", "the sea"))
        with space.shared() as (index, _):
            assert len(index) == 1
        assert said(numbers, "the") == ["the bank", "the river", "the sea"]
        put(numbers, article("d", "the sky"))
    with space.shared() as (index, _):
        assert len(index) == 4


def test_an_addition_takes_over_what_another_process_wrote(numbers: Library, folder: Path) -> None:
    """What another wrote since the words were indexed is indexed with what is added."""
    put(numbers, article("a", "the river"))
    numbers.load()
    with open_library(folder) as other:
        put(other, article("b", "the bank"))

    numbers.add_all([addition("c", "the sea")])

    assert said(numbers, "the") == ["the bank", "the river", "the sea"]


def test_a_replay_that_removes_and_adds_is_whole(numbers: Library) -> None:
    """One replay of many changes leaves the vectors that the database has."""
    for number in range(30):
        put(numbers, article(f"a{number}", f"text {number}"))
    numbers.load()
    numbers.add_all([addition(f"a{number}", f"new {number}", f"more {number}") for number in range(10)])
    space = numbers._spaces["dense"]
    with space.shared() as (index, _):
        assert len(index) == 40
        raw = np.stack([vector_of("new 3"), vector_of("text 3"), vector_of("text 20")])
        rows = index.search(numbers._neutral.passages(raw, [article("a").language] * 3), 1)[0]
    assert (rows[:, 0] > 0.999).tolist() == [True, False, True]
