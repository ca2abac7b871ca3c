"""The words of a text by its tokens, and how much each token of a question weighs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.words import tokens as pieces

Span = tuple[int, int]


def words(text: str, spans: Sequence[Span]) -> list[tuple[Span, list[int]]]:
    """Return the words of a text, and for each the numbers of its tokens, whose characters are `spans`.

    In a script without spaces, where nobody marked the words, each token is one.
    """
    found: dict[Span, list[int]] = {}
    first = 0
    for kind, start, end, _ in pieces(text):
        while first < len(spans) and spans[first][1] <= start:
            first += 1
        for number in range(first, len(spans)):
            low, high = max(start, spans[number][0]), min(end, spans[number][1])
            if spans[number][0] >= end:
                break
            if low < high:
                found.setdefault((low, high) if kind == "run" else (start, end), []).append(number)
    return list(found.items())


def weights(text: str, spans: Sequence[Span], ids: Sequence[int]) -> NDArray[np.float32]:
    """Return how much each token of a question weighs (t,) where it is held against a passage's: the root of what the
    word that it is of tells, and nothing outside of words. Where there are no words, all weigh alike.

    A vocabulary goes from the frequent to the rare, so what a token tells is about the logarithm of its number (Zipf
    1949, "Human behavior and the principle of least effort"; Shannon 1948), and a word tells what its tokens do
    together. Its root, for what is rare may also be beside the point (benchmarks/results.md).
    """
    told = np.log1p(np.array(ids, np.float32))
    weights = np.zeros(len(ids), np.float32)
    for _, own in words(text, spans):
        weights[own] = np.sqrt(told[own].sum())
    return weights if weights.any() else np.ones_like(weights)
