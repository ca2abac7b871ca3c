"""What goes around every answer: a request id, headers that keep browsers safe, and a line in the log."""

import logging
import re
import secrets
import time
from collections.abc import Mapping
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("dragoman.requests")

# The request that is being answered, for whatever is logged meanwhile, in threads too.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

SECURITY: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
}
_GIVEN = re.compile(rb"[\w.:-]{1,64}")

# As ASGI has them: names in small letters.
_SEALS = [(header.lower().encode(), value.encode()) for header, value in SECURITY.items()]


class Envelope:
    """ASGI middleware that names each request, as its `X-Request-ID` says or anew, and adds the headers of safety.

    A page that has a policy of its own keeps it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, add headers to the answer, and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for header, value in scope["headers"] if header == b"x-request-id"), b"")
        name = given.decode() if _GIVEN.fullmatch(given) else secrets.token_hex(8)
        state = scope.setdefault("state", {})
        state["request_id"] = name
        token = request_id.set(name)
        started, status = time.perf_counter(), 500

        async def sealed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = list(message.get("headers", ()))
                there = {header for header, _ in answered}
                seals = [(b"x-request-id", name.encode()), *_SEALS]
                message["headers"] = answered + [seal for seal in seals if seal[0] not in there]
            await send(message)

        try:
            await self._app(scope, receive, sealed)
        finally:
            # What is asked for may be in the address, so its template is told and not the address.
            if log.isEnabledFor(logging.INFO):
                about = {
                    "method": scope["method"],
                    "route": getattr(scope.get("route"), "path", None),
                    "status": status,
                    "took_ms": round((time.perf_counter() - started) * 1000, 2),
                    "key": state.get("caller"),
                }
                log.info("answered", extra={"members": about})
            request_id.reset(token)


def headers(name: str) -> dict[str, str]:
    """Return the headers that every answer has."""
    return {"X-Request-ID": name, **SECURITY}
