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

Behind the tokens it is kept where the passage's sentences are, in characters and in tokens: four numbers of 16 bits
each, and how many sentences there are in another. So the length is no multiple of a token's; where it is, they were not
kept yet, or are too many or too long for such numbers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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

# The levels as whole numbers, to 1 in 2,000 in proportion, and how many steps there are for a number of the question on
# either side of 0.
STEPS = np.array([-10, -3, 3, 10], np.int8)
FINENESS, TINY = np.float32(127), np.float32(1e-9)

# Passages that are compared at once.
AT_ONCE = 16

# Products are taken of so many of a question's tokens at once: of 17 they take longer than of 20.
LANES = 4

# How a number that tells of a sentence is kept.
MARK = np.dtype("<u2")

# Four bytes of 2 bits each, as a number of 32 bits, times this have them side by side in the highest byte, the first in
# its lowest bits: no two of the products meet.
PACKING = np.uint32(1 << 24 | 1 << 18 | 1 << 12 | 1 << 6)

# Four numbers in a byte, the first in the lowest bits; taken by two bytes, as one value of 8, which is many times as
# fast as taking rows.
EIGHTS = np.stack([STEPS[np.arange(1 << 16) >> shift & 3] for shift in range(0, 16, 2)], axis=1).view(np.uint64)[:, 0]


@dataclass(frozen=True, slots=True)
class Tokens:
    """A passage's token vectors as they are compared: whole numbers (t, width), and the vectors' lengths (t,).

    `sentences` (n, 4) are the passage's, where that is kept: of each its characters, `[start, end)`, and its tokens.
    """

    steps: NDArray[np.int8]
    lengths: Vectors
    sentences: NDArray[np.uint16] | None = None

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def nbytes(self) -> int:
        """Return the bytes that the vectors take."""
        return self.steps.nbytes


@dataclass(frozen=True, slots=True)
class QuestionTokens:
    """A question's token vectors (t, width), and how much each weighs (t,) where it is ranked by; None: alike."""

    vectors: Vectors
    weights: Vectors | None = None

    def __len__(self) -> int:
        return len(self.vectors)


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

    def compress(self, tokens: Vectors, language: str, sentences: NDArray[np.int64] | None = None) -> bytes:
        """Return the passage's token vectors (t, token_dim) as they are kept: `width` / 4 bytes a token, then its
        sentences (n, 4), if they are told.
        """
        small = self._small(tokens, language)
        # Of a vector of length 1 each number has variance 1 / width.
        edge = EDGE / np.sqrt(self.width) * np.sqrt(np.einsum("tw,tw->t", small, small))[:, None]
        levels = (small > -edge).view(np.uint8)
        levels += small > 0
        levels += small > edge
        packed = (levels.view("<u4") * PACKING).astype("<u4", copy=False).view(np.uint8)[:, 3::4]
        return bytes(packed.tobytes()) + _marked(sentences)

    def passage(self, tokens: Vectors, language: str) -> Vectors:
        """Return a passage's token vectors (t, width), unit length, as `query` does: what `compress` makes small."""
        return unit(self._small(tokens, language))

    def _small(self, tokens: Vectors, language: str) -> Vectors:
        small: Vectors = tokens @ self._projection
        small -= self._passages[self._number.get(language, -1)]
        return small

    def query(self, tokens: Vectors, language: Mapping[str, float]) -> Vectors:
        """Return the question's token vectors (t, width), unit length, for `maxsim`; one of no tokens has none."""
        return unit(tokens @ self._projection - mixtures([language], self._number) @ self._queries)

    def read(self, code: bytes) -> Tokens:
        """Return what `compress` made, to be compared."""
        size = len(code) - self._behind(code)
        steps = EIGHTS.take(np.frombuffer(code, "<u2", size // 2)).view(np.int8).reshape(-1, self.width)
        lengths = np.sqrt(np.asarray(numkong.dot(steps, steps)) if len(steps) else np.zeros(0)).astype(np.float32)
        sentences = None if size == len(code) else np.frombuffer(code, MARK, offset=size)[:-1].reshape(-1, 4)
        return Tokens(steps, lengths, sentences)

    def _behind(self, code: bytes) -> int:
        """Return how many bytes come behind the tokens."""
        if len(code) % (self.width // 4) == 0:
            return 0
        return MARK.itemsize * (4 * int.from_bytes(code[-MARK.itemsize :], "little") + 1)

    def restore(self, tokens: Tokens) -> Vectors:
        """Return kept token vectors (t, width), unit length."""
        return unit(tokens.steps.astype(np.float32))

    def sound(self, code: bytes) -> bool:
        """Tell whether bytes can be a passage's tokens."""
        size = len(code) - self._behind(code)
        return size >= 0 and size % (self.width // 4) == 0


class Stack:
    """Token vectors of several passages, laid out once to be held against many questions."""

    def __init__(self, passages: Sequence[Tokens]) -> None:
        self._filled = _filled(passages)
        self._pieces = list(_pieces(passages))

    def nearest(self, query: Vectors) -> Vectors:
        """Return for each passage what `nearest` does (n, q)."""
        return _compared(query, self._filled, self._pieces)


def _marked(sentences: NDArray[np.int64] | None) -> bytes:
    """Return sentences (n, 4) as they are kept: nothing where their numbers are too large."""
    if sentences is None or max(len(sentences), sentences.max(initial=0)) > np.iinfo(MARK).max:
        return b""
    return bytes(np.append(sentences, len(sentences)).astype(MARK).tobytes())


def maxsim(query: Vectors, passages: Sequence[Tokens]) -> Vectors:
    """Return for each passage's tokens how the query's token vectors (q, width) find themselves in it: (n,), 0..1.

    NaN for a passage, or a query, of no tokens.
    """
    return together(nearest(query, passages))


def nearest(query: Vectors, passages: Sequence[Tokens]) -> Vectors:
    """Return the cosine of each passage's nearest token to each of the query's (q, width): (n, q); NaN without any."""
    return _compared(query, _filled(passages), _pieces(passages))


def nearest_within(query: Vectors, passages: Sequence[Tokens], stretches: Sequence[NDArray[np.integer]]) -> Vectors:
    """Return the cosine of the nearest token in each stretch to each of the query's (q, width): (stretches, q).

    The stretches (n, 2) of each passage, which has some, are where they begin and end among its tokens; they ascend,
    and none is empty.
    """
    packed, step = _packed(query)
    best = [np.zeros((0, len(query)), np.float32)]
    for number, piece in enumerate(_pieces(passages)):
        own = stretches[number * AT_ONCE :][: len(piece.starts)]
        within = np.concatenate(own) + np.repeat(piece.starts, [len(each) for each in own])[:, None]
        # Every second part lies between two stretches. A last bound is the end, which reduceat takes for granted.
        bounds = within.ravel() if within[-1, 1] < len(piece.steps) else within.ravel()[:-1]
        best.append(np.maximum.reduceat(piece.products(packed), bounds, axis=0)[::2, : len(query)] * step)
    return np.concatenate(best)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some passages' token vectors in whole numbers (t, width), their lengths (t,), and where each passage begins."""

    steps: NDArray[np.int8]
    lengths: Vectors
    starts: NDArray[np.int64]

    def products(self, packed: numkong.PackedMatrix) -> Vectors:
        """Return the product of each token with each of a packed query (t, q)."""
        products: Vectors = np.asarray(numkong.dots_packed(self.steps, packed)).astype(np.float32)
        products /= self.lengths[:, None]
        return products

    def best(self, packed: numkong.PackedMatrix) -> Vectors:
        """Return for each passage, and each token of a packed query, the largest product (n, q)."""
        best: Vectors = np.maximum.reduceat(self.products(packed), self.starts, axis=0)
        return best


def _filled(passages: Sequence[Tokens]) -> NDArray[np.bool_]:
    return np.array([len(passage) > 0 for passage in passages], np.bool_)


def _pieces(passages: Sequence[Tokens]) -> Iterator[_Piece]:
    """Yield those of the passages that have tokens, some at a time: what is made of few stays in the CPU's cache, and
    takes no new memory from the system, which all at once takes five times as long (benchmarks/results.md).
    """
    filled = [passage for passage in passages if len(passage)]
    for some in (filled[start : start + AT_ONCE] for start in range(0, len(filled), AT_ONCE)):
        counts = np.array([len(passage) for passage in some], np.int64)
        steps = np.concatenate([passage.steps for passage in some])
        lengths = np.concatenate([passage.lengths for passage in some])
        yield _Piece(steps, lengths, np.cumsum(counts) - counts)


def _compared(query: Vectors, filled: NDArray[np.bool_], pieces: Iterable[_Piece]) -> Vectors:
    best = np.full((len(filled), len(query)), np.nan, np.float32)
    if len(query) and filled.any():
        packed, step = _packed(query)
        best[filled] = np.concatenate([piece.best(packed) for piece in pieces])[:, : len(query)] * step
    return best


def _packed(query: Vectors) -> tuple[numkong.PackedMatrix, Vectors]:
    """Return a query's tokens (q, width) in whole numbers, some of nothing behind them, and what a step of each is."""
    # No step is nothing, not even that of a vector of zeros.
    step = np.maximum(np.abs(query).max(axis=1), TINY) / FINENESS
    whole = np.zeros((-(-len(query) // LANES) * LANES, query.shape[1]), np.int8)
    whole[: len(query)] = np.rint(query / step[:, None])
    return numkong.dots_pack(whole, dtype="int8"), step


def together(best: Vectors, weights: Vectors | None = None) -> Vectors:
    """Return the root mean square (n,) of the best cosines (n, q) of a question's tokens, each by its weight (q,) if
    any; NaN where it has none.
    """
    if not best.shape[1]:
        return np.full(len(best), np.nan, np.float32)
    squares = np.maximum(best, 0) ** 2
    if weights is not None:
        # Not a product of matrices, whose last bit would depend on how many passages there are.
        squares *= weights / weights.mean()
    found: Vectors = np.sqrt(squares.mean(axis=1))
    return found
