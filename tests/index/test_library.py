import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import (
    Article,
    ArticleNotFound,
    InvalidArticle,
    InvalidCursor,
    Library,
    LibraryAbsent,
    LibraryClosed,
    Mode,
    ModelMismatch,
    Neutral,
    NotCalibrated,
    PassageNotFound,
    ReadOnlyLibrary,
    parse_filter,
)
from index.fusion import Odds, Relevance
from index.migrations import SCHEMA
from index.neutral import Priors
from tests.index.samples import DIM, Vectors, article, found, open_library, passages, put, units, vector_of


def test_added_and_found(numbers: Library) -> None:
    """An article is found by its passages, as it was given, and unchanged when it is added again."""
    written = Article(
        "a",
        "One\x00 is first.\n\nটাকা is second 🙂.",
        title="A title",
        language="bn",
        url="https://a.example",
        source="s",
        published_at="2023-05-01",
        metadata={"k": [1, 2.5, None, "ক"], "n": {"m": True}},
    )

    assert not numbers.unchanged(written)
    assert put(numbers, written) == "added"
    assert numbers.unchanged(written)
    assert put(numbers, written) == "unchanged"
    (hit,) = numbers.search(vector_of("টাকা is second 🙂."), {}, limit=1).hits
    assert hit.article == written
    assert hit.passage == passages(written)[1]
    assert hit.rank == 1
    assert hit.similarity == pytest.approx(1.0, abs=1e-6)
    assert hit.relevance is None
    assert numbers.get("a") == written
    assert numbers.passages("a") == passages(written)
    assert numbers.passage(hit.passage.id) == (hit.passage, written)
    assert numbers.article_ids(np.array([hit.row])) == {hit.row: "a"}
    assert numbers.verify() == []


def test_replaced(numbers: Library) -> None:
    """Replacing an article asks vectors for what is new alone; what is gone is not found, what stays is as it
    was.
    """
    put(numbers, article("a", "kept", "dropped"))
    row = numbers.search(vector_of("kept"), {}, limit=1).hits[0].row
    changed = article("a", "new", "kept", "kept")

    assert numbers.missing(passages(changed)) == [0, 2]
    assert put(numbers, changed) == "replaced"
    assert sorted(found(numbers, "dropped")) == ["kept", "kept", "new"]
    best = numbers.search(vector_of("kept"), {}, limit=1).hits[0]
    assert (best.row, best.passage.position, best.passage.start) == (row, 1, 5)
    assert numbers.verify() == []


def test_a_row_never_comes_back(numbers: Library) -> None:
    """The row of a removed passage is not given to another, so nothing that was remembered can mean another
    one.
    """
    put(numbers, article("a"))
    last = max(hit.row for hit in numbers.search(vector_of("x"), {}).hits)
    numbers.delete("a")
    put(numbers, article("b"))

    assert min(hit.row for hit in numbers.search(vector_of("x"), {}).hits) == last + 1


def test_deleted(numbers: Library) -> None:
    """A deleted article is neither found nor had; deleting it again says that there was none."""
    put(numbers, article("a"))
    put(numbers, article("b"))

    assert numbers.delete("a")
    assert not numbers.delete("a")
    assert sorted(found(numbers, "any")) == ["b begins.", "b ends."]
    with pytest.raises(ArticleNotFound, match="'a'"):
        numbers.get("a")
    with pytest.raises(ArticleNotFound):
        numbers.passages("a")
    with pytest.raises(ArticleNotFound):
        numbers.get("\ud800")
    assert not numbers.delete("\ud800")
    with pytest.raises(PassageNotFound):
        numbers.passage(passages(article("a"))[0].id)
    assert numbers.verify() == []


def test_limit_is_met_through_a_filter(numbers: Library) -> None:
    """The filter works inside the search: the asked number comes back though a thousand others are nearer."""
    query = vector_of("query")
    for id, language, count, vector in (("many", "en", 1000, query), ("few", "bn", 12, -query)):
        written = article(id, *[f"{id} {number}" for number in range(count)], language=language)
        numbers.add(written, passages(written), dict.fromkeys(range(count), vector))

    hits = numbers.search(query, {}, limit=10, where=parse_filter(None, ["bn"])).hits
    assert [hit.article.language for hit in hits] == ["bn"] * 10
    (rows,) = numbers.rank(query[None], [{}], 20, [parse_filter({"language": "bn"})])
    assert (rows[0] >= 0).tolist() == [True] * 12 + [False] * 8


def test_a_filter_follows_changes(numbers: Library) -> None:
    """A filter that was asked before sees what was added, changed and deleted since."""
    where = parse_filter({"language": "bn"})
    put(numbers, article("a", "a", language="bn"))
    put(numbers, article("b", "b", language="bn"))
    assert sorted(found(numbers, "any", where=where)) == ["a", "b"]
    put(numbers, article("c", "c", language="bn"))
    put(numbers, article("d", "d", language="hi"))
    assert sorted(found(numbers, "any", where=where)) == ["a", "b", "c"]
    put(numbers, article("a", "a", language="hi"))
    put(numbers, article("d", "d", language="bn"))
    numbers.delete("b")
    assert sorted(found(numbers, "any", where=where)) == ["c", "d"]


def test_rank_agrees_with_search(numbers: Library) -> None:
    """Ranking many questions at once gives what searching one by one gives."""
    for id in range(40):
        put(numbers, article(f"a{id}"))
    queries = units(7, 30)

    (rows,) = numbers.rank(queries, [{}] * 30, 5)
    for query, ranked in zip(queries, rows.tolist(), strict=True):
        assert [hit.row for hit in numbers.search(query, {}, limit=5).hits] == ranked


# Pages


def test_pages_while_others_add(folder: Path, numbers: Library) -> None:
    """Following the cursor gives every passage that was there, once, in order, whatever is added between
    pages.
    """
    for id in range(30):
        put(numbers, article(f"old {id}"))
    there = {hit.passage.id for hit in numbers.search(vector_of("q"), {}, limit=100).hits}
    seen, cursor, scores = list[str](), None, list[float]()
    with open_library(folder) as other:
        for number in range(100):
            page = numbers.search(vector_of("q"), {}, limit=4, cursor=cursor)
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


def test_last_page(numbers: Library) -> None:
    """The last page has no cursor, also when it is full."""
    put(numbers, article("a", "1", "2", "3", "4"))
    first = numbers.search(vector_of("q"), {}, limit=2)
    last = numbers.search(vector_of("q"), {}, limit=2, cursor=first.next_cursor)

    assert len(last.hits) == 2
    assert last.next_cursor is None


def test_a_cursor_is_for_its_search(numbers: Library) -> None:
    """A cursor of another query, filter or mode is refused, and so is anything that is no cursor."""
    put(numbers, article("a"))
    cursor = numbers.search(vector_of("q"), {"en": 1.0}, limit=1).next_cursor
    assert cursor
    tries: list[dict[str, Any]] = [
        {"query": vector_of("r")},
        {"where": parse_filter({"language": "und"})},
        {"mode": "raw"},
        {"language": {"bn": 1.0}},
        *({"cursor": wrong} for wrong in ("", "x", cursor[:-2], cursor[1:], "ক", "\ud800", "A" * 10_000, "bnVsbA")),
    ]
    for wrong in tries:
        given: dict[str, Any] = {
            "query": vector_of("q"),
            "language": {"en": 1.0},
            "cursor": cursor,
            **wrong,
        }
        with pytest.raises(InvalidCursor, match="leave it out"):
            numbers.search(given.pop("query"), given.pop("language"), limit=1, **given)


# What cannot be stored


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
def test_an_article_that_cannot_be_stored(numbers: Library, wrong: Article, told: str) -> None:
    """What could not be read back as it was given is refused, and nothing of it stays."""
    with pytest.raises(InvalidArticle, match=told):
        numbers.add(wrong, passages(wrong), {0: vector_of("x")})

    assert numbers.status().articles == 0


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        ({0: vector_of("x")}, "without a vector"),
        ({0: vector_of("x"), 1: units(1, 1, 8)[0]}, "16 dimensions"),
        ({0: vector_of("x"), 1: vector_of("x") * 2}, "not of length 1"),
        ({0: vector_of("x"), 1: np.full(DIM, np.nan, np.float32)}, "not of length 1"),
        ({0: vector_of("x"), 1: np.zeros(DIM, np.float32)}, "not of length 1"),
    ],
)
def test_vectors_that_cannot_be_stored(numbers: Library, vectors: dict[int, Vectors], told: str) -> None:
    """A vector that is missing, of another dimension or not of length 1 is refused, and nothing is half
    there.
    """
    with pytest.raises(InvalidArticle, match=told):
        numbers.add(article("a"), passages(article("a")), vectors)

    assert (numbers.status().articles, numbers.status().passages) == (0, 0)
    assert put(numbers, article("a")) == "added"


def test_deep_metadata(numbers: Library) -> None:
    """Metadata nested deeper than SQLite reads is refused, since every later filter would fail on it."""
    deep: dict[str, object] = {}
    for _ in range(3000):
        deep = {"x": deep}
    with pytest.raises(InvalidArticle):
        put(numbers, Article("a", "text", metadata=deep))


# Models, folders


def test_another_model(folder: Path) -> None:
    """A library of another model, or of another version of it, is refused, both named, with what to do."""
    open_library(folder).close()

    with pytest.raises(ModelMismatch, match=r"'numbers' and cannot be searched with 'other'.*--model numbers"):
        open_library(folder, model="other")
    with pytest.raises(ModelMismatch, match=r"numbers-1.*numbers-2"):
        open_library(folder, fingerprint="numbers-2")
    with pytest.raises(ModelMismatch, match=r"16 dimensions.*8"):
        open_library(folder, dim=8)


def test_described(folder: Path) -> None:
    """A library says what it was built with before any model is there; where none is, nothing."""
    assert Library.describe(folder) is None
    with open_library(folder) as library:
        put(library, article("a"))
    info = Library.describe(folder)

    assert info is not None
    assert (info.model, info.fingerprint, info.dim, info.articles, info.passages) == (
        "numbers",
        "numbers-1",
        DIM,
        1,
        2,
    )
    with pytest.raises(ModelMismatch):
        info.check_model("other")


def test_absent(folder: Path) -> None:
    """A library is not made where it was not to be made."""
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(LibraryAbsent, match="dragoman add"):
            open_library(folder, **options)

    assert not folder.exists()


def test_read_only(folder: Path) -> None:
    """A library opened to be searched only finds all, follows a writer, and refuses to be written to."""
    with open_library(folder) as library:
        put(library, article("a"))
        with open_library(folder, read_only=True) as reader:
            assert len(found(reader, "any")) == 2
            put(library, article("b"))
            assert len(found(reader, "any")) == 4
            assert reader.status().read_only
            assert reader.verify() == []
            for write in (lambda: put(reader, article("c")), lambda: reader.delete("a")):
                with pytest.raises(ReadOnlyLibrary):
                    write()


def test_status(numbers: Library) -> None:
    """The status counts articles by language, and everything in the folder."""
    for id, language in (("a", "bn"), ("b", "hi"), ("c", "bn")):
        put(numbers, article(id, language=language))
    status = numbers.status()

    assert (status.articles, status.passages, status.change) == (3, 6, 3)
    assert status.languages == {"bn": 2, "hi": 1}
    assert (status.model, status.dim, status.backend, status.schema) == ("numbers", DIM, "faiss", SCHEMA)
    assert (status.late_interaction, status.token_passages) == (False, 0)
    assert status.size_bytes == sum(path.stat().st_size for path in numbers.folder.iterdir())


def test_closed(folder: Path) -> None:
    """A closed library says so, and can be closed again."""
    library = open_library(folder)
    library.close()
    library.close()

    with pytest.raises(LibraryClosed):
        library.get("a")


# Language-neutral vectors


@pytest.fixture
def neutral(monkeypatch: pytest.MonkeyPatch) -> Neutral:
    """Make every library use means of two languages, as the default model has them."""
    priors = Priors(
        "numbers",
        ("bn", "hi"),
        units(1, 2),
        units(2, 2),
        own=0.7,
        common=0.2,
        centre=units(1, 3)[0] / 4,
        spread=(np.eye(DIM) / 16).astype(np.float32),
        slope=2,
        intercept=-1,
        answering=Relevance(*(Odds(5.0, 0.0, beyond, 0.3, 0.2, -0.5, -4.0) for beyond in (5.0, 0.0))),
    )
    made = Neutral(priors)
    monkeypatch.setattr(Neutral, "for_model", classmethod(lambda *_: made))
    return made


def test_neutral_and_raw(neutral: Neutral, folder: Path) -> None:
    """By default neutral vectors are compared, in mode `raw` the encoder's own, each kept up to date."""
    with open_library(folder) as library:
        for id in range(20):
            put(library, article(f"{id}", language="bn" if id % 2 else "hi"))
        query = vector_of("q")
        for _ in range(2):
            status = library.status()
            (rows,) = library.rank(query[None], [{"bn": 1.0}], status.passages, mode="raw")
            texts = {row: library.passage(id)[0].text for row, id in _ids(library).items()}
            expected = sorted(texts, key=lambda row: (-float(vector_of(texts[row]) @ query), row))
            assert rows[0].tolist() == expected
            hits = library.search(query, {"bn": 1.0}, limit=1).hits
            raw = vector_of(hits[0].passage.text)[None]
            passage = neutral.passages(raw, [hits[0].article.language])[0]
            assert hits[0].similarity == pytest.approx(
                float(passage @ neutral.queries(query[None], [{"bn": 1.0}])[0]), abs=1e-6
            )
            assert library.verify() == []
            put(library, article("3", language="und"))
            library.delete("5")


def _ids(library: Library) -> dict[int, str]:
    hits = library.search(vector_of("any"), {}, limit=1000, mode="raw").hits
    return {hit.row: hit.passage.id for hit in hits}


def test_another_language_is_another_vector(neutral: Neutral, folder: Path) -> None:
    """An article whose language alone changes keeps its raw vectors and gets other neutral ones, here and
    elsewhere.
    """
    with open_library(folder) as library, open_library(folder) as other:
        put(library, article("a", "same", language="bn"))
        before = other.search(vector_of("q"), {"bn": 1.0}).hits[0]
        changed = article("a", "same", language="hi")
        assert library.missing(passages(changed)) == []
        assert put(library, changed) == "replaced"

        for each in (library, other):
            after = each.search(vector_of("q"), {"bn": 1.0}).hits[0]
            expected = neutral.passages(vector_of("same")[None], ["hi"])[0]
            query = neutral.queries(vector_of("q")[None], [{"bn": 1.0}])[0]
            assert after.row == before.row
            assert after.similarity == pytest.approx(float(expected @ query), abs=1e-6)
            assert after.similarity != pytest.approx(before.similarity, abs=1e-3)
            assert each.verify() == []


def test_min_relevance(neutral: Neutral, folder: Path) -> None:
    """Hits below the asked relevance are left out, on every page; raw cosine has no relevance to ask for."""
    with open_library(folder) as library:
        put(library, article("a", *[f"p{number}" for number in range(30)]))
        everything = library.search(vector_of("p3"), {}, limit=30).hits
        bound = everything[10].relevance
        assert bound is not None
        first = library.search(vector_of("p3"), {}, limit=6, min_relevance=bound)
        second = library.search(vector_of("p3"), {}, limit=6, min_relevance=bound, cursor=first.next_cursor)

        assert [hit.row for hit in first.hits + second.hits] == [hit.row for hit in everything[:11]]
        assert second.next_cursor is None
        assert all(0 < (hit.relevance or 0) < 1 for hit in everything)
        with pytest.raises(NotCalibrated, match="leave min_relevance out"):
            library.search(vector_of("p3"), {}, min_relevance=0.5, mode="raw")


def test_relevance_without_calibration(numbers: Library) -> None:
    """A model without a calibration gives no relevance and cannot be asked for one."""
    with pytest.raises(NotCalibrated, match="'numbers'"):
        numbers.search(vector_of("x"), {}, min_relevance=0.0)


# Many at once


def test_two_libraries_on_one_folder(folder: Path) -> None:
    """Each of two open libraries sees at once what the other adds, replaces and deletes."""
    with open_library(folder) as one, open_library(folder) as two:
        put(one, article("a", "x", "y"))
        assert found(two, "x", 1) == ["x"]
        put(two, article("a", "y", "z"))
        assert sorted(found(one, "x")) == ["y", "z"]
        two.delete("a")
        assert found(one, "x") == []
        put(one, article("b", "w"))
        assert found(two, "w") == ["w"]
        assert one.verify() == two.verify() == []


def test_threads(folder: Path) -> None:
    """Searches in many threads never fail and never see half an article while another thread and library
    write.
    """
    pairs = [f"{id}" for id in range(8)]
    failures, searches = list[str](), 0
    stop = threading.Event()

    def search(library: Library) -> None:
        nonlocal searches
        try:
            while not stop.is_set():
                hits = library.search(vector_of("q"), {}, limit=100, where=where if searches % 2 else None).hits
                searches += 1
                versions: dict[str, list[str]] = {}
                for hit in hits:
                    versions.setdefault(hit.article.id, []).append(hit.passage.text.split()[1])
                # Every version of an article has three passages, and all of them say which version it is.
                failures.extend(
                    f"{id}: {seen}" for id, seen in versions.items() if len(seen) != 3 or len(set(seen)) != 1
                )
        except Exception as error:
            failures.append(repr(error))

    where = parse_filter({"language": "und"})
    with open_library(folder) as one, open_library(folder) as two:
        threads = [threading.Thread(target=search, args=(library,)) for library in (one, two, one, two)]
        for thread in threads:
            thread.start()
        for version in range(25):
            for id in pairs:
                writer = (one, two)[version % 2]
                if version % 7 == 6:
                    writer.delete(id)
                else:
                    put(writer, article(id, *[f"{id} {version} {part}" for part in range(3)]))
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert searches > 10
        assert one.verify() == two.verify() == []


def test_writers_take_turns(folder: Path) -> None:
    """Threads that write through one library wait for one another; nothing is lost."""
    with open_library(folder) as library:

        def write(name: str) -> None:
            for number in range(10):
                with library.writing(timeout=60):
                    put(library, article(f"{name}{number}"))

        threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert library.status().articles == 40
        assert library.verify() == []


def test_connections_do_not_pile_up(folder: Path) -> None:
    """Two hundred searches from as many threads, one after another, leave a handful of files open."""
    with open_library(folder) as library:
        put(library, article("a"))
        before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
        for _ in range(200):
            thread = threading.Thread(target=found, args=(library, "x"))
            thread.start()
            thread.join()

        if before:
            assert len(list(Path("/proc/self/fd").iterdir())) <= before + 5


# Whether anything answers


@pytest.mark.parametrize("mode", ["dense", "hybrid", "lexical"])
def test_the_best_relevance_is_the_same_on_every_page(neutral: Neutral, folder: Path, mode: Mode) -> None:
    """It is that of the first passage of all, whatever the page, the limit and the least relevance asked for."""
    with open_library(folder) as library:
        put(library, article("a", *[f"water {number}" for number in range(30)]))
        asked: dict[str, Any] = {"mode": mode, "text": "water 3"}
        whole = library.search(vector_of("p3"), {}, limit=30, **asked)
        expected = whole.hits[0].relevance
        assert expected is not None
        assert whole.best == expected
        page, pages = library.search(vector_of("p3"), {}, limit=4, **asked), 1
        while page.next_cursor:
            page = library.search(vector_of("p3"), {}, limit=4, cursor=page.next_cursor, **asked)
            pages += 1
            assert page.best == expected
        assert pages > 2
        cut = library.search(vector_of("p3"), {}, min_relevance=1.0, **asked)
        assert (cut.hits, cut.best) == ([], expected)


def test_without_a_calibration_nothing_is_claimed(numbers: Library) -> None:
    """Neither of raw cosine, nor of a model that nobody has looked at, nor where nothing was searched."""
    put(numbers, article("a"))
    for mode in ("raw", "dense", "hybrid"):
        assert numbers.search(vector_of("q"), {}, text="a", mode=mode).best is None
    assert numbers.search(vector_of("q"), {}, where=parse_filter(None, ["bn"])).best is None


# More like this


def alike(library: Library, id: str, **options: Any) -> list[str]:
    """Return the texts that are most like the first passage of an article."""
    return [hit.passage.text for hit in library.similar(library.passages(id)[0].id, **options)]


def test_similar_passages_are_the_nearest_in_other_languages(neutral: Neutral, folder: Path) -> None:
    """Both sides are compared as passages, in the neutral space; its own article and language stay away."""
    with open_library(folder) as library:
        put(library, article("own", "this", "that", language="bn"))
        put(library, article("same", "this", "other", language="bn"))
        for number in range(20):
            put(library, article(f"hi{number}", f"h {number}", language="hi"))
        texts = {f"h {number}": "hi" for number in range(20)}
        vectors = neutral.passages(np.stack([vector_of(text) for text in texts]), list(texts.values()))
        (vector,) = neutral.passages(vector_of("this")[None], ["bn"])
        expected = [text for _, text in sorted(zip((-vectors @ vector).tolist(), texts, strict=True))]

        hits = library.similar(library.passages("own")[0].id, limit=20)

        assert [hit.passage.text for hit in hits] == expected
        assert [hit.rank for hit in hits] == list(range(1, 21))
        assert hits[0].similarity == pytest.approx(float((vectors @ vector).max()), abs=1e-6)
        assert hits[0].raw == pytest.approx(float(vector_of(expected[0]) @ vector_of("this")), abs=1e-6)
        assert hits[0].relevance is None
        with_own = alike(library, "own", limit=30, same_language=True)
        assert with_own[0] == "this"  # of the other article
        assert sorted(with_own) == sorted([*expected, "this", "other"])


def test_similar_passages_obey_the_filter_inside_the_search(numbers: Library) -> None:
    """The limit is met whenever that many match; a language that is named is searched, its own too."""
    put(numbers, article("own", "this", language="bn", source="x"))
    for number in range(60):
        put(numbers, article(f"hi{number}", "this", language="hi"))
    put(numbers, article("ru", "river", "sky", language="ru", source="x"))
    put(numbers, article("bn", "field", language="bn", source="y"))

    assert alike(numbers, "own", limit=100) == ["this"] * 60 + sorted(
        ["river", "sky"], key=lambda text: -float(vector_of(text) @ vector_of("this"))
    )
    assert sorted(alike(numbers, "own", where=parse_filter(None, ["ru"]))) == ["river", "sky"]
    assert sorted(alike(numbers, "own", where=parse_filter({"source": "x"}))) == ["river", "sky"]
    assert alike(numbers, "own", where=parse_filter(None, ["bn"])) == ["field"]
    assert alike(numbers, "own", where=parse_filter({"language": "bn", "source": "x"})) == []


def test_similar_to_nothing(numbers: Library) -> None:
    """A passage that is not there is told, one by itself has none like it."""
    put(numbers, article("a", language="bn"))

    assert alike(numbers, "a", same_language=True) == []
    with pytest.raises(PassageNotFound, match="'nobody'"):
        numbers.similar("nobody")
