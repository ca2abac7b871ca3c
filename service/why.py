"""Why a passage matched: which of its sentences answers, which word met which, and what each token added."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embed import Encoder, Pooled, sentences, shares
from index import Hit, Tokens
from service.wording import Span, words

# Passages whose sentences are remembered: less than a kilobyte each.
REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Side:
    """The question or a passage as it is compared.

    `offset` (dim,) is what is subtracted of its vector; `vectors` (t, width) are its own tokens' as they are held
    against each other's; `places` tells for each character of `text` where the reader sees it.
    """

    text: str
    pooled: Pooled
    offset: NDArray[np.float32]
    vectors: NDArray[np.float32]
    places: Sequence[int]

    def seen(self, span: Span) -> Span:
        """Return where the reader sees a span of the text that neither begins nor ends with white space."""
        return self.places[span[0]], self.places[span[1] - 1] + 1


@dataclass(frozen=True, slots=True)
class Share:
    """What the token with these characters, `[start, end)`, adds to the similarity."""

    start: int
    end: int
    share: float


@dataclass(frozen=True, slots=True)
class Met:
    """A word of the question, and the word of the passage that is nearest to it."""

    query: Span
    passage: Span
    cosine: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a passage is as similar to the question as it is.

    The shares of `tokens`, with characters of the article's text, and `rest` sum to the similarity; so do those of
    `query_tokens`, with characters of the question as it was written, and `query_rest`. What prompt and special tokens
    add is in the rest, and what is lost where a model's numbers are rounded.
    """

    tokens: list[Share]
    rest: float
    query_tokens: list[Share]
    query_rest: float
    words: list[Met]


def explained(query: Side, passage: Side, similarity: float) -> Explanation:
    """Return why the two are so similar."""
    tokens, query_tokens = _shares(passage, query), _shares(query, passage)
    rest, query_rest = (similarity - sum(each.share for each in own) for own in (tokens, query_tokens))
    return Explanation(tokens, rest, query_tokens, query_rest, _met(query, passage))


def _shares(text: Side, other: Side) -> list[Share]:
    """Return what each of the text's own tokens adds to the cosine with the other.

    Tokens that stand for the same characters, or for no character of their own (SentencePiece's mark of a word's
    beginning), are one with those beside them.
    """
    vector = other.pooled.vector - other.offset
    pooled = text.pooled
    every = shares(pooled, text.offset, vector / np.linalg.norm(vector))
    found: list[Share] = []
    waiting = 0.0
    for (start, end), share in zip(pooled.spans, every[pooled.first :][: len(pooled.spans)].tolist(), strict=True):
        waiting += share
        if start == end:
            continue
        last = found[-1] if found else Share(0, 0, 0.0)
        if end <= last.end:
            found[-1] = replace(last, share=last.share + waiting)
        else:
            found.append(Share(max(start, last.end), end, waiting))
        waiting = 0.0
    return [Share(*text.seen((each.start, each.end)), each.share) for each in found]


def _met(query: Side, passage: Side) -> list[Met]:
    """Return for each word of the question the passage's nearest; a word is the mean of its tokens."""
    asked, there = (words(side.text, side.pooled.spans) for side in (query, passage))
    if not asked or not there:
        return []
    cosines = _means(query.vectors, asked) @ _means(passage.vectors, there).T
    return [
        Met(query.seen(word), passage.seen(there[best][0]), float(cosines[number, best]))
        for number, ((word, _), best) in enumerate(zip(asked, cosines.argmax(axis=1).tolist(), strict=True))
    ]


def _means(vectors: NDArray[np.float32], words: Sequence[tuple[Span, list[int]]]) -> NDArray[np.float32]:
    """Return the mean vectors of the words' tokens (words, width), at unit length; one of zeros stays."""
    means = np.stack([vectors[own].mean(axis=0) for _, own in words])
    scaled: NDArray[np.float32] = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return scaled


@dataclass(frozen=True, slots=True)
class Sentences:
    """The sentences of a passage that have tokens, and of each where its tokens begin and end among the passage's.

    `edges` (2n,) are these bounds one after the other, `tokens` is how many the passage has. Where a passage is `only`
    one sentence, there is nothing to compare.
    """

    spans: list[Span]
    edges: NDArray[np.int64]
    tokens: int
    only: Span | None = None

    @classmethod
    def of(cls, cut: Sequence[Span], spans: Sequence[Span]) -> "Sentences":
        """Return the sentences with these characters, of a passage whose tokens have the characters `spans`."""
        edges = np.searchsorted([start for start, _ in spans], np.array(cut, np.int64).reshape(-1, 2))
        there = edges[:, 0] < edges[:, 1]
        kept = [sentence for sentence, has in zip(cut, there.tolist(), strict=True) if has]
        return cls(kept, edges[there].ravel(), len(spans), cut[0] if len(cut) == 1 else None)

    @classmethod
    def read(cls, table: NDArray[np.uint16], tokens: int) -> "Sentences":
        """Return the sentences of a `table`."""
        spans = [(start, end) for start, end, *_ in table.tolist()]
        only = spans[0] if len(spans) == 1 and not table[0, 3] else None
        return cls(spans, table[:, 2:].astype(np.int64).ravel(), tokens, only)

    def table(self, tokens: int) -> NDArray[np.int64]:
        """Return of each sentence its characters and its tokens (n, 4), to be kept with vectors of so many tokens; of
        none where these are others than it was cut by. An only sentence is told without tokens.
        """
        if self.only:
            return np.array([(*self.only, 0, 0)], np.int64)
        if not self.spans or tokens != self.tokens:
            return np.zeros((0, 4), np.int64)
        return np.concatenate([np.array(self.spans, np.int64), self.edges.reshape(-1, 2)], axis=1)

    def best(self, cosines: NDArray[np.float32]) -> Span | None:
        """Return the sentence that answers best; None where there is none to tell.

        Of each of the question's tokens it counts how much nearer its nearest token in a sentence is than those in the
        passage's other sentences are on average, squared: a name that all of them hold tells nothing, and one that a
        sentence passes over ("both countries") does not speak against it (benchmarks/results.md).
        `cosines` (t, q) are those of the passage's tokens with the question's.
        """
        if self.only:
            return self.only
        if not self.spans or not cosines.shape[1] or len(cosines) != self.tokens:
            return None
        # Every second stretch lies between two sentences. A last bound is the end, which reduceat takes for granted.
        bounds = self.edges[:-1] if self.edges[-1] == self.tokens else self.edges
        met = np.maximum.reduceat(cosines, bounds, axis=0)[::2]
        others = (met.sum(axis=0) - met) / max(1, len(met) - 1)
        told = (np.maximum(met - others, 0) ** 2).sum(axis=1)
        return self.spans[int(told.argmax())]


def sentences_of(encoder: Encoder, text: str, language: str) -> Sentences:
    """Return the sentences of a passage."""
    cut = sentences(text, language)
    # Where there is nothing to choose, no tokens need be known.
    return Sentences.of(cut, encoder.token_spans(text) if len(cut) > 1 else [])


class SentencesKept:
    """The sentences of passages as they were kept with their tokens, or else remembered: cutting and tokenising again
    would take a fifth of a search.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], Sentences] = OrderedDict()

    def of(self, hits: Sequence[Hit], tokens: Mapping[int, Tokens]) -> list[Sentences]:
        """Return the sentences of each hit's passage, as characters of the passage; `tokens` are theirs by row."""
        return [self._of(hit, tokens[hit.row]) for hit in hits]

    def _of(self, hit: Hit, tokens: Tokens) -> Sentences:
        if tokens.sentences is not None:
            return Sentences.read(tokens.sentences, len(tokens))
        # A passage's id tells its text.
        key = (hit.passage.id, hit.article.language)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = sentences_of(self._encoder, hit.passage.text, hit.article.language)
        with self._lock:
            self._known[key] = found
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found
