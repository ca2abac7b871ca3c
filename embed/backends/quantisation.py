"""Puts the matrix products of a graph's layers into 8-bit integers, which CPUs multiply twice as fast as bfloat16.

Of a product of tokens (.., width) with constant weights, both are rounded to integers: the weights by output channel,
the tokens by one scale found beforehand on sample inputs. Some channels are a hundred times as wide as others, and
rounding all alike would leave nothing of the narrow ones; so each is first divided by a number of its own, by which its
weights are multiplied (SmoothQuant, Xiao et al. 2023, arXiv:2211.10438). Attention's own products, norms, residuals and
pooling stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embed.backends.openvino import cores, openvino

Floats = NDArray[np.float32]

# How much of a channel's width goes over to its weights, from 0 to 1. Of 0.5 to 0.9, 0.7 lost the least
# (benchmarks/results.md).
MIGRATED = 0.7

# Pieces of the vocabulary at random, (texts, tokens of each), on which ranges are taken beside the sample texts: few
# sentences, in few languages, leave many channels at rest that others use.
RANDOM = ((200, 10), (60, 40), (8, 300))


def quantise(graph: Any, inputs: Sequence[NDArray[np.int64]]) -> None:
    """Put the layers' products into 8 bits, in place, with the ranges that they have on `inputs`.

    `inputs` are token ids (n, length) without padding; the graph is in float32 and takes ids and mask.
    """
    ops = openvino().opset13
    products = _products(graph)
    for (low, high), users in zip(_ranges(graph, [users[0][0] for users in products], inputs), products, strict=True):
        width = np.maximum(-low, high)
        # What the inputs hardly moved may move further: no channel is taken for narrower than the middle one.
        width = np.maximum(width, np.median(width))
        heavy = np.max([np.abs(weights).max(axis=0) for _, weights in users], axis=0)
        divisor = width**MIGRATED / np.maximum(heavy, 1e-5) ** (1 - MIGRATED)
        bounds = _grid(float((low / divisor).min()), float((width / divisor).max()))
        ends = [ops.constant(np.float32(bound)) for bound in bounds]
        narrowed = ops.multiply(users[0][0].input_value(0), ops.constant((1 / divisor).astype(np.float32)))
        rounded = ops.fake_quantize(narrowed, *ends, *ends, levels=256)
        for product, weights in users:
            own = weights * divisor
            scale = np.maximum(np.abs(own).max(axis=1, keepdims=True), 1e-12) / 127
            integers = ops.convert(ops.constant(np.round(own / scale).astype(np.int8)), openvino().Type.f32)
            factors = ops.multiply(integers, ops.constant(scale.astype(np.float32)))
            product.output(0).replace(ops.matmul(rounded, factors, False, True).output(0))
    graph.validate_nodes_and_infer_types()


def random_inputs(vocabulary: Sequence[int], before: list[int], after: list[int], window: int) -> Iterator[Any]:
    """Yield ids (n, length) of pieces of the vocabulary at random, between what comes before and after a text's own."""
    rng = np.random.default_rng(0)
    for texts, length in RANDOM:
        own = rng.choice(np.asarray(vocabulary, np.int64), (texts, min(length, window - len(before) - len(after))))
        yield np.concatenate([np.tile(before, (texts, 1)), own, np.tile(after, (texts, 1))], axis=1).astype(np.int64)


def _products(graph: Any) -> list[list[tuple[Any, Floats]]]:
    """Return the products of tokens with constant weights (out, in), those of one input together."""
    found: dict[Any, list[tuple[Any, Floats]]] = {}
    for node in graph.get_ordered_ops():
        if node.get_type_name() != "MatMul" or node.input_value(0).get_partial_shape().rank.get_length() != 3:
            continue
        constant = node.input_value(1).get_node()
        if constant.get_type_name() == "Convert":  # kept in half precision
            constant = constant.input_value(0).get_node()
        weights = getattr(constant, "data", None)
        if weights is None or weights.ndim != 2 or node.get_attributes()["transpose_a"]:
            continue
        straight: Floats = np.asarray(weights if node.get_attributes()["transpose_b"] else weights.T, np.float32)
        if np.array_equal(straight, np.eye(len(straight))):  # there for its arithmetic only, as are the token vectors'
            continue
        source = node.input_value(0)
        found.setdefault((source.get_node().get_name(), source.get_index()), []).append((node, straight))
    return list(found.values())


def _ranges(graph: Any, products: Sequence[Any], inputs: Sequence[NDArray[np.int64]]) -> list[tuple[Floats, Floats]]:
    """Return the lowest and the highest value of each channel of the products' inputs."""
    ov = openvino()
    ops = ov.opset13
    over = ops.constant(np.array([0, 1], np.int64))
    ends = [end(each.input_value(0), over) for each in products for end in (ops.reduce_min, ops.reduce_max)]
    watched = ov.Model([ops.result(end) for end in ends], graph.get_parameters(), "ranges")
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": cores()}
    request = ov.Core().compile_model(watched, "CPU", options).create_infer_request()
    seen = [[np.array(value) for value in request.infer([ids, np.ones_like(ids)]).values()] for ids in inputs]
    lows = [np.min(values, axis=0) for values in list(zip(*seen, strict=True))[0::2]]
    highs = [np.max(values, axis=0) for values in list(zip(*seen, strict=True))[1::2]]
    return list(zip(lows, highs, strict=True))


def _grid(low: float, high: float) -> tuple[float, float]:
    """Return the ends of 256 even steps on one of which lies 0: about it, or mostly above it where values are."""
    if low < -high / 4:
        return -high * 128 / 127, high
    low = min(low, 0.0)
    step = (high - low) / 255
    below = round(-low / step)
    return -below * step, (255 - below) * step
