"""How articles become passages that can be found: in pools, of which one is written, one encoded, and one cut."""

import itertools
import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embed import BUDGET, Encoder, detect, normalise, split
from index import Action, Addition, AnyLibrary, Article, Passage, TokenSpace, cut
from service import deadline
from service.priority import yielding
from service.reading import Draft, identity
from service.why import Sentences, sentences_of

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

# Articles that are looked up and cut at once. A distant library is asked after all of them in one journey; and their
# languages, and then their tokens, are told while what that takes is in the CPU's caches (benchmarks/results.md).
TOGETHER = 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one article that was given to `Pools.add`; it is durable by the time it is told."""

    article_id: str
    action: Action
    passages: int
    language: str


class Pools:
    """Adds articles to a library, by an encoder; where there is a `space`, token vectors are kept too."""

    def __init__(self, encoder: Encoder, library: AnyLibrary, space: TokenSpace | None) -> None:
        self._encoder = encoder
        self._library = library
        self._space = space

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
        together = serving or self._library.distant
        behind = 0  # passages that were kept and the indexes have not
        ending = threading.Event()  # the pool before
        ending.set()
        with self._library.writing(), _encoding(serving) as encoding:
            for pool in tapering(self._pools(map(self._prepare, drafts), pending)):
                deadline.check()
                # Not by the thread that encodes, which may have to leave the cores to others while it holds Python.
                told = sentences_in(self._encoder, pool) if self._space else []
                before, ending = ending, threading.Event()
                under_way.append((pool, encoding.submit(self._encode, pool, told, advance, before, ending)))
                if len(under_way) > 1:
                    first, encoded = under_way.popleft()
                    yield from self._keep(first, encoded.result(), pending, together=together)
                    behind += lacking(first)
                    if behind >= TAKEN_IN:
                        self._library.load()
                        behind = 0
            while under_way:
                if behind:  # while the last ones are encoded
                    self._library.load()
                first, encoded = under_way.popleft()
                yield from self._keep(first, encoded.result(), pending, together=together)
                behind += lacking(first)

    def plan(self, drafts: Iterable[Draft]) -> Iterator[Pool]:
        """Yield what `add` would encode and keep, pool by pool, for those who encode elsewhere: `encode` and `keep`."""
        yield from self._pools(map(self._prepare, drafts), Counter())

    def keep(self, pool: Pool, encoded: Encoded) -> Iterator[Outcome]:
        """Write the articles of a pool, as `add` does, and yield what became of them."""
        pending = Counter(article.id for article, _, _ in pool)
        yield from self._keep(pool, encoded, pending, together=self._library.distant)

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
        budget = min(BUDGET, self._encoder.window)
        return cut(article, split(article.text, article.language, self._encoder.count_tokens, budget))

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
        """Yield articles cut into passages, and which of these are to be encoded.

        Of an article whose id is `pending`, or was when the library was asked, every passage is encoded: what is stored
        of it is about to change.
        """
        coming = iter(articles)
        while some := list(itertools.islice(coming, TOGETHER)):
            first = {article.id: place for place, article in reversed(list(enumerate(some)))}
            asked = [some[place] for id, place in first.items() if id not in pending]
            unchanged = self._library.unchanged_among(asked)
            cut = {article.id: self._cut(article) for article in asked if article.id not in unchanged}
            lacking = self._lacking(cut)
            for place, article in enumerate(some):
                if place != first[article.id] or article.id not in unchanged | cut.keys():
                    passages = self._cut(article)
                    yield article, passages, list(range(len(passages)))
                elif article.id in unchanged:
                    yield article, self._library.passages(article.id), []
                else:
                    yield article, cut[article.id], lacking[article.id]

    def _lacking(self, cut: Mapping[str, Cut]) -> dict[str, Places]:
        """Return by article which of its passages are to be encoded."""
        of = [(id, place) for id, passages in cut.items() for place in range(len(passages))]
        lacking: dict[str, Places] = {id: [] for id in cut}
        for number in self._library.missing([passage for passages in cut.values() for passage in passages]):
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
            return encode(self._encoder, self._space, pool, told, done)
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
        one_by_one = (self._library.add(each.article, each.passages, each.vectors, each.tokens) for each in additions)
        actions = self._library.add_all(additions) if together else one_by_one
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
