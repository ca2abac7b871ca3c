from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from embed import Encoder, Pooled, UnknownLanguage
from embed.backends.batches import Role
from index import InvalidFilter, Library, Page
from service.engine import Engine, Questions, answered
from service.reading import Draft
from service.why import Sentences
from tests.fakes import ToyEncoder

FLOOD_BN = Draft("নদী বন্যা বৃষ্টি পানি", id="flood-bn", language="bn", source="dhaka")
TRADE_HI = Draft("व्यापार बैंक पैसा बाज़ार", id="trade-hi", language="hi", source="delhi")


def test_a_question_in_a_third_language_finds_both_articles_in_the_order_of_meaning(
    toy_engine: Engine,
) -> None:
    """A Bengali and a Hindi article are ranked for an English question by what they say."""
    list(toy_engine.add([TRADE_HI, FLOOD_BN]))

    hits = toy_engine.search("flood rain river", query_language="en").hits

    assert [(hit.rank, hit.article.id) for hit in hits] == [(1, "flood-bn"), (2, "trade-hi")]
    assert hits[0].similarity > 0.8 > 0.2 > hits[1].similarity


def test_an_encoder_that_does_not_pool_by_the_mean_explains_nothing(library: Library) -> None:
    """Nor does one of a passage over its window; the others are explained."""

    class Other(ToyEncoder):
        known: tuple[str, ...] = ()

        def pooled(self, texts: Sequence[str], role: Role) -> list[Pooled | None]:
            return [super(Other, self).pooled([text], role)[0] if text in self.known else None for text in texts]

    encoder = Other()
    engine = Engine(encoder, library)
    list(engine.add([TRADE_HI, FLOOD_BN]))

    assert engine.search("flood rain", explain=True).explanations == [None, None]
    encoder.known = ("flood rain", TRADE_HI.text)
    first, second = engine.search("flood rain", explain=True).explanations
    assert first is None
    assert second is not None
    assert engine.search("flood rain").explanations == [None, None]


def test_nothing_is_encoded_for_reasons_that_nobody_asked_for(toy_engine: Engine) -> None:
    """Without `explain` the encoder is not asked for tokens."""
    list(toy_engine.add([FLOOD_BN]))
    toy_engine.encoder.pooled = None  # type: ignore[assignment]

    assert toy_engine.search("flood").explanations == [None]


def test_languages_and_filters_hold_inside_the_search(toy_engine: Engine) -> None:
    """`limit` hits come back whenever that many match, however badly they match."""
    list(toy_engine.add(Draft(f"flood rain {n}", id=f"en{n}", language="en") for n in range(30)))
    list(toy_engine.add([TRADE_HI, FLOOD_BN]))

    bengali = toy_engine.search("bank money", languages=["ben"], limit=5).hits
    spelled = toy_engine.search("bank money", filter={"language": "ben"}, limit=5).hits
    delhi = toy_engine.search("flood", filter={"source": "delhi"}, limit=5).hits

    assert [hit.article.id for hit in bengali] == ["flood-bn"]
    assert [hit.article.id for hit in spelled] == ["flood-bn"]
    assert [hit.article.id for hit in delhi] == ["trade-hi"]


def test_a_language_that_does_not_exist_is_refused(toy_engine: Engine) -> None:
    """A wrong code is an error, in the filter and in the query's own language alike."""
    with pytest.raises(UnknownLanguage, match="klingonese"):
        toy_engine.search("water", languages=["klingonese"])
    with pytest.raises(UnknownLanguage, match="klingonese"):
        toy_engine.search("water", query_language="klingonese")


def test_a_filter_on_an_unknown_field_is_refused(toy_engine: Engine) -> None:
    """The error names the fields that exist."""
    with pytest.raises(InvalidFilter, match="published_at"):
        toy_engine.search("water", filter={"colour": "red"})


def test_similar_takes_languages_in_any_form(toy_engine: Engine) -> None:
    """In the list and in the filter; naming its own language searches it; a wrong code is refused."""
    again = Draft("বন্যা নদী", id="again-bn", language="bn")
    list(toy_engine.add([TRADE_HI, FLOOD_BN, again]))
    passage = toy_engine.library.passages("flood-bn")[0].id

    def found(**options: Any) -> list[str]:
        return [hit.article.id for hit in toy_engine.similar(passage, **options)]

    assert found() == ["trade-hi"]
    assert found(same_language=True) == ["again-bn", "trade-hi"]
    assert found(languages=["ben"]) == found(filter={"language": "ben"}) == ["again-bn"]
    with pytest.raises(UnknownLanguage, match="klingonese"):
        found(languages=["klingonese"])


@pytest.mark.parametrize(
    ("relevance", "nothing", "found"),
    [(0.5, False, True), (0.499, False, False), (0.499, True, False), (None, False, None), (None, True, False)],
)
def test_found_means_more_likely_than_not(relevance: float | None, nothing: bool, found: bool | None) -> None:
    """Nothing is claimed where relevance is not known, but that nothing is there is plain."""
    assert answered(relevance, nothing=nothing) is found


def test_rank_gives_articles_by_their_best_passage(toy_engine: Engine) -> None:
    """An article of many passages comes once, where its best one stands."""
    list(toy_engine.add([Draft("flood\n\nbank\n\narmy", id="three", language="en"), FLOOD_BN]))

    ((ranked,),) = toy_engine.rank(toy_engine.questions(["flood"], ["en"]), k=5)

    assert ranked == ["three", "flood-bn"]


def test_rank_leaves_out_what_is_removed_meanwhile(toy_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between ranking rows and asking what their articles are called, others may write."""
    list(toy_engine.add([FLOOD_BN, TRADE_HI]))
    library = toy_engine.library

    def removing(rows: Any, ask: Any = library.article_ids) -> dict[int, str]:
        library.delete("flood-bn")
        found: dict[int, str] = ask(rows)
        return found

    monkeypatch.setattr(library, "article_ids", removing)

    assert toy_engine.rank(toy_engine.questions(["flood"], ["en"]), k=5) == [[["trade-hi"]]]


def test_questions_know_their_languages(toy_engine: Engine) -> None:
    """Given languages are certain; others are detected."""
    given = toy_engine.questions(["flood"], ["en"])
    detected = toy_engine.questions(["আজ নদীতে বন্যা হয়েছে এবং অনেক পানি"])

    assert isinstance(given, Questions)
    assert given.languages == [{"en": 1.0}]
    assert max(detected.languages[0], key=lambda code: detected.languages[0][code]) == "bn"


def test_answered_questions_count_for_the_means_where_warming_is_on(tmp_path: Path) -> None:
    """Each once, whatever pages of it are asked for; none of them while warming is off."""
    for warming, kept in ((False, {}), (True, {"bn": 25})):
        folder = tmp_path / str(warming)
        with Engine(
            ToyEncoder(), Library.open(folder, model="toy", fingerprint="toy-1", dim=32, warming=warming)
        ) as engine:
            list(engine.add([FLOOD_BN, Draft("বন্যা", id="other", language="bn")]))
            for _ in range(25):
                answer = engine.search("নদী", query_language="bn", limit=1)
                engine.search("নদী", query_language="bn", limit=1, cursor=answer.next_cursor)
        with Library.open(folder, model="toy", fingerprint="toy-1", dim=32) as library:
            assert {code: each.queries for code, each in library.status().warmth.items() if each.queries} == kept


@pytest.mark.model
def test_a_hit_that_is_replaced_meanwhile_is_told_with_its_best_sentence(
    model: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer may replace an article after a search has found it: the search answers with what it found."""
    draft = Draft("The river rose at night. Two bridges were closed. Schools open again on Monday.", id="flood")
    given: dict[str, Any] = {"model": model.name, "fingerprint": model.fingerprint, "dim": model.dim}
    with Engine(model, Library.open(tmp_path, **given)) as engine:
        list(engine.add([draft]))
        (before,) = engine.search("Which bridges are closed?").sentences
        found = engine.library.search

        def replaced(*asked: Any, **named: Any) -> Page:
            page = found(*asked, **named)
            list(engine.add([replace(draft, text="Nothing happened. Nobody came. All stayed as it was.")]))
            return page

        monkeypatch.setattr(engine.library, "search", replaced)
        answer = engine.search("Which bridges are closed?")

    assert before == (25, 49)
    assert [hit.passage.text for hit in answer.hits] == [draft.text]
    assert answer.sentences == [before]


@pytest.mark.model
@pytest.mark.parametrize("kept", [True, False])
def test_where_the_sentences_of_a_passage_are_is_kept_when_it_is_added(
    model: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """They are not looked for again; those of a passage that was added before they were kept are."""
    text = "The river rose all night. Two bridges in the town are closed. Schools stay open."
    looked: list[str] = []
    given: dict[str, Any] = {"model": model.name, "fingerprint": model.fingerprint, "dim": model.dim}
    with Engine(model, Library.open(tmp_path, **given)) as engine, monkeypatch.context() as patch:
        if not kept:
            patch.setattr(Sentences, "table", lambda *_: None)
        list(engine.add([Draft(text, id="flood", language="en")]))
        spans = model.token_spans

        def looking(each: str) -> list[tuple[int, int]]:
            looked.append(each)
            return spans(each)

        patch.setattr(model, "token_spans", looking)
        (best,) = engine.search("Which bridges are closed?").sentences
    assert best is not None
    assert text[slice(*best)] == "Two bridges in the town are closed."
    assert (text in looked) is not kept
