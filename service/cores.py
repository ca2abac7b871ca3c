"""The cores on which searches are ranked."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

# Seconds for which a question waits, before it is encoded, for those that wait for a core.
PATIENCE = 0.1


class Cores:
    """So many threads, each ranking one search at a time: more at once only take the interpreter from each other.

    A service of two cores has one, for the other core has the encoder and the event loop: of two searches at once each
    takes twice as long, and the questions after them are encoded later (benchmarks/results.md).
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._threads = ThreadPoolExecutor(count, "ranking")
        self._taken = 0  # searches that have a core or wait for one
        self._changed = threading.Condition()

    def submit(self, work: Callable[[], None]) -> None:
        """Have the work done on the first core that is free, those that came before it first."""
        with self._changed:
            self._taken += 1
        self._threads.submit(self._done, work)

    def wait_for_room(self, asked: Callable[[], int]) -> None:
        """Wait until a core is free, or no more searches have one or wait for one than questions do to be encoded.

        No longer than `PATIENCE`. So half of those who ask are searched while the other half is encoded, and no core
        waits for the other.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._taken < self._count or self._taken <= asked(), PATIENCE)

    def close(self) -> None:
        """End the threads when what they were given is done."""
        self._threads.shutdown()

    def _done(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify_all()
