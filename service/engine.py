"""The order of things: how an article becomes passages that can be found, and how a question becomes an answer.

The two stories are `Engine.add` and `Engine.searching`; everything else here serves them. No web, no arguments, no
environment: those are the business of the edges that stand on this module.
"""

import itertools
import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from embed import (
    BUDGET,
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
    split,
)
from index import (
    WINDOWED,
    Action,
    Addition,
    AnyLibrary,
    Article,
    ArticleNotFound,
    Count,
    Filter,
    Group,
    Hit,
    Library,
    MilvusLibrary,
    MilvusPlace,
    Mode,
    Passage,
    QuestionTokens,
    Sizing,
    Tokens,
    TokenSpace,
    cut,
    generations,
    parse_filter,
)
from service import batching, deadline
from service.batching import ROOM, Batching
from service.cores import Cores
from service.errors import InvalidRequest
from service.priority import yielding
from service.query import Query
from service.reading import Draft, identity
from service.reranking import Reranked, Reranking
from service.stages import Stages, waited
from service.why import Explanation, Sentences, SentencesKept, Side, explained, sentences_of
from service.wording import weights

Cut = list[Passage]  # an article's passages
Places = list[int]  # of passages that are to be encoded
Pool = list[tuple[Article, Cut, Places]]

# Vectors of passages, and the bytes of their token vectors by place.
Encoded = tuple[NDArray[np.float32], dict[int, bytes]]

# Passages that are encoded together. Texts of like length share a batch of the model, so a larger pool wastes less
# padding; what is in the pool is not yet acknowledged, so it stays at a few seconds of work. The first pool is small,
# so that encoding begins at once, and each next one twice as large.
FIRST_POOL, POOL = 48, 384

# Passages after which the indexes take in what was kept: each time makes a segment of the lexical one, and many are
# merged, which takes longer than to write them.
TAKEN_IN = 1024

# The next pool begins when no more passages of one are left than its last batches have, some of which may run alone.
ENDING = 24

# Articles that a distant library is asked after at once.
ASKED_TOGETHER = 64

# A question counts as answered where the first passage does so with at least this probability: more likely than not.
LIKELY = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one article that was given to `Engine.add`; it is durable by the time it is told."""

    article_id: str
    action: Action
    passages: int
    language: str


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
        self._cores = Cores(max(1, cores() - 1))
        tokens = self._compared() is not None
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
        """Yield the outcome of each draft, in order, once the article is durable and found by searches.

        Passages of several articles are encoded together. While one pool is encoded the next is read and cut, and the
        one before is written: an article is a transaction, so that a process that is killed has told of all it keeps
        but one; where the library is distant, or while `serving`, a pool is one, which searches follow in one step.
        While `serving` encoding leaves the cores to those that want them. `advance(n)` is told of every n passages
        encoded, by the threads that encode. What was yielded is kept whatever happens to the process afterwards.
        """
        pending: Counter[str] = Counter()
        under_way: deque[tuple[Pool, Future[Encoded]]] = deque()
        together = serving or self.library.distant
        behind = 0  # passages that were kept and the indexes have not
        ending = threading.Event()  # the pool before
        ending.set()
        with self.library.writing(), _encoding(serving) as encoding:
            for pool in tapering(self._pools(map(self._prepare, drafts), pending)):
                deadline.check()
                # Not by the thread that encodes, which may have to leave the cores to others while it holds Python.
                told = sentences_in(self.encoder, pool) if self._compared() else []
                before, ending = ending, threading.Event()
                under_way.append((pool, encoding.submit(self._encode, pool, told, advance, before, ending)))
                if len(under_way) > 1:
                    first, encoded = under_way.popleft()
                    yield from self._keep(first, encoded.result(), pending, together=together)
                    behind += lacking(first)
                    if behind >= TAKEN_IN:
                        self.library.load()
                        behind = 0
            while under_way:
                if behind:  # while the last ones are encoded
                    self.library.load()
                first, encoded = under_way.popleft()
                yield from self._keep(first, encoded.result(), pending, together=together)
                behind += lacking(first)

    def plan(self, drafts: Iterable[Draft]) -> Iterator[Pool]:
        """Yield what `add` would encode and keep, pool by pool, for those who encode elsewhere: `encode` and `keep`."""
        yield from self._pools(map(self._prepare, drafts), Counter())

    def keep(self, pool: Pool, encoded: Encoded) -> Iterator[Outcome]:
        """Write the articles of a pool, as `add` does, and yield what became of them."""
        pending = Counter(article.id for article, _, _ in pool)
        yield from self._keep(pool, encoded, pending, together=self.library.distant)

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
        space = self._compared()

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
        space = self._compared()
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
        language, space = question.languages[0], self._compared()
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
        """Return for each filter, and each question, its best articles by their best passage, at most `k` ids."""
        ranked = self.library.rank(
            questions.vectors, questions.languages, 2 * k, wheres, mode, questions.texts, questions.tokens
        )
        every = np.unique(np.concatenate([rows.ravel() for rows in ranked]))
        articles = self.library.article_ids(every[every >= 0])
        return [
            [list(dict.fromkeys(articles[row] for row in question if row >= 0))[:k] for question in rows.tolist()]
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
        compared = self._compared() is not None
        vectors = self.encoder.encode_queries(queries, kept.__setitem__ if compared else None)
        tokens = [self._weighed(text, kept[place]) for place, text in enumerate(queries)] if compared else None
        return Questions(vectors, [guess.probabilities for guess in guesses], list(queries), tokens)

    def _weighed(self, text: str, tokens: NDArray[np.float32]) -> QuestionTokens:
        """Return a question's token vectors with their weights; of one over the window the first alone."""
        spans, ids = self.encoder.token_spans(text), self.encoder.token_ids(text)
        if min(len(spans), len(ids)) < len(tokens):
            return QuestionTokens(tokens)  # vectors that are not of these tokens
        return QuestionTokens(tokens, weights(text, spans[: len(tokens)], ids[: len(tokens)]))

    def _compared(self) -> TokenSpace | None:
        """Return the space in which the library compares token vectors; None where it has none, or the encoder."""
        space = self.library.token_space
        return space if space and space.depth == self.encoder.token_dim else None

    def _prepare(self, draft: Draft) -> Article:
        """Give the draft a language and an id."""
        text = draft.text
        language = normalise(draft.language) if draft.language else detect(f"{draft.title}\n{text}").code
        return Article(
            id=draft.id or identity(draft),
            text=text,
            title=draft.title,
            language=language,
            url=draft.url,
            source=draft.source,
            published_at=draft.published_at,
            metadata=draft.metadata,
        )

    def _cut(self, article: Article) -> list[Passage]:
        budget = min(BUDGET, self.encoder.window)
        return cut(article, split(article.text, article.language, self.encoder.count_tokens, budget))

    def _pools(self, articles: Iterable[Article], pending: Counter[str]) -> Iterator[Pool]:
        """Group articles so that about `POOL` passages that lack a vector come together."""
        pool: Pool = []
        waiting, room = 0, FIRST_POOL
        for article, passages, todo in self._looked_up(articles, pending):
            pending[article.id] += 1
            pool.append((article, passages, todo))
            waiting += len(todo)
            if waiting >= room or len(pool) >= POOL:
                yield pool
                pool, waiting, room = [], 0, min(2 * room, POOL)
        if pool:
            yield pool

    def _looked_up(self, articles: Iterable[Article], pending: Counter[str]) -> Iterator[tuple[Article, Cut, Places]]:
        """Yield articles cut into passages, and which of these are to be encoded; a distant library is asked after
        several articles at once.

        Of an article whose id is `pending`, or was when the library was asked, every passage is encoded: what is stored
        of it is about to change.
        """
        coming = iter(articles)
        while some := list(itertools.islice(coming, ASKED_TOGETHER if self.library.distant else 1)):
            first = {article.id: place for place, article in reversed(list(enumerate(some)))}
            asked = [some[place] for id, place in first.items() if id not in pending]
            unchanged = self.library.unchanged_among(asked)
            cut = {article.id: self._cut(article) for article in asked if article.id not in unchanged}
            lacking = self._lacking(cut)
            for place, article in enumerate(some):
                if place != first[article.id] or article.id not in unchanged | cut.keys():
                    passages = self._cut(article)
                    yield article, passages, list(range(len(passages)))
                elif article.id in unchanged:
                    yield article, self.library.passages(article.id), []
                else:
                    yield article, cut[article.id], lacking[article.id]

    def _lacking(self, cut: Mapping[str, Cut]) -> dict[str, Places]:
        """Return by article which of its passages are to be encoded."""
        of = [(id, place) for id, passages in cut.items() for place in range(len(passages))]
        lacking: dict[str, Places] = {id: [] for id in cut}
        for number in self.library.missing([passage for passages in cut.values() for passage in passages]):
            lacking[of[number][0]].append(of[number][1])
        return lacking

    def _encode(
        self,
        pool: Pool,
        told: Sequence[Sentences],
        advance: Callable[[int], None] | None,
        before: threading.Event,
        ending: threading.Event,
    ) -> Encoded:
        """Encode a pool once the one `before` it ends, and set `ending` as it does so itself."""
        before.wait()
        left = lacking(pool)

        def done(passages: int) -> None:
            nonlocal left
            left -= passages
            if left <= ENDING:
                ending.set()
            if advance:
                advance(passages)

        try:
            return encode(self.encoder, self._compared(), pool, told, done)
        finally:
            ending.set()

    def _keep(self, pool: Pool, encoded: Encoded, pending: Counter[str], *, together: bool) -> Iterator[Outcome]:
        """Write the articles of a pool, `together` in one transaction or each in its own, and yield what became of
        them."""
        vectors, codes = encoded
        places = itertools.count()
        additions = []
        for article, passages, todo in pool:
            own = {position: next(places) for position in todo}
            additions.append(
                Addition(
                    article,
                    passages,
                    {position: vectors[place] for position, place in own.items()},
                    {position: codes[place] for position, place in own.items() if place in codes},
                )
            )
        one_by_one = (self.library.add(each.article, each.passages, each.vectors, each.tokens) for each in additions)
        actions = self.library.add_all(additions) if together else one_by_one
        for addition, action in zip(additions, actions, strict=True):
            article = addition.article
            pending[article.id] -= 1
            if not pending[article.id]:
                del pending[article.id]
            yield Outcome(article.id, action, len(addition.passages), article.language)


def lacking(pool: Pool) -> int:
    """Return how many passages of a pool are to be encoded."""
    return sum(len(todo) for _, _, todo in pool)


def tapering(pools: Iterable[Pool]) -> Iterator[Pool]:
    """Yield pools, the last of them in halves and halves of these, so that little is left to be written when all is
    encoded. A full one waits for the next, which tells that it is not the last.
    """
    waiting: Pool = []
    for pool in pools:
        full = max(lacking(pool), len(pool)) >= POOL
        if waiting and full:
            yield waiting
            waiting = pool
        elif waiting or full:
            waiting = waiting + pool
        else:
            yield pool
    while waiting:
        half = lacking(waiting) / 2
        before = list(itertools.accumulate((len(todo) for _, _, todo in waiting[:-1]), initial=0))
        at = bisect_left(before, half) if half > FIRST_POOL else len(waiting)
        yield waiting[:at]
        waiting = waiting[at:]


def sentences_in(encoder: Encoder, pool: Pool) -> list[Sentences]:
    """Return the sentences of the passages of a pool that are to be encoded, in order."""
    return [
        sentences_of(encoder, passages[position].text, article.language)
        for article, passages, todo in pool
        for position in todo
    ]


def encode(
    encoder: Encoder,
    space: TokenSpace | None,
    pool: Pool,
    told: Sequence[Sentences],
    advance: Callable[[int], None] | None = None,
) -> Encoded:
    """Return the vectors of the passages of a pool that are to be encoded, in order, and their token vectors made
    small with their sentences, `sentences_in` the pool, if there is a `space` for them; `advance(n)` is told of every n
    passages.
    """
    texts = [passages[position].text for _, passages, todo in pool for position in todo]
    languages = [article.language for article, _, todo in pool for _ in todo]
    codes: dict[int, bytes] = {}

    def keep(place: int, tokens: NDArray[np.float32]) -> None:
        assert space is not None
        codes[place] = space.compress(tokens, languages[place], told[place].table(len(tokens)))

    return encoder.encode_passages(texts, advance, keep if space else None), codes


def _encoding(serving: bool) -> ThreadPoolExecutor:
    """Return the threads that encode what is added: one pool, and the next as it ends."""
    return ThreadPoolExecutor(2, "encoding", initializer=yielding if serving else None)


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


def as_draft(article: Article) -> Draft:
    """Return the draft that becomes this very article when it is added."""
    return Draft(
        text=article.text,
        id=article.id,
        title=article.title,
        language=article.language,
        url=article.url,
        source=article.source,
        published_at=article.published_at,
        metadata=article.metadata,
    )
