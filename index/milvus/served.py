"""The words and sounds of a library in Milvus, where the server ranks by them itself: BM25 over two of its fields.

Milvus gives each passage that has a term of the question its BM25 from 2.5 on: over all that it holds, also over what
is hidden, or removed and not yet cleared away, so frequencies lag a little behind what is committed. What is found is
of the moment that is asked for, by the same conditions as for vectors.

Terms go there as words of eight letters and digits that stand for them (`coded`), so that whatever cuts a text into
words there cuts ours as we do, and leaves their case and accents alone.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import get_args

import numpy as np
import regex

from index import lexicon, sounds, words
from index.lexicon import K1, B, Field, Scores, wanted, weight
from index.milvus.catalogue import TOLD, Conditions, MilvusIndex, Newer, told
from index.milvus.expressions import both, quoted
from index.milvus.ledger import Committed
from index.milvus.server import MOST, Server
from index.scope import Allowed, Rows
from index.words import tokens

# What the terms are that a library is made with, and how they are written: one with others is not searched by them.
TERMS = f"1, words {words.VERSION}, sounds {sounds.VERSION}"

# Terms of one passage that a field has room for, and passages whose lengths tell the mean.
ROOM, SAMPLED = 7_000, 1_000

# How much the size of a library may change until the mean length is measured again.
GROWN = 0.1

# What was written within so many microseconds before the last write is read for a phrase, not looked up: what is new
# Milvus takes into its index of words at intervals (segcore, `TextMatchIndex::MatchQuery`).
LATELY = 600_000_000

_CLUSTERS = regex.compile(r"\X")


def said(text: str) -> dict[str, str]:
    """Return a passage as fields of Milvus: its sounds and its words in order, with a space around each word, and each
    character of its scripts without spaces.
    """
    terms = lexicon.said(text)
    runs = (_CLUSTERS.findall(piece.term) for piece in tokens(text) if piece.kind == "run")
    return {
        "sounds": coded(terms["sounds"].split()),
        "words": f" {coded(terms['words'].split())} ",
        "characters": " ".join(dict.fromkeys(each for run in runs for each in run))[:ROOM],
    }


def coded(terms: Iterable[str]) -> str:
    """Return terms as Milvus gets them, joined by spaces: the first `ROOM`."""
    return " ".join([_code(term) for term in terms][:ROOM])


@lru_cache(maxsize=1 << 16)
def _code(term: str) -> str:
    return base64.b32encode(blake2b(term.encode(), digest_size=5).digest()).decode().lower()


@dataclass(slots=True)
class Lengths:
    """How large the library was when it was last measured, and the mean number of terms of a passage then, by field."""

    measured: tuple[int, dict[Field, float]] = (0, {})


@dataclass(frozen=True, slots=True)
class ServedLexicon:
    """The words and sounds of what is committed at a moment: an `index.lexicon.Lexicon`."""

    server: Server
    index: MilvusIndex
    lengths: Lengths

    @property
    def now(self) -> Committed:
        """Return the moment."""
        return self.index.now

    def __len__(self) -> int:
        return len(self.index)

    def candidates(
        self, field: Field, terms: Sequence[str], k: int, allowed: Allowed | None = None
    ) -> tuple[Rows, Scores]:
        """Return the best `k` rows by BM25, fewer where fewer match or beyond Milvus' own limit, and their scores, best
        first, ties by row; which of those that tie with the last one are among them is left to Milvus.

        `allowed` limits the rows. Raises Newer where something was written in between.
        """
        where = self.now.expression
        if isinstance(allowed, Conditions):
            where = allowed.where
        elif isinstance(allowed, np.ndarray):
            where = both(where, told(allowed))
        asked = coded(dict.fromkeys(terms))
        if not asked or k < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        (hits,) = self.server.ranked(field, [asked], min(k, MOST), where, ["version"])
        if any(hit.record["version"] > self.now.number for hit in hits):
            raise Newer("A passage")
        # Where passages without words are about, Milvus has told of some that share none (milvus-io/milvus#36815).
        hits = [hit for hit in hits if hit.score > 0]
        rows = np.array([hit.key for hit in hits], np.int64)
        scores = np.array([hit.score for hit in hits], np.float32)
        order = np.lexsort((rows, -scores))
        return rows[order], scores[order]

    def ceiling(self, field: Field, terms: Sequence[str]) -> float:
        """Return what BM25 comes to at most, as `index.lexicon.TantivyLexicon.ceiling`.

        Milvus does not tell in how many passages a term is. But the score of one term in one passage is its weight
        times a factor of how often the passage says it and how long it is: so each term is asked for alone, and the
        weight is worked out of its best passage.
        """
        codes = [_code(term) for term in dict.fromkeys(terms)]
        if not codes:
            return 0.0
        mean, total = self._mean(field), 0.0
        for code, hits in zip(codes, self.server.ranked(field, codes, 1, "", [field]), strict=True):
            terms_there = hits[0].record[field].split() if hits else []
            often = terms_there.count(code)
            if not often:
                total += weight(len(self), 0)
                continue
            total += hits[0].score * (often + K1 * (1 - B + B * len(terms_there) / mean)) / (often * (K1 + 1))
        return (K1 + 1) * total

    def phrase(self, text: str) -> Rows:
        """Return the rows in which the words of `text` follow each other, ascending, the first `TOLD` and one more."""
        found = self.server.query("passages", both(self.now.exact, self.expression(text)), [], TOLD + 1)
        return np.array([each["row"] for each in found], np.int64)

    def expression(self, text: str) -> str:
        """Return the expression of the passages in which the words of `text` follow each other; of none where it has no
        words.
        """
        terms = wanted(text)
        if not terms:
            return told(np.empty(0, np.int64))
        if len(terms) == 1 and terms[0][1]:
            return f"characters like {quoted(f'%{terms[0][0]}%')}"
        codes = [_code(term) for term, _ in terms]
        having = both(*(f"TEXT_MATCH(words, {quoted(code)})" for code in dict.fromkeys(codes)))
        # Milvus looks up which passages have all words, but of what was just written it does so a moment later.
        lately = f"version > {self.now.number - LATELY}"
        return both(f"({having}) or {lately}", f"words like {quoted('% ' + ' '.join(codes) + ' %')}")

    def _mean(self, field: Field) -> float:
        """Return the mean number of terms of a passage."""
        size, means = self.lengths.measured
        if not means or abs(len(self) - size) > GROWN * size:
            size = len(self)
            share = min(1.0, 1.3 * SAMPLED / max(size, 1))
            where = f"lot <= {int(share * (2**63 - 1))}" if share < 1 else ""
            sample = self.server.query("passages", both(self.now.exact, where), ["sounds", "words"])
            means = {
                name: max(1.0, sum(len(each[name].split()) for each in sample) / max(1, len(sample)))
                for name in get_args(Field)
            }
            self.lengths.measured = size, means
        return means[field]


@dataclass(frozen=True, slots=True)
class Served:
    """The lexicons of a library, one for each moment."""

    server: Server
    lengths: Lengths = field(default_factory=Lengths)

    def at(self, index: MilvusIndex) -> ServedLexicon:
        """Return the words and sounds of the moment of an index."""
        return ServedLexicon(self.server, index, self.lengths)

    def close(self) -> None:
        """Give up nothing: all is in Milvus."""
