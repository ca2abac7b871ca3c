"""What each token adds: the vector of a mean-pooled text is a sum over its tokens, and so is any cosine with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# How near the mean of a text's tokens must be to its vector, as a cosine, to be what the vector was made of. In
# bfloat16 the default model's are at 0.999998; the first token's vector in place of the mean is at 0.90.
SAME = 0.9999


@dataclass(frozen=True, slots=True)
class Pooled:
    """A text whose vector is the mean of its token vectors (n, dim) at length 1, prompt and special tokens included.

    `spans` are the characters `[start, end)` of the text's own tokens; the first of these is token number `first`.
    """

    tokens: NDArray[np.float32]
    first: int
    spans: Sequence[tuple[int, int]]

    @property
    def own(self) -> NDArray[np.float32]:
        """The vectors of the text's own tokens (t, dim)."""
        return self.tokens[self.first : self.first + len(self.spans)]

    @property
    def vector(self) -> NDArray[np.float64]:
        """The text's vector (dim,), at length 1."""
        total = self.tokens.sum(axis=0, dtype=np.float64)
        unit: NDArray[np.float64] = total / np.linalg.norm(total)
        return unit

    def makes(self, vector: NDArray[np.float32]) -> bool:
        """Tell whether `vector` (dim,), unit length, is the tokens' mean, or something else was done to them."""
        return self.tokens.shape[1:] == vector.shape and float(self.vector @ vector) >= SAME


def shares(text: Pooled, offset: NDArray[np.float32], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each token of a text (n,) adds to the cosine of its vector, less `offset` (dim,), with another's.

    `other` (dim,) is of unit length. With v = s (h1 + ... + hn) the text's vector and m the offset, the cosine
    (v - m).o / |v - m| is the sum of the tokens' (s h - m / n).o / |v - m|: nothing is approximated.
    """
    tokens = text.tokens.astype(np.float64)
    parts = tokens / np.linalg.norm(tokens.sum(axis=0)) - offset / len(tokens)
    added: NDArray[np.float64] = parts @ other / np.linalg.norm(parts.sum(axis=0))
    return added
