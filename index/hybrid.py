"""The ranking that a reader meets first: by meaning, tokens, words and sounds together.

The passages nearest in meaning, and those that share most words and sounds with the question, come into a window; all
evidence there is decides their order. Behind the window it goes on by meaning alone.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from index import sounds
from index.background import Followed, Sample, Sampling, Usual, Written
from index.catalogue import Catalogue
from index.changes import Change
from index.dense import Place, Searched, exact
from index.errors import DamagedLibrary
from index.fusion import Evidence
from index.held import Held
from index.lexicon import Field, Lexicon
from index.neutral import Neutral
from index.scope import Allowed, among
from index.store import damage
from index.tokens import QuestionTokens, Stack, Tokens, TokenSpace, maxsim, nearest, together
from index.words import words

Vectors = NDArray[np.float32]
Values = NDArray[np.float64]
Rows = NDArray[np.int64]
Value = TypeVar("Value")

# Passages nearest in meaning that come into consideration, and passages whose tokens are compared: those in the window.
NEAREST, WINDOW = 200, 50

# Passages that come into consideration for the words, and for the sounds, that they share with the question.
LEXICAL = 25

# Up to this many passages, what a question's terms score is looked up once for all filters; a larger library is asked
# for its best under each.
WHOLE, DEEP = 10_000, 1_000

# Sampled passages whose tokens are compared with every question: of one language, and in all.
COMPARED, COMPARED_ALL = 12, 144

# Mean and deviation of MaxSim, and of BM25 as a share of its ceiling, over passages that nobody asked for: what is
# taken for usual in a library of few passages (flores, all languages).
USUAL_LATE, USUAL_LEXICAL = (0.18, 0.05), (0.006, 0.012)

# How far words or sounds in common can stand out, in deviations.
BOUND = 4.0

# Questions of which it is remembered what is usual and which terms match: paging and evaluation ask them again.
REMEMBERED = 2048

FIELDS: tuple[Field, Field] = ("sounds", "words")


@dataclass(frozen=True, slots=True)
class Source:
    """Where evidence comes from, all of it at one change of the library.

    `some_rows` tells rows to draw a sample from: all, or, where they are too many, those that come first by chance.
    """

    catalogue: Catalogue
    index: Searched
    lexicon: Lexicon
    change: Change
    some_rows: Callable[[], Rows]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is ranked: its neutral vector (dim,), language probabilities, text, and neutral token vectors
    (t, width) with their weights, None where there are none.
    """

    vector: Vectors
    language: Mapping[str, float]
    text: str
    tokens: QuestionTokens | None

    def speaks(self, passages: Written) -> Values:
        """Return the probability (n,) that the question is in the language of each of the passages."""
        return np.array([self.language.get(name, 0.0) for name in passages.names])[passages.places]

    @property
    def key(self) -> bytes:
        """Return what tells the question from others."""
        return self.text.encode(errors="replace") + b"\0" + self.vector.tobytes()


@dataclass(frozen=True, slots=True)
class Matches:
    """Rows that share terms with a question (n,), best first; `by_row` are the same rows, ascending, and `scores` their
    scores.
    """

    rows: Rows
    by_row: Rows
    scores: Vectors

    @classmethod
    def of(cls, rows: Rows, scores: Vectors) -> "Matches":
        """Return rows, best first, with their scores."""
        order = np.argsort(rows)
        return cls(rows, rows[order], scores[order])

    def score(self, rows: Rows) -> Vectors:
        """Return the score of each of `rows`, 0 where it was not found."""
        given = np.zeros(len(rows), np.float32)
        if len(self.by_row):
            places = np.minimum(np.searchsorted(self.by_row, rows), len(self.by_row) - 1)
            here = self.by_row[places] == rows
            given[here] = self.scores[places[here]]
        return given

    def score_sampled(self, sample: Written) -> Vectors:
        """Return what `score` does of the passages of a sample, which are many and have been put in order."""
        given = np.zeros(len(sample.rows), np.float32)
        if len(given):
            places = np.minimum(np.searchsorted(sample.ascending, self.by_row), len(given) - 1)
            here = sample.ascending[places] == self.by_row
            given[sample.order[places[here]]] = self.scores[here]
        return given


@dataclass(frozen=True, slots=True)
class Window:
    """The rows (n,) of a window in their order, and what speaks for them, None where `Hybrid.judge` may say otherwise:
    of a large library, it is told which terms they share without regard to a filter.
    """

    rows: Rows
    evidence: Evidence | None

    def of(self, rows: Rows) -> Evidence | None:
        """Return what speaks for these rows (m,); None where that is not known of all."""
        places = {row: place for place, row in enumerate(self.rows.tolist())}
        if self.evidence is None or not all(row in places for row in rows.tolist()):
            return None
        return self.evidence.at(np.array([places[row] for row in rows.tolist()], np.int64))


@dataclass(frozen=True, slots=True)
class Background:
    """What is usual for a question: of `first`, meaning, sounds and words at once; and of each by itself."""

    first: Usual
    meaning: Usual
    maxsim: Usual
    late: Followed


class Hybrid:
    """Gathers evidence and orders by it. Safe to use from many threads."""

    def __init__(self, neutral: Neutral, tokens: TokenSpace | None) -> None:
        self._neutral = neutral
        self._tokens = tokens
        self.fusion, self.relevance = neutral.fusion, neutral.answering
        told = f"{neutral.identity} {tokens.identity if tokens else ''}".encode() + self.fusion.array().tobytes()
        self.identity = sha256(told).hexdigest()[:16]
        self._sampling = Sampling()
        # The sample at the last change with its vectors, and those of it that are compared with their token vectors.
        self._near: Remembered[tuple[Written, Vectors]] = Remembered(1)
        self._stacked: Remembered[tuple[Rows, Written, Stack]] = Remembered(1)
        self._matching: Remembered[Future[Matches]] = Remembered(2 * REMEMBERED)
        self._usual: Remembered[Background] = Remembered(REMEMBERED)
        self._sampled_late: Remembered[Future[Vectors]] = Remembered(REMEMBERED)
        self._aside = ThreadPoolExecutor(thread_name_prefix="evidence")

    def begin(self, asked: Asked, source: Source) -> None:
        """Have words and sounds of a large library searched, and the sampled passages' tokens compared, while the
        caller looks for the nearest passages. A small one is searched sooner than other threads would have begun.
        """
        if len(source.lexicon) <= WHOLE:
            return
        for name in FIELDS if asked.text else ():
            self._searched(asked.text, name, source, self._aside.submit)
        if self._tokens is not None and asked.tokens is not None:
            self._late(asked, asked.tokens, source, self._aside.submit)

    def windows(
        self, asked: Asked, nearest: Sequence[Rows], alloweds: Sequence[Allowed | None], source: Source, held: Held
    ) -> list[Window]:
        """Return for each filter its window.

        Of each, `nearest` are the rows nearest in meaning that it allows, `NEAREST` of them if there are so many.
        """
        considered = []
        for near, allowed in zip(nearest, alloweds, strict=True):
            shared = [self._matching_rows(asked, name, source, allowed)[:LEXICAL] for name in FIELDS]
            considered.append(np.unique(np.concatenate([near[:NEAREST], *shared])))
        rows = np.unique(np.concatenate(considered))
        if not len(rows):
            return [Window(each, None) for each in considered]
        written = Written.of(rows, source.catalogue.languages(rows))
        first = self._first(asked, written, source, alloweds)
        scores = self.fusion.score(first)
        kept = [each[_best(scores[np.searchsorted(rows, each)], each, WINDOW)] for each in considered]
        every, rows = rows, np.unique(np.concatenate(kept))
        places = np.searchsorted(every, rows)
        whole = self._with_tokens(first.at(places), asked, written.at(places), source, held)
        scores = self.fusion.score(whole)
        judged = len(source.lexicon) <= WHOLE or all(allowed is None for allowed in alloweds)
        windows = []
        for each in kept:
            places = np.searchsorted(rows, each)
            order = _best(scores[places], each, WINDOW)
            windows.append(Window(each[order], whole.at(places[order]) if judged else None))
        return windows

    def judge(
        self, asked: Asked, rows: Rows, source: Source, held: Held, window: Window | None = None
    ) -> tuple[Vectors, Values | None]:
        """Return similarity and relevance of these rows (n,), the same whatever rows they come with; no relevance where
        it is not known of the model. What is known of a `window` is not gathered again.
        """
        evidence = window.of(rows) if window else None
        if evidence is None:
            evidence = self.evidence(asked, rows, source, [None], held, late=True)
        known = None if self.relevance is None else self.relevance.probability(evidence)
        return evidence.similarity.astype(np.float32), known

    def judge_strangers(
        self, asked: Asked, vectors: Vectors, languages: list[str], tokens: Sequence[Tokens] | None, source: Source
    ) -> tuple[Vectors, Values | None]:
        """Return what `judge` does of passages that are not in the library: neutral vectors (n, dim) and token vectors.

        Of words and sounds in common they are taken to have what is usual.
        """
        usual = self.usual(asked, source)
        strangers = Written.of(np.full(len(vectors), -1, np.int64), languages)
        near = exact(vectors, asked.vector)
        compared = late = beyond = np.full(len(vectors), np.nan)
        if tokens is not None and asked.tokens is not None:
            met = _compared(asked.tokens, nearest(asked.tokens.vectors, tokens))
            compared, late, beyond = _standing(met, usual, near, strangers)
        evidence = Evidence(
            near.astype(np.float64),
            compared,
            usual.meaning.standing(near, strangers),
            late,
            beyond,
            np.zeros(len(vectors)),
            np.zeros(len(vectors)),
            asked.speaks(strangers),
        )
        return near, None if self.relevance is None else self.relevance.probability(evidence)

    def closest(self, row: int, places: Sequence[Place], source: Source) -> list[Place]:
        """Return places, nearest first, with the first `WINDOW` in the order of how well the tokens of the passage in
        `row` find themselves there; a passage without tokens stays where it is.
        """
        if self._tokens is None:
            return list(places)
        rows = np.array([row, *(place.row for place in places[:WINDOW])], np.int64)
        own, *others = self.tokens(rows, source.catalogue, Held())
        compared = maxsim(self._tokens.restore(own), others)
        known = np.flatnonzero(~np.isnan(compared))
        order = np.arange(len(places))
        order[known] = known[np.argsort(-compared[known], kind="stable")]
        return [places[number] for number in order.tolist()]

    def lexical(self, asked: Asked, source: Source, allowed: Allowed | None, k: int, held: Held) -> Rows:
        """Return the rows that share most words and sounds with a question, best first, at most `k`."""
        rows = np.unique(np.concatenate([self._matching_rows(asked, name, source, allowed) for name in FIELDS]))
        scores = self.fusion.lexical(self.evidence(asked, rows, source, [allowed], held, late=False))
        return rows[_best(scores, rows, k)]

    def evidence(
        self, asked: Asked, rows: Rows, source: Source, alloweds: Sequence[Allowed | None], held: Held, *, late: bool
    ) -> Evidence:
        """Return what speaks for these rows, each allowed by a filter; without `late`, MaxSim is left open."""
        passages = Written.of(rows, source.catalogue.languages(rows))
        found = self._first(asked, passages, source, alloweds)
        return self._with_tokens(found, asked, passages, source, held) if late else found

    def _first(self, asked: Asked, passages: Written, source: Source, alloweds: Sequence[Allowed | None]) -> Evidence:
        """Return what speaks for these passages, but for their tokens."""
        rows = passages.rows
        near = similarity(asked, rows, source)
        shared = [self._shared(asked, name, rows, source, alloweds) for name in FIELDS]
        standing = self.usual(asked, source).first.standing(np.stack([near, *shared]), passages)
        sounds, words = bounded(standing[1:])
        nothing = np.full(len(rows), np.nan)
        return Evidence(
            near.astype(np.float64),
            nothing,
            standing[0],
            nothing,
            nothing,
            sounds,
            words,
            asked.speaks(passages),
        )

    def _with_tokens(self, evidence: Evidence, asked: Asked, passages: Written, source: Source, held: Held) -> Evidence:
        """Return the evidence with what the tokens of these passages say besides, where there are any."""
        if self._tokens is None or asked.tokens is None:
            return evidence
        kept = self.tokens(passages.rows, source.catalogue, held)
        met = _compared(asked.tokens, nearest(asked.tokens.vectors, kept))
        near = evidence.similarity.astype(np.float32)
        compared, late, beyond = _standing(met, self.usual(asked, source), near, passages)
        return replace(evidence, maxsim=compared, late=late, beyond=beyond)

    def usual(self, asked: Asked, source: Source) -> Background:
        """Return what is usual for a question."""
        return self._usual.get((asked.key, source.change), lambda: self._measured(asked, source))

    def sample(self, source: Source) -> Sample:
        """Return passages of the library by chance."""
        return self._sampling.sample(source.change, source.some_rows, source.catalogue.languages)

    def _stack(self, sample: Sample, source: Source) -> tuple[Rows, Written, Stack]:
        """Return the places of the sampled passages whose tokens are compared, those that have any, and these."""
        places = sample.few(COMPARED, COMPARED_ALL)
        tokens = self.tokens(sample.rows[places], source.catalogue, source.catalogue.held(sampled=True))
        places = places[[len(own) > 0 for own in tokens]]
        compared = Written.of(sample.rows[places], sample.languages[places].tolist())
        return places, compared, Stack([own for own in tokens if len(own)])

    def _late(
        self, asked: Asked, tokens: QuestionTokens, source: Source, submit: "Submit[Vectors]"
    ) -> "tuple[Rows, Written, Future[Vectors]]":
        """Return the places of sampled passages, these, and what will tell how the question is found in their tokens
        (2, n).
        """
        places, written, stack = self._stacked.get(source.change, lambda: self._stack(self.sample(source), source))

        def compared() -> Vectors:
            return _compared(tokens, stack.nearest(tokens.vectors))

        return places, written, self._sampled_late.get((asked.key, source.change), lambda: submit(compared))

    def _near_to(self, source: Source) -> tuple[Written, Vectors]:
        """Return the sampled passages and their vectors."""
        sample = self.sample(source)
        return Written.of(sample.rows, sample.languages.tolist()), source.index.vectors(sample.rows)

    def _measured(self, asked: Asked, source: Source) -> Background:
        sample, vectors = self._near.get(source.change, lambda: self._near_to(source))
        near = vectors @ asked.vector
        shared = [self._matches(asked, name, source, None).score_sampled(sample) for name in FIELDS]
        known = np.array([self._neutral.usual(asked.vector, near), USUAL_LEXICAL, USUAL_LEXICAL])
        first = Usual.of(np.stack([near, *shared]), sample, known[:, :1], known[:, 1:])
        meaning = first.kind(0)
        met, places, compared = np.zeros((2, 0), np.float32), np.zeros(0, np.int64), sample.at(np.zeros(0, np.int64))
        if self._tokens is not None and asked.tokens is not None:
            places, compared, late = self._late(asked, asked.tokens, source, _at_once)
            met = late.result()
        alike, few = (Usual.of(each, compared, *USUAL_LATE) for each in met)
        return Background(first, meaning, alike, Followed.of(few, met[1], near[places], compared, meaning))

    def tokens(self, rows: Rows, catalogue: Catalogue, held: Held) -> list[Tokens]:
        """Return the tokens of each row as they are kept; of a row that has none, none."""
        assert self._tokens is not None
        found = held.of(rows)
        unknown = [row for row in rows.tolist() if row not in found]
        kept = catalogue.tokens(unknown) if unknown else {}
        for row in unknown:
            code = kept.get(row, b"")
            if not self._tokens.sound(code):
                raise DamagedLibrary(damage(f"The token vectors of row {row} are not what was written"))
            found[row] = self._tokens.read(code)
        held.keep({row: found[row] for row in unknown})
        return [found[row] for row in rows.tolist()]

    def _shared(
        self, asked: Asked, name: Field, rows: Rows, source: Source, alloweds: Sequence[Allowed | None]
    ) -> Vectors:
        """Return BM25 of these rows as a share of its ceiling: 0 of those that are not among the best."""
        if len(source.lexicon) <= WHOLE:
            return self._matches(asked, name, source, None).score(rows)
        every = (None, *(allowed for allowed in alloweds if allowed is not None))
        scores = [self._matches(asked, name, source, allowed).score(rows) for allowed in every]
        best: Vectors = np.stack(scores).max(axis=0)
        return best

    def _matches(self, asked: Asked, name: Field, source: Source, allowed: Allowed | None) -> Matches:
        """Return rows that share terms with a question; of a large library, the best of those that are allowed."""
        lexicon, text = source.lexicon, asked.text
        if not text:
            return Matches.of(np.zeros(0, np.int64), np.zeros(0, np.float32))
        if allowed is not None and len(lexicon) > WHOLE:
            return _scored(text, name, lexicon, DEEP, allowed)
        return self._searched(text, name, source, _at_once).result()

    def _searched(self, text: str, name: Field, source: Source, submit: "Submit[Matches]") -> "Future[Matches]":
        """Return what will tell all rows that share terms with a question."""
        lexicon = source.lexicon
        k = WHOLE if len(lexicon) <= WHOLE else DEEP
        return self._matching.get((text, name, source.change), lambda: submit(_scored, text, name, lexicon, k, None))

    def _matching_rows(self, asked: Asked, name: Field, source: Source, allowed: Allowed | None) -> Rows:
        """Return the allowed rows that share terms with a question, best first."""
        rows = self._matches(asked, name, source, allowed).rows
        return rows if allowed is None else rows[among(rows, allowed)]


def _compared(tokens: QuestionTokens, best: Vectors) -> Vectors:
    """Return MaxSim by the best cosines (n, t) of a question's tokens, with all of them alike and by weight: (2, n)."""
    return np.stack([together(best), together(best, tokens.weights)])


def _standing(met: Vectors, usual: Background, near: Vectors, passages: Written) -> tuple[Values, Values, Values]:
    """Return the evidence `maxsim`, `late` and `beyond` of passages (n,) by their MaxSim (2, n).

    By weight they are ranked; whether they answer is told better where all tokens count alike
    (benchmarks/results.md).
    """
    alike, late = met
    standing = usual.late.standing(late, near, passages)
    return alike.astype(np.float64), standing, usual.maxsim.beyond(alike, passages.rows)


def bounded(standing: Values) -> Values:
    """Return how far something stands out, within `BOUND`: nobody seeks a passage that repeats the question."""
    held: Values = BOUND * np.tanh(standing / BOUND)
    return held


# Has work done, and returns what will tell what it returns.
Submit: TypeAlias = Callable[..., Future[Value]]


def _at_once(work: Callable[..., Value], *given: object) -> "Future[Value]":
    """Do the work here, and return what tells what it returned; raises what it raises."""
    done: Future[Value] = Future()
    done.set_result(work(*given))
    return done


def _failed(value: object) -> bool:
    """Tell whether a value is one that was to be told by another thread, and was not."""
    return isinstance(value, Future) and value.done() and value.exception() is not None


class Remembered(Generic[Value]):
    """The last so many values that were made, by key."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[object, Value] = OrderedDict()

    def get(self, key: object, make: Callable[[], Value]) -> Value:
        """Return the value of a key, made where it is not remembered."""
        with self._lock:
            if key in self._values and not _failed(self._values[key]):
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        return value


def similarity(asked: Asked, rows: Rows, source: Source) -> Vectors:
    """Return the similarity of these rows to a question (n,), the same whatever rows they come with."""
    return exact(source.index.vectors(rows), asked.vector)


def _scored(text: str, name: Field, lexicon: Lexicon, k: int, allowed: Allowed | None) -> Matches:
    terms = list(sounds.terms(text)) if name == "sounds" else [word.term for word in words(text)]
    rows, scores = lexicon.candidates(name, terms, k, allowed)
    ceiling = lexicon.ceiling(name, terms)
    return Matches.of(rows, (scores / ceiling if ceiling > 0 else scores).astype(np.float32))


def _best(scores: Values, rows: Rows, k: int) -> Rows:
    """Return the places of the `k` best scores, best first, ties by row."""
    return np.lexsort((rows, -scores))[:k]
