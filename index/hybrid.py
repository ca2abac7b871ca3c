"""The ranking that a reader meets first: by meaning, words, sounds and tokens together.

The passages nearest in meaning, and those that share most words and sounds with the question, come into a window; all
evidence there is decides their order. Behind the window it goes on by meaning alone.
"""

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from index import sounds, tables
from index.changes import Change
from index.dense import DenseIndex
from index.errors import DamagedLibrary
from index.fusion import Evidence, Fusion
from index.lexicon import Field, Lexicon
from index.neutral import Neutral
from index.store import damage
from index.tokens import TokenSpace, maxsim
from index.words import words

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

# Passages that all evidence orders. On flores 50 do as well as all; more take longer for nothing.
WINDOW = 50

# Passages that come into consideration for the words, and for the sounds, that they share with the question.
LEXICAL = 25

# Up to this many passages, what a question's terms score is looked up once for all filters; a larger library is asked
# for its best under each.
WHOLE, DEEP = 10_000, 1_000

FIELDS: tuple[Field, Field] = ("sounds", "words")

# Questions whose lexical scores are remembered: paging and evaluation ask the same again.
REMEMBERED = 2048

# Bytes of token vectors that are held while many questions are ranked.
HELD = 300_000_000


@dataclass(frozen=True, slots=True)
class Source:
    """Where evidence comes from, all of it at one change of the library."""

    connection: sqlite3.Connection
    index: DenseIndex
    lexicon: Lexicon
    change: Change


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is ranked: its neutral vector (dim,), language probabilities, text, and neutral token vectors
    (t, width), None where there are none.
    """

    vector: Vectors
    language: Mapping[str, float]
    text: str
    tokens: Vectors | None


@dataclass(slots=True)
class Held:
    """What is read of passages, kept while several questions are ranked: languages and token vectors by row."""

    languages: dict[int, str] = field(default_factory=dict)
    tokens: dict[int, Vectors | None] = field(default_factory=dict)
    size: int = 0


class Hybrid:
    """Gathers evidence and orders by it. Safe to use from many threads."""

    def __init__(self, neutral: Neutral, tokens: TokenSpace | None, fusion: Fusion) -> None:
        self._neutral = neutral
        self._tokens = tokens
        self._fusion = fusion
        told = f"{neutral.identity} {tokens.identity if tokens else ''}".encode() + fusion.array().tobytes()
        self.identity = sha256(told).hexdigest()[:16]
        self._lock = threading.Lock()
        self._lexical: OrderedDict[tuple[str, Field, Change], tuple[Rows, Vectors]] = OrderedDict()

    def window(
        self,
        asked: Asked,
        nearest: Rows,
        source: Source,
        allowed: Rows | None = None,
        held: Held | None = None,
    ) -> tuple[Rows, NDArray[np.float64]]:
        """Return the rows of the window in their order and their log odds of answering, (n,) each.

        `nearest` are the allowed rows nearest in meaning, at least `WINDOW` of them if there are so many.
        """
        found = [self._matches(asked.text, name, source, allowed) for name in FIELDS]
        rows = np.union1d(nearest[:WINDOW], np.concatenate([rows[:LEXICAL] for rows, _ in found])).astype(np.int64)
        if not len(rows):
            return rows, np.zeros(0)
        held = held or Held()
        evidence = self.evidence(asked, rows, source, allowed, None, held)
        if len(rows) > WINDOW:
            logits = self._fusion.logit(evidence)
            kept = np.sort(np.lexsort((rows, -logits))[:WINDOW])
            rows = rows[kept]
        evidence = self.evidence(asked, rows, source, allowed, self._late(asked, rows, source.connection, held), held)
        logits = self._fusion.logit(evidence)
        order = np.lexsort((rows, -logits))
        return rows[order], logits[order]

    def judge(self, asked: Asked, rows: Rows, source: Source) -> tuple[Vectors, NDArray[np.float64]]:
        """Return similarity and log odds of answering of these rows (n,), the same whatever rows they come with."""
        evidence = self.weighed(asked, rows, source)
        return evidence.similarity, self._fusion.logit(evidence)

    def weighed(self, asked: Asked, rows: Rows, source: Source) -> Evidence:
        """Return all that speaks for these rows."""
        held = Held()
        return self.evidence(asked, rows, source, None, self._late(asked, rows, source.connection, held), held)

    def lexical(self, asked: Asked, source: Source, allowed: Rows | None, k: int) -> tuple[Rows, NDArray[np.float64]]:
        """Return the rows that share most words and sounds with a question, at most `k`, and what they score."""
        rows = np.unique(np.concatenate([self._matches(asked.text, name, source, allowed)[0] for name in FIELDS]))
        scores = self._fusion.lexical(self.evidence(asked, rows, source, allowed, None, Held()))
        order = np.lexsort((rows, -scores))[:k]
        return rows[order], scores[order]

    def evidence(
        self,
        asked: Asked,
        rows: Rows,
        source: Source,
        allowed: Rows | None,
        late: Vectors | None,
        held: Held,
    ) -> Evidence:
        """Return what speaks for these rows; `late` is NaN where it is not told."""
        # einsum sums each row by itself, whatever rows come with it; a matrix product would not.
        products = np.einsum("nd,d->n", source.index.vectors(rows).astype(np.float64), asked.vector.astype(np.float64))
        similarity = products.astype(np.float32)
        shared = {name: _looked_up(rows, *self._matches(asked.text, name, source, allowed)) for name in FIELDS}
        unknown = [row for row in rows.tolist() if row not in held.languages]
        if unknown:
            held.languages.update(tables.languages_of(source.connection, unknown))
        same = [asked.language.get(held.languages.get(row, ""), 0.0) for row in rows.tolist()]
        return Evidence(
            similarity,
            self._neutral.standing(similarity[None], asked.vector[None])[0],
            np.full(len(rows), np.nan, np.float32) if late is None else late,
            shared["sounds"],
            shared["words"],
            np.array(same, np.float32),
        )

    def _late(self, asked: Asked, rows: Rows, connection: sqlite3.Connection, held: Held) -> Vectors | None:
        """Return the MaxSim of each row; None where there are no tokens to compare."""
        if self._tokens is None or asked.tokens is None:
            return None
        return maxsim(asked.tokens, self.tokens(rows, connection, held))

    def tokens(self, rows: Rows, connection: sqlite3.Connection, held: Held) -> list[Vectors]:
        """Return the token vectors (t, width) of each row; of a row that has none, none."""
        assert self._tokens is not None
        if held.size > HELD:
            held.tokens, held.size = {}, 0
        unknown = [row for row in rows.tolist() if row not in held.tokens]
        if unknown:
            kept = tables.tokens_of(connection, unknown)
            for row in unknown:
                code = kept.get(row)
                if code is not None and not self._tokens.sound(code):
                    raise DamagedLibrary(damage(f"The token vectors of row {row} are not what was written"))
                held.tokens[row] = None if code is None else self._tokens.restore(code)
                held.size += 0 if code is None else 8 * len(code)
        nothing = np.zeros((0, self._tokens.width), np.float32)
        return [nothing if (each := held.tokens[row]) is None else each for row in rows.tolist()]

    def _matches(self, text: str, name: Field, source: Source, allowed: Rows | None) -> tuple[Rows, Vectors]:
        """Return rows and scores (BM25 as a share of its ceiling), best first, of those that a text's terms match."""
        if not text:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        lexicon = source.lexicon
        if allowed is not None and len(lexicon) > WHOLE:
            return self._scored(text, name, lexicon, DEEP, allowed)
        key = (text, name, source.change)
        with self._lock:
            found = self._lexical.get(key)
        if found is None:
            found = self._scored(text, name, lexicon, WHOLE if len(lexicon) <= WHOLE else DEEP, None)
            with self._lock:
                self._lexical[key] = found
                while len(self._lexical) > 2 * REMEMBERED:
                    self._lexical.popitem(last=False)
        if allowed is None:
            return found
        rows, scores = found
        here = _among(rows, allowed)
        return rows[here], scores[here]

    def _scored(self, text: str, name: Field, lexicon: Lexicon, k: int, allowed: Rows | None) -> tuple[Rows, Vectors]:
        terms = list(sounds.terms(text)) if name == "sounds" else [word.term for word in words(text)]
        rows, scores = lexicon.candidates(name, terms, k, allowed)
        ceiling = lexicon.ceiling(name, terms)
        return rows, (scores / ceiling if ceiling > 0 else scores).astype(np.float32)


def _looked_up(rows: Rows, found: Rows, scores: Vectors) -> Vectors:
    """Return the score of each of `rows`, 0 where it was not found."""
    given = np.zeros(len(rows), np.float32)
    if len(found):
        order = np.argsort(found)
        places = order[np.minimum(np.searchsorted(found, rows, sorter=order), len(found) - 1)]
        here = found[places] == rows
        given[here] = scores[places[here]]
    return given


def _among(rows: Rows, allowed: Rows) -> NDArray[np.bool_]:
    if not len(allowed):
        return np.zeros(len(rows), np.bool_)
    places = np.minimum(np.searchsorted(allowed, rows), len(allowed) - 1)
    return np.asarray(allowed[places] == rows)
