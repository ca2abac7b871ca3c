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
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from index.neutral import Priors, TokenPriors, mixtures, offsets, unit

Vectors = NDArray[np.float32]

# The four levels that keep most of a Gaussian, in standard deviations, and where the outer ones begin (Max 1960,
# "Quantizing for minimum distortion", table I).
LEVELS = np.array([-1.510, -0.4528, 0.4528, 1.510], np.float32)
EDGE = 0.9816

# Four numbers in a byte, the first in the lowest bits.
FOURS = np.stack([LEVELS[np.arange(256) >> shift & 3] for shift in (0, 2, 4, 6)], axis=1)
SQUARES = (FOURS**2).sum(axis=1)


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

    def restore(self, code: bytes) -> Vectors:
        """Return kept token vectors (t, width), unit length."""
        codes = np.frombuffer(code, np.uint8).reshape(-1, self.width // 4)
        found: Vectors = FOURS.take(codes, axis=0).reshape(len(codes), self.width)
        found *= 1 / np.sqrt(SQUARES.take(codes).sum(axis=1, keepdims=True))
        return found

    def sound(self, code: bytes) -> bool:
        """Tell whether bytes can be a passage's tokens."""
        return len(code) % (self.width // 4) == 0


def maxsim(query: Vectors, passages: Sequence[Vectors]) -> Vectors:
    """Return for each passage's token vectors (t, width) how the query's (q, width) find themselves in it: (n,), 0..1.

    NaN for a passage, or a query, of no tokens.
    """
    scores = np.full(len(passages), np.nan, np.float32)
    if len(query):
        turned = np.ascontiguousarray(query.T)
        best = np.full((len(passages), len(query)), np.nan, np.float32)
        for place, passage in enumerate(passages):
            if len(passage):
                np.maximum.reduce(passage @ turned, axis=0, out=best[place])
        scores = np.sqrt((np.maximum(best, 0) ** 2).mean(axis=1))
    return scores
