"""Lets a graph take texts of unlike lengths together without their padding, for all but what looks at whole texts.

Most of a transformer works on each token by itself: nine tenths of its arithmetic, and all of what short texts take.
There the tokens of all texts lie one behind the other; only attention, and what comes before the first layer and after
the last, sees them text by text, padded. What a text gets is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]

# Tokens lie packed in a multiple of so many, and texts are padded to one of fewer: kernels are made for each new shape,
# which takes some 20 ms, and going over from one shape to another takes 2 to 3 ms (benchmarks/results.md).
PACKED_STEP, PADDED_STEP = 32, 16


def packed(graph: Any, ov: Any) -> Any | None:
    """Return the graph with two inputs more, `packing`'s, where it is built as an encoder is; else None.

    Its inputs are token ids and mask (n, length), its outputs vectors and token vectors. It is changed in place; `ov`
    is OpenVINO.
    """
    ops = ov.opset13
    nodes = graph.get_ordered_ops()
    dense = [node for node in nodes if _ranks(node, "MatMul") == (3, 2, 3)]
    apart = [node for node in nodes if _ranks(node, "Reshape")[::2] == (3, 4)]
    joined = [node for node in nodes if _ranks(node, "Reshape")[::2] == (4, 3)]
    tokens = graph.outputs[1].get_node().input_value(0).get_node()
    # Each layer takes queries, keys and values apart into heads, and joins what they attend to.
    if not joined or len(apart) != 3 * len(joined) or not dense or tokens != dense[-1]:
        return None
    first, last = _unrounded(dense[0].input_value(0)), tokens.input_value(0)
    width = first.get_partial_shape()[2]
    if not width.is_static or last.get_partial_shape()[2] != width:
        return None
    own, place = ops.parameter([-1], np.int64), ops.parameter([-1, -1], np.int64)
    zero, one = ops.constant(np.int64(0)), ops.constant(np.int64(1))

    def pack(padded: Any) -> Any:
        """From (n, length, width) to (1, packed, width)."""
        flat = ops.reshape(padded, ops.constant(np.array([-1, padded.get_partial_shape()[2].get_length()])), False)
        return ops.unsqueeze(ops.gather(flat, own, zero), zero).output(0)

    def unpack(value: Any) -> Any:
        """From (1, packed, width) to (n, length, width)."""
        return ops.squeeze(ops.gather(value, place, one), zero).output(0)

    for node in joined:
        _instead(node.output(0), pack)
    for node in apart:
        node.input(0).replace_source_output(unpack(node.input_value(0)))
    _instead(last, unpack)
    _instead(first, pack)
    return ov.Model(graph.get_results(), [*graph.get_parameters(), own, place], "packed")


def packing(ids: Sequence[Sequence[int]], length: int) -> tuple[Places, Places]:
    """Return where the tokens of texts are that are padded to a `length`: (packed,) of each that lies packed, its place
    among all (n * length); and (n, length) of each that lies padded, its place among the packed. What pads is anything.
    """
    count = sum(map(len, ids))
    own = np.zeros(-(-count // PACKED_STEP) * PACKED_STEP, np.int64)
    place = np.zeros((len(ids), length), np.int64)
    at = 0
    for row, each in enumerate(ids):
        place[row, : len(each)] = np.arange(at, at + len(each))
        own[at : at + len(each)] = np.arange(row * length, row * length + len(each))
        at += len(each)
    return own, place


def _ranks(node: Any, kind: str) -> tuple[int, ...]:
    """Return of how many dimensions the two inputs and the output of a node of this kind are; nothing of another."""
    if node.get_type_name() != kind:
        return ()
    ranks = [value.get_partial_shape().rank for value in (*node.input_values()[:2], node.output(0))]
    return tuple(rank.get_length() if rank.is_static else -1 for rank in ranks)


def _unrounded(value: Any) -> Any:
    """Return what is multiplied and rounded to integers to become this, or itself (`quantisation.quantise`)."""
    node = value.get_node()
    return node.input_value(0).get_node().input_value(0) if node.get_type_name() == "FakeQuantize" else value


def _instead(value: Any, make: Callable[[Any], Any]) -> None:
    """Have all who use a value use what is made of it."""
    users = list(value.get_target_inputs())
    made = make(value)
    for user in users:
        user.replace_source_output(made)
