"""How long a request may take yet: said once where it comes in, asked wherever work begins that may take long."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from service.errors import Overdue

_end: ContextVar[float | None] = ContextVar("end", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let the block, and the threads that are given its context, take so many seconds; 0 for any number."""
    token = _end.set(time.monotonic() + seconds if seconds else None)
    try:
        yield
    finally:
        _end.reset(token)


def check() -> None:
    """Raise Overdue where no time is left."""
    left()


def left() -> float | None:
    """Return the seconds that are left, None where any number is; raises Overdue where none are."""
    end = _end.get()
    if end is None:
        return None
    seconds = end - time.monotonic()
    if seconds <= 0:
        raise Overdue("The time for this request is over.")
    return seconds
