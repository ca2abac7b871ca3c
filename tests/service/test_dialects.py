"""The real clients of OpenAI and Cohere against a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from starlette.testclient import TestClient

from embed import Encoder, load_reranker
from service.client import Client
from service.engine import Engine
from service.errors import Refused
from service.reranking import Reranking
from tests.embed.test_reranker import write_cross_encoder

openai = pytest.importorskip("openai")
cohere = pytest.importorskip("cohere")

TEXTS = [
    "बैंक सोमवार से शुक्रवार तक सुबह दस बजे खुलता है।",
    "The bank opens at ten in the morning, from Monday to Friday.",
    "বন্যায় সেতু ভেসে গেছে",
]
QUESTION = "When does the bank open?"


@pytest.fixture
def embedding(seeds_address: str) -> Iterator[Any]:
    """OpenAI's own client, at our address."""
    with openai.OpenAI(base_url=f"{seeds_address}/v1", api_key="none", max_retries=0) as client:
        yield client.embeddings


@pytest.mark.model
def test_openai_gets_the_models_own_vectors_in_both_formats(embedding: Any, model: Encoder) -> None:
    """Numbers and base64 are the same float32, of passages unless queries are named, in the order of the texts."""
    given = {"model": "multilingual-e5-small", "input": TEXTS}
    own = model.encode_passages(TEXTS)

    numbers = embedding.create(**given, encoding_format="float")
    packed = embedding.create(**given)  # which the client asks for in base64, and unpacks
    questions = embedding.create(**given, extra_body={"input_type": "query"})

    assert [each.index for each in numbers.data] == [0, 1, 2]
    for told in (numbers, packed):
        np.testing.assert_allclose([each.embedding for each in told.data], own, atol=2e-3)
    np.testing.assert_array_equal(
        np.array([each.embedding for each in numbers.data], np.float32),
        np.array([each.embedding for each in packed.data], np.float32),
    )
    np.testing.assert_allclose([each.embedding for each in questions.data], model.encode_queries(TEXTS), atol=2e-3)
    assert float(own[0] @ np.array(questions.data[0].embedding)) < 0.999
    assert numbers.usage.prompt_tokens == numbers.usage.total_tokens == sum(model.count_tokens(TEXTS))
    assert numbers.model == model.name
    raw = embedding.with_raw_response.create(**given, encoding_format="base64").http_response.json()
    assert isinstance(raw["data"][0]["embedding"], str)


@pytest.mark.model
def test_openai_gets_one_vector_for_one_text(embedding: Any, model: Encoder) -> None:
    """A text that comes alone is a list of one; `default` names the model; its own dimensions may be named."""
    told = embedding.create(model="default", input=TEXTS[1], dimensions=model.dim)
    assert len(told.data) == 1
    assert np.linalg.norm(told.data[0].embedding) == pytest.approx(1, abs=1e-5)


@pytest.mark.model
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"input": [[1, 2, 3]]}, "in tokens; this model has others than OpenAI's, so send text"),
        ({"input": [1, 2, 3]}, "in tokens"),
        ({"input": "a", "dimensions": 128}, "have 384 dimensions and are not cut"),
        ({"input": "a", "model": "text-embedding-3-small"}, "There is no model 'text-embedding-3-small' here"),
        ({"input": ["a", " "]}, "is empty"),
        ({"input": []}, "at least 1 item"),
        ({"input": ["a"] * 2049}, "at most 2048 items"),
        ({"input": "a", "extra_body": {"input_type": "clustering"}}, "'query' or 'passage'"),
    ],
)
def test_openai_is_told_what_cannot_be(embedding: Any, given: dict[str, Any], said: str) -> None:
    """Each refusal is the client's own error for it, in our words."""
    with pytest.raises(openai.UnprocessableEntityError, match=said):
        embedding.create(**{"model": "default", **given})


@pytest.mark.model
def test_cohere_gets_documents_in_the_order_of_a_search(seeds_address: str) -> None:
    """Across languages, with the probability that each answers; what is not returned is not told."""
    with cohere.Client(api_key="none", base_url=seeds_address) as client:
        told = client.rerank(query=QUESTION, documents=TEXTS[::-1], top_n=2, return_documents=True)
        plain = client.rerank(query=QUESTION, documents=[{"text": text} for text in TEXTS], model="default")

    assert sorted(each.index for each in told.results) == [1, 2]
    assert 1 >= told.results[0].relevance_score >= told.results[1].relevance_score > 0.5
    assert {each.document.text for each in told.results} == set(TEXTS[:2])
    scores = {each.index: each.relevance_score for each in plain.results}
    assert scores[2] < 0.1
    for each in told.results:
        assert scores[2 - each.index] == pytest.approx(each.relevance_score, abs=1e-3)
    assert plain.results[0].document is None


@pytest.mark.model
def test_what_is_in_the_library_scores_as_a_search_says(seeds_address: str) -> None:
    """The same similarity, and a relevance near to the search's own, which knows shared words and sounds besides."""
    query = "By how much did trade between Russia and Belarus grow?"
    with Client(seeds_address) as client:
        hits = client.search(query, limit=5).hits
        told = client.rerank(query, [hit.text for hit in hits])
    assert told.scores == "relevance"
    scores = {each.index: each.relevance_score for each in told.results}
    assert told.results[0].index == 0
    for place, hit in enumerate(hits):
        assert hit.relevance is not None
        assert scores[place] == pytest.approx(hit.relevance, abs=0.15)


@pytest.mark.model
def test_a_long_document_counts_by_its_best_passage(seeds_address: str) -> None:
    """Wherever in it that is, however much else it says."""
    other = "\n\n".join(f"The council met for time {number} and spoke of roads and lamps." for number in range(60))
    with Client(seeds_address) as client:
        told = client.rerank(QUESTION, [f"{other}\n\n{TEXTS[1]}.\n\n{other}", other])
    assert told.results[0].index == 0
    assert told.results[0].relevance_score > 0.5 > told.results[1].relevance_score


@pytest.mark.model
def test_documents_may_be_objects_and_are_checked(seeds_address: str) -> None:
    """Named members are read in their order; one that lacks them, or says nothing, is named."""
    documents = [{"title": "বন্যা", "body": "সেতু ভেসে গেছে"}, {"title": "The bank", "body": "It opens at ten."}]

    def ask(**given: Any) -> httpx2.Response:
        asked = {"query": QUESTION, **given}
        return httpx2.post(f"{seeds_address}/v1/rerank", json=asked, timeout=30)

    assert ask(documents=documents, rank_fields=["title", "body"]).json()["results"][0]["index"] == 1
    for given, said in (
        ({"documents": documents}, "document 0 has no member 'text'"),
        ({"documents": ["a", " "]}, "document 1 is empty"),
        ({"documents": []}, "at least 1 item"),
        ({"documents": ["a"], "model": "rerank-v3.5"}, "There is no model 'rerank-v3.5'"),
    ):
        refused = ask(**given)
        assert refused.status_code == 422
        assert said in refused.json()["detail"]


def test_a_model_without_calibration_tells_its_similarity(web: TestClient) -> None:
    """And says so: it is no probability."""
    told = web.post("/v1/rerank", json={"query": "water", "documents": ["банк", "вода"]}).json()
    assert (told["scores"], told["model"]) == ("similarity", "toy")
    assert [each["index"] for each in told["results"]] == [1, 0]
    assert [each["relevance_score"] for each in told["results"]] == pytest.approx([1, 0], abs=0.03)


def test_the_re_ranker_reranks_where_there_is_one(web: TestClient, toy_engine: Engine, tmp_path: Path) -> None:
    """A cross-encoder from a folder; the model of the library is still there by its name."""
    crossing = load_reranker(str(write_cross_encoder(tmp_path / "crossing")), cache=tmp_path)
    toy_engine.reranking = Reranking(crossing, 10)
    documents = ["the river in flood", "a bank", "water"]
    asked = {"query": "flood water", "documents": documents}

    told = web.post("/v1/rerank", json=asked).json()

    scores = crossing.score("flood water", documents)
    assert (told["scores"], told["model"]) == ("reranker", str(tmp_path / "crossing"))
    assert [each["index"] for each in told["results"]] == np.argsort(-scores).tolist()
    ordered = sorted(scores.tolist(), reverse=True)
    assert [each["relevance_score"] for each in told["results"]] == pytest.approx(ordered, abs=1e-5)
    assert web.post("/v1/rerank", json={**asked, "model": "crossing"}).json()["scores"] == "reranker"
    assert web.post("/v1/rerank", json={**asked, "model": "toy"}).json()["scores"] == "similarity"


@pytest.mark.model
def test_the_client_embeds(seeds_address: str, model: Encoder) -> None:
    """Texts, or one text, to vectors; refusals are told as everywhere."""
    with Client(seeds_address) as client:
        told = client.embed(TEXTS, input_type="query")
        np.testing.assert_allclose(np.array(told.vectors), model.encode_queries(TEXTS), atol=2e-3)
        assert len(client.embed(TEXTS[0]).vectors) == 1
        with pytest.raises(Refused, match="no model 'x'"):
            client.embed("a", model="x")
