import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import index.hybrid
from index import DamagedLibrary, Library, NotCalibrated
from index.hybrid import WINDOW, Remembered
from index.ranking import MOST_LEXICAL
from index.tokens import QuestionTokens
from tests.index.samples import article, open_library, passages, put, units, vector_of

MODEL, DEPTH = "intfloat/multilingual-e5-small", 384

# Token vectors of chance are made longer than the means that are subtracted from them.
FAR = 50


@pytest.fixture
def numbers(folder: Path) -> Iterator[Library]:
    """An empty library of a model nobody knows, without token vectors."""
    with open_library(folder) as library:
        yield library


def asked(library: Library, text: str, **options: object) -> list[str]:
    """Return the texts found for a question in all evidence."""
    given = {"mode": "hybrid", "limit": 10, **options}
    return [hit.passage.text for hit in library.search(vector_of("q"), {}, text=text, **given).hits]  # type: ignore[arg-type]


def test_a_name_in_another_script_lifts_its_passage(numbers: Library) -> None:
    """Of a hundred passages that are as near, the one comes first that has the name, in whatever script."""
    for number in range(100):
        written = article(f"a{number}", "पुतिन दिल्ली में" if number == 42 else f"कुछ और {number}")
        numbers.add(written, passages(written), {0: vector_of("any")})

    assert asked(numbers, "Where is Putin?")[0] == "पुतिन दिल्ली में"


def test_a_phrase_must_occur_and_a_word_must_not(numbers: Library) -> None:
    """Both hold in every mode."""
    for number, text in enumerate(["red river flood", "river of red flood", "red river bank", "dry land"]):
        put(numbers, article(f"a{number}", text))

    for mode in ("hybrid", "dense", "lexical", "raw"):
        found = asked(numbers, "river", mode=mode, phrases=["red river"], without=["bank"])
        assert found == ["red river flood"]


def test_pages_go_on_behind_the_window_whatever_is_added(numbers: Library) -> None:
    """Following the cursor gives every passage that was there once; what was removed meanwhile is left out."""
    count = WINDOW + 40
    for number in range(count):
        put(numbers, article(f"a{number}", f"water {number}"))
    there = {f"water {number}" for number in range(count)}
    seen: list[str] = []
    ranks: list[int] = []
    cursor, added = None, 0
    while True:
        page = numbers.search(vector_of("q"), {}, text="water", mode="hybrid", limit=7, cursor=cursor)
        seen += [hit.passage.text for hit in page.hits]
        ranks += [hit.rank for hit in page.hits]
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
        added += 1
        put(numbers, article(f"new{added}", f"water added {added}"))
        if added == 3:
            gone = next(text for text in sorted(there) if text not in seen)
            numbers.delete(f"a{gone.split()[1]}")
            there.remove(gone)
    assert len(seen) == len(set(seen))
    assert there <= set(seen)
    assert ranks == list(range(1, len(ranks) + 1))


def test_the_first_page_does_not_depend_on_the_limit(numbers: Library) -> None:
    """Asking for more gives the same beginning."""
    for number in range(80):
        put(numbers, article(f"a{number}", f"water {number}"))

    assert asked(numbers, "water 7", limit=80)[:5] == asked(numbers, "water 7", limit=5)
    assert len(asked(numbers, "water 7", limit=80)) == 80


def test_lexical_ranks_by_words_and_sounds_alone(numbers: Library) -> None:
    """Passages that share nothing with the question do not come."""
    for number, text in enumerate(["green apples", "apples and pears, green", "Путин", "blue sky"]):
        put(numbers, article(f"a{number}", text))

    assert set(asked(numbers, "green apples", mode="lexical")) == {"green apples", "apples and pears, green"}
    assert asked(numbers, "Putin", mode="lexical") == ["Путин"]
    assert MOST_LEXICAL >= 100


def test_rank_agrees_with_search(numbers: Library) -> None:
    """Ranking many questions under many filters at once gives what searching one by one gives."""
    for number in range(70):
        put(numbers, article(f"a{number}", f"water {number}"))
    questions = units(5, 6)
    texts = [f"water {number}" for number in range(6)]

    (rows,) = numbers.rank(questions, [{}] * 6, 20, mode="hybrid", texts=texts)
    for question, text, ranked in zip(questions, texts, rows.tolist(), strict=True):
        hits = numbers.search(question, {}, limit=20, mode="hybrid", text=text).hits
        assert [hit.row for hit in hits] == ranked


def test_without_calibration_relevance_is_not_told(numbers: Library) -> None:
    """A model nobody has looked at ranks by all evidence, and claims no probability."""
    put(numbers, article("a", "water"))

    assert numbers.search(vector_of("q"), {}, text="water", mode="hybrid").hits[0].relevance is None
    with pytest.raises(NotCalibrated):
        numbers.search(vector_of("q"), {}, text="water", mode="hybrid", min_relevance=0.5)


# Token vectors


def known(folder: Path, **options: object) -> Library:
    """Open a library of the default model, whose token vectors are known."""
    return Library.open(folder, model=MODEL, fingerprint="f", dim=DEPTH, **options)  # type: ignore[arg-type]


def fill(library: Library, count: int = 30) -> None:
    """Add passages with vectors and token vectors of chance; the tokens of a7 are those of the question."""
    for number in range(count):
        written = article(f"a{number}", f"text {number}", language="en")
        tokens = {}
        if library.token_space:
            tokens = {0: library.token_space.compress(FAR * units(1000 + number, 12, DEPTH), "en")}
        library.add(written, passages(written), {0: units(number, 1, DEPTH)[0]}, tokens)


def first(library: Library) -> str:
    """Return the article that comes first for a question whose tokens are those of a7."""
    tokens = QuestionTokens(FAR * units(1007, 12, DEPTH))
    hits = library.search(units(99, 1, DEPTH)[0], {"en": 1.0}, mode="hybrid", tokens=tokens).hits
    return hits[0].article.id


def test_the_passage_whose_tokens_meet_the_questions_comes_first(folder: Path) -> None:
    """And it still does after the library was closed."""
    with known(folder) as library:
        fill(library)
        assert first(library) == "a7"
        status = library.status()
        assert (status.late_interaction, status.token_passages) == (True, 30)
        assert status.token_bytes_per_passage == 12 * 96
        assert library.verify() == []
    with known(folder, late_interaction=False) as library:
        assert first(library) == "a7"


def test_the_passage_whose_tokens_are_found_is_the_most_similar(folder: Path) -> None:
    """Of those nearest in meaning; one without tokens keeps its place, and without any the order is that of meaning."""
    with known(folder) as library:
        space = library.token_space
        assert space is not None

        def put(id: str, vector: int, tokens: int | None, language: str) -> None:
            written = article(id, f"text {id}", language=language)
            code = {} if tokens is None else {0: space.compress(FAR * units(tokens, 12, DEPTH), language)}
            library.add(written, passages(written), {0: units(vector, 1, DEPTH)[0]}, code)

        put("own", 1, 70, "bn")
        put("mute", 1, None, "hi")
        for number in range(10):
            put(f"h{number}", 100 + number, 50 + number, "hi")
        put("said", 2, 70, "hi")

        def alike() -> list[str]:
            return [hit.article.id for hit in library.similar(library.passages("own")[0].id, limit=12)]

        assert alike()[:2] == ["mute", "said"]
        library.delete("own")
        put("own", 1, None, "bn")
        by_meaning = alike()
        similar = library.similar(library.passages("own")[0].id, limit=12)
        assert [hit.similarity for hit in similar] == sorted((hit.similarity for hit in similar), reverse=True)
        assert by_meaning[0] == "mute"


def test_what_is_usual_follows_an_article_to_another_language(folder: Path) -> None:
    """Relevance is what a process tells that opens the library afterwards."""

    def relevance(library: Library) -> float | None:
        tokens = QuestionTokens(FAR * units(1007, 12, DEPTH))
        return library.search(units(99, 1, DEPTH)[0], {"en": 1.0}, mode="hybrid", tokens=tokens).hits[0].relevance

    with known(folder) as library:
        fill(library)
        before = relevance(library)
        space = library.token_space
        assert space is not None
        for number in range(10, 20):
            written = article(f"a{number}", f"text {number}", language="bn")
            tokens = {0: space.compress(FAR * units(1007, 12, DEPTH), "bn")}
            library.add(written, passages(written), {0: units(number, 1, DEPTH)[0]}, tokens)
        after = relevance(library)
    with known(folder) as library:
        assert after == relevance(library) != before


def test_a_library_may_keep_no_tokens(folder: Path) -> None:
    """It is chosen when the library is made; what is searched then is ranked without."""
    with known(folder, late_interaction=False) as library:
        fill(library)
        assert library.token_space is None
        first(library)
    with known(folder) as library:
        assert library.token_space is None
        assert library.status().token_passages == 0


def test_tokens_go_with_their_passage(folder: Path) -> None:
    """A passage that is removed, or whose article gets another language, keeps none."""
    with known(folder) as library:
        fill(library, 3)
        library.delete("a0")
        written = article("a1", "text 1", language="bn")
        library.add(written, passages(written), {})
        assert library.status().token_passages == 1


def test_damaged_tokens_answer_nothing(folder: Path) -> None:
    """A changed byte is an error that says what to do, not a rank."""
    with known(folder) as library:
        fill(library)
    with sqlite3.connect(folder / "library.sqlite") as connection:
        code = connection.execute("SELECT code FROM tokens WHERE row = 8").fetchone()[0]
        connection.execute("UPDATE tokens SET code = ? WHERE row = 8", (bytes([code[0] ^ 1]) + code[1:],))
    with known(folder) as library:
        with pytest.raises(DamagedLibrary, match="row 8"):
            first(library)
        assert [problem.where for problem in library.verify()] == ["tokens of row 8"]


def test_relevance_is_the_same_on_every_page_and_for_any_limit(folder: Path) -> None:
    """One passage has one relevance for one question."""
    with known(folder) as library:
        fill(library, 80)
        question, tokens = units(99, 1, DEPTH)[0], QuestionTokens(FAR * units(1007, 12, DEPTH))

        def relevances(limit: int) -> dict[str, float | None]:
            found: dict[str, float | None] = {}
            cursor = None
            while True:
                page = library.search(
                    question, {"en": 1.0}, mode="hybrid", text="text 3", tokens=tokens, limit=limit, cursor=cursor
                )
                found.update((hit.article.id, hit.relevance) for hit in page.hits)
                cursor = page.next_cursor
                if cursor is None:
                    return found

        many, few = relevances(80), relevances(9)
        assert len(many) == 80
        assert many.keys() == few.keys()
        for id, relevance in many.items():
            assert relevance == pytest.approx(few[id], abs=1e-6)
        least = float(np.median([each for each in many.values() if each is not None]))
        enough = library.search(
            question, {"en": 1.0}, mode="hybrid", text="text 3", tokens=tokens, limit=80, min_relevance=least
        ).hits
        assert {hit.article.id for hit in enough} == {id for id, each in many.items() if each and each >= least}


def test_a_large_library_is_searched_by_several_threads_and_answers_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words, sounds and the sample's tokens are told by other threads then, with the same scores to the last bit."""
    threads: set[str] = set()
    compared, scored = index.hybrid._compared, index.hybrid._scored

    def told(work: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any) -> Any:
            threads.add(threading.current_thread().name.partition("_")[0])
            return work(*given)

        return noted

    monkeypatch.setattr(index.hybrid, "_compared", told(compared))
    monkeypatch.setattr(index.hybrid, "_scored", told(scored))
    question, tokens = units(99, 1, DEPTH)[0], QuestionTokens(FAR * units(1007, 12, DEPTH))

    def answer() -> list[tuple[str, float, float | None]]:
        threads.clear()
        with known(folder) as library:
            found = library.search(question, {"en": 1.0}, mode="hybrid", text="text 3", tokens=tokens, limit=80).hits
        return [(hit.article.id, hit.similarity, hit.relevance) for hit in found]

    with known(folder) as library:
        fill(library, 80)
    small = answer()
    assert threads == {"MainThread"}
    monkeypatch.setattr(index.hybrid, "WHOLE", 79)
    assert answer() == small
    assert threads == {"MainThread", "evidence"}


def test_what_failed_in_another_thread_is_asked_again() -> None:
    """A search of words that failed once is no answer for the next question."""
    remembered: Remembered[Future[int]] = Remembered(2)
    failed, told = Future[int](), Future[int]()
    failed.set_exception(ValueError("the file is gone"))
    told.set_result(3)

    assert remembered.get("key", lambda: failed) is failed
    assert remembered.get("key", lambda: told).result() == 3
    assert remembered.get("key", lambda: failed).result() == 3


def test_what_fails_at_once_is_asked_again() -> None:
    """Nothing is remembered of it."""
    remembered: Remembered[int] = Remembered(2)

    def fail() -> int:
        raise ValueError("the file is gone")

    with pytest.raises(ValueError, match="gone"):
        remembered.get("key", fail)
    assert remembered.get("key", lambda: 3) == 3
    assert remembered.get("key", fail) == 3
