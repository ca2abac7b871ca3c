"""What stands before every route: whether the request is let in, and the time that it may take."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service import deadline
from service.errors import Overdue
from service.web.access import admit, needed
from service.web.problems import Malformed
from service.web.state import State, state_of


class Timed(APIRoute):
    """A route that lets in whom `admit` does, and is given `request_seconds`, or `write_seconds` to do more than read.

    The time begins with the request's headers, so it is that of a body as well. An answer that is sent bit by bit may
    take longer: the time is that until it begins. An endpoint that takes nothing but the request and what is shared is
    called without FastAPI, which would look for parameters longer than all else here takes.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        # What a generated client calls its functions.
        super().__init__(*given, **{**named, "generate_unique_id_function": lambda route: route.name})
        names = inspect.signature(self.endpoint).parameters.keys()
        if not inspect.iscoroutinefunction(self.endpoint) or not names <= {"request", "shared"}:
            return

        async def handle(request: Request, shared: State) -> Response:
            known: dict[str, object] = {"request": request, "shared": shared}
            response: Response = await self.endpoint(**{name: known[name] for name in names})
            return response

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            response = await self._timed(Request(scope, receive, send), handle)
            await response(scope, receive, send)

        self.app = app

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request; raises Malformed, as `admit` does or (504) where the time is over before."""
        handle = super().get_route_handler()

        async def timed(request: Request) -> Response:
            return await self._timed(request, lambda request, _: handle(request))

        return timed

    async def _timed(self, request: Request, handle: Callable[[Request, State], Awaitable[Response]]) -> Response:
        shared = state_of(request)
        scope = needed(request.method, self.path)
        reads = scope in (None, "read")
        seconds = shared.settings.request_seconds if reads else shared.settings.write_seconds
        try:
            with deadline.within(seconds):
                admit(request, shared, scope)
                return await handle(request, shared)
        except Overdue:
            limit = f"{seconds} seconds (DRAGOMAN_{'REQUEST' if reads else 'WRITE'}_SECONDS)"
            raise Malformed(504, f"It was not done within {limit}. {READ if reads else WRITTEN}") from None


READ = "Ask again when fewer do, for fewer hits, or without `explain`."
WRITTEN = "What was done until then stays; send the same again: what is there already costs next to nothing."
