"""Requests that wait their turn, in threads of their own: so many and no more, so that a crowd is told at once."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from service.web.problems import Malformed

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class Crowded(Malformed):
    """As many requests as may are being answered or wait already (503): the sender is to come again."""

    headers: Mapping[str, str] | None = MappingProxyType({"Retry-After": "1"})


class Line:
    """At most `most` requests of one kind, `at_once` of them at work. To be used by one event loop.

    The threads are a line's own, so that no kind of request waits for the threads of another.
    """

    def __init__(self, kind: str, most: int, at_once: int) -> None:
        self._kind = kind
        self._most = most
        self._threads = CapacityLimiter(at_once)
        self.length = 0

    async def run(self, work: Callable[Given, Answer], *given: Given.args, **named: Given.kwargs) -> Answer:
        """Return what `work` returns, off the event loop; raises Crowded where the line is full."""
        if self.length >= self._most:
            raise Crowded(503, f"{self._most} {self._kind} are being answered or wait already; come again in a moment.")
        self.length += 1
        try:
            return await to_thread.run_sync(lambda: work(*given, **named), limiter=self._threads)
        finally:
            self.length -= 1
