"""Why a passage matched: which of its sentences answers, which word met which, and what each token added."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embed import Encoder, Pooled, sentences, shares
from index import Hit, Tokens, nearest_within
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
    """The sentences of a passage that have tokens: of each (n, 4) its characters, and its tokens among all `tokens` of
    the passage. Where that is one sentence there is nothing to compare, and its tokens are not told.
    """

    own: NDArray[np.integer[Any]]
    tokens: int

    @classmethod
    def of(cls, cut: Sequence[Span], spans: Sequence[Span]) -> "Sentences":
        """Return the sentences with these characters, of a passage whose tokens have the characters `spans`."""
        characters = np.array(cut, np.int64).reshape(-1, 2)
        if len(cut) == 1:
            return cls(np.pad(characters, ((0, 0), (0, 2))), len(spans))
        edges = np.searchsorted([start for start, _ in spans], characters)
        there = edges[:, 0] < edges[:, 1]
        return cls(np.concatenate([characters, edges], axis=1)[there], len(spans))

    @property
    def only(self) -> bool:
        """Tell whether the passage is one sentence."""
        return len(self.own) == 1 and not self.own[0, 3]

    def table(self, tokens: int) -> NDArray[np.int64]:
        """Return the sentences as they are kept with vectors of so many tokens; none where these are others than the
        passage was cut by.
        """
        own = self.own if self.only or tokens == self.tokens else self.own[:0]
        return own.astype(np.int64, copy=False)


def best(told: Sequence[Sentences], met: NDArray[np.float32]) -> list[Span]:
    """Return of each passage, of those of its sentences that have tokens, the one that answers best.

    Of each of the question's tokens it counts how much nearer its nearest token in a sentence is than those in the
    passage's other sentences are on average, squared: a name that all of them hold tells nothing, and one that a
    sentence passes over ("both countries") does not speak against it (benchmarks/results.md). `met` (sentences, q) are
    the cosines of the nearest tokens, of one passage's sentences after another's.
    """
    counts = np.array([len(each.own) for each in told])
    ends = np.cumsum(counts)
    passage = np.repeat(np.arange(len(told)), counts)
    # One sentence after another, by which the sums of a passage are the same whatever others there are.
    apart = np.zeros((counts.max(initial=0), len(told), met.shape[1]), np.float32)
    apart[np.arange(len(met)) - (ends - counts)[passage], passage] = met
    others = (apart.sum(axis=0)[passage] - met) / np.maximum(1, counts - 1).astype(np.float32)[passage, None]
    score = (np.maximum(met - others, 0) ** 2).sum(axis=1)
    return [
        tuple(each.own[score[end - count : end].argmax(), :2].tolist())
        for each, count, end in zip(told, counts.tolist(), ends.tolist(), strict=True)
    ]


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

    def best(self, query: NDArray[np.float32], hits: Sequence[Hit], kept: Mapping[int, Tokens]) -> list[Span | None]:
        """Return for each hit the span in its article's text of the sentence that answers best; None where there is
        none to tell. `query` (q, width) are the question's token vectors, `kept` the passages' by row.
        """
        tokens = [kept[hit.row] for hit in hits]
        told = [self._of(*each) for each in zip(hits, tokens, strict=True)]
        found = {place: tuple(each.own[0, :2].tolist()) for place, each in enumerate(told) if each.only}
        several = [
            place
            for place, each in enumerate(told)
            if place not in found and len(each.own) and each.tokens == len(tokens[place])
        ]
        if several and len(query):
            cut = [told[place] for place in several]
            met = nearest_within(query, [tokens[place] for place in several], [each.own[:, 2:] for each in cut])
            found |= zip(several, best(cut, met), strict=True)
        return [
            (hit.passage.start + found[place][0], hit.passage.start + found[place][1]) if place in found else None
            for place, hit in enumerate(hits)
        ]

    def _of(self, hit: Hit, tokens: Tokens) -> Sentences:
        if tokens.sentences is not None:
            return Sentences(tokens.sentences, len(tokens))
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
