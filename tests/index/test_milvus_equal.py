"""A library in Milvus answers as the one on disk, which is exact: the same hits, groups, counts and numbers."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from embed import Encoder
from index import (
    DamagedLibrary,
    Group,
    InvalidArticle,
    InvalidFilter,
    Library,
    MilvusLibrary,
    Mode,
    QuestionTokens,
    giving,
    parse_filter,
    take,
)
from index.milvus import catalogue as milvus_catalogue
from index.milvus import server as milvus_server
from index.milvus.server import LONGEST
from service.engine import Engine
from tests.index.kinds import EQUAL, FAR, KNOWN, AnyLibrary, Kind, additions, empty, judged_seeds, known_additions
from tests.index.samples import article, found, passages, put, units, vector_of
from tests.milvus import Milvus

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical", "raw")
GROUPS: tuple[Group, ...] = ("none", "article", "story")


@pytest.fixture(scope="module", params=EQUAL)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kind:
    """Milvus, and its double."""
    if request.param == "milvus":
        server: Milvus = request.getfixturevalue("milvus")
        return Kind("milvus", server.address)
    return Kind("lite", str(tmp_path_factory.mktemp("equal") / "lite.db"))


def taken(kind: Kind, folder: Path, name: str, **options: Any) -> MilvusLibrary:
    """Open a library that took in what the one in a folder holds."""
    library = kind.open(name, **options)
    assert isinstance(library, MilvusLibrary)
    with giving(folder) as (origin, holdings):
        assert {action for _, action in take(library, origin, name, holdings)} == {"added"}
    return library


def told(hits: Any) -> list[Any]:
    """Return all that hits say, their numbers to six digits."""
    return [
        (
            (hit.rank, hit.row, hit.passage, hit.article),
            [round(each, 6) for each in (hit.similarity, hit.raw, hit.relevance or -1.0)],
            told(hit.passages),
            told(hit.sources),
        )
        for hit in hits
    ]


def same(one: list[Any], other: list[Any]) -> bool:
    """Tell whether hits say the same, numbers within 2e-6."""
    if len(one) != len(other):
        return False
    return all(
        a[0] == b[0] and np.allclose(a[1], b[1], atol=2e-6) and same(a[2], b[2]) and same(a[3], b[3])
        for a, b in zip(one, other, strict=True)
    )


COUNT = 90


@pytest.fixture(scope="module")
def pair(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Library, MilvusLibrary]]:
    """The same library on disk and in Milvus: with token vectors, means and a calibration."""
    folder = tmp_path_factory.mktemp("exact")
    with Library.open(folder, **KNOWN) as disk:
        disk.add_all(list(known_additions(COUNT)))
    with Library.open(folder, **KNOWN) as disk, taken(kind, folder, "known", **KNOWN) as library:
        yield disk, library


def asked(number: int) -> dict[str, Any]:
    """Return a question."""
    languages: tuple[dict[str, float], ...] = ({"en": 1.0}, {"bn": 0.7, "hi": 0.3}, {})
    return {
        "query": units(500 + number, 1, KNOWN["dim"])[0],
        "language": languages[number % 3],
        "text": ("water 7 Putin", "नदी", "bank of the river")[number % 3],
        "tokens": QuestionTokens(FAR * units(9001 + number, 5, KNOWN["dim"])),
    }


WHERES = [None, {"language": ["bn", "hi"]}, {"metadata.tags": "t1", "published_at": {"gte": "2010"}}, {"source": "s9"}]


@pytest.mark.parametrize("mode", MODES)
def test_pages_and_groups_are_the_same(pair: tuple[Library, MilvusLibrary], mode: Mode) -> None:
    """Page by page, under filters, phrases and exclusions, as passages, articles and stories."""
    spoken: list[dict[str, Any]] = [{}, {"phrases": ["water"], "without": ["Putin 3"]}]
    for number, (where, group) in enumerate((w, g) for w in WHERES for g in GROUPS):
        question = {**asked(number), "mode": mode, "where": parse_filter(where), "group": group, **spoken[number % 2]}
        cursors: list[str | None] = [None, None]
        for _ in range(3):
            pages = [
                each.search(**question, limit=17, cursor=cursor) for each, cursor in zip(pair, cursors, strict=True)
            ]
            assert same(*(told(page.hits) for page in pages)), (number, where, group)
            assert pages[0].best == pytest.approx(pages[1].best, abs=1e-6)
            cursors = [page.next_cursor for page in pages]
            assert (cursors[0] is None) == (cursors[1] is None)
            if cursors[0] is None:
                break
        if mode in ("hybrid", "dense"):
            enough = [each.search(**question, limit=50, min_relevance=0.02).hits for each in pair]
            assert same(*map(told, enough))


def test_many_questions_are_ranked_the_same(pair: tuple[Library, MilvusLibrary]) -> None:
    """Under several filters at once, in every mode; and so is the first of each, and its relevance."""
    questions = [asked(number) for number in range(6)]
    queries = np.stack([each["query"] for each in questions])
    languages, texts, tokens = ([each[name] for each in questions] for name in ("language", "text", "tokens"))
    wheres = [parse_filter(where) for where in WHERES]
    for mode in MODES:
        given_: dict[str, Any] = {"mode": mode, "texts": texts, "tokens": tokens}
        ranked = [each.rank(queries, languages, 40, wheres, **given_) for each in pair]
        for one, other in zip(*ranked, strict=True):
            assert one.tolist() == other.tolist()
        (rows, chances), (others, likely) = (each.first(queries, languages, wheres, **given_) for each in pair)
        assert rows.tolist() == others.tolist()
        assert np.allclose(chances, likely, atol=1e-6)


def test_what_is_alike_judged_and_counted_is_the_same(pair: tuple[Library, MilvusLibrary]) -> None:
    """More like this, the best of some articles, evidence, strangers, facets, and what is stored."""
    disk, library = pair
    for id in ("a3", "a40", "a77"):
        passage = disk.passages(id)[0].id
        for options in ({}, {"same_language": True}, {"where": parse_filter({"language": "bn"}), "limit": 60}):
            assert same(told(disk.similar(passage, **options)), told(library.similar(passage, **options)))
        assert library.passages(id) == disk.passages(id)
        assert library.passage(passage) == disk.passage(passage)
    ids = [f"a{number}" for number in range(0, 99, 7)]
    for number in range(4):
        question = asked(number)
        best = [each.best_of(article_ids=ids, least=0.0, **question) for each in pair]
        assert best[0]
        assert same(*map(told, best))
        wheres = [parse_filter(where) for where in WHERES]
        named: dict[str, Any] = {"text": question["text"], "tokens": question["tokens"]}
        (one, rows), (other, others) = (
            each.evidence(question["query"], question["language"], wheres, 30, **named) for each in pair
        )
        assert rows.tolist() == others.tolist()
        for name in ("similarity", "maxsim", "meaning", "late", "beyond", "sounds", "words", "same"):
            if hasattr(one, name):
                assert np.allclose(getattr(one, name), getattr(other, name), atol=1e-5, equal_nan=True), name
        strangers = list(known_additions(4, begin=200))
        given_ = (np.stack([each.vectors[0] for each in strangers]), [each.article.language for each in strangers])
        judged = [
            each.judge(
                question["query"],
                question["language"],
                *given_,
                passage_tokens=[s.tokens[0] for s in strangers],
                **named,
            )
            for each in pair
        ]
        assert np.allclose(judged[0][0], judged[1][0], atol=1e-6)
        assert judged[0][1] is not None
        assert judged[1][1] is not None
        assert np.allclose(judged[0][1], judged[1][1], atol=1e-6)
    for where in WHERES:
        for spoken in ({}, {"phrases": ["river 3"]}, {"without": ["Putin"]}):
            counts = [each.facets(parse_filter(where), **spoken) for each in pair]
            assert counts[0] == counts[1]
    figures = [each.status() for each in pair]
    for name in ("articles", "passages", "languages", "token_passages", "late_interaction", "token_bytes_per_passage"):
        assert getattr(figures[0], name) == getattr(figures[1], name), name
    assert disk.contents() == library.contents()
    assert list(disk.contents()) == list(library.contents())
    assert library.verify() == []


def test_back_on_disk_it_is_the_same(kind: Kind, pair: tuple[Library, MilvusLibrary], tmp_path: Path) -> None:
    """Given out of Milvus and taken in on disk, with its rows."""
    with Library.open(tmp_path / "back", **KNOWN) as back, giving(kind.place("known")) as (origin, holdings):
        assert len(list(take(back, origin, "back", holdings))) == COUNT
        for number, mode in enumerate(MODES):
            hits = [each.search(**asked(number), mode=mode, limit=60).hits for each in (pair[0], back)]
            assert same(*map(told, hits))
        assert back.verify() == []


def test_what_is_added_in_the_same_order_answers_the_same(kind: Kind, tmp_path: Path) -> None:
    """Rows are given one after the other, by whichever process writes, and none twice: so ties and samples are those
    of a library on disk.
    """
    some = [replace(each, rows=None) for each in known_additions(30)]
    with Library.open(tmp_path, **KNOWN) as disk:
        for begin, end in ((0, 12), (12, 20), (20, 30)):
            with kind.open("ordered", **KNOWN) as library:
                for each in (disk, library):
                    each.add_all(some[begin:end])
                    each.delete(some[end - 1].article.id)
        with kind.open("ordered", **KNOWN) as library:
            assert isinstance(library, MilvusLibrary)
            for number, mode in enumerate(MODES):
                hits = [each.search(**asked(number), mode=mode, limit=80).hits for each in (disk, library)]
                assert len(hits[0]) > 20
                assert same(*map(told, hits))
            library.drop()


def test_tokens_are_kept_unless_the_language_changes(kind: Kind, pair: tuple[Library, MilvusLibrary]) -> None:
    """Of an article that is replaced, passages that stay keep vectors and token vectors; of another language, none."""
    library = pair[1]
    (one,) = known_additions(1, begin=302)
    library.add_all([one])
    assert library.missing(one.passages) == []
    before = library.status().token_passages
    longer = article(one.article.id, one.article.text, "more", language=one.article.language)
    assert library.missing(passages(longer)) == [3]
    library.add(longer, passages(longer), {3: units(1, 1, KNOWN["dim"])[0]})
    assert library.status().token_passages == before
    assert library.missing(passages(longer)) == [3]  # its token vectors
    other = article(one.article.id, one.article.text, language="ru")
    library.add(other, passages(other), {})
    assert library.status().token_passages == before - 3
    library.delete(one.article.id)
    assert library.verify() == []


# The real model


@pytest.mark.model
def test_the_seeds_are_answered_the_same(kind: Kind, model: Encoder, tmp_path: Path) -> None:
    """With the default model every judged question, in every mode, comes to the same hits, similarity and relevance."""
    given_: dict[str, Any] = {"model": model.name, "fingerprint": model.fingerprint, "dim": model.dim}
    questions = judged_seeds(model, tmp_path / "disk")
    with (
        Library.open(tmp_path / "disk", **given_) as disk,
        taken(kind, tmp_path / "disk", "seeds", **given_) as library,
    ):
        engines = Engine(model, disk), Engine(model, library)
        for question in questions:
            for mode in MODES:
                answers = [each.search(question, mode=mode, limit=20).hits for each in engines]
                assert same(*map(told, answers)), (question, mode)
        library.drop()


# Filters


json_values = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-(2**53), 2**53)
    | some.floats(allow_nan=False, allow_infinity=False, width=32)
    | some.text(max_size=3),
    lambda inner: (
        some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from(["k", "a.b", ""]), inner, max_size=2)
    ),
    max_leaves=6,
)
metadata = some.dictionaries(
    some.sampled_from(["k", "m", "k.k", "", "a b"]) | some.text(max_size=2), json_values, max_size=3
)
scalars = some.booleans() | some.integers(-3, 3) | some.sampled_from([0.5, 1.0, 2.0**53, -1e30]) | some.text(max_size=2)
ranges = some.dictionaries(
    some.sampled_from(["gte", "gt", "lte", "lt"]), some.integers(-3, 3) | some.floats(-2, 2) | some.text(max_size=2),
    min_size=1, max_size=2,
)  # fmt: skip
wanted = some.dictionaries(
    some.sampled_from(["metadata.k", "metadata.m", "metadata.k.k", "metadata.a b", "metadata.k.a.b"]),
    scalars | some.lists(scalars, min_size=1, max_size=3) | ranges,
    min_size=1,
    max_size=2,
)


@pytest.fixture(scope="module")
def filtered(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AnyLibrary, AnyLibrary]]:
    """An empty library on disk and one in Milvus."""
    with Kind("disk", str(tmp_path_factory.mktemp("filtered"))).open() as disk, kind.open("filtered") as library:
        yield disk, library


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=some.data())
def test_a_filter_lets_the_same_articles_through(
    filtered: tuple[AnyLibrary, AnyLibrary], data: some.DataObject
) -> None:
    """Whatever JSON the metadata is, and whatever is asked of it."""
    written = data.draw(some.lists(metadata, min_size=1, max_size=8))
    asks = data.draw(some.lists(wanted, min_size=5, max_size=25))
    articles = [article(f"a{number}", f"t{number}", metadata=each) for number, each in enumerate(written)]
    for library in filtered:
        empty(library)
        library.add_all(additions(*articles))
    for each in asks:
        try:
            where = parse_filter(each)
        except InvalidFilter:
            continue
        one, other = (sorted(found(library, "any", where=where)) for library in filtered)
        assert one == other, (each, written)


# What Milvus has no room for, and damage


@pytest.fixture
def small(kind: Kind) -> Iterator[MilvusLibrary]:
    """A library to be damaged."""
    with kind.open("small") as library:
        assert isinstance(library, MilvusLibrary)
        empty(library)
        yield library


def test_what_a_field_of_milvus_has_no_room_for(small: MilvusLibrary) -> None:
    """It is refused before anything is written, and told what it is; what just fits is kept."""
    for wrong, what in (
        (article("a", "x", metadata={"k": "x" * LONGEST}), "metadata"),
        (article("x" * LONGEST, "x"), "its id"),
        (article("\x01" * 50_000, "x"), "its id"),
        (article("a", "x", url="x" * LONGEST), "url"),
        (article("a", "x", source="ক" * (LONGEST // 3)), "source"),
    ):
        with pytest.raises(InvalidArticle, match=what):
            put(small, wrong)
    assert small.status().articles == 0
    large = article("y" * 20_000, "x", source="s" * 50_000, metadata={"k": "x" * 15_000})
    assert put(small, large) == "added"
    assert small.get(large.id) == large
    assert small.verify() == []


def test_more_than_one_answer_of_milvus_holds(small: MilvusLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is read in several answers; a search goes as deep as one answer does, and says no more behind it."""
    for module in (milvus_server, milvus_catalogue):
        monkeypatch.setattr(module, "MOST", 7)
    written = [article(f"{letter}{number}", f"{letter} {number}") for letter in "ক€a" for number in range(6)]
    small.add_all(additions(*written))

    ids = sorted((each.id for each in written), key=str.encode)
    assert [each.id for each in small.articles()] == ids
    assert [each.id for each in small.articles(ids[2], 9)] == ids[3:12]
    assert list(small.contents()) == [each.id for each in written]
    assert small.verify() == []
    assert len(small.holdings(ids)) == 18
    order = sorted(written, key=lambda each: -float(vector_of(each.text) @ vector_of("q")))
    page = small.search(vector_of("q"), {}, limit=4)
    rest = small.search(vector_of("q"), {}, limit=4, cursor=page.next_cursor)
    assert [hit.article for hit in page.hits + rest.hits] == order[:7]
    assert rest.next_cursor is None
    words = small.search(vector_of("q"), {}, text="a", mode="lexical", limit=18).hits
    assert {hit.article.id for hit in words} == {f"a{number}" for number in range(6)}
    for each in written:
        small.delete(each.id)
    assert small.mend() == []
    assert small.status().articles == 0


def test_damage_is_found_and_mended(small: MilvusLibrary) -> None:
    """What is lacking or changed behind its back is told, nothing is answered from it, and adding again mends it."""
    server = small._server
    written = [article(f"a{number}", f"one {number}", f"two {number}") for number in range(6)]
    small.add_all(additions(*written))
    assert small.verify() == []
    first = {each["article"]: each for each in server.query("passages", "position == 0", ["article", "edition"])}
    server.delete("raw", [first["a0"]["row"]])
    server.delete("passages", [first["a1"]["row"]])
    texts = server.having("texts", "edition", [first["a2"]["edition"]], ["edition"])
    server.delete("texts", [texts[0]["place"]])
    record = server.query("texts", f"edition == {first['a3']['edition']}", ["edition", "version", "text"])[0]
    server.put("texts", {**record, "text": record["text"].replace("one", "ten")})
    (known,) = server.having("articles", "edition", [first["a4"]["edition"]], [])
    server.delete("articles", [known["place"]])
    server.hear(server.now())
    with small.__class__.existing(small_place(small)) as again:
        problems = again.verify()
        assert {name for name in ("a0", "a1", "a2", "a3") if any(repr(name) in each.where for each in problems)} == {
            "a0",
            "a1",
            "a2",
            "a3",
        }
        assert all(repr("a5") not in each.where for each in problems)
        assert any(each.where == "passages" and each.repairable for each in problems)  # of a4
        for id in ("a2", "a3"):
            with pytest.raises(DamagedLibrary):
                again.get(id)
        with pytest.raises(DamagedLibrary):
            again.passages("a0")
        with pytest.raises(DamagedLibrary):
            found(again, "one 2", 1)

    lost = small.mend()
    assert sorted(lost) == ["a0", "a1", "a2", "a3"]
    assert not any(small.unchanged(each) for each in written[:5])
    for each in written[:5]:
        cuts = passages(each)
        vectors = {place: vector_of(cuts[place].text) for place in small.missing(cuts)}
        assert small.add(each, cuts, vectors) in ("replaced", "added")
    assert small.verify() == []
    assert sorted(found(small, "any", 20)) == sorted(
        f"{name} {number}" for name in ("one", "two") for number in range(6)
    )
    assert small.mend() == []


def small_place(library: MilvusLibrary) -> Any:
    """Return where a library is."""
    from index import MilvusPlace

    return MilvusPlace(library._server.address, prefix=library._server.prefix, words="process")
