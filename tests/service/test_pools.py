import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from embed import KeepTokens
from index import Action, Addition, Article, Library
from service.engine import Engine
from service.pools import ENDING, FIRST_POOL, POOL, Pool, lacking, tapering
from service.reading import Draft
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
