"""Token vectors for late interaction: how they are kept small, and how a question is held against a passage's.

Of each token the language-neutral vector is kept: what tokens of its language have of their own, and what all have in
common, is subtracted, as for whole passages (`index.neutral`). It is then turned at random, so that no number in it
weighs more than another, and written in 2 bits a number: 96 bytes a token of the default model. Fewer directions in
more bits, the leading principal components, lost more (benchmarks/results.md).

Compared are whole numbers: the levels as they are to each other, 10 to 3, and the question's numbers in 255 steps. Sums
of their products are exact, so a passage has the same score, to the last bit, whatever it is compared with, by whatever
machine; and they take a fifth of the time of products of float32 (benchmarks/results.md).

A passage is compared by MaxSim (Khattab and Zaharia 2020, "ColBERT", section 3.3): for each token of the question the
cosine of the passage's nearest token. Over the question's tokens we take the root mean square instead of the mean, so
that those which find themselves weigh more than those which do not (benchmarks/results.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numkong
import numpy as np
from numpy.typing import NDArray

from index.neutral import Priors, TokenPriors, mixtures, offsets, unit

Vectors = NDArray[np.float32]

# The four levels that keep most of a Gaussian, in standard deviations, and where the outer ones begin (Max 1960,
# "Quantizing for minimum distortion", table I).
LEVELS = np.array([-1.510, -0.4528, 0.4528, 1.510], np.float32)
EDGE = 0.9816

# The levels as whole numbers, to 1 in 2,000 in proportion; and how many steps a number of the question has on each side.
STEPS = np.array([-10, -3, 3, 10], np.int8)
FINENESS, TINY = np.float32(127), np.float32(1e-9)

# Four numbers in a byte, the first in the lowest bits; taken by two bytes, as one value of 8, which is many times as fast
# as taking rows.
EIGHTS = np.stack([STEPS[np.arange(1 << 16) >> shift & 3] for shift in range(0, 16, 2)], axis=1).view(np.uint64)[:, 0]


@dataclass(frozen=True, slots=True)
class Tokens:
    """A passage's token vectors as they are kept: codes (t, width / 4)."""

    codes: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.codes)

    def steps(self) -> NDArray[np.int8]:
        """Return the whole numbers (t, width) that the codes stand for."""
        return EIGHTS.take(self.codes.view("<u2")).view(np.int8)


class TokenSpace:
    """The map from a model's token vectors to the small neutral ones that are kept, and MaxSim over those."""

    def __init__(self, priors: TokenPriors, languages: Sequence[str]) -> None:
        self._projection = priors.projection
        self.depth: int = priors.projection.shape[0]
        self.width: int = priors.projection.shape[1]
        self._number = {code: number for number, code in enumerate(languages)}
        self._passages = offsets(priors.passages, 1.0, 1.0)
        self._queries = offsets(priors.queries, 1.0, 1.0)
        told = repr(tuple(languages)).encode() + LEVELS.tobytes()
        parts = (self._projection, self._passages)
        self.identity = sha256(told + b"".join(part.tobytes() for part in parts)).hexdigest()[:16]

    @classmethod
    def of(cls, priors: Priors | None) -> "TokenSpace | None":
        """Return the space of a model whose token vectors are known; None for another."""
        return None if priors is None or priors.tokens is None else cls(priors.tokens, priors.languages)

    def compress(self, tokens: Vectors, language: str) -> bytes:
        """Return the passage's token vectors (t, token_dim) as they are kept: `width` / 4 bytes a token."""
        small = self._small(tokens, language)
        # Of a vector of length 1 each number has variance 1 / width.
        edge = EDGE / np.sqrt(self.width) * np.sqrt(np.einsum("tw,tw->t", small, small))[:, None]
        above = [(small > bound).view(np.uint8) for bound in (-edge, 0, edge)]
        levels = above[0] + above[1] + above[2]
        packed = levels[:, 0::4] | levels[:, 1::4] << 2 | levels[:, 2::4] << 4 | levels[:, 3::4] << 6
        return bytes(packed.tobytes())

    def passage(self, tokens: Vectors, language: str) -> Vectors:
        """Return a passage's token vectors (t, width), unit length, as `query` does: what `compress` makes small."""
        return unit(self._small(tokens, language))

    def _small(self, tokens: Vectors, language: str) -> Vectors:
        small: Vectors = tokens @ self._projection - self._passages[self._number.get(language, -1)]
        return small

    def query(self, tokens: Vectors, language: Mapping[str, float]) -> Vectors:
        """Return the question's token vectors (t, width), unit length, for `maxsim`; one of no tokens has none."""
        return unit(tokens @ self._projection - mixtures([language], self._number) @ self._queries)

    def read(self, code: bytes) -> Tokens:
        """Return what `compress` made, to be compared."""
        return Tokens(np.frombuffer(code, np.uint8).reshape(-1, self.width // 4))

    def restore(self, tokens: Tokens) -> Vectors:
        """Return kept token vectors (t, width), unit length."""
        return unit(tokens.steps().astype(np.float32))

    def sound(self, code: bytes) -> bool:
        """Tell whether bytes can be a passage's tokens."""
        return len(code) % (self.width // 4) == 0


class Stack:
    """Token vectors of several passages, laid out to be held against questions."""

    def __init__(self, passages: Sequence[Tokens]) -> None:
        counts = np.array([len(passage) for passage in passages], np.int64)
        self._count, self._filled = len(passages), np.flatnonzero(counts)
        self._starts = (np.cumsum(counts) - counts)[self._filled]
        if len(self._filled):
            steps = Tokens(np.concatenate([passages[place].codes for place in self._filled.tolist()])).steps()
            self._lengths = np.sqrt(np.asarray(numkong.dot(steps, steps))).astype(np.float32)
            self._packed = numkong.dots_pack(steps, dtype="int8")

    def maxsim(self, query: Vectors) -> Vectors:
        """Return for each passage how the query's token vectors (q, width) find themselves in it: (n,), 0..1.

        NaN for a passage, or a query, of no tokens.
        """
        best = np.full((self._count, len(query)), np.nan, np.float32)
        if len(self._filled) and len(query):
            # No step is nothing, not even that of a vector of zeros.
            step = np.maximum(np.abs(query).max(axis=1, keepdims=True), TINY) / FINENESS
            whole = np.rint(query / step).astype(np.int8)
            cosines = np.asarray(numkong.dots_packed(whole, self._packed)).astype(np.float32)
            cosines /= self._lengths
            best[self._filled] = (np.maximum.reduceat(cosines, self._starts, axis=1) * step).T
        return _together(best)


def maxsim(query: Vectors, passages: Sequence[Tokens]) -> Vectors:
    """Return for each passage's tokens how the query finds itself in them; see `Stack.maxsim`."""
    return Stack(passages).maxsim(query)


def _together(best: Vectors) -> Vectors:
    """Return the root mean square (n,) of the best cosines (n, q) of a question's tokens; NaN where it has none."""
    if not best.shape[1]:
        return np.full(len(best), np.nan, np.float32)
    found: Vectors = np.sqrt((np.maximum(best, 0) ** 2).mean(axis=1))
    return found
