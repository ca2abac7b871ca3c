import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from embed import Encoder, KeepTokens, Pooled, UnknownLanguage
from embed.backends.batches import Role
from index import Action, Addition, Article, InvalidFilter, Library, Page
from service.engine import ENDING, FIRST_POOL, POOL, Engine, Pool, Questions, answered, lacking, tapering
from service.reading import Draft
from service.why import Sentences
from tests.fakes import ToyEncoder


class CountingEncoder(ToyEncoder):
    """A toy encoder that remembers which passages it was given."""

    def __init__(self) -> None:
        self.passages: list[str] = []

    def encode_passages(
        self,
        texts: Sequence[str],
        advance: Callable[[int], None] | None = None,
        keep: KeepTokens | None = None,
    ) -> NDArray[np.float32]:
        """Encode passages, noting them."""
        self.passages.extend(texts)
        return super().encode_passages(texts, advance, keep)


@pytest.fixture
def counting(library: Library) -> tuple[Engine, CountingEncoder]:
    """An engine, and its encoder that counts."""
    encoder = CountingEncoder()
    return Engine(encoder, library), encoder


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


def test_outcomes_come_in_order_and_tell_what_became_of_each(toy_engine: Engine) -> None:
    """Added, then unchanged, then replaced: the same id with the same or another text."""
    edited = Draft("नदी बाढ़", id="trade-hi", language="hi")

    first = list(toy_engine.add([TRADE_HI, FLOOD_BN]))
    second = list(toy_engine.add([TRADE_HI, edited]))

    assert [(o.article_id, o.action, o.passages, o.language) for o in first] == [
        ("trade-hi", "added", 1, "hi"),
        ("flood-bn", "added", 1, "bn"),
    ]
    assert [o.action for o in second] == ["unchanged", "replaced"]
    assert toy_engine.library.get("trade-hi").text == "नदी बाढ़"


def test_an_unchanged_article_is_not_encoded_again(counting: tuple[Engine, CountingEncoder]) -> None:
    """The second add of the same article costs no encoding."""
    engine, encoder = counting

    list(engine.add([FLOOD_BN]))
    list(engine.add([FLOOD_BN]))

    assert encoder.passages == [FLOOD_BN.text]


def test_an_edited_paragraph_is_the_only_one_encoded(counting: tuple[Engine, CountingEncoder]) -> None:
    """Of an article of three paragraphs, of which one was edited, one passage is encoded and two keep their ids."""
    engine, encoder = counting
    list(engine.add([Draft("water river\n\nbank money\n\narmy aircraft", id="a", language="en")]))
    before = {passage.text: passage.id for passage in engine.library.passages("a")}
    encoder.passages.clear()

    list(engine.add([Draft("water river\n\nbank money market\n\narmy aircraft", id="a", language="en")]))

    after = {passage.text: passage.id for passage in engine.library.passages("a")}
    assert encoder.passages == ["bank money market"]
    assert after["water river"] == before["water river"]
    assert after["army aircraft"] == before["army aircraft"]


@pytest.mark.parametrize("distant", [False, True])
@pytest.mark.parametrize("between", [0, 1, 2 * POOL])
def test_an_article_that_comes_twice_at_once_is_kept_as_it_came_last(
    toy_engine: Engine, monkeypatch: pytest.MonkeyPatch, distant: bool, between: int
) -> None:
    """Two versions in one call are two writes, in order, and no passage lacks its vector, however many others come
    between them, and though the last is what is stored already.
    """
    monkeypatch.setattr(toy_engine.library, "distant", distant)
    others = iter([Draft(f"river {number}", id=str(number), language="en") for number in range(2 * between)])
    one, other = (Draft(text, id="a", language="en") for text in ("water\n\nbank", "bank"))
    for first, expected in ((one, ["added", "replaced", "replaced"]), (one, ["unchanged", "replaced", "replaced"])):
        drafts = [first, *itertools.islice(others, between), other, *itertools.islice(others, between), one]

        outcomes = list(toy_engine.add(drafts))

        assert [outcome.action for outcome in outcomes if outcome.article_id == "a"] == expected
        assert toy_engine.library.get("a").text == "water\n\nbank"
        assert toy_engine.library.verify() == []


def test_an_article_is_durable_before_its_outcome_is_told(toy_engine: Engine) -> None:
    """When `add` yields, the article can be found, though others of the same call still wait."""
    outcomes = toy_engine.add(Draft(f"water {n}", id=f"a{n}", language="en") for n in range(POOL + 5))

    assert next(outcomes).article_id == "a0"
    assert toy_engine.library.get("a0").text == "water 0"
    outcomes.close()
    assert toy_engine.library.status().articles >= 1


class WaitingEncoder(ToyEncoder):
    """A toy encoder that holds the end of its first pool back until it is given the next, if that comes in time."""

    def __init__(self) -> None:
        self.begun = False
        self.next = threading.Event()
        self.came: list[bool] = []

    def encode_passages(
        self,
        texts: Sequence[str],
        advance: Callable[[int], None] | None = None,
        keep: KeepTokens | None = None,
    ) -> NDArray[np.float32]:
        """Encode passages, and wait while all but the last ones of the first pool are done."""
        assert advance is not None
        if self.begun:
            self.next.set()
        else:
            self.begun = True
            self.came.append(self.next.wait(0.2))
            advance(len(texts) - ENDING)
            self.came.append(self.next.wait(20))
        return super().encode_passages(texts, None, keep)


def test_the_next_pool_begins_as_the_last_of_one_are_encoded(library: Library) -> None:
    """No sooner, so that a pool is soon done; then no core waits for another."""
    encoder = WaitingEncoder()
    drafts = [Draft(f"water {n}", id=str(n), language="en") for n in range(2 * FIRST_POOL)]
    assert [outcome.article_id for outcome in Engine(encoder, library).add(drafts)] == [each.id for each in drafts]
    assert encoder.came == [False, True]


@pytest.mark.parametrize("sizes", [[10], [48, 97, 155], [48, 96, POOL], [48, POOL, 12], [POOL, POOL, 300], [9 * POOL]])
def test_pools_taper_off(sizes: list[int]) -> None:
    """The last are ever smaller, so that little is left to write at the end; nothing is lost, and all in order."""
    articles = iter(range(10_000))

    def pool(passages: int) -> Pool:
        return [(Article(str(next(articles)), "water", language="en"), [], [0, 1]) for _ in range(passages // 2)]

    given = [pool(size) for size in sizes]
    pools = list(tapering(given))
    assert [article for each in pools for article in each] == [article for each in given for article in each]
    if max(sizes) >= POOL:
        assert lacking(pools[-1]) <= 2 * FIRST_POOL
        assert all(lacking(pool) <= max(sizes) for pool in pools)
    else:
        assert pools == given


def test_a_pool_of_one_article_stays_whole() -> None:
    """However many passages it has, an article is one transaction."""
    pool: Pool = [(Article("a", "water", language="en"), [], list(range(9 * POOL)))]
    assert list(tapering([pool])) == [pool]


def test_articles_share_a_transaction_where_the_library_is_distant(
    toy_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its own would be several journeys over a network; on disk each has its own."""
    library = toy_engine.library
    shared: list[int] = []

    def add_all(additions: Sequence[Addition], keep: Callable[..., list[Action]] = library.add_all) -> list[Action]:
        shared.append(len(additions))
        return keep(additions)

    monkeypatch.setattr(library, "add_all", add_all)
    list(toy_engine.add([FLOOD_BN]))
    monkeypatch.setattr(library, "distant", True)
    told = [outcome.action for outcome in toy_engine.add([FLOOD_BN, TRADE_HI, replace(FLOOD_BN, id="other")])]

    assert shared == [3]
    assert told == ["unchanged", "added", "added"]


def test_an_article_without_an_id_gets_the_same_one_each_time(toy_engine: Engine) -> None:
    """The id comes from the address, or else from the text; adding twice changes nothing."""
    anonymous = Draft("water river", language="en")
    addressed = Draft("water river", language="en", url="https://example.org/water")

    first = [outcome.article_id for outcome in toy_engine.add([anonymous, addressed])]
    second = list(toy_engine.add([anonymous, addressed]))

    assert first[0] != first[1]
    assert [(o.article_id, o.action) for o in second] == [(first[0], "unchanged"), (first[1], "unchanged")]


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
