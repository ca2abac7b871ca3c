"""Questions that arrive together are encoded together, their languages told meanwhile, and those that were asked lately
not again.
"""

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embed import Encoder, Guess, detect
from service.errors import Overdue

Vectors = NDArray[np.float32]

# Questions of one batch: of more the last would wait for the first without any being encoded sooner.
MOST = 32

# Bytes of encoded questions that are remembered: some 2,000 with the token vectors of the default model.
ROOM = 64 * 1024 * 1024

LATE = "The question was not encoded in the time for this request."


@dataclass(frozen=True, slots=True)
class Encoded:
    """A question's vector (dim,), its token vectors (t, token_dim), None where they are not compared, its language."""

    vector: Vectors
    tokens: Vectors | None
    language: Guess

    @property
    def size(self) -> int:
        """Return the bytes that it takes."""
        return self.vector.nbytes + (0 if self.tokens is None else self.tokens.nbytes)


class Batching:
    """Encodes single questions for many threads, with one encoder: what it remembers is by the text alone.

    Whoever comes while nothing is encoded is encoded at once; whoever comes meanwhile waits with the others who do, and
    is encoded together with them. Before each batch it is asked to `wait`, for what would only wait elsewhere once it
    is encoded may as well wait here, for more to come; it is given what tells how many wait here. `room` is how many
    bytes of questions are remembered, the latest asked.
    """

    def __init__(
        self,
        encoder: Encoder,
        wait: Callable[[Callable[[], int]], object] = lambda _: None,
        *,
        tokens: bool,
        room: int = ROOM,
    ) -> None:
        self._encoder = encoder
        self._wait = wait
        self._tokens = tokens
        self._room = room
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Encoded] = OrderedDict()
        self._size = 0
        self._coming: dict[str, Future[Encoded]] = {}
        self._waiting: deque[str] = deque()
        self._wanted: dict[str, float] = {}  # until when somebody waits for a text
        self._busy = False
        self._thread = ThreadPoolExecutor(1, "questions")
        self._languages = ThreadPoolExecutor(1, "languages")

    def encode(self, text: str, seconds: float | None = None) -> Encoded:
        """Return a question encoded; raises what the encoder raises, and Overdue where it is not done in `seconds`."""
        try:
            return self.submit(text, seconds).result(seconds)
        except TimeoutError:
            raise Overdue(LATE) from None

    def submit(self, text: str, seconds: float | None = None) -> "Future[Encoded]":
        """Return what will tell a question encoded, to others too who ask it; it raises as `encode` does.

        What nobody waits for any longer when its turn comes is not encoded.
        """
        until = math.inf if seconds is None else time.monotonic() + seconds
        with self._lock:
            if text in self._known:
                self._known.move_to_end(text)
                known: Future[Encoded] = Future()
                known.set_result(self._known[text])
                return known
            coming = self._coming.get(text)
            if coming is None:
                coming = self._coming[text] = Future()
                self._waiting.append(text)
                self._wanted[text] = until
                if not self._busy:
                    self._thread.submit(self._run)
                    self._busy = True
            elif text in self._wanted:
                self._wanted[text] = max(until, self._wanted[text])
            return coming

    def close(self) -> None:
        """Finish what was begun, and end the threads."""
        self._thread.shutdown()
        self._languages.shutdown()

    def _run(self) -> None:
        """Encode until nobody waits."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy = False
                    return
            self._wait(lambda: len(self._waiting))
            with self._lock:
                batch, late = self._next()
            for each in late:
                each.set_exception(Overdue(LATE))
            if not batch:
                continue
            try:
                told = self._together(batch)
            except BaseException as error:
                with self._lock:
                    failed = [self._coming.pop(text) for text in batch]
                for each in failed:
                    each.set_exception(error)
                continue
            with self._lock:
                done = [self._coming.pop(text) for text in batch]
                for text, encoded in zip(batch, told, strict=True):
                    self._remember(text, encoded)
            for each, encoded in zip(done, told, strict=True):
                each.set_result(encoded)

    def _next(self) -> "tuple[list[str], list[Future[Encoded]]]":
        """Return the next batch of those that somebody waits for, and whom nobody waits for; the lock is held."""
        batch: list[str] = []
        late: list[Future[Encoded]] = []
        now = time.monotonic()
        while self._waiting and len(batch) < MOST:
            text = self._waiting.popleft()
            if self._wanted.pop(text) > now:
                batch.append(text)
            else:
                late.append(self._coming.pop(text))
        return batch, late

    def _together(self, texts: list[str]) -> list[Encoded]:
        tokens: dict[int, Vectors] = {}

        def keep(place: int, vectors: Vectors) -> None:
            tokens[place] = vectors.copy()  # what is given is a part of all that the batch made

        # Meanwhile, for the encoder leaves Python to others; and together, for what that takes is in the CPU's cache
        # then: by itself, between searches, each takes twice as long (benchmarks/results.md).
        detecting = self._languages.submit(lambda: list(map(detect, texts)))
        vectors = self._encoder.encode_queries(texts, keep if self._tokens else None)
        languages = detecting.result()
        return [Encoded(vectors[place].copy(), tokens.get(place), languages[place]) for place in range(len(texts))]

    def _remember(self, text: str, encoded: Encoded) -> None:
        self._known[text] = encoded
        self._size += encoded.size
        while self._size > self._room:
            self._size -= self._known.popitem(last=False)[1].size
