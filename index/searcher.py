"""Searching a library, wherever it is kept: from a question to rows, pages and groups, all of it at one change."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from index import grouping, warmth
from index.catalogue import Catalogue
from index.changes import Rows
from index.cursor import Cursor, fingerprint
from index.dense import Place, best
from index.errors import NotCalibrated, PassageNotFound
from index.filters import Filter
from index.fusion import Evidence
from index.grouping import Found
from index.guard import Guard
from index.held import Held
from index.hybrid import NEAREST, WINDOW, Asked, Hybrid, Source, Window
from index.neutral import Neutral
from index.ranking import WINDOWED, Opening, Ranking
from index.records import Group, Hit, LibraryInfo, Mode
from index.scope import Allowed, among
from index.tables import Vectors
from index.tokens import QuestionTokens, Tokens, TokenSpace
from index.warmth import Sums

Answer = TypeVar("Answer")
Result = TypeVar("Result")
Given = ParamSpec("Given")


@dataclass(frozen=True, slots=True)
class Page:
    """Hits, best first, and the cursor that asks for those after them; None where there are no more.

    `best` is the relevance of the first passage of the whole ranking, the same on every page and whatever
    `min_relevance` leaves out; None where it is not known, and where nothing was searched. `tokens` are those of all
    hits' passages by row, where they were asked for and are kept.
    """

    hits: list[Hit]
    next_cursor: str | None
    best: float | None = None
    tokens: Mapping[int, Tokens] = field(default_factory=dict)


def in_one_space(
    method: Callable[Concatenate["Searcher", Given], Answer],
) -> Callable[Concatenate["Searcher", Given], Answer]:
    """Have a method see the same space from its beginning to its end, whenever the means move."""

    @wraps(method)
    def held(searcher: "Searcher", /, *given: Given.args, **named: Given.kwargs) -> Answer:
        with searcher.moving.shared():
            return method(searcher, *given, **named)

    return held


class Searcher(ABC):
    """What is stored, to be searched by what is known of the model. Safe to use from many threads."""

    # Whether a transaction is a journey, so that what is added together had better share one.
    distant = False

    def __init__(self, info: LibraryInfo, passages: Sums, queries: Sums) -> None:
        """Not for callers: libraries make one. `passages` and `queries` are what the means were taken from."""
        self.model, self.fingerprint, self.dim = info.model, info.fingerprint, info.dim
        self._known = Neutral.for_model(info.model).priors
        self._seen = passages, queries
        self._neutral = Neutral(self._known, warmth.means(self._known, passages, queries))
        # Held alone while the means, and all that follows from them, are exchanged for others.
        self.moving = Guard()
        known = TokenSpace.of(self._known)
        # None where no token vectors are kept, or only ones of another kind than this version compares.
        self.token_space = known if known and known.identity == info.tokens else None
        self.hybrid = Hybrid(self._neutral, self.token_space)

    @abstractmethod
    def _consistent(
        self,
        mode: Mode,
        where: Filter | None,
        ask: Callable[[Source, Allowed | None], Answer],
        read: Callable[[Catalogue, Answer], Result],
        phrases: Sequence[str] = (),
        without: Sequence[str] = (),
    ) -> Result:
        """Put a question to the indexes, and return what is then read of the answer, all of it at the same change.

        The question is put with what filter, phrases and exclusions let through, None for all.
        """

    @abstractmethod
    def _filtered(self, source: Source, wheres: Sequence[Filter | None]) -> list[Allowed | None]:
        """Return for each filter what it lets through; None for all."""

    @property
    def calibrated(self) -> bool:
        """Whether relevance is known in mode `hybrid`."""
        return self.hybrid.relevance is not None

    @in_one_space
    def rank(
        self,
        queries: Vectors,
        languages: Sequence[Mapping[str, float]],
        k: int,
        wheres: Sequence[Filter | None] = (None,),
        mode: Mode = "dense",
        texts: Sequence[str] | None = None,
        tokens: Sequence[QuestionTokens] | None = None,
    ) -> list[Rows]:
        """Return for each filter the rows (q, k) of the best passages for each query vector (q, dim), best first.

        `languages` holds for each query the probabilities of its languages. Where fewer than k match, row -1 fills
        up. Mode `raw` compares the encoder's own vectors. `texts`, and `tokens`, the raw token vectors, are what modes
        `hybrid` and `lexical` need besides.
        """
        vectors = self._queries(queries, languages, mode)
        ranked = [np.full((len(vectors), k), -1, np.int64) for _ in wheres]

        def ask(source: Source, _: Allowed | None) -> list[Rows]:
            held = source.catalogue.held()
            alloweds = self._filtered(source, wheres)
            depth = max(k, NEAREST) if mode == "hybrid" else k
            nearest = [source.index.search(vectors, depth, allowed)[1] for allowed in alloweds]
            if mode in ("dense", "raw"):
                return nearest
            for number in range(len(vectors)):
                asked = self._asked(vectors[number], languages[number], number, texts, tokens)
                if mode == "lexical":
                    orders = [self.hybrid.lexical(asked, source, allowed, k, held) for allowed in alloweds]
                else:
                    near = [rows[number][rows[number] >= 0] for rows in nearest]
                    windows = [each.rows for each in self.hybrid.windows(asked, near, alloweds, source, held)]
                    orders = [np.append(own, n[~np.isin(n, own)]) for own, n in zip(windows, near, strict=True)]
                for rows, order in zip(ranked, orders, strict=True):
                    rows[number, : min(k, len(order))] = order[:k]
            return ranked

        return self._consistent(mode, None, ask, itself)

    @in_one_space
    def first(
        self,
        queries: Vectors,
        languages: Sequence[Mapping[str, float]],
        wheres: Sequence[Filter | None] = (None,),
        mode: Mode = "dense",
        texts: Sequence[str] | None = None,
        tokens: Sequence[QuestionTokens] | None = None,
    ) -> tuple[Rows, Vectors]:
        """Return for each filter and query the row of the first hit, -1 where there is none, and how relevant it is,
        (filters, q) each: its relevance; in mode `raw`, and without calibration, its similarity. As `rank` otherwise.
        """
        vectors = self._queries(queries, languages, mode)
        shape = (len(wheres), len(vectors))
        first, relevance = np.full(shape, -1, np.int64), np.zeros(shape, np.float32)

        def ask(source: Source, _: Allowed | None) -> tuple[Rows, Vectors]:
            held = source.catalogue.held()
            alloweds = self._filtered(source, wheres)
            depth = NEAREST if mode == "hybrid" else 1
            nearest = [source.index.search(vectors, depth, allowed) for allowed in alloweds]
            for number in range(len(vectors)):
                asked = self._asked(vectors[number], languages[number], number, texts, tokens)
                if mode in WINDOWED:
                    if mode == "hybrid":
                        near = [rows[number][rows[number] >= 0] for _, rows in nearest]
                        windows = self.hybrid.windows(asked, near, alloweds, source, held)
                    else:
                        lexical = [self.hybrid.lexical(asked, source, allowed, 1, held) for allowed in alloweds]
                        windows = [Window(rows, None) for rows in lexical]
                    found = [(each.rows[:1], self._judged(asked, each, source, held)) for each in windows]
                else:
                    found = [
                        (rows[number][:1], self._relevance(scores[number][:1], asked.vector, mode))
                        for scores, rows in nearest
                    ]
                for place, (row, chance) in enumerate(found):
                    if len(row) and row[0] >= 0:
                        first[place, number], relevance[place, number] = row[0], chance[0]
            return first, relevance

        return self._consistent(mode, None, ask, itself)

    @in_one_space
    def offsets(self, query: Mapping[str, float], passage: str, mode: Mode) -> tuple[Vectors, Vectors]:
        """Return what is subtracted, (dim,) each, of the vectors of a query of these languages and of a passage in one,
        before `search` compares them in this mode.
        """
        if mode == "raw" or self._neutral.means is None:
            return np.zeros(self.dim, np.float32), np.zeros(self.dim, np.float32)
        return self._neutral.query_offsets([query])[0], self._neutral.passage_offsets([passage])[0]

    def _row(self, catalogue: Catalogue, passage_id: str) -> int:
        row = catalogue.row_of(passage_id)
        if row is None:
            raise absent(passage_id)
        return row

    def _ranking(self, asked: Asked, mode: Mode, source: Source, allowed: Allowed | None) -> Ranking:
        held = source.catalogue.held()
        return Ranking(asked, mode, source, allowed, self.hybrid, self._neutral, held)

    def _judged(self, asked: Asked, window: Window, source: Source, held: Held) -> NDArray[np.float64]:
        """Return the relevance of a window's first row, or where it is not known its similarity."""
        similarity, known = self.hybrid.judge(asked, window.rows[:1], source, held, window)
        return similarity.astype(np.float64) if known is None else known

    def _relevance(self, scores: Vectors, query: Vectors, mode: Mode) -> NDArray[np.float64]:
        if mode == "raw" or not self._neutral.calibrated:
            return scores.astype(np.float64)
        return self._neutral.relevance(scores, query)

    @in_one_space
    def search(
        self,
        query: Vectors,
        language: Mapping[str, float],
        *,
        limit: int = 10,
        where: Filter | None = None,
        mode: Mode = "dense",
        min_relevance: float | None = None,
        cursor: str | None = None,
        text: str = "",
        tokens: QuestionTokens | None = None,
        phrases: Sequence[str] = (),
        without: Sequence[str] = (),
        group: Group = "none",
        with_tokens: bool = False,
    ) -> Page:
        """Return the best passages for one query vector (dim,), at most `limit`, after `cursor` if one is
        given.

        `language` holds the probabilities of the query's languages. `text` and `tokens`, the raw token vectors
        (t, token_dim), are what mode `hybrid` needs besides, and mode `lexical` the text. Of `phrases` each must
        occur, and none of the words in `without`. With `group` a hit is the best passage of an article, or of a story,
        and `limit` counts those. The page has its passages' tokens if it is asked for `with_tokens`. Whatever is added
        between pages, no hit comes twice and none that was there is left out. Raises InvalidCursor, NotCalibrated,
        DamagedLibrary.
        """
        where = where or Filter()
        if min_relevance is not None and (mode == "raw" or not self._neutral.calibrated):
            raise NotCalibrated(
                f"Relevance is not known in mode {mode!r} for the model {self.model!r}: leave min_relevance out."
            )
        identity = f"{self._neutral.identity} {self.hybrid.identity if mode in WINDOWED else ''}"
        mark = fingerprint(query, language, where, mode, identity, text, phrases, without, group)
        after = Cursor.decode(cursor, mark) if cursor is not None else None
        vector = self._queries(query[None], [language], mode)[0]
        asked = self._asked(vector, language, 0, [text], [tokens] if tokens is not None and mode in WINDOWED else None)

        if group != "none":
            return self._grouped(
                asked, query, mode, where, limit, after, min_relevance, phrases, without, group, with_tokens, mark
            )

        def ask(source: Source, allowed: Allowed | None) -> Opening:
            ranking = self._ranking(asked, mode, source, allowed)
            return ranking.page(limit, after, min_relevance)

        def read(catalogue: Catalogue, found: Opening) -> Page:
            places = found.places
            rows = [place.row for place in places[:limit]]
            known, kept = catalogue.read(rows), self._tokens(catalogue, rows) if with_tokens else {}
            seen = after.rank if after else 0
            hits = []
            for rank, ((score, row), chance) in enumerate(zip(places[:limit], found.relevance, strict=False), seen + 1):
                passage, article, raw = known[row]
                # A sum of float32 can exceed 1 by its last bit, which no cosine does.
                hits.append(Hit(rank, passage, article, cosine(score), cosine(float(raw @ query)), chance, row))
            if len(places) <= limit:
                return Page(hits, None, found.best, kept)
            then = Cursor(places[limit - 1], seen + limit, mark, found.window, found.best)
            return Page(hits, then.encode(), found.best, kept)

        return self._consistent(mode, where, ask, read, phrases, without)

    @in_one_space
    def best_of(
        self,
        query: Vectors,
        language: Mapping[str, float],
        article_ids: Sequence[str],
        *,
        least: float,
        where: Filter | None = None,
        text: str = "",
        tokens: QuestionTokens | None = None,
        phrases: Sequence[str] = (),
        without: Sequence[str] = (),
    ) -> list[Hit]:
        """Return of each of these articles the passage that answers best, most relevant first, where it does so with
        at least the relevance `least`.

        It is the relevance that `search` gives in mode `hybrid`, of these passages alone: what else is in the library
        is not looked through. What is given is as in `search`. Raises NotCalibrated, DamagedLibrary.
        """
        vector = self._queries(query[None], [language], "hybrid")[0]
        asked = self._asked(vector, language, 0, [text], None if tokens is None else [tokens])

        def ask(source: Source, allowed: Allowed | None) -> list[tuple[float, float, int]]:
            rows = source.catalogue.rows_of_articles(article_ids)
            rows = rows if allowed is None else rows[among(rows, allowed)]
            if not len(rows):
                return []
            similar, chances = self.hybrid.judge(asked, rows, source, source.catalogue.held())
            if chances is None:
                raise NotCalibrated(
                    f"Relevance is not known for the model {self.model!r}, so nothing can be told by it."
                )
            found = zip(chances.tolist(), similar.tolist(), rows.tolist(), strict=True)
            return sorted((each for each in found if each[0] >= least), key=lambda each: (-each[0], each[2]))

        def read(catalogue: Catalogue, found: list[tuple[float, float, int]]) -> list[Hit]:
            known = catalogue.read([row for *_, row in found])
            hits: dict[str, Hit] = {}
            for chance, score, row in found:
                passage, article, raw = known[row]
                if article.id not in hits:
                    told = cosine(score), cosine(float(raw @ query)), chance, row
                    hits[article.id] = Hit(len(hits) + 1, passage, article, *told)
            return list(hits.values())

        return self._consistent("hybrid", where, ask, read, phrases, without)

    @in_one_space
    def similar(
        self, passage_id: str, *, limit: int = 10, where: Filter | None = None, same_language: bool = False
    ) -> list[Hit]:
        """Return the passages of other articles that say most nearly what a stored one says, at most `limit`.

        Only those in other languages than its own, unless `same_language`, or `where` itself names languages. Both
        sides are compared as passages: by their vectors in the neutral space, and the first `WINDOW` by their token
        vectors where they are kept. Relevance is of questions, and None. Raises PassageNotFound, DamagedLibrary.
        """
        where = where or Filter()
        anywhere = same_language or where != where.without("language")

        def ask(source: Source, _: Allowed | None) -> tuple[int, list[Place]]:
            row = self._row(source.catalogue, passage_id)
            only = np.array([row], np.int64)
            (own,) = source.catalogue.languages(only)
            (allowed,) = self._filtered(source, [where if anywhere else where.outside(own)])
            siblings = set(source.catalogue.rows_of(source.catalogue.numbers([row])[row]).tolist())
            # No fewer than the window, so that the order does not depend on the limit.
            most = max(limit, WINDOW)
            places = best(source.index, source.index.vectors(only)[0], most + len(siblings), allowed)
            others = [place for place in places if place.row not in siblings][:most]
            return row, self.hybrid.closest(row, others, source)[:limit]

        def read(catalogue: Catalogue, found: tuple[int, list[Place]]) -> list[Hit]:
            row, places = found
            known = catalogue.read([row, *(place.row for place in places)])
            asked = known[row][2]
            hits = []
            for rank, (score, near) in enumerate(places, 1):
                passage, article, raw = known[near]
                hits.append(Hit(rank, passage, article, cosine(score), cosine(float(raw @ asked)), None, near))
            return hits

        return self._consistent("dense", None, ask, read)

    def _grouped(
        self,
        asked: Asked,
        query: Vectors,
        mode: Mode,
        where: Filter,
        limit: int,
        after: Cursor | None,
        least: float | None,
        phrases: Sequence[str],
        without: Sequence[str],
        group: Group,
        with_tokens: bool,
        mark: str,
    ) -> Page:
        """Return a page of groups, each as its best hit."""

        def ask(source: Source, allowed: Allowed | None) -> tuple[list[list[Found]], Cursor]:
            ranking = self._ranking(asked, mode, source, allowed)
            return ranking.groups(limit, after, least, group)

        def read(catalogue: Catalogue, found: tuple[list[list[Found]], Cursor]) -> Page:
            groups, start = found
            shown = groups[:limit]
            rows = [each.place.row for group in shown for each in group]
            known, kept = catalogue.read(rows), self._tokens(catalogue, rows) if with_tokens else {}
            seen = after.rank if after else 0
            hits = []
            for rank, gathered in enumerate(shown, seen + 1):
                own = {}
                for each in gathered:
                    (score, row), (passage, article, raw) = each.place, known[each.place.row]
                    similar = cosine(score), cosine(float(raw @ query))
                    own[row] = Hit(rank, passage, article, *similar, each.relevance, row)
                hits.append(grouping.told(gathered, own))
            if len(groups) <= limit:
                return Page(hits, None, start.best, kept)
            cursor = replace(start, place=shown[-1][0].place, rank=seen + limit, search=mark)
            return Page(hits, cursor.encode(), start.best, kept)

        return self._consistent(mode, where, ask, read, phrases, without)

    @in_one_space
    def judge(
        self,
        query: Vectors,
        language: Mapping[str, float],
        passages: Vectors,
        languages: Sequence[str],
        *,
        text: str,
        tokens: QuestionTokens | None,
        passage_tokens: Sequence[bytes] | None,
    ) -> tuple[Vectors, NDArray[np.float64] | None]:
        """Return similarity and relevance (n,) of passages that are not in the library, as `search` tells them of its
        own in mode `hybrid`: raw vectors (n, dim), a language each, and token vectors as `token_space` keeps them.

        Relevance is None where the model has no calibration. Raises DamagedLibrary.
        """
        vector = self._queries(query[None], [language], "hybrid")[0]
        asked = self._asked(vector, language, 0, [text], None if tokens is None else [tokens])
        neutral, space = self._neutral.passages(passages, languages), self.token_space
        small = [space.read(code) for code in passage_tokens] if space and passage_tokens is not None else None

        def ask(source: Source, _: Allowed | None) -> tuple[Vectors, NDArray[np.float64] | None]:
            return self.hybrid.judge_strangers(asked, neutral, list(languages), small, source)

        return self._consistent("hybrid", None, ask, itself)

    @in_one_space
    def evidence(
        self,
        query: Vectors,
        language: Mapping[str, float],
        wheres: Sequence[Filter | None],
        k: int,
        *,
        text: str,
        tokens: QuestionTokens | None,
    ) -> tuple[Evidence, Rows]:
        """Return what speaks for the passages nearest to a query under any of the filters, `k` under each, and their
        rows (n,), ascending. It is what `search` weighs; here it is for those who fit or study the weights.
        """
        vector = self._queries(query[None], [language], "hybrid")[0]
        asked = self._asked(vector, language, 0, [text], None if tokens is None else [tokens])

        def ask(source: Source, _: Allowed | None) -> tuple[Evidence, Rows]:
            nearest = [
                source.index.search(vector[None], k, allowed)[1][0] for allowed in self._filtered(source, wheres)
            ]
            rows = np.unique(np.concatenate(nearest))
            rows = rows[rows >= 0]
            return self.hybrid.evidence(asked, rows, source, [None], Held(), late=True), rows

        return self._consistent("hybrid", None, ask, itself)

    def _tokens(self, catalogue: Catalogue, rows: Sequence[int]) -> dict[int, Tokens]:
        """Return by row the tokens that are kept, none of a row without."""
        if self.token_space is None:
            return {}
        found = self.hybrid.tokens(np.array(rows, np.int64), catalogue, catalogue.held())
        return dict(zip(rows, found, strict=True))

    def _queries(self, queries: Vectors, languages: Sequence[Mapping[str, float]], mode: Mode) -> Vectors:
        return queries if mode == "raw" else self._neutral.queries(queries, languages)

    def _asked(
        self,
        vector: Vectors,
        language: Mapping[str, float],
        number: int,
        texts: Sequence[str] | None,
        tokens: Sequence[QuestionTokens] | None,
    ) -> Asked:
        """Return a question as it is ranked."""
        space = self.token_space
        own = tokens[number] if tokens is not None else None
        small = QuestionTokens(space.query(own.vectors, language), own.weights) if space and own else None
        return Asked(vector, language, texts[number] if texts is not None else "", small)


def absent(passage_id: str) -> PassageNotFound:
    """Return the error that there is no such passage."""
    return PassageNotFound(f"There is no passage {passage_id!r}; the search gives ids that exist.")


def itself(_: Catalogue, answer: Answer) -> Answer:
    """Return an answer of which nothing more is to be read."""
    return answer


def cosine(score: float) -> float:
    """Return a cosine that was summed in float32 as one: no more than 1."""
    return min(1.0, max(-1.0, score))
