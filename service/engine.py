"""The order of things: how an article becomes passages that can be found, and how a question becomes an answer.

The two stories are `Pools.add` (`service/pools.py`) and `Engine.searching`. No web, no arguments, no
environment: those are the business of the edges that stand on this module.
"""

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from embed import (
    DEFAULT_MODEL,
    BackendName,
    Encoder,
    Guess,
    Progress,
    Role,
    cores,
    detect,
    load_encoder,
    load_reranker,
    normalise,
)
from index import (
    WINDOWED,
    AnyLibrary,
    ArticleNotFound,
    Count,
    Filter,
    Group,
    Hit,
    Library,
    MilvusLibrary,
    MilvusPlace,
    Mode,
    QuestionTokens,
    Sizing,
    Tokens,
    generations,
    parse_filter,
)
from service import batching, deadline
from service.batching import ROOM, Batching
from service.cores import Cores
from service.errors import InvalidRequest
from service.pools import Outcome, Pools
from service.query import Query
from service.reading import Draft
from service.reranking import Reranked, Reranking
from service.stages import Stages, waited
from service.why import Explanation, SentencesKept, Side, explained
from service.wording import weights

# A question counts as answered where the first passage does so with at least this probability: more likely than not.
LIKELY = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits for one question, best first; `took_ms` is the time in milliseconds that the engine spent on it.

    `sentences` holds for each hit the span `[start, end)` in the article's text of the sentence that answers best, None
    where the library keeps no token vectors to tell it by; `inner_sentences` the same for hits that are grouped under
    others, by row; `explanations` why it matched, None where that was not asked for, or where the model's vectors are
    no means of its tokens'. `facets` counts what the search looked at (`index.Library.facets`), where that was asked
    for.

    `relevance` is the probability that the first passage of the whole ranking answers, whatever page this is and
    whatever `min_relevance` leaves out; None where it is not known. `found` tells whether that is at least `LIKELY`:
    False too where nothing was searched, None where it is not known. `stages` tells the seconds of each stage, in their
    order: reading the question, encoding it, waiting for a core, ranking, re-ranking, finding best sentences, and
    explaining. `reranked` tells of the order that a re-ranker gave the hits, None where none was asked.
    """

    query_language: Guess
    hits: list[Hit]
    sentences: list[tuple[int, int] | None]
    inner_sentences: dict[int, tuple[int, int] | None]
    explanations: list[Explanation | None]
    next_cursor: str | None
    took_ms: float
    relevance: float | None
    found: bool | None
    facets: Mapping[str, Sequence[Count]] | None = None
    group: Group = "none"
    stages: Mapping[str, float] = field(default_factory=dict)
    reranked: Reranked | None = None


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions ready to be ranked: vectors (n, dim) and, for each, its language probabilities, its text, and its token
    vectors (t, token_dim) with their weights where the library compares them.
    """

    vectors: NDArray[np.float32]
    languages: list[Mapping[str, float]]
    texts: list[str]
    tokens: list[QuestionTokens] | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question that is encoded once and held against articles as they come, with its phrases and exclusions."""

    asked: Query
    question: Questions


class Engine:
    """An encoder and a library, put together."""

    def __init__(
        self,
        encoder: Encoder,
        library: AnyLibrary,
        *,
        query_cache_bytes: int = ROOM,
        reranking: Reranking | None = None,
    ) -> None:
        self.encoder = encoder
        self.library = library
        self.reranking = reranking
        space = library.token_space
        # In which token vectors are compared; None where the library keeps none, or the encoder gives others.
        self._space = space if space and space.depth == encoder.token_dim else None
        self.pools = Pools(encoder, library, self._space)
        self._cores = Cores(max(1, cores() - 1))
        tokens = self._space is not None
        self._batching = Batching(encoder, self._cores.wait_for_room, tokens=tokens, room=query_cache_bytes)
        self._sentences = SentencesKept(encoder)
        # A search's products are small: a second thread of NumPy's waits for the first, and takes a core from another
        # search or from the encoder. Of this process for good, for limits that come and go are not of one thread.
        threadpool_limits(1, "blas")

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        model: str | None = None,
        backend: BackendName = "auto",
        cache: Path | None = None,
        read_only: bool = False,
        late_interaction: bool = True,
        warming: bool | None = None,
        query_cache_bytes: int = ROOM,
        reranker: str | None = None,
        rerank_seconds: float = 1.0,
        generation: generations.Which = "serving",
        following: bool = False,
        sizing: Sizing | None = None,
        milvus: MilvusPlace | None = None,
        first: Role = "query",
        report: Callable[[str], None] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Open the library in `folder`, made if absent, with the model it was built with.

        `model` chooses the model of a new library; for one that exists it must be the same. Of questions asked lately
        `query_cache_bytes` are remembered as they were encoded. Of the two generations that there are while a library
        is encoded anew, the one that serves is opened, or the `other`; `following` as in `Library.open`. `sizing`
        says when the dense index is an approximate one. With `milvus` the library is there, and not in the folder.
        `reranker` is the name or path of a cross-encoder that puts hits in order, within `rerank_seconds` a question.
        `first` says what the model is to encode first. `report` is told a sentence where something is not as usual,
        `progress` a stage and its fraction done (0..1) of long work.

        Raises `embed.ModelUnavailable`, `index.ModelMismatch`, `index.DamagedLibrary` and their kin.
        """
        folder = generations.folder(folder, generation)
        known = Library.describe(folder) if milvus is None else MilvusLibrary.describe(milvus)
        name = model or (known.model if known else DEFAULT_MODEL)
        if known:
            known.check_model(name)
        reranking = Reranking(load_reranker(reranker, cache=cache), rerank_seconds) if reranker else None
        encoder = load_encoder(name, backend, cache=cache, first=first, report=report, progress=progress)
        opening: dict[str, Any] = {
            "model": encoder.name,
            "fingerprint": encoder.fingerprint,
            "dim": encoder.dim,
            "read_only": read_only,
            "late_interaction": late_interaction,
        }
        library: AnyLibrary
        if milvus is None:
            library = Library.open(folder, **opening, warming=warming, following=following)
        else:
            library = MilvusLibrary.open(milvus, **opening)
        if sizing:
            library.sizing = sizing
        return cls(encoder, library, query_cache_bytes=query_cache_bytes, reranking=reranking)

    def add(
        self, drafts: Iterable[Draft], advance: Callable[[int], None] | None = None, *, serving: bool = False
    ) -> Generator[Outcome]:
        """Yield the outcome of each draft, in order, once the article is durable and found by searches: `Pools.add`."""
        return self.pools.add(drafts, advance, serving=serving)

    def searching(
        self,
        query: str,
        *,
        limit: int = 10,
        cursor: str | None = None,
        languages: Sequence[str] = (),
        filter: Mapping[str, Any] | None = None,
        mode: Mode = "hybrid",
        min_relevance: float | None = None,
        query_language: str | None = None,
        explain: bool = False,
        facets: bool = False,
        group: Group = "none",
        rerank: bool | None = None,
    ) -> Stages[Answer]:
        """Find the passages that answer `query` best, in whatever language they were written, stage by stage.

        A "quoted phrase" in it must occur in a passage, and a -word must not. `languages` and `filter` restrict what is
        searched, so `limit` hits come back whenever that many match.
        `query_language` overrides the detected one; to `explain` the hits, they are encoded once more; `facets` asks
        for counts by language, source and year. With `group` the passages of one article, or the articles that tell one
        story, are one hit. The hits of a page are put in order by the re-ranker, where there is one, as far as its time
        goes; `rerank` says whether. Raises `embed.UnknownLanguage`, `index.InvalidFilter`, `index.InvalidCursor`,
        InvalidRequest.
        """
        reranking = self._reranking(rerank)
        marks = {"reading": time.perf_counter()}
        asked = Query.read(query)
        named = None if query_language is None else certain(query_language)
        where = parse_filter(with_codes(filter), [normalise(language) for language in languages])
        marks["encoding"] = time.perf_counter()
        encoded = yield self._batching.submit(asked.text, deadline.left())
        marks["waiting"] = time.perf_counter()
        yield self._cores
        deadline.check()
        marks["ranking"] = time.perf_counter()
        guess = named or encoded.language
        question = self._asked(asked.text, encoded, guess, ranked=mode in WINDOWED)
        page = self.library.search(
            question.vectors[0],
            guess.probabilities,
            text=asked.text,
            tokens=question.tokens[0] if question.tokens else None,
            phrases=asked.phrases,
            without=asked.without,
            limit=limit,
            where=where,
            mode=mode,
            min_relevance=min_relevance,
            cursor=cursor,
            group=group,
            with_tokens=question.tokens is not None,
        )
        reranked = None
        if reranking:
            marks["reranking"] = time.perf_counter()
            yield reranking
            reranked = reranking.order(asked.text, page.hits)
            page = replace(page, hits=reranked.hits)
            yield self._cores
        marks["best_sentences"] = time.perf_counter()
        inner = [each for hit in page.hits for each in hit.inner()]
        best = self._best_sentences(question, [*page.hits, *inner], page.tokens)
        own, under = (
            best[: len(page.hits)],
            dict(zip([hit.row for hit in inner], best[len(page.hits) :], strict=True)),
        )
        marks["explaining"] = time.perf_counter()
        why: list[Explanation | None] = [None] * len(page.hits)
        if explain:
            deadline.check()
            why = self._explanations(asked, question, page.hits, mode)
        found = answered(page.best, nothing=cursor is None and not page.hits)
        if cursor is None and found is not False:
            self.library.note(question.vectors, question.languages)
        counts = self.library.facets(where, phrases=asked.phrases, without=asked.without) if facets else None
        marks["end"] = time.perf_counter()
        took_ms = (marks["end"] - marks["reading"]) * 1000
        stages = {
            stage: end - start for (stage, start), end in zip(marks.items(), list(marks.values())[1:], strict=False)
        }
        return Answer(
            guess,
            page.hits,
            own,
            under,
            why,
            page.next_cursor,
            took_ms,
            page.best,
            found,
            counts,
            group,
            stages,
            reranked,
        )

    search = waited(searching)

    def similar(
        self,
        passage_id: str,
        *,
        limit: int = 10,
        languages: Sequence[str] = (),
        filter: Mapping[str, Any] | None = None,
        same_language: bool = False,
    ) -> list[Hit]:
        """Return the passages of other articles that say most nearly what the passage says, in other languages.

        `languages` and `filter` restrict what is searched; only where they name languages, or with `same_language`, its
        own is among them. Raises `index.PassageNotFound`, `embed.UnknownLanguage`, `index.InvalidFilter`.
        """
        where = parse_filter(with_codes(filter), [normalise(language) for language in languages])
        return self.library.similar(passage_id, limit=limit, where=where, same_language=same_language)

    def judge(
        self, query: str, passages: Sequence[str], languages: Sequence[str]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
        """Return similarity and relevance (n,) of passages that are not in the library, each in a known language.

        They are those of a search, `index.Library.judge` tells in what they differ.
        """
        encoded = self._batching.encode(query, deadline.left())
        guess = encoded.language
        question = self._asked(query, encoded, guess)
        kept: dict[int, bytes] = {}
        space = self._space

        def keep(place: int, tokens: NDArray[np.float32]) -> None:
            assert space is not None
            kept[place] = space.compress(tokens, languages[place])

        vectors = self.encoder.encode_passages(passages, None, keep if space else None)
        return self.library.judge(
            question.vectors[0],
            guess.probabilities,
            vectors,
            languages,
            text=query,
            tokens=question.tokens[0] if question.tokens else None,
            passage_tokens=[kept.get(place, b"") for place in range(len(passages))] if space else None,
        )

    def _reranking(self, asked: bool | None) -> Reranking | None:
        """Return what re-ranks, where that is asked for, or where nothing is said and there is one."""
        if asked and self.reranking is None:
            raise InvalidRequest(
                "There is no re-ranker here; DRAGOMAN_RERANKER names one, a sentence-transformers CrossEncoder.",
                "/rerank",
            )
        return self.reranking if asked is not False else None

    def prepare(self, query: str, query_language: str | None = None) -> Prepared:
        """Encode a question for `best_of`; its language is detected unless given. Raises `embed.UnknownLanguage`."""
        asked = Query.read(query)
        guess = detect(asked.text) if query_language is None else certain(query_language)
        return Prepared(asked, self._encoded([asked.text], [guess]))

    def best_of(
        self,
        prepared: Prepared,
        article_ids: Sequence[str],
        *,
        min_relevance: float,
        languages: Sequence[str] = (),
        filter: Mapping[str, Any] | None = None,
    ) -> list[Hit]:
        """Return of each of these articles the passage that answers best, where it is relevant enough, by the relevance
        that `search` gives. Raises `index.NotCalibrated`, `index.InvalidFilter`, `embed.UnknownLanguage`.
        """
        asked, question = prepared.asked, prepared.question
        return self.library.best_of(
            question.vectors[0],
            question.languages[0],
            article_ids,
            least=min_relevance,
            where=parse_filter(with_codes(filter), [normalise(language) for language in languages]),
            text=asked.text,
            tokens=question.tokens[0] if question.tokens else None,
            phrases=asked.phrases,
            without=asked.without,
        )

    def _best_sentences(
        self, question: Questions, hits: Sequence[Hit], kept: Mapping[int, Tokens]
    ) -> list[tuple[int, int] | None]:
        """Return for each hit the span of its best sentence in its article's text; `kept` are their tokens by row."""
        space = self._space
        if space is None or question.tokens is None:
            return [None] * len(hits)
        query = space.query(question.tokens[0].vectors, question.languages[0])
        return self._sentences.best(query, hits, kept)

    def _explanations(
        self, asked: Query, question: Questions, hits: Sequence[Hit], mode: Mode
    ) -> list[Explanation | None]:
        """Return for each hit why it matched."""
        (pooled,) = self.encoder.pooled([asked.text], "query")
        if pooled is None:
            return [None] * len(hits)
        language, space = question.languages[0], self._space
        tokens = space.query(pooled.own, language) if space else pooled.own
        found: list[Explanation | None] = []
        passages = self.encoder.pooled([hit.passage.text for hit in hits], "passage")
        for hit, there in zip(hits, passages, strict=True):
            if there is None:
                found.append(None)
                continue
            passage, code = hit.passage, hit.article.language
            offsets = self.library.offsets(language, code, mode)
            query = Side(asked.text, pooled, offsets[0], tokens, asked.places)
            own = space.passage(there.own, code) if space else there.own
            text = Side(passage.text, there, offsets[1], own, range(passage.start, passage.end))
            found.append(explained(query, text, hit.similarity))
        return found

    def questions(self, queries: Sequence[str], languages: Sequence[str] | None = None) -> Questions:
        """Encode many questions at once; their languages are detected unless given."""
        guesses = [detect(q) for q in queries] if languages is None else [certain(code) for code in languages]
        return self._encoded(queries, guesses)

    def rank(
        self, questions: Questions, k: int, wheres: Sequence[Filter | None] = (None,), mode: Mode = "hybrid"
    ) -> list[list[list[str]]]:
        """Return for each filter, and each question, its best articles by their best passage, at most `k` ids; without
        those that are replaced or removed meanwhile.
        """
        ranked = self.library.rank(
            questions.vectors, questions.languages, 2 * k, wheres, mode, questions.texts, questions.tokens
        )
        every = np.unique(np.concatenate([rows.ravel() for rows in ranked]))
        articles = self.library.article_ids(every[every >= 0])
        return [
            [
                list(dict.fromkeys(articles[row] for row in question if row in articles))[:k]
                for question in rows.tolist()
            ]
            for rows in ranked
        ]

    def first(
        self, questions: Questions, wheres: Sequence[Filter | None] = (None,), mode: Mode = "hybrid"
    ) -> list[list[tuple[str | None, float]]]:
        """Return for each filter, and each question, the article of the first hit, if any, and how relevant it is."""
        rows, relevance = self.library.first(
            questions.vectors, questions.languages, wheres, mode, questions.texts, questions.tokens
        )
        articles = self.library.article_ids(np.unique(rows[rows >= 0]))
        return [
            [(articles.get(row), chance) for row, chance in zip(own.tolist(), chances.tolist(), strict=True)]
            for own, chances in zip(rows, relevance, strict=True)
        ]

    def has(self, article_id: str) -> bool:
        """Return whether there is an article."""
        try:
            self.library.get(article_id)
        except ArticleNotFound:
            return False
        return True

    def delete(self, article_id: str) -> bool:
        """Remove an article for good; return whether there was one."""
        return self.library.delete(article_id)

    def close(self) -> None:
        """Close the library; what was acknowledged is on disk already."""
        self._batching.close()
        self._cores.close()
        if self.reranking:
            self.reranking.close()
        self.library.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _asked(self, text: str, encoded: batching.Encoded, guess: Guess, *, ranked: bool = True) -> Questions:
        """Return one question as it is searched. Its tokens weigh where it is `ranked` by them."""
        tokens = None
        if encoded.tokens is not None:
            tokens = [self._weighed(text, encoded.tokens) if ranked else QuestionTokens(encoded.tokens)]
        return Questions(encoded.vector[None], [guess.probabilities], [text], tokens)

    def _encoded(self, queries: Sequence[str], guesses: Sequence[Guess]) -> Questions:
        """Encode questions of known languages."""
        kept: dict[int, NDArray[np.float32]] = {}
        compared = self._space is not None
        vectors = self.encoder.encode_queries(queries, kept.__setitem__ if compared else None)
        tokens = [self._weighed(text, kept[place]) for place, text in enumerate(queries)] if compared else None
        return Questions(vectors, [guess.probabilities for guess in guesses], list(queries), tokens)

    def _weighed(self, text: str, tokens: NDArray[np.float32]) -> QuestionTokens:
        """Return a question's token vectors with their weights; of one over the window the first alone."""
        spans, ids = self.encoder.token_spans(text), self.encoder.token_ids(text)
        if min(len(spans), len(ids)) < len(tokens):
            return QuestionTokens(tokens)  # vectors that are not of these tokens
        return QuestionTokens(tokens, weights(text, spans[: len(tokens)], ids[: len(tokens)]))


def answered(relevance: float | None, *, nothing: bool) -> bool | None:
    """Return whether a search found an answer; None where that is not known. `nothing` says that nothing was there."""
    if relevance is None:
        return False if nothing else None
    return relevance >= LIKELY


def with_codes(filter: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the filter with its language codes normalised, for what is no code is no more found in a filter."""
    if not filter or "language" not in filter:
        return filter
    told = filter["language"]
    given = told if isinstance(told, list) else [told]
    return {**filter, "language": [normalise(code) if isinstance(code, str) else code for code in given]}


def certain(language: str) -> Guess:
    """Return the guess that says a caller named the language; raises `embed.UnknownLanguage`."""
    code = normalise(language)
    return Guess(code, 1.0, {} if code == "und" else {code: 1.0})
