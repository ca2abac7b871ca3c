"""What each token adds to a cosine: exactly, with the real model; and nothing where a vector is no mean of tokens."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense

from embed import Encoder, Pooled, load_encoder, sentences, shares
from embed.backends.torch import TorchEncoder
from index import Neutral
from tests.embed.conftest import write_small_model
from tests.fakes import ToyEncoder

JUDGMENTS = Path(__file__).parents[2] / "seeds" / "judgments"
Texts = list[tuple[str, str]]  # language and text


def read(name: str) -> Texts:
    """Return what is judged over the seeds."""
    lines = (JUDGMENTS / name).read_text(encoding="utf-8").splitlines()
    return [(each["metadata"]["language"], each["text"]) for each in map(json.loads, lines)]


@pytest.fixture(scope="module")
def questions() -> Texts:
    """Questions in several languages."""
    return read("queries.jsonl")


@pytest.fixture(scope="module")
def passages() -> Texts:
    """The shorter sentences of the seeds."""
    every = [(code, text[start:end]) for code, text in read("corpus.jsonl") for start, end in sentences(text, code)]
    return sorted(every, key=lambda each: len(each[1]))[:30]


@pytest.mark.model
def test_shares_sum_to_the_similarity_of_a_thousand_pairs(questions: Texts, passages: Texts) -> None:
    """Of the passage's tokens and of the question's, with prompt and special tokens counted, and nothing left over."""
    encoder = load_encoder(backend="torch")
    neutral = Neutral.for_model(encoder.name)
    asked, there = [text for _, text in questions], [text for _, text in passages]
    queries = neutral.queries(encoder.encode_queries(asked), [{code: 1.0} for code, _ in questions])
    vectors = neutral.passages(encoder.encode_passages(there), [code for code, _ in passages])
    query_offsets = neutral.query_offsets([{code: 1.0} for code, _ in questions])
    offsets = neutral.passage_offsets([code for code, _ in passages])
    pooled_queries, pooled = encoder.pooled(asked, "query"), encoder.pooled(there, "passage")
    every = [(i, j) for i in range(len(asked)) for j in range(len(there))]
    pairs = random.Random(0).sample(every, 1000)

    worst = 0.0
    for i, j in pairs:
        query, passage = pooled_queries[i], pooled[j]
        assert query is not None
        assert passage is not None
        similarity = float(queries[i] @ vectors[j])
        of_passage = shares(passage, offsets[j], queries[i].astype(np.float64))
        of_query = shares(query, query_offsets[i], vectors[j].astype(np.float64))
        assert len(passage.spans) == len(passage.own) == len(of_passage) - 4  # <s>, "passage", ":", </s>
        worst = max(worst, abs(of_passage.sum() - similarity), abs(of_query.sum() - similarity))

    assert worst < 1e-4


def test_the_word_in_common_adds_most(toy_encoder: ToyEncoder) -> None:
    """Of a passage that shares one meaning with the question, it is that word's token."""
    (passage,) = toy_encoder.pooled(["ব্যাংক বিমান হাসপাতাল"], "passage")
    assert passage is not None
    query = toy_encoder.encode_queries(["aircraft school"])[0].astype(np.float64)

    added = shares(passage, np.zeros(32, np.float32), query)

    assert added.argmax() == passage.first + 1
    assert added.max() > 0.95 * added.sum()
    assert added.sum() == pytest.approx(float(toy_encoder.encode_passages(["ব্যাংক বিমান হাসপাতাল"])[0] @ query))


def test_an_offset_is_taken_from_every_token_alike(toy_encoder: ToyEncoder) -> None:
    """The shares sum to the cosine of what is left when the offset is subtracted."""
    (passage,) = toy_encoder.pooled(["water bank"], "passage")
    assert passage is not None
    offset = np.linspace(-0.1, 0.1, 32, dtype=np.float32)
    other = np.eye(32)[5]

    left = passage.vector - offset

    assert shares(passage, offset, other).sum() == pytest.approx(left @ other / np.linalg.norm(left))


def test_vectors_that_are_no_means_of_tokens_are_not_explained(small_model: Path, tmp_path: Path) -> None:
    """Of models that pool by the first token, pass the mean through a layer, or cut it short: in either backend."""
    first = write_small_model(tmp_path / "first")
    (first / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 32, "pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True})
    )
    plain = SentenceTransformer(str(small_model), device="cpu")
    dense = SentenceTransformer(modules=[plain[0], plain[1], Dense(32, 32)], device="cpu")
    cut = SentenceTransformer(str(small_model), device="cpu", truncate_dim=16)
    unfit: list[Encoder] = [
        load_encoder(str(first), "torch", cache=tmp_path),
        load_encoder(str(first), "openvino", cache=tmp_path),
        *(TorchEncoder(model.eval(), name="unfit", fingerprint="f") for model in (dense, cut)),
    ]

    for encoder in unfit:
        assert encoder.pooled(["water in the river", "flood"], "passage") == [None, None]
    assert None not in TorchEncoder(plain, name="fit", fingerprint="f").pooled(["water in the river"], "passage")


def test_a_mean_is_told_from_another_vector() -> None:
    """A vector is a text's if its tokens point there together."""
    tokens: NDArray[np.float32] = np.eye(3, dtype=np.float32)[:2]
    text = Pooled(tokens, 0, [(0, 1), (1, 2)])
    mean = np.array([0.5**0.5, 0.5**0.5, 0], np.float32)

    assert text.makes(mean)
    assert not text.makes(tokens[0])
    assert not text.makes(mean[:2])
