from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed import Encoder, load_encoder
from embed.backends import openvino
from embed.backends.openvino import OpenVinoEncoder
from embed.backends.packing import PACKED_STEP, packed, packing
from tests.embed.test_openvino import folder_of

QUESTIONS = [
    "Who?",
    "Which company built the new bridge over the river?",
    "আগামী বছর কি সামরিক মহড়া হবে?",
    "water " * 60,
    "今年の選挙で誰が勝ちましたか",
]


def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have questions encoded with all their padding."""
    monkeypatch.setattr(openvino, "packed", lambda *_: None)


def encoded(encoder: Encoder) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the questions' vectors, and their token vectors in order."""
    kept: dict[int, np.ndarray] = {}
    vectors = encoder.encode_queries(QUESTIONS, lambda place, tokens: kept.__setitem__(place, tokens.copy()))
    return vectors, [kept[place] for place in range(len(QUESTIONS))]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=9), st.integers(0, 30))
def test_every_token_is_found_where_it_was_put(lengths: list[int], more: int) -> None:
    """What is packed from a padded layout and taken apart again is what it was, text by text."""
    length = max(lengths) + more
    ids = [[100 * text + token for token in range(size)] for text, size in enumerate(lengths)]
    padded = np.full((len(ids), length), -1)
    for row, each in enumerate(ids):
        padded[row, : len(each)] = each
    own, place = packing(ids, length)
    together = padded.ravel()[own]
    assert together[: sum(lengths)].tolist() == [token for each in ids for token in each]
    assert len(own) % PACKED_STEP == 0
    assert len(own) - sum(lengths) < PACKED_STEP
    assert [together[place[row, : len(each)]].tolist() for row, each in enumerate(ids)] == ids


@pytest.mark.model
def test_questions_that_lie_packed_have_the_same_vectors_to_the_last_bit(
    model: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default model's vectors and token vectors are those of texts that were padded."""
    assert isinstance(model, OpenVinoEncoder)
    assert model._requests("query").packed
    vectors, tokens = encoded(model)
    plain(monkeypatch)
    usual = load_encoder(model.name)
    assert isinstance(usual, OpenVinoEncoder)
    expected, own = encoded(usual)
    assert not usual._requests("query").packed
    assert np.array_equal(vectors, expected)
    for found, wanted in zip(tokens, own, strict=True):
        assert np.array_equal(found, wanted)


def test_another_model_lies_packed_too(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is by how a graph is built, not by its name."""
    encoder = load_encoder(str(small_model), cache=tmp_path)
    assert isinstance(encoder, OpenVinoEncoder)
    vectors, _ = encoded(encoder)
    assert encoder._requests("query").packed
    plain(monkeypatch)
    np.testing.assert_allclose(vectors, encoded(load_encoder(str(small_model), cache=tmp_path))[0], atol=2e-3)


def test_a_graph_that_is_built_otherwise_is_left_as_it_is(small_model: Path, tmp_path: Path) -> None:
    """Where heads are taken apart in a way that is not known, nothing is packed."""
    encoder = load_encoder(str(small_model), cache=tmp_path)
    assert isinstance(encoder, OpenVinoEncoder)
    graph = encoder._core.read_model(str(folder_of(tmp_path) / openvino.GRAPH))
    ops = openvino.openvino().opset13
    apart = next(node for node in graph.get_ordered_ops() if node.get_type_name() == "Reshape")
    value = apart.output(0)
    users = list(value.get_target_inputs())
    again = ops.reshape(apart.input_value(0), apart.input_value(1), True)
    for user in users:
        user.replace_source_output(ops.add(again, again).output(0))
    one = ops.reshape(ops.add(again, again), ops.constant(np.array([0, 0, -1])), True)
    graph.add_results([ops.result(one)])
    assert packed(graph, openvino.openvino()) is None


def test_a_packed_graph_that_disagrees_is_not_used(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions then come padded, with the vectors that they had."""
    encoder = load_encoder(str(small_model), cache=tmp_path)
    expected, _ = encoded(encoder)

    def wrong(ids: Any, length: int) -> Any:
        own, place = packing(ids, length)
        return own[::-1].copy(), place

    monkeypatch.setattr(openvino, "packing", wrong)
    other = load_encoder(str(small_model), cache=tmp_path)
    assert isinstance(other, OpenVinoEncoder)
    np.testing.assert_allclose(encoded(other)[0], expected, atol=2e-3)
    assert not other._requests("query").packed
