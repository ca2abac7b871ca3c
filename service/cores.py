"""The cores on which searches are ranked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service import deadline
from service.errors import Overdue

# Seconds for which a question waits, before it is encoded, for those that wait for a core.
PATIENCE = 0.1


class Cores:
    """So many cores, each lent to one search at a time: more threads at once only take the interpreter from each other.

    A service of two cores lends one, for the other has the encoder and the event loop: of two searches at once each
    takes twice as long, and the questions after them are encoded later (benchmarks/results.md).
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = threading.Semaphore(count)
        self._waiting = self._lent = 0
        self._changed = threading.Condition()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a core; raises Overdue where none is free in the time for the request."""
        if not self._take(deadline.left()):
            raise Overdue("No core was free in the time for this request.")
        try:
            yield
        finally:
            self._give_back()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Leave the core that is held to another search meanwhile."""
        self._give_back()
        try:
            yield
        finally:
            self._take(None)

    def wait_for_room(self, asked: Callable[[], int]) -> None:
        """Wait until a core is free, or no more searches have one or wait for one than questions do to be encoded.

        No longer than `PATIENCE`. So half of those who ask are searched while the other half is encoded, and no core
        waits for the other.
        """

        def room() -> bool:
            return self._lent < self._count or self._lent + self._waiting <= asked()

        with self._changed:
            self._changed.wait_for(room, PATIENCE)

    def _take(self, seconds: float | None) -> bool:
        with self._changed:
            self._waiting += 1
        taken = False
        try:
            taken = self._free.acquire(timeout=seconds)
            return taken
        finally:
            with self._changed:
                self._waiting -= 1
                self._lent += taken
                self._changed.notify_all()

    def _give_back(self) -> None:
        self._free.release()
        with self._changed:
            self._lent -= 1
            self._changed.notify_all()
