"""What holds of every library, whoever keeps it: on disk, in milvus-lite, in a real Milvus server."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import (
    Addition,
    Article,
    ArticleNotFound,
    Count,
    Filter,
    InvalidArticle,
    InvalidCursor,
    Library,
    LibraryAbsent,
    LibraryBusy,
    LibraryClosed,
    Mode,
    ModelMismatch,
    PassageNotFound,
    ReadOnlyLibrary,
    parse_filter,
)
from index.milvus import MilvusLibrary
from tests.index.kinds import (
    KINDS,
    AnyLibrary,
    Kind,
    additions,
    empty,
)
from tests.index.samples import DIM, Vectors, article, found, passages, put, units, vector_of
from tests.index.test_filters import ARTICLES, LETS_THROUGH
from tests.milvus import Milvus

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical", "raw")


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kind:
    """Where libraries of each kind are."""
    if request.param == "milvus":
        server: Milvus = request.getfixturevalue("milvus")
        return Kind("milvus", server.address)
    folder = tmp_path_factory.mktemp("contract")
    return Kind(request.param, str(folder if request.param == "disk" else folder / "lite.db"))


@pytest.fixture(scope="module")
def opened(kind: Kind) -> Iterator[AnyLibrary]:
    """One library for all tests of a kind."""
    with kind.open("contract") as library:
        yield library


@pytest.fixture
def library(opened: AnyLibrary) -> AnyLibrary:
    """A library that holds nothing."""
    empty(opened)
    return opened


@pytest.fixture
def other(kind: Kind, library: AnyLibrary) -> Iterator[AnyLibrary]:
    """The same library, opened once more, as another process has it."""
    with kind.open("contract") as opened:
        yield opened


def soon(holds: Callable[[], bool]) -> bool:
    """Tell whether something comes to hold: what one process wrote is seen by another within moments."""
    end = time.monotonic() + 5
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def add(library: AnyLibrary, *written: Article) -> list[str]:
    """Add articles in one step."""
    return list(library.add_all(additions(*written)))


# Adding


FULL = Article(
    "a",
    "One\x00 is first.\n\nটাকা is second 🙂.",
    title='A "title"\\',
    language="bn",
    url="https://a.example",
    source="s",
    published_at="2023-05-01",
    metadata={"k": [1, 2.5, None, "ক"], "n": {"m": True}, 'odd "key\\': "\x00", "": {}},
)


def test_added_and_found(library: AnyLibrary) -> None:
    """An article is found by its passages, as it was given, and unchanged when it is added again."""
    assert not library.unchanged(FULL)
    assert library.missing(passages(FULL)) == [0, 1]
    assert put(library, FULL) == "added"
    assert library.unchanged(FULL)
    assert library.missing(passages(FULL)) == []
    assert put(library, FULL) == "unchanged"
    (hit,) = library.search(vector_of("টাকা is second 🙂."), {}, limit=1).hits
    assert hit.article == FULL
    assert hit.passage == passages(FULL)[1]
    assert hit.rank == 1
    assert hit.similarity == pytest.approx(1.0, abs=1e-6)
    assert hit.relevance is None
    assert library.get("a") == FULL
    assert library.passages("a") == passages(FULL)
    assert library.passage(hit.passage.id) == (hit.passage, FULL)
    assert library.article_ids(np.array([hit.row])) == {hit.row: "a"}
    assert library.verify() == []


ODD = [
    "a",
    "a\x00",
    "a\x01",
    "a\x01b",
    "a\x02",
    "a b",
    "a\"'",
    "a\\",
    "a\\n",
    "a\n",
    "a%_",
    "ab",
    "é",
    "ক",
    "🙂",
    "x" * 5000,
]


def test_any_id(library: AnyLibrary, other: AnyLibrary) -> None:
    """Whatever an id is made of, its article is had, listed in its place, replaced and deleted by it alone."""
    assert add(library, *(article(id, f"text {place}") for place, id in enumerate(ODD))) == ["added"] * len(ODD)
    inside = sorted(ODD, key=str.encode)

    assert [each.id for each in library.articles()] == inside
    for place, id in enumerate(inside):
        assert [each.id for each in library.articles(after=id, most=2)] == inside[place + 1 : place + 3]
        assert library.get(id).text == f"text {ODD.index(id)}"
        assert found(library, "any", where=parse_filter({"article_id": id})) == [f"text {ODD.index(id)}"]
    assert add(library, *(article(id, f"new {place}") for place, id in enumerate(ODD[:8]))) == ["replaced"] * 8
    assert [each.id for each in library.articles(most=3)] == inside[:3]
    assert library.delete("a\x01")
    assert [each.id for each in library.articles()] == [id for id in inside if id != "a\x01"]
    assert library.verify() == []


def test_replaced(library: AnyLibrary) -> None:
    """Replacing an article asks vectors for what is new alone; what is gone is not found, what stays keeps its own."""
    put(library, article("a", "kept", "dropped"))
    changed = article("a", "new", "kept", "last")

    assert library.missing(passages(changed)) == [0, 2]
    assert put(library, changed) == "replaced"
    assert sorted(found(library, "dropped")) == ["kept", "last", "new"]
    best = library.search(vector_of("kept"), {}, limit=1).hits[0]
    assert (best.passage.position, best.passage.start) == (1, 5)
    assert found(library, "q", mode="lexical", phrases=["dropped"]) == []
    assert library.get("a") == changed
    assert library.status().passages == 3
    assert library.verify() == []


def test_deleted(library: AnyLibrary) -> None:
    """A deleted article is neither found nor had; deleting it again says that there was none."""
    add(library, article("a"), article("b"))

    assert library.delete("a")
    assert not library.delete("a")
    assert sorted(found(library, "any")) == ["b begins.", "b ends."]
    for ask in (library.get, library.passages):
        with pytest.raises(ArticleNotFound, match="'a'"):
            ask("a")
        with pytest.raises(ArticleNotFound):
            ask("\ud800")
    assert not library.delete("\ud800")
    with pytest.raises(PassageNotFound):
        library.passage(passages(article("a"))[0].id)
    with pytest.raises(PassageNotFound):
        library.passage("\ud800")
    assert put(library, article("a")) == "added"
    assert library.verify() == []


def test_several_at_once(library: AnyLibrary) -> None:
    """Each says what became of it; of one that comes twice the last stays; an empty step does nothing."""
    put(library, article("same"))
    put(library, article("old", "before"))
    before = library.change()

    assert library.add_all([]) == []
    assert library.change() == before
    told = add(library, article("same"), article("new", "1"), article("old", "after"), article("new", "2"))
    assert told == ["unchanged", "added", "replaced", "replaced"]
    assert sorted(found(library, "any")) == ["2", "after", "same begins.", "same ends."]
    assert library.verify() == []


def test_all_or_none(library: AnyLibrary) -> None:
    """Where one of several cannot be stored, none is."""
    lacking_one = Addition(article("b", "x", "y"), passages(article("b", "x", "y")), {0: vector_of("x")}, {})
    for wrong in (additions(article("", "x"))[0], lacking_one):
        with pytest.raises(InvalidArticle):
            library.add_all([*additions(article("a")), wrong, *additions(article("c"))])

    assert (library.status().articles, found(library, "any"), library.verify()) == (0, [], [])


def test_an_article_without_passages(library: AnyLibrary) -> None:
    """It is had and counted, and nothing of it is found."""
    assert library.add(Article("a", ""), [], {}) == "added"
    assert library.unchanged(Article("a", ""))
    assert library.get("a") == Article("a", "")
    assert library.passages("a") == []
    assert [each.id for each in library.articles()] == ["a"]
    assert (library.status().articles, library.status().passages, library.verify()) == (1, 0, [])


def test_a_long_article(library: AnyLibrary) -> None:
    """A text of many pieces, its letters of one to four bytes, comes back as it was."""
    text = "".join(f"{number} é ক 🙂 " for number in range(30_000))
    written = article("long", text, "end")
    put(library, written)

    assert library.get("long") == written
    assert found(library, "end", 1) == ["end"]
    assert library.verify() == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (article("", "x"), "id is empty"),
        (article("a", "half \ud800"), "lone surrogate"),
        (article("a", "x", title="\udfff"), "lone surrogate"),
        (article("a", "x", metadata={"x": float("nan")}), "not JSON"),
        (article("a", "x", metadata={"x": {1, 2}}), "not JSON"),
        (article("a", "x", published_at="yesterday"), "ISO 8601"),
    ],
)
def test_an_article_that_cannot_be_stored(library: AnyLibrary, wrong: Article, told: str) -> None:
    """What could not be read back as it was given is refused, and nothing of it stays."""
    with pytest.raises(InvalidArticle, match=told):
        library.add(wrong, passages(wrong), {0: vector_of("x")})

    assert library.status().articles == 0


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        ({0: vector_of("x")}, "without a vector"),
        ({0: vector_of("x"), 1: units(1, 1, 8)[0]}, "16 dimensions"),
        ({0: vector_of("x"), 1: vector_of("x") * 2}, "not of length 1"),
        ({0: vector_of("x"), 1: np.full(DIM, np.nan, np.float32)}, "not of length 1"),
    ],
)
def test_vectors_that_cannot_be_stored(library: AnyLibrary, vectors: dict[int, Vectors], told: str) -> None:
    """A vector that is missing, of another dimension or not of length 1 is refused, and nothing is half there."""
    with pytest.raises(InvalidArticle, match=told):
        library.add(article("a"), passages(article("a")), vectors)

    assert (library.status().articles, library.status().passages) == (0, 0)
    assert put(library, article("a")) == "added"


# Searching


def test_limit_is_met_through_a_filter(library: AnyLibrary) -> None:
    """The filter works inside the search: the asked number comes back though a thousand others are nearer."""
    query = vector_of("query")
    for id, language, count, vector in (("many", "en", 1000, query), ("few", "bn", 12, -query)):
        written = article(id, *[f"{id} {number}" for number in range(count)], language=language)
        library.add(written, passages(written), dict.fromkeys(range(count), vector))

    hits = library.search(query, {}, limit=10, where=parse_filter(None, ["bn"])).hits
    assert [hit.article.language for hit in hits] == ["bn"] * 10
    (rows,) = library.rank(query[None], [{}], 20, [parse_filter({"language": "bn"})])
    assert (rows[0] >= 0).tolist() == [True] * 12 + [False] * 8


def test_filters(library: AnyLibrary) -> None:
    """Every filter lets through the articles that meet all its conditions, in types as in values."""
    add(library, *(article(id, f"{id} alone", **fields) for id, fields in ARTICLES.items()))

    for asked, expected in LETS_THROUGH:
        through = sorted(found(library, "any", where=parse_filter(asked)))
        assert through == [f"{id} alone" for id in expected], asked
    assert found(library, "any", where=parse_filter({"source": ["ittefaq", "jagran"]}, ["bn", "en"])) == ["a alone"]
    large = {f"metadata.a.b{number}": [*range(250), *map(str, range(250))] for number in range(30)}
    assert found(library, "any", where=parse_filter(large)) == []
    for injected in (
        {"source": "x') OR 1 --"},
        {"source": '" or row > 0 or source == "'},
        {"metadata.x] or row > 0": 1},
    ):
        assert found(library, "any", where=parse_filter(injected)) == []
    assert sorted(found(library, "any", where=Filter().outside("en"))) == ["a alone", "b alone", "e alone"]
    assert sorted(found(library, "any", where=parse_filter({"published_at": "2023"}).outside("hi"))) == ["a alone"]
    assert [each.id for each in library.articles(where=parse_filter({"language": "en"}))] == ["c", "d"]
    assert [each.id for each in library.articles(after="c", where=parse_filter({"language": "en"}))] == ["d"]


def test_a_filter_follows_changes(library: AnyLibrary) -> None:
    """A filter that was asked before sees what was added, changed and deleted since."""
    where = parse_filter({"language": "bn"})
    add(library, article("a", "a", language="bn"), article("b", "b", language="bn"))
    assert sorted(found(library, "any", where=where)) == ["a", "b"]
    add(library, article("c", "c", language="bn"), article("d", "d", language="hi"))
    assert sorted(found(library, "any", where=where)) == ["a", "b", "c"]
    add(library, article("a", "a", language="hi"), article("d", "d", language="bn"))
    library.delete("b")
    assert sorted(found(library, "any", where=where)) == ["c", "d"]


def test_rank_agrees_with_search(library: AnyLibrary) -> None:
    """Ranking many questions at once gives what searching one by one gives, in every mode; so does the first."""
    add(library, *(article(f"a{id}", f"water {id}", f"a river {id % 7} of {id}") for id in range(40)))
    queries, texts = units(7, 6), [f"water {number}" for number in range(6)]
    wheres = [None, parse_filter({"article_id": [f"a{number}" for number in range(0, 40, 3)]})]

    for mode in MODES:
        ranked = library.rank(queries, [{}] * 6, 5, wheres, mode=mode, texts=texts)
        first, _ = library.first(queries, [{}] * 6, wheres, mode=mode, texts=texts)
        for place, where in enumerate(wheres):
            for number, (query, text) in enumerate(zip(queries, texts, strict=True)):
                page = library.search(query, {}, limit=5, where=where, mode=mode, text=text)
                rows = [hit.row for hit in page.hits]
                assert ranked[place][number].tolist() == rows + [-1] * (5 - len(rows))
                assert first[place, number] == rows[0]


def test_pages_while_others_add(library: AnyLibrary, other: AnyLibrary) -> None:
    """Following the cursor gives every passage that was there, once, in order, whatever is added between pages."""
    add(library, *(article(f"old {id}") for id in range(15)))
    there = {hit.passage.id for hit in library.search(vector_of("q"), {}, limit=100).hits}
    assert len(there) == 30
    seen, cursor, scores = list[str](), None, list[float]()
    for number in range(100):
        page = library.search(vector_of("q"), {}, limit=7, cursor=cursor)
        seen += [hit.passage.id for hit in page.hits]
        scores += [hit.similarity for hit in page.hits]
        assert [hit.rank for hit in page.hits] == list(range(len(seen) - len(page.hits) + 1, len(seen) + 1))
        cursor = page.next_cursor
        if cursor is None:
            break
        put(other, article(f"new {number}"))

    assert len(seen) == len(set(seen))
    assert there <= set(seen)
    assert scores == sorted(scores, reverse=True)


def test_last_page(library: AnyLibrary) -> None:
    """The last page has no cursor, also when it is full."""
    put(library, article("a", "1", "2", "3", "4"))
    first = library.search(vector_of("q"), {}, limit=2)
    last = library.search(vector_of("q"), {}, limit=2, cursor=first.next_cursor)

    assert len(last.hits) == 2
    assert last.next_cursor is None


def test_a_cursor_is_for_its_search(library: AnyLibrary) -> None:
    """A cursor of another query, filter or mode is refused, and so is anything that is no cursor."""
    put(library, article("a"))
    cursor = library.search(vector_of("q"), {"en": 1.0}, limit=1).next_cursor
    assert cursor
    tries: list[dict[str, Any]] = [
        {"query": vector_of("r")},
        {"where": parse_filter({"language": "und"})},
        {"mode": "raw"},
        {"cursor": "x"},
    ]
    for wrong in tries:
        asked: dict[str, Any] = {"query": vector_of("q"), "language": {"en": 1.0}, "cursor": cursor, **wrong}
        with pytest.raises(InvalidCursor, match="leave it out"):
            library.search(asked.pop("query"), asked.pop("language"), limit=1, **asked)


def test_a_phrase_must_occur_and_a_word_must_not(library: AnyLibrary) -> None:
    """Both hold in every mode; what holds for nothing finds nothing."""
    texts = ["red river flood", "river of red flood", "red river bank", "dry land"]
    add(library, *(article(f"a{number}", text) for number, text in enumerate(texts)))

    for mode in MODES:
        asked: dict[str, Any] = {"mode": mode, "limit": 10}

        def search(text: str, **more: Any) -> list[str]:
            hits = library.search(vector_of("q"), {}, text=text, **asked, **more).hits  # noqa: B023
            return [hit.passage.text for hit in hits]

        assert search("river", phrases=["red river"], without=["bank"]) == ["red river flood"]
        assert search("river", phrases=["nobody says"]) == []
        everything = search("river")
        assert search("river", without=["nobody"]) == everything
        assert search("river", without=["river", "land"]) == []
        assert set(everything) >= set(texts[:3])


def test_names_and_words_in_other_scripts(library: AnyLibrary) -> None:
    """Of a hundred passages that are as near, the one comes first that has the name; lexical search finds it alone."""
    written = [article(f"a{number}", "पुतिन दिल्ली में" if number == 42 else f"कुछ और {number}") for number in range(100)]
    library.add_all([Addition(each, passages(each), {0: vector_of("any")}, {}) for each in written])

    hybrid = library.search(vector_of("q"), {}, text="Where is Putin?", mode="hybrid", limit=10).hits
    lexical = library.search(vector_of("q"), {}, text="Putin", mode="lexical", limit=10).hits
    assert hybrid[0].passage.text == "पुतिन दिल्ली में"
    assert [hit.passage.text for hit in lexical] == ["पुतिन दिल्ली में"]


def test_words_follow_every_write(library: AnyLibrary, other: AnyLibrary) -> None:
    """What is added, replaced and deleted, here or elsewhere, is found by its words, and no more."""

    def said(word: str) -> list[str]:
        return sorted(hit.article.id for hit in library.search(vector_of("q"), {}, text=word, mode="lexical").hits)

    add(library, article("a", "green apple"), article("b", "green pear"))
    assert said("green") == ["a", "b"]
    put(library, article("a", "blue apple"))
    assert (said("green"), said("blue")) == (["b"], ["a"])
    add(other, article("c", "green sky"), article("b", "red pear"))
    assert soon(lambda: said("green") == ["c"])
    other.delete("c")
    assert soon(lambda: said("green") == [])
    assert said("red") == ["b"]


def test_facets(library: AnyLibrary, other: AnyLibrary) -> None:
    """Passages and articles are counted by language, source and year, each without the filter's own conditions on it,
    by what a search with these phrases and exclusions looks at; and they follow every change.
    """

    def counted(name: str, **options: Any) -> list[tuple[str, int, int]]:
        return [(each.value, each.passages, each.articles) for each in library.facets(**options)[name]]

    assert library.facets() == {"language": [], "source": [], "year": []}
    add(
        library,
        article("a", "red river", "red bank", "blue sky", language="bn", source="daily", published_at="2023-12-31"),
        article("b", "red river", language="bn", source="weekly", published_at="1969-12-31T23:59:59.999999Z"),
        article("c", "red bank", "green field", language="hi", source="daily"),
        article("d", "blue river", language="ru", published_at="2023-12-31T23:30:00-05:00"),
    )
    assert library.facets() == {
        "language": [Count("bn", 4, 2), Count("hi", 2, 1), Count("ru", 1, 1)],
        "source": [Count("daily", 5, 2), Count("weekly", 1, 1)],
        "year": [Count("2023", 3, 1), Count("1969", 1, 1), Count("2024", 1, 1)],
    }
    bengali, daily = parse_filter(None, ["bn"]), parse_filter({"source": "daily", "language": ["bn", "hi"]})
    assert counted("language", where=bengali) == [("bn", 4, 2), ("hi", 2, 1), ("ru", 1, 1)]
    assert counted("source", where=bengali) == [("daily", 3, 1), ("weekly", 1, 1)]
    assert counted("language", where=daily) == [("bn", 3, 1), ("hi", 2, 1)]
    assert counted("language", phrases=["river"]) == [("bn", 2, 2), ("ru", 1, 1)]
    assert counted("source", phrases=["red"], without=["river"]) == [("daily", 2, 2)]
    assert counted("year", where=parse_filter({"published_at": "2023"})) == [
        ("2023", 3, 1),
        ("1969", 1, 1),
        ("2024", 1, 1),
    ]
    assert counted("source", where=parse_filter({"published_at": "2023"})) == [("daily", 3, 1)]
    other.delete("d")
    add(other, article("b", "red river", language="hi", source="weekly"), article("e", "one", "two", language="ta"))
    assert soon(lambda: counted("language") == [("bn", 3, 1), ("hi", 3, 2), ("ta", 2, 1)])
    assert counted("year") == [("2023", 3, 1)]


# Articles


def test_articles_come_in_the_order_of_their_ids(library: AnyLibrary) -> None:
    """By UTF-8, at most so many, after any id, one that is not there too."""
    ids = [f"{letter}{number}" for letter in ("b", "é", "ক", "a") for number in range(30)]
    for start in range(0, len(ids), 40):
        add(library, *(article(id, "x") for id in ids[start : start + 40]))
    order = sorted(ids, key=str.encode)

    assert [each.id for each in library.articles(most=1000)] == order
    seen, after = list[str](), ""
    while some_ids := [each.id for each in library.articles(after, 7)]:
        assert len(some_ids) == 7 or len(seen) + len(some_ids) == len(order)
        seen += some_ids
        after = some_ids[-1]
    assert seen == order
    assert [each.id for each in library.articles("b0zzz", 1)] == ["b1"]
    assert library.articles("\U0010ffff") == []


def test_contents_come_in_the_order_in_which_they_first_came(library: AnyLibrary) -> None:
    """One that is replaced keeps its place; one that comes again after it was deleted is the last."""
    add(library, article("z"), article("m", language="bn"))
    put(library, article("a"))
    put(library, article("m", "new", language="hi"))
    library.delete("z")
    put(library, article("z"))

    expected = {"m": article("m", "new", language="hi"), "a": article("a"), "z": article("z")}
    assert library.contents() == {id: (each.content_hash, each.language) for id, each in expected.items()}
    assert list(library.contents()) == ["m", "a", "z"]


def test_what_was_written_since(library: AnyLibrary) -> None:
    """By id and the change that wrote it, in portions that go on where the last one ended; deletions are not told."""
    begin = library.change()
    assert library.written_since(begin, 10) == ({}, begin)
    add(library, article("a"), article("b"))
    middle = library.change()
    put(library, article("a", "new"))
    put(library, article("c"))
    library.delete("c")
    put(library, article("d"))

    everything = library.written_since(begin, 100)
    assert everything is not None
    assert set(everything[0]) - {"c"} == {"a", "b", "d"}
    assert everything[0]["a"] > everything[0]["b"] == middle.number
    assert everything[1] == library.change()
    seen, since = set[str](), begin
    for _ in range(20):
        told = library.written_since(since, 1)
        assert told is not None
        written, upto = told
        if upto == since:
            break
        seen |= set(written)
        since = upto
    assert seen - {"c"} == {"a", "b", "d"}
    assert since == library.change()


def test_status(library: AnyLibrary) -> None:
    """The status counts articles by language, passages, and tells what the library was built with."""
    add(library, article("a", language="bn"), article("b", language="hi"), article("c", language="bn"))
    before = library.status()
    put(library, article("b", "x", language="hi"))
    status = library.status()

    assert (before.articles, before.passages, before.languages) == (3, 6, {"bn": 2, "hi": 1})
    assert (status.articles, status.passages, status.languages) == (3, 5, {"bn": 2, "hi": 1})
    assert status.change > before.change
    assert (status.model, status.fingerprint, status.dim) == ("numbers", "numbers-1", DIM)
    assert (status.late_interaction, status.token_passages, status.read_only) == (False, 0, False)


# Opening


def test_opened_again(kind: Kind, library: AnyLibrary) -> None:
    """What was written is there, and found, after the library was closed; closing twice is no harm."""
    put(library, FULL)
    again = kind.open("contract")
    assert again.get("a") == FULL
    assert found(again, "One\x00 is first.", 1) == ["One\x00 is first."]
    assert again.verify() == []
    again.close()
    again.close()
    with pytest.raises(LibraryClosed):
        again.get("a")
    assert library.get("a") == FULL


def test_another_model(kind: Kind, library: AnyLibrary) -> None:
    """A library of another model, or of another version of it, is refused, both named, with what to do."""
    with pytest.raises(ModelMismatch, match=r"'numbers' and cannot be searched with 'other'.*--model numbers"):
        kind.open("contract", model="other")
    with pytest.raises(ModelMismatch, match=r"numbers-1.*numbers-2"):
        kind.open("contract", fingerprint="numbers-2")
    with pytest.raises(ModelMismatch, match=r"16 dimensions.*8"):
        kind.open("contract", dim=8)


def test_absent(kind: Kind, library: AnyLibrary) -> None:
    """A library is not made where it was not to be made."""
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(LibraryAbsent, match="dragoman add"):
            kind.open("nobody", **options)
    if kind.name != "disk":
        assert MilvusLibrary.describe(kind.place("nobody")) is None
    else:
        assert Library.describe(Path(kind.address) / "nobody") is None


def test_described(kind: Kind, library: AnyLibrary) -> None:
    """A library says what it was built with, and how much it holds, before any model is there."""
    put(library, article("a"))
    info = Library.describe(Path(kind.address) / "contract") if kind.name == "disk" else None
    info = info or MilvusLibrary.describe(kind.place("contract"))

    assert info is not None
    assert (info.model, info.fingerprint, info.dim) == ("numbers", "numbers-1", DIM)
    assert (info.articles, info.passages, info.change) == (1, 2, library.change().number)


def test_read_only(kind: Kind, library: AnyLibrary) -> None:
    """A library opened to be searched only finds all, follows a writer, and refuses to be written to."""
    put(library, article("a"))
    with kind.open("contract", read_only=True) as reader:
        assert len(found(reader, "any")) == 2
        put(library, article("b"))
        assert soon(lambda: len(found(reader, "any")) == 4)
        assert reader.status().read_only
        assert reader.verify() == []
        for write in (lambda: put(reader, article("c")), lambda: reader.delete("a"), reader.mend):
            with pytest.raises(ReadOnlyLibrary):
                write()


def test_two_openers(library: AnyLibrary, other: AnyLibrary) -> None:
    """What one writes the other finds, whole: all of a step or nothing, the old article or the new one."""
    add(library, *(article(f"a{number}", *(f"{number} 0 {part}" for part in range(3))) for number in range(3)))
    stop, failures, versions = threading.Event(), list[str](), set[str]()

    def look() -> None:
        try:
            while not stop.is_set():
                hits = other.search(vector_of("q"), {}, limit=100).hits
                said = {hit.passage.text.split()[1] for hit in hits}
                versions.update(said)
                if len(said) != 1 or len(hits) != 9:
                    failures.append(repr([hit.passage.text for hit in hits]))
        except Exception as error:
            failures.append(repr(error))

    assert soon(lambda: len(found(other, "q")) == 9)
    looking = threading.Thread(target=look)
    looking.start()
    for version in range(1, 6):
        add(library, *(article(f"a{n}", *(f"{n} {version} {part}" for part in range(3))) for n in range(3)))
    seen = soon(lambda: found(other, "q", 1)[0].split()[1] == "5")
    stop.set()
    looking.join()
    assert failures == []
    assert seen
    assert len(versions) > 1
    assert library.verify() == other.verify() == []


def test_one_writes_at_a_time(library: AnyLibrary, other: AnyLibrary) -> None:
    """The second waits, then is told who writes; when the first has ended, it may."""
    with library.writing():
        with library.writing():
            put(library, article("a"))
        with pytest.raises(LibraryBusy, match=r"(?i)try again"), other.writing(timeout=0.5):
            pass
        put(library, article("b"))
    with other.writing(timeout=5):
        put(other, article("c"))
    assert soon(lambda: sorted(library.contents()) == ["a", "b", "c"])


def test_writers_take_turns(library: AnyLibrary, other: AnyLibrary) -> None:
    """Threads that write through two openers wait for one another; nothing is lost."""
    failures: list[str] = []

    def write(into: AnyLibrary, name: str) -> None:
        try:
            for number in range(2):
                with into.writing(timeout=60):
                    put(into, article(f"{name}{number}"))
        except Exception as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=write, args=pair) for pair in zip((library, other) * 2, "abcd", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert soon(lambda: library.status().articles == 8)
    assert sorted(library.contents()) == sorted(f"{name}{number}" for name in "abcd" for number in range(2))
    assert library.verify() == []
