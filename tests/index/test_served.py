"""Words and sounds where Milvus ranks by them: its double does, as a server from 2.5 on is said to."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embed import Encoder
from index import Library, LibraryUnavailable, MilvusLibrary, MilvusPlace, giving, sounds, take
from index.lexicon import Field, TantivyLexicon
from index.milvus import served as module
from index.milvus import server as milvus_server
from index.milvus.following import Followed
from index.milvus.served import ROOM, Served, ServedLexicon
from index.milvus.server import Server
from index.milvus.trial import ranks_words
from index.words import words
from service.engine import Engine
from tests.index.kinds import KNOWN, AnyLibrary, additions, judged_seeds, known_additions
from tests.index.samples import DIM, article, found, put, vector_of
from tests.milvus import Milvus

NUMBERS: dict[str, Any] = {"model": "numbers", "fingerprint": "numbers-1", "dim": DIM}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> MilvusPlace:
    """Where the double of Milvus keeps its files."""
    return MilvusPlace(str(tmp_path_factory.mktemp("served") / "milvus.db"))


def at(place: MilvusPlace, name: str, **options: Any) -> MilvusPlace:
    """Return where the library of a name is."""
    return replace(place, prefix=name, **options)


def lexicon(library: MilvusLibrary) -> ServedLexicon | TantivyLexicon:
    """Return what a library searches for words and sounds."""
    return library._lexical.at(library._index(library._ledger.committed()))


def flooded(library: MilvusLibrary) -> set[str]:
    """Return the texts of passages that say "flood"."""
    return {hit.passage.text for hit in library.search(vector_of("?"), {}, text="flood", mode="lexical").hits}


# Values


@pytest.fixture(scope="module")
def pair(
    place: MilvusPlace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TantivyLexicon, ServedLexicon, MilvusLibrary]]:
    """The same 300 passages of 3 to 30 words, as short as tantivy keeps the length of exactly, ranked by both."""
    chance = random.Random(1)
    vocabulary = ["putin", "পুতিন", "Путин", "river", "नदी", "4500", "普京", "ประเทศ", *(f"w{n}" for n in range(60))]
    written = [
        article(f"a{number}", *(" ".join(chance.choices(vocabulary, k=chance.randint(1, 12))) for _ in range(3)))
        for number in range(100)
    ]
    folder = tmp_path_factory.mktemp("ours")
    with Library.open(folder, **NUMBERS) as disk:
        disk.add_all(additions(*written))
    theirs, ours = (
        MilvusLibrary.open(each, **NUMBERS) for each in (at(place, "values"), at(place, "ours", words="process"))
    )
    with theirs, ours:
        for each in (theirs, ours):
            with giving(folder) as (origin, holdings):
                assert len(list(take(each, origin, "values", holdings))) == 100
        one, other = lexicon(ours), lexicon(theirs)
        assert isinstance(one, TantivyLexicon)
        assert isinstance(other, ServedLexicon)
        yield one, other, theirs


QUESTIONS = ("river Putin w7", "नदी 4,500 w1 w2 w3", "পুতিন", "普京 ประเทศไทย", "w5 w5 zeppelin", "nothing here")


@pytest.mark.parametrize("field", ["sounds", "words"])
def test_bm25_and_its_ceiling_are_the_same(
    pair: tuple[TantivyLexicon, ServedLexicon, MilvusLibrary], field: Field
) -> None:
    """The same passages are found, their scores, and the ceilings, are within a thousandth."""
    one, other, _ = pair
    assert len(one) == len(other) == 300
    for question in QUESTIONS:
        terms = list(sounds.terms(question)) if field == "sounds" else [word.term for word in words(question)]
        rows, scores = one.candidates(field, terms, 1000)
        others, told = other.candidates(field, terms, 1000)
        assert sorted(rows.tolist()) == sorted(others.tolist()), question
        order, reorder = np.argsort(rows), np.argsort(others)
        assert np.allclose(scores[order], told[reorder], rtol=1e-3), question
        assert other.ceiling(field, terms) == pytest.approx(one.ceiling(field, terms), rel=1e-3), question
        few, best = other.candidates(field, terms, 5)
        assert len(few) == min(5, len(rows))
        assert np.allclose(best, told[: len(best)])
    assert other.candidates(field, [], 5)[0].tolist() == []
    assert other.ceiling(field, []) == 0


def test_of_those_allowed(pair: tuple[TantivyLexicon, ServedLexicon, MilvusLibrary]) -> None:
    """Rows that are told, and those that a condition lets through, are all that is found."""
    _, other, library = pair
    rows, _ = other.candidates("words", ["river", "w7"], 1000)
    some = np.sort(rows[::3])
    assert sorted(other.candidates("words", ["river", "w7"], 1000, some)[0].tolist()) == some.tolist()
    assert other.candidates("words", ["river"], 1000, np.empty(0, np.int64))[0].tolist() == []
    source = library._source(library._ledger.committed(), "hybrid", lexical=True)
    allowed = library._allowed(source, None, ["river"], ["w7"])
    expected = set(other.phrase("river").tolist()) - set(other.phrase("w7").tolist())
    assert expected
    assert set(other.candidates("words", ["river", "w7"], 1000, allowed)[0].tolist()) == expected


def test_a_phrase_is_the_same(pair: tuple[TantivyLexicon, ServedLexicon, MilvusLibrary]) -> None:
    """Words that follow each other, one word, and one character of a script without spaces."""
    one, other, _ = pair
    some = [
        " ".join(each) for each in zip(("river", "putin", "w1", "4,500"), ("w7", "নদী", "river", "W2"), strict=True)
    ]
    for phrase in ("river", "Путин", "京", "普京", "京普", "ไท", "?!", "river putin", *some):
        assert other.phrase(phrase).tolist() == one.phrase(phrase).tolist(), phrase


def test_more_terms_than_a_field_has_room_for(place: MilvusPlace) -> None:
    """A passage of very many words is kept, and found by the first of them."""
    with MilvusLibrary.open(at(place, "long"), **NUMBERS) as library:
        terms = ["".join(chr(97 + number // 26**place % 26) for place in range(4)) for number in range(3 * ROOM)]
        text, characters = " ".join(terms), "".join(map(chr, range(0x4E00, 0x4E00 + 9000)))
        assert put(library, article("a", text, characters)) == "added"
        for term, there in ((terms[0], 1), (terms[ROOM - 1], 1), (terms[-1], 0)):
            assert len(lexicon(library).candidates("words", [term], 5)[0]) == there
        assert found(library, text, 1) == [text]


# Who ranks


def test_whether_a_server_ranks_is_tried(place: MilvusPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The double does; one that makes no such collection, or comes to other scores, does not; nothing is left behind,
    and where the server is away it is said.
    """
    server = Server(place.address, prefix="trying")
    assert ranks_words(server)
    with monkeypatch.context() as changed:
        changed.setattr(milvus_server, "BM25", {"bm25_k1": 1.5, "bm25_b": 0.75})
        assert not ranks_words(server)
    with monkeypatch.context() as changed:

        def refuse(*_: Any, **__: Any) -> None:
            raise LibraryUnavailable("data type 104 is not supported")

        changed.setattr(Server, "create", refuse)
        assert not ranks_words(server)
        changed.setattr(Server, "version", refuse)
        with pytest.raises(LibraryUnavailable):
            ranks_words(server)
    assert not [name for name in server._client.list_collections() if name.startswith("trying")]


@pytest.mark.milvus
def test_a_server_that_cannot_leaves_it_to_the_process(milvus: Milvus) -> None:
    """Milvus 2.3.5 has no BM25: the library is made for the process, and nothing is left of the trial."""
    place = MilvusPlace(milvus.address, prefix="cannot")
    with MilvusLibrary.open(place, **NUMBERS) as library:
        assert isinstance(library._lexical, Followed)
        assert put(library, article("a", "river flood")) == "added"
        assert flooded(library) == {"river flood"}
        assert library.info().schema == 1
        assert not [name for name in library._server._client.list_collections() if "_try_" in name]


def test_a_library_keeps_who_ranks(place: MilvusPlace) -> None:
    """What it was made with is noted. Of one that was made for the server, either may be asked; one that was made for
    the process, or with terms of another version, is the process's.
    """
    for made, asked, ranks in (
        ("server", "server", Served),
        ("server", "process", Followed),
        ("process", "server", Followed),
    ):
        name = f"{made}_{asked}"
        with MilvusLibrary.open(at(place, name, words=made), **NUMBERS) as library:
            put(library, article("a", "river flood"))
            assert library.info().schema == (2 if made == "server" else 1)
            if made == "process":  # as one of before: nothing was noted
                library._ledger.forget("built", ["terms"])
            assert library.status().schema == library.info().schema
        with MilvusLibrary.open(at(place, name, words=asked), **NUMBERS) as library:
            assert isinstance(library._lexical, ranks)
            assert library.status().backend.endswith("ranking by words") == (ranks is Served)
            put(library, article("b", "flood plain"))
            assert flooded(library) == {"river flood", "flood plain"}
    library = MilvusLibrary.open(at(place, "server_server"), **NUMBERS)
    with library:
        library._ledger.remember("built", {"terms": "0, words 0, sounds 0"})
    with MilvusLibrary.open(at(place, "server_server"), **NUMBERS) as library:
        assert isinstance(library._lexical, Followed)
        put(library, article("c", "flood"))
        assert len(flooded(library)) == 3


def test_moved_in_and_out(place: MilvusPlace, tmp_path: Path) -> None:
    """A library that is moved in for the server to rank comes to the same hits as the one on disk; for the process, and
    moved out again, to the same numbers.
    """
    folder = tmp_path / "disk"
    with Library.open(folder, **KNOWN) as disk:
        disk.add_all(list(known_additions(90)))
    with MilvusLibrary.open(at(place, "moved"), **KNOWN) as library, giving(folder) as (origin, holdings):
        assert isinstance(library._lexical, Served)
        assert len(list(take(library, origin, "moved", holdings))) == 90
    with Library.open(tmp_path / "back", **KNOWN) as back, giving(at(place, "moved")) as (origin, holdings):
        assert len(list(take(back, origin, "back", holdings))) == 90
    opened: list[AnyLibrary] = [
        Library.open(folder, **KNOWN),
        MilvusLibrary.open(at(place, "moved", words="process"), **KNOWN),
        Library.open(tmp_path / "back", **KNOWN),
        MilvusLibrary.open(at(place, "moved"), **KNOWN),
    ]
    vector = next(known_additions(1, begin=7)).vectors[0]
    asked: tuple[dict[str, Any], ...] = (
        {},
        {"phrases": ["water"]},
        {"without": ["Putin 3"], "mode": "raw"},
        {"mode": "lexical"},
    )
    for more in asked:
        rows, numbers = [], []
        for each in opened:
            hits = each.search(vector, {"en": 1.0}, text="water 7 Putin", limit=20, **more).hits
            rows.append([hit.row for hit in hits])
            numbers.append([(hit.similarity, hit.relevance or 0.0) for hit in hits])
        assert rows[0] == rows[1] == rows[2]
        assert np.allclose(numbers[0], numbers[1], atol=2e-6)
        assert np.allclose(numbers[0], numbers[2], atol=2e-6)
        assert rows[3][0] == rows[0][0]
        assert len({*rows[3][:10]} & {*rows[0][:10]}) >= 9
    for each in opened:
        each.close()


@pytest.mark.model
def test_the_seeds_have_the_same_first_hits(place: MilvusPlace, model: Encoder, tmp_path: Path) -> None:
    """With the default model every judged question has the first hit that it has on disk, near in relevance."""
    given: dict[str, Any] = {"model": model.name, "fingerprint": model.fingerprint, "dim": model.dim}
    questions = judged_seeds(model, tmp_path / "disk")
    with (
        Library.open(tmp_path / "disk", **given) as disk,
        MilvusLibrary.open(at(place, "seeds"), **given) as library,
    ):
        with giving(tmp_path / "disk") as (origin, holdings):
            list(take(library, origin, "seeds", holdings))
        one, other = Engine(model, disk), Engine(model, library)
        for question in questions:
            for mode in ("hybrid", "lexical"):
                first, same = ([*each.search(question, mode=mode).hits][:1] for each in (one, other))
                assert [hit.row for hit in first] == [hit.row for hit in same], (question, mode)
                assert [hit.relevance for hit in first] == pytest.approx([hit.relevance for hit in same], abs=0.01)


def test_terms_are_of_one_version() -> None:
    """What stands for a term must not change but with the version that a library notes."""
    assert module.coded(["putin", "普京", "C"]) == "vnw75tcr rjjs2ie6 64rykmk4"
    assert module.TERMS == "1, words 1, sounds 1"
