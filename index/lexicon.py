"""What is searched for words and sounds: the passages as they are at one moment, in a tantivy index of ours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import regex
from numpy.typing import NDArray

from index.changes import Rows
from index.scope import Allowed, among
from index.sounds import terms_of
from index.words import LONGEST, tokens, words, words_of, written

if TYPE_CHECKING:
    import tantivy

Field = Literal["sounds", "words"]
Scores = NDArray[np.float32]

# tantivy's constants (src/query/bm25.rs): how soon a term that is repeated counts for no more, and how much the length
# of a passage counts.
K1, B = 1.2, 0.75

# Up to this many rows, what is allowed is part of the query; beyond, what is found is held against it. Looking up a
# row takes about a microsecond, and reading a hit out about half of one.
FEW = 2_000

# tantivy has no answer longer than what it may allocate for.
MOST = 1 << 30


@cache
def schema() -> tantivy.Schema:
    """Return the fields of the index: terms come joined by spaces, so that tantivy cuts as we do."""
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("row", indexed=True, fast=True)
    builder.add_text_field("sounds", tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field("words", tokenizer_name="whitespace", index_option="position")
    return builder.build()


def document(row: int, text: str) -> tantivy.Document:
    """Return a passage as it is indexed."""
    import tantivy

    return tantivy.Document.from_dict({"row": row, **said(text)}, schema())


def said(text: str) -> dict[Field, str]:
    """Return the terms of a passage, by field, each time that they are in it, in order, joined by spaces."""
    pieces = [_terms(piece) if len(piece) <= LONGEST else _terms.__wrapped__(piece) for piece in written(text)]
    sounds, words = (" ".join(filter(None, terms)) for terms in zip(*pieces, strict=True)) if pieces else ("", "")
    return {"sounds": sounds, "words": words}


@lru_cache(maxsize=1 << 16)  # most words of a passage have been in one before
def _terms(piece: str) -> tuple[str, str]:
    """Return the sounds and the words of what `written` gave."""
    pieces = list(tokens(piece))
    return " ".join(terms_of(pieces)), " ".join([term for _, _, term in words_of(piece, pieces)])


class Lexicon(Protocol):
    """What ranking asks of the words and sounds of all passages. Many threads may ask at once."""

    def __len__(self) -> int:
        """Return how many passages there are."""
        ...

    def candidates(
        self, field: Field, terms: Sequence[str], k: int, allowed: Allowed | None = None
    ) -> tuple[Rows, Scores]:
        """Return the best `k` rows by BM25 (fewer where fewer match) and their scores, best first.

        `allowed` limits the rows.
        """
        ...

    def ceiling(self, field: Field, terms: Sequence[str]) -> float:
        """Return what BM25 comes to at most."""
        ...


class TantivyLexicon:
    """The passages as they were at one change. Nothing changes it, so many threads may search it at once."""

    def __init__(self, searcher: tantivy.Searcher) -> None:
        self._searcher = searcher

    def __len__(self) -> int:
        return self._searcher.num_docs

    def candidates(
        self, field: Field, terms: Sequence[str], k: int, allowed: Allowed | None = None
    ) -> tuple[Rows, Scores]:
        """Return the best `k` rows by BM25 (fewer where fewer match) and their scores, best first, ties by row.

        `allowed` limits the rows.
        """
        size = len(self) if allowed is None else len(allowed)
        query = _any(field, terms)
        if query is None or k < 1 or not size:
            return _nothing()
        # Room for those that tie with the last one, of which the first rows are due: where it is too little all is
        # searched once more, as it was for every fifth question with room for 8 of 1,000 (benchmarks/results.md).
        limit = k + k // 10 + 8
        if isinstance(allowed, np.ndarray) and len(allowed) <= FEW:
            query, allowed = _limited(query, allowed), None
        elif allowed is not None:
            limit = math.ceil(limit * 1.2 * len(self) / size)
        while True:
            rows, scores = self._found(query, limit)
            whole = len(rows) < limit
            edge = scores[-1] if len(scores) else 0
            if allowed is not None:
                kept = among(rows, allowed)
                rows, scores = rows[kept], scores[kept]
            if whole or (len(rows) >= k and scores[k - 1] > edge):
                order = _ordered(rows, scores)[:k]
                return rows[order], scores[order]
            limit = min(4 * limit, MOST)

    def scores(self, field: Field, terms: Sequence[str], rows: Rows) -> Scores:
        """Return the BM25 of these rows, 0 where no term is in them or the row is not there; shape (n,)."""
        given = np.zeros(len(rows), np.float32)
        query = _any(field, terms)
        if query is None or not len(rows):
            return given
        found, scores = self._found(_limited(query, rows), len(rows))
        if len(found):
            order = np.argsort(found)
            found, scores = found[order], scores[order]
            places = np.minimum(np.searchsorted(found, rows), len(found) - 1)
            here = found[places] == rows
            given[here] = scores[places[here]]
        return given

    def ceiling(self, field: Field, terms: Sequence[str]) -> float:
        """Return what BM25 comes to at most: that of a passage which says every term without end, and nothing else.

        The sum over the terms of (k1 + 1) ln(1 + (N - n + 0.5) / (n + 0.5)), with n of N passages that have the
        term (tantivy, src/query/bm25.rs, after Lucene's BM25Similarity). A term that no passage has counts too,
        and most: where the rare words of a query occur nowhere, no score comes near the ceiling.
        """
        count = len(self)
        total = 0.0
        for term in dict.fromkeys(terms):
            having = self._searcher.doc_freq(field, term)
            total += weight(count, having)
        return (K1 + 1) * total

    def phrase(self, text: str) -> Rows:
        """Return the rows in which the words of `text` follow each other, ascending; none where it has no words."""
        import tantivy

        terms = [word.term for word in words(text)]
        if len(terms) < 2:
            return self.containing(text)
        return self._all(tantivy.Query.phrase_query(schema(), "words", list(terms)))

    def containing(self, text: str) -> Rows:
        """Return the rows that have all words of `text`, ascending; none where it has no words."""
        import tantivy

        queries = [_having(term, alone) for term, alone in wanted(text)]
        if not queries:
            return _nothing()[0]
        return self._all(tantivy.Query.boolean_query([(tantivy.Occur.Must, query) for query in queries]))

    def rows(self) -> Rows:
        """Return all rows, ascending."""
        import tantivy

        return self._all(tantivy.Query.all_query())

    def _all(self, query: tantivy.Query) -> Rows:
        import tantivy

        return np.sort(self._found(tantivy.Query.const_score_query(query, 1.0), max(1, len(self)))[0])

    def _found(self, query: tantivy.Query, limit: int) -> tuple[Rows, Scores]:
        hits: list[tuple[Any, tantivy.DocAddress]] = self._searcher.search(query, limit, count=False).hits
        rows = self._searcher.fast_field_values("row", [address for _, address in hits])
        return np.array(rows, np.int64), np.array([score for score, _ in hits], np.float32)


def _ordered(rows: Rows, scores: Scores) -> NDArray[np.int64]:
    """Return the places of rows whose scores fall, with those of equal scores by row."""
    # One key for both is sorted several times as fast as two.
    falls = np.cumsum(np.diff(scores, prepend=scores[:1]) != 0)
    return np.argsort(falls * (rows.max(initial=0) + 1) + rows)


def weight(passages: int, having: int) -> float:
    """Return the weight of a term in BM25 that so many of all passages have."""
    return math.log(1 + (max(passages, having) - having + 0.5) / (having + 0.5))


def _any(field: Field, terms: Iterable[str]) -> tantivy.Query | None:
    """Return the query for passages with any of the terms; None where there are none."""
    import tantivy

    option = "freq" if field == "sounds" else "position"
    queries = [tantivy.Query.term_query(schema(), field, term, option) for term in dict.fromkeys(terms)]
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in queries]) if queries else None


def _limited(query: tantivy.Query, rows: Rows) -> tantivy.Query:
    """Return the query for those of `rows` that meet `query`, with the same scores."""
    import tantivy

    among = tantivy.Query.term_set_query(schema(), "row", rows.tolist())
    must = tantivy.Occur.Must
    return tantivy.Query.boolean_query([(must, query), (must, tantivy.Query.const_score_query(among, 0.0))])


def wanted(text: str) -> list[tuple[str, bool]]:
    """Return the terms of a text, and of each whether it is one character of a run, of which pairs are indexed."""
    runs = {(token.start, token.end) for token in tokens(text) if token.kind == "run"}
    return [
        (word.term, (word.start, word.end) in runs and regex.fullmatch(r"\X", text[word.start : word.end]) is not None)
        for word in words(text)
    ]


def _having(term: str, alone: bool) -> tantivy.Query:
    import tantivy

    if alone:
        return tantivy.Query.regex_query(schema(), "words", f".*{term}.*")
    return tantivy.Query.term_query(schema(), "words", term, "position")


def _nothing() -> tuple[Rows, Scores]:
    return np.empty(0, np.int64), np.empty(0, np.float32)
