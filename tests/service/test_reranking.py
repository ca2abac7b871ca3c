import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from embed import ModelUnavailable
from index import Library
from service.engine import Engine
from service.errors import InvalidRequest, InvalidSetting
from service.reading import Draft
from service.reranking import BATCH, Reranking
from service.settings import Settings
from service.web.app import create_app
from tests.embed.test_reranker import write_cross_encoder
from tests.fakes import ToyEncoder
from tests.service.conftest import wait_until


class Longest:
    """A re-ranker for which the longest text answers best; it takes `pause` seconds for each batch after the first."""

    name = "longest"

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause
        self.batches = 0

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:  # noqa: ARG002
        """Return the lengths of the texts as scores."""
        self.batches += 1
        if self.batches > 1:
            time.sleep(self.pause)
        return np.array([len(text) / 100 for text in texts], np.float32)


def filled(library: Library, reranking: Reranking | None = None) -> Engine:
    """Return an engine over seven articles, each a word longer than the one before."""
    engine = Engine(ToyEncoder(), library, reranking=reranking)
    list(engine.add(Draft(text="water" + " and" * n, id=str(n), language="en") for n in range(7)))
    return engine


def test_hits_are_put_in_the_order_of_the_re_ranker(library: Library) -> None:
    """Each page by itself: its ranks stay, no hit comes twice, and what is told of a hit goes with it."""
    plain = filled(library)
    first = plain.search("water", limit=4)
    plain.reranking = Reranking(Longest(), 10)

    again = plain.search("water", limit=4)
    rest = plain.search("water", limit=4, cursor=again.next_cursor)

    lengths = [len(hit.passage.text) for hit in again.hits]
    assert lengths == sorted(lengths, reverse=True)
    assert {hit.article.id for hit in again.hits} == {hit.article.id for hit in first.hits}
    assert [hit.rank for hit in (*again.hits, *rest.hits)] == [1, 2, 3, 4, 5, 6, 7]
    assert len({hit.article.id for hit in (*again.hits, *rest.hits)}) == 7
    assert again.reranked is not None
    assert (again.reranked.model, again.reranked.scored) == ("longest", 4)
    assert again.reranked.scores == pytest.approx([length / 100 for length in lengths])
    assert {hit.article.id: hit.similarity for hit in again.hits} == {
        hit.article.id: hit.similarity for hit in first.hits
    }


def test_when_its_time_is_over_the_others_follow_in_their_own_order(library: Library) -> None:
    """What was scored stands first; the search takes no longer than the budget and a little."""
    engine = filled(library)
    before = [hit.article.id for hit in engine.search("water").hits]
    engine.reranking = Reranking(Longest(pause=0.6), 0.3)

    started = time.monotonic()
    answer = engine.search("water")

    assert time.monotonic() - started < 0.55
    assert answer.reranked is not None
    assert (answer.reranked.scored, answer.reranked.scores[BATCH:]) == (BATCH, [None] * 3)
    assert sorted(hit.article.id for hit in answer.hits[:BATCH]) == sorted(before[:BATCH])
    assert [hit.article.id for hit in answer.hits[BATCH:]] == before[BATCH:]


def test_it_is_asked_or_not(library: Library) -> None:
    """A question may leave it out; one that asks for it where there is none is told how to have one."""
    engine = filled(library, Reranking(Longest(), 10))
    assert engine.search("water", rerank=False).reranked is None
    engine.reranking = None
    assert engine.search("water").reranked is None
    with pytest.raises(InvalidRequest, match="DRAGOMAN_RERANKER"):
        engine.search("water", rerank=True)


def test_the_answer_says_what_was_re_ranked(settings: Settings, library: Library) -> None:
    """Over HTTP: the model, how many hits it scored, whether that is all, and the score of each; of groups too."""
    engine = filled(library, Reranking(Longest(pause=5), 1))
    with TestClient(create_app(settings, lambda: engine)) as web:
        wait_until(lambda: web.get("/readyz").status_code == 200)
        told = web.post("/v1/search", json={"query": "water", "limit": 3, "group": "article"}).json()
        assert told["reranked"] == {"model": "longest", "scored": 3, "complete": True}
        assert [hit["rerank_score"] for hit in told["hits"]] == [len(hit["text"]) / 100 for hit in told["hits"]]
        told = web.get("/v1/search", params={"q": "water", "limit": 3}).json()
        assert told["reranked"] == {"model": "longest", "scored": 0, "complete": False}
        assert [hit["rerank_score"] for hit in told["hits"]] == [None] * 3
        told = web.get("/v1/search", params={"q": "water", "rerank": "false"}).json()
        assert told["reranked"] is None
        engine.reranking = None
        refused = web.post("/v1/search", json={"query": "water", "rerank": True})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/rerank")


def test_the_setting_names_it() -> None:
    """By name or path, with its time."""
    told = Settings.from_environment({"DRAGOMAN_RERANKER": "./crossing", "DRAGOMAN_RERANK_SECONDS": "0.25"})
    assert (told.reranker, told.rerank_seconds) == ("./crossing", 0.25)
    assert Settings.from_environment({}).reranker is None
    with pytest.raises(InvalidSetting, match="RERANK_SECONDS must be above 0"):
        Settings.from_environment({"DRAGOMAN_RERANK_SECONDS": "0"})


@pytest.mark.model
def test_any_cross_encoder_in_a_folder_puts_hits_in_order(tmp_path: Path) -> None:
    """Named when the engine is opened, as the setting does; one that is none is told at once."""
    folder = str(write_cross_encoder(tmp_path / "crossing"))
    texts = ["the river in flood", "a bank", "rain of trade", "water"]
    with Engine.open(tmp_path / "library", reranker=folder, rerank_seconds=30) as engine:
        list(engine.add(Draft(text=text, id=text, language="en") for text in texts))
        answer = engine.search("flood water", limit=4)
        assert engine.reranking is not None
        scores = engine.reranking.model.score("flood water", texts)
        best_first = [texts[place] for place in np.argsort(-scores)]
        assert [hit.passage.text for hit in answer.hits] == best_first
        assert [hit.passage.text for hit in engine.search("flood water", rerank=False).hits] != best_first
        assert answer.reranked is not None
        assert (answer.reranked.model, answer.reranked.scored) == (folder, 4)
    with pytest.raises(ModelUnavailable, match="nowhere"):
        Engine.open(tmp_path / "library", reranker="./nowhere")
