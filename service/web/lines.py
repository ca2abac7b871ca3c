"""Requests that wait their turn, in threads of their own: so many and no more, so that a crowd is told at once."""

import math
import threading
from asyncio import Future, get_running_loop, timeout
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from types import MappingProxyType
from typing import Generic, ParamSpec, TypeVar

from anyio import CapacityLimiter, move_on_after, to_thread

from service import deadline
from service.errors import Overdue
from service.web.problems import Malformed

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Told = TypeVar("Told")


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
        self._enter()
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

    async def answer(self, begin: Callable[["Coming[Answer]"], None]) -> Answer:
        """Return what will be told to what `begin` is given, for which no thread is held; raises Crowded and Overdue.

        It keeps its place until that is told, even where the request's time is over before.
        """
        self._enter()
        coming: Coming[Answer] = Coming(lambda: self._longer(-1))
        begin(coming)
        try:
            async with timeout(deadline.left()):
                return await coming.future
        except TimeoutError:
            raise Overdue(f"The time was over while {self._kind} were being answered.") from None

    def _enter(self) -> None:
        """Take a place; raises Crowded where there is none."""
        if self.length >= self._most:
            raise Crowded(503, f"{self._most} {self._kind} are being answered or wait already; come again in a moment.")
        self._longer(1)

    def _longer(self, by: int) -> None:
        with self._lock:
            self.length += by


class Coming(Generic[Answer]):
    """An answer that is on its way to the event loop, from whichever thread tells it; `then` is called there first."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self._loop = get_running_loop()
        self.future: Future[Answer] = self._loop.create_future()

    def set_result(self, result: Answer) -> None:
        """Tell the answer."""
        self._tell(self.future.set_result, result)

    def set_exception(self, exception: BaseException) -> None:
        """Tell what was raised instead."""
        self._tell(self.future.set_exception, exception)

    def _tell(self, tell: Callable[[Told], None], told: Told) -> None:
        self._then()
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            self._loop.call_soon_threadsafe(lambda: None if self.future.done() else tell(told))
