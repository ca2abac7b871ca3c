from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embed import Encoder, load_encoder
from embed.backends import conversion
from embed.backends.openvino import AGREEMENT, AGREEMENT_INT8, OpenVinoEncoder, has_bfloat16, openvino
from embed.backends.quantisation import quantise
from embed.backends.torch import TorchEncoder

TEXTS = ["water in the river", "বন্যা", "The flood came at night, and nobody was warned of it.", "नदी का पानी"]


def run(graph: object, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the vectors that a graph gives for token ids, in float32 but for what is rounded in it."""
    compiled = openvino().Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled([ids, np.ones_like(ids)])[0])


def test_products_of_one_input_share_its_rounding(small_model: Path) -> None:
    """Queries, keys and values are one rounded input; attention's own products and token vectors are not rounded."""
    encoder = TorchEncoder.load(small_model, name="small", fingerprint="s", device="cpu")
    graph = conversion._graph(encoder.model)
    layers = encoder.model[0].auto_model.config.num_hidden_layers
    quantise(graph, [np.arange(5, 25, dtype=np.int64).reshape(2, 10)])
    kinds = [node.get_type_name() for node in graph.get_ordered_ops()]
    assert kinds.count("FakeQuantize") == 4 * layers
    whole = [
        n
        for n in graph.get_ordered_ops()
        if n.get_type_name() == "Constant" and n.get_element_type() == openvino().Type.i8
    ]
    assert len(whole) == 6 * layers


@pytest.mark.skipif(
    not has_bfloat16(openvino().Core()),
    reason="CPUs without products of 8-bit integers of their own add them up in 16 bits; no graph is rounded for them",
)
def test_a_wide_channel_costs_the_narrow_ones_nothing() -> None:
    """Where one channel is a thousand times as wide as the rest, what the rest adds up to is still there."""
    ov = openvino()
    ops = ov.opset13
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((16, 32)).astype(np.float32)
    weights[:, 0] /= 1000
    ids, mask = (ov.opset13.parameter([-1, -1], ov.Type.i64) for _ in range(2))
    table = rng.standard_normal((100, 32)).astype(np.float32)
    table[:, 0] *= 1000
    tokens = ops.gather(ops.constant(table), ids, ops.constant(0))
    graph = ov.Model([ops.result(ops.matmul(tokens, ops.constant(weights), False, True))], [ids, mask], "one")
    every = np.arange(100, dtype=np.int64)[None]
    exact = run(graph, every)
    quantise(graph, [every])
    error = np.abs(run(graph, every) - exact).std() / exact.std()
    assert 0 < error < 0.03


def test_a_model_that_cannot_stand_it_is_served_without(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the rounded graph is further from torch than is allowed, the one that is not rounded serves."""
    monkeypatch.setattr(conversion, "has_bfloat16", lambda _: True)
    monkeypatch.setattr(conversion, "AGREEMENT_INT8", 1.1)  # which no two vectors reach
    encoder = load_encoder(str(small_model), cache=tmp_path)
    assert isinstance(encoder, OpenVinoEncoder)
    assert encoder._agreement == AGREEMENT
    (served,) = tmp_path.glob("openvino/*/model.xml")
    assert "FakeQuantize" not in served.read_text()


@pytest.mark.model
def test_the_default_model_stands_it(model: Encoder) -> None:
    """Texts that no range was taken on keep their vectors, and so do their tokens, within what is asked for."""
    torch = load_encoder(model.name, "torch")
    ours: dict[int, NDArray[np.float32]] = {}
    theirs: dict[int, NDArray[np.float32]] = {}
    found = model.encode_passages(TEXTS, keep=lambda place, own: ours.__setitem__(place, own.copy()))
    expected = torch.encode_passages(TEXTS, keep=lambda place, own: theirs.__setitem__(place, own.copy()))
    assert (found * expected).sum(axis=1).min() > AGREEMENT_INT8
    for i in range(len(TEXTS)):
        lengths = np.linalg.norm(ours[i], axis=1) * np.linalg.norm(theirs[i], axis=1)
        assert ((ours[i] * theirs[i]).sum(axis=1) / lengths).mean() > 0.99
