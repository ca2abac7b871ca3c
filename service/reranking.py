"""Hits put in a new order by a cross-encoder, as far as the time for it goes."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embed import Reranker
from index import Hit
from service import deadline

# Passages that are scored together. What has begun is not broken off, so a batch is short.
BATCH = 4

# Questions whose hits wait to be scored, each within its own time.
WAITING = 64


@dataclass(frozen=True, slots=True)
class Reranked:
    """Hits in their new order, the score of each (None where time was over before), and the model's name."""

    hits: list[Hit]
    scores: list[float | None]
    model: str

    @property
    def scored(self) -> int:
        """Return how many of the hits were scored."""
        return sum(score is not None for score in self.scores)


class Reranking:
    """Re-ranks with one model, within `seconds` for each question."""

    def __init__(self, model: Reranker, seconds: float) -> None:
        self.model = model
        self.seconds = seconds
        self._thread = ThreadPoolExecutor(1, "re-ranking")
        self._waiting = ThreadPoolExecutor(WAITING, "re-ranked")

    def order(self, query: str, hits: Sequence[Hit]) -> Reranked:
        """Return the hits, those that were scored in time first, by their scores, and the others in their own order.

        The hits of a page keep its ranks: who was third on it may be first, and none goes to another page.
        """
        scores = self.scores(query, [hit.passage.text for hit in hits])
        order = np.argsort(-np.array(scores, np.float32), kind="stable").tolist()
        order += range(len(scores), len(hits))
        ranks = [hit.rank for hit in hits]
        found = [ranked(hits[place], rank) for place, rank in zip(order, ranks, strict=True)]
        return Reranked(
            found, [float(scores[place]) if place < len(scores) else None for place in order], self.model.name
        )

    def submit(self, work: Callable[[], None]) -> None:
        """Have work done that waits for scores."""
        self._waiting.submit(work)

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the scores of the first texts (m,), as many as there was time for."""
        left = deadline.left()
        # Half of what is left of a request's time: the answer is still to be made.
        until = time.monotonic() + (self.seconds if left is None else min(self.seconds, left / 2))
        batches: list[Future[NDArray[np.float32]]] = [
            self._thread.submit(self.model.score, query, texts[start : start + BATCH])
            for start in range(0, len(texts), BATCH)
        ]
        done = [np.zeros(0, np.float32)]
        try:
            for batch in batches:
                done.append(batch.result(max(0.0, until - time.monotonic())))
        except TooLate:
            pass
        finally:
            for batch in batches:
                batch.cancel()
        return np.concatenate(done)

    def close(self) -> None:
        """End the threads, without what has not begun to be scored."""
        self._thread.shutdown(cancel_futures=True)
        self._waiting.shutdown()


def ranked(hit: Hit, rank: int) -> Hit:
    """Return a hit, and all that is grouped under it, with another rank."""
    inner = [tuple(ranked(each, rank) for each in grouped) for grouped in (hit.passages, hit.sources)]
    return replace(hit, rank=rank, passages=inner[0], sources=inner[1])
