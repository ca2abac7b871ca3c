"""What stands before every route: whether the request is let in, and the time that it may take."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from service import deadline
from service.errors import Overdue
from service.web.access import admit, needed
from service.web.problems import Malformed
from service.web.state import state_of


class Timed(APIRoute):
    """A route that lets in whom `admit` does, and is given `request_seconds`, or `write_seconds` to do more than read.

    The time begins with the request's headers, so it is that of a body as well. An answer that is sent bit by bit may
    take longer: the time is that until it begins.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        # What a generated client calls its functions.
        super().__init__(*given, **{**named, "generate_unique_id_function": lambda route: route.name})

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request; raises Malformed, as `admit` does or (504) where the time is over before."""
        handle = plain(self.endpoint) or super().get_route_handler()

        async def timed(request: Request) -> Response:
            settings = state_of(request).settings
            reads = needed(request.method, self.path) in (None, "read")
            seconds = settings.request_seconds if reads else settings.write_seconds
            try:
                with deadline.within(seconds):
                    await admit(request)
                    return await handle(request)
            except Overdue:
                limit = f"{seconds} seconds (DRAGOMAN_{'REQUEST' if reads else 'WRITE'}_SECONDS)"
                raise Malformed(504, f"It was not done within {limit}. {READ if reads else WRITTEN}") from None

        return timed


def plain(endpoint: Callable[..., Any]) -> Callable[[Request], Awaitable[Response]] | None:
    """Return what calls an endpoint that takes no more than the request and what is shared; None for any other.

    FastAPI would look at each request for parameters, of which there are none, for longer than all else here takes.
    """
    names = inspect.signature(endpoint).parameters.keys()
    if not inspect.iscoroutinefunction(endpoint) or not names <= {"request", "shared"}:
        return None

    async def call(request: Request) -> Response:
        given = {"request": request, "shared": state_of(request)}
        answer: Response = await endpoint(**{name: given[name] for name in names})
        return answer

    return call


READ = "Ask again when fewer do, for fewer hits, or without `explain`."
WRITTEN = "What was done until then stays; send the same again: what is there already costs next to nothing."
