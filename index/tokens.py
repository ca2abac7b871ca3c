"""Token vectors for late interaction: how they are kept small, and how a question is held against a passage's.

Of each token the language-neutral vector is kept: what tokens of its language have of their own, and what all have in
common, is subtracted, as for whole passages (`index.neutral`). It is then turned at random, so that no number in it
weighs more than another, and written in 2 bits a number: 96 bytes a token of the default model. Fewer directions in
more bits, the leading principal components, lost more (benchmarks/results.md).

A passage is compared by MaxSim (Khattab and Zaharia 2020, "ColBERT", section 3.3): for each token of the question the
cosine of the passage's nearest token. Over the question's tokens we take the root mean square instead of the mean, so
that those which find themselves weigh more than those which do not (benchmarks/results.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from index.neutral import Priors, TokenPriors, mixtures, offsets, unit

Vectors = NDArray[np.float32]

# The four levels that keep most of a Gaussian, in standard deviations, and where the outer ones begin (Max 1960,
# "Quantizing for minimum distortion", table I).
LEVELS = np.array([-1.510, -0.4528, 0.4528, 1.510], np.float32)
EDGE = 0.9816

# Four numbers in a byte, the first in the lowest bits. Taken as one value of 16 bytes, which is forty times as fast as
# taking rows of four (benchmarks/results.md).
FOURS = np.stack([LEVELS[np.arange(256) >> shift & 3] for shift in (0, 2, 4, 6)], axis=1)
QUADS = FOURS.view(np.complex128)[:, 0]
SQUARES = (FOURS**2).sum(axis=1)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A passage's token vectors as they are kept: codes (t, width / 4), and the lengths (t,) of what they stand for."""

    codes: NDArray[np.uint8]
    lengths: Vectors

    def __len__(self) -> int:
        return len(self.codes)


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
        codes = np.frombuffer(code, np.uint8).reshape(-1, self.width // 4)
        return Tokens(codes, np.sqrt(SQUARES.take(codes).sum(axis=1)))

    def restore(self, tokens: Tokens) -> Vectors:
        """Return kept token vectors (t, width), unit length."""
        found: Vectors = _levels(tokens.codes) / tokens.lengths[:, None]
        return found

    def sound(self, code: bytes) -> bool:
        """Tell whether bytes can be a passage's tokens."""
        return len(code) % (self.width // 4) == 0


class Stack:
    """Token vectors of several passages, restored once to be held against many questions."""

    def __init__(self, space: TokenSpace, passages: Sequence[Tokens]) -> None:
        counts = np.array([len(passage) for passage in passages], np.int64)
        self._count, self._filled = len(passages), np.flatnonzero(counts)
        self._starts = (np.cumsum(counts) - counts)[self._filled]
        restored = [space.restore(passages[place]) for place in self._filled.tolist()]
        self._vectors = np.concatenate(restored) if restored else np.zeros((0, space.width), np.float32)

    def maxsim(self, query: Vectors) -> Vectors:
        """Return for each passage what `maxsim` does (n,)."""
        best = np.full((self._count, len(query)), np.nan, np.float32)
        if len(self._filled) and len(query):
            best[self._filled] = np.maximum.reduceat(self._vectors @ query.T, self._starts, axis=0)
        return _together(best)


def maxsim(query: Vectors, passages: Sequence[Tokens]) -> Vectors:
    """Return for each passage's tokens how the query's token vectors (q, width) find themselves in it: (n,), 0..1.

    NaN for a passage, or a query, of no tokens.
    """
    best = np.full((len(passages), len(query)), np.nan, np.float32)
    turned = np.ascontiguousarray(query.T)
    for place, passage in enumerate(passages):
        # Each by itself: one product of several would round a passage by what it comes with. It is no faster either.
        if len(passage) and len(query):
            best[place] = (_levels(passage.codes) @ turned / passage.lengths[:, None]).max(axis=0)
    return _together(best)


def _together(best: Vectors) -> Vectors:
    """Return the root mean square (n,) of the best cosines (n, q) of a question's tokens; NaN where it has none."""
    if not best.shape[1]:
        return np.full(len(best), np.nan, np.float32)
    found: Vectors = np.sqrt((np.maximum(best, 0) ** 2).mean(axis=1))
    return found


def _levels(codes: NDArray[np.uint8]) -> Vectors:
    """Return the numbers (t, width) that codes (t, width / 4) stand for."""
    return QUADS.take(codes).view(np.float32)
