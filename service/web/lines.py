"""Requests that wait their turn, in threads of their own: so many and no more, so that a crowd is told at once."""

import math
import threading
from asyncio import wrap_future
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import nullcontext
from types import MappingProxyType
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, move_on_after, to_thread

from service import deadline
from service.errors import Overdue
from service.web.problems import Malformed

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class Crowded(Malformed):
    """As many requests as may are being answered or wait already (503): the sender is to come again."""

    headers: Mapping[str, str] | None = MappingProxyType({"Retry-After": "1"})


class Line:
    """At most `most` requests of one kind, `at_once` of them at work. To be used by one event loop.

    The threads are a line's own, so that no kind of request waits for the threads of another. With `leaving` a request
    whose time is over while it is at work is not waited for: its thread goes on until it looks at the time itself, and
    keeps its place in the line until then.
    """

    def __init__(self, kind: str, most: int, at_once: int, *, leaving: bool = False) -> None:
        self._kind = kind
        self._most = most
        # Where all may be at work nobody waits for a place, and asking for one would take a turn of the event loop.
        self._at_once = CapacityLimiter(at_once) if at_once < most else nullcontext()
        self._threads = CapacityLimiter(math.inf)
        self._leaving = leaving
        self._lock = threading.Lock()
        self.length = 0

    async def run(self, work: Callable[Given, Answer], *given: Given.args, **named: Given.kwargs) -> Answer:
        """Return what `work` returns, off the event loop; raises Crowded where the line is full, and Overdue."""
        self._check()
        self._longer(1)
        turn = threading.Lock()  # whoever takes it first decides: the thread that begins, or the request that leaves

        def at_work() -> Answer:
            if not turn.acquire(blocking=False):
                raise Overdue
            try:
                return work(*given, **named)
            finally:
                self._longer(-1)

        try:
            with move_on_after(deadline.left()) as time:
                async with self._at_once:
                    if not self._leaving:
                        time.deadline = math.inf
                    return await to_thread.run_sync(at_work, limiter=self._threads, abandon_on_cancel=self._leaving)
            raise Overdue(f"The time was over while {self._kind} were being answered.")
        finally:
            if turn.acquire(blocking=False):
                self._longer(-1)

    async def answer(self, begin: Callable[[], Future[Answer]]) -> Answer:
        """Return what the future tells that `begin` returns, for which no thread is held; raises Crowded and Overdue.

        It keeps its place until that is told, even where the request's time is over before.
        """
        self._check()
        self._longer(1)
        try:
            coming = begin()
        except BaseException:
            self._longer(-1)
            raise
        coming.add_done_callback(lambda _: self._longer(-1))
        with move_on_after(deadline.left()):
            return await wrap_future(coming)
        raise Overdue(f"The time was over while {self._kind} were being answered.")

    def _check(self) -> None:
        if self.length >= self._most:
            raise Crowded(503, f"{self._most} {self._kind} are being answered or wait already; come again in a moment.")

    def _longer(self, by: int) -> None:
        with self._lock:
            self.length += by
