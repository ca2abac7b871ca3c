"""The time that a request may take: when it begins, and what is answered when it is over."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from service import deadline
from service.errors import Overdue
from service.web.access import needed
from service.web.problems import Malformed
from service.web.state import state_of


class Timed(APIRoute):
    """A route that is given `request_seconds`, or `write_seconds` where it needs more than to read.

    The time begins with the request's headers, so it is that of a body as well. An answer that is sent bit by bit may
    take longer: the time is that until it begins.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request; raises Malformed (504) where the time is over before that is done."""
        handle = super().get_route_handler()

        async def timed(request: Request) -> Response:
            settings = state_of(request).settings
            reads = needed(request.method, self.path) in (None, "read")
            seconds = settings.request_seconds if reads else settings.write_seconds
            try:
                with deadline.within(seconds):
                    return await handle(request)
            except Overdue:
                limit = f"{seconds} seconds (DRAGOMAN_{'REQUEST' if reads else 'WRITE'}_SECONDS)"
                raise Malformed(504, f"It was not done within {limit}. {READ if reads else WRITTEN}") from None

        return timed


READ = "Ask again when fewer do, for fewer hits, or without `explain`."
WRITTEN = "What was done until then stays; send the same again: what is there already costs next to nothing."
