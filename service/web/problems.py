"""Errors as `application/problem+json` (RFC 9457): one table from error to status, and never a traceback."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

import embed
import index
from service.errors import (
    ExtraMissing,
    InvalidRequest,
    Overdue,
    QuestionUnknown,
    ServiceError,
    TooLarge,
    UnreadableInput,
)
from service.web.envelope import headers
from service.wire import Fault, Problem

MEDIA_TYPE = "application/problem+json"
# A writer holds the lock for the time of one batch: 5 seconds. After 408 and 413 the rest of the body is not read.
CLOSE = {"Connection": "close"}
HEADERS: Mapping[int, Mapping[str, str]] = {408: CLOSE, 413: CLOSE, 503: {"Retry-After": "5"}}

# The first that fits decides, so members of a family stand before its root.
STATUSES: Sequence[tuple[type[Exception], int]] = (
    (embed.UnknownLanguage, 422),
    (embed.ModelUnavailable, 503),
    (index.ArticleNotFound, 404),
    (index.PassageNotFound, 404),
    (index.InvalidArticle, 422),
    (index.InvalidFilter, 422),
    (index.InvalidCursor, 422),
    (index.NotCalibrated, 422),
    (index.ReadOnlyLibrary, 403),
    (index.LibraryBusy, 503),
    (index.LibraryUnavailable, 503),
    (index.LibraryClosed, 503),
    (index.LibraryFull, 507),
    (index.LibraryError, 500),
    (embed.EmbedError, 500),
    (TooLarge, 413),
    (UnreadableInput, 422),
    (InvalidRequest, 422),
    (ExtraMissing, 501),
    (Overdue, 504),
    (QuestionUnknown, 404),
    (ServiceError, 500),
)
# Where in the request the fault of an error is, when the error itself does not say.
POINTERS: Mapping[type[Exception], str] = {
    index.InvalidFilter: "/filter",
    index.InvalidCursor: "/cursor",
    index.NotCalibrated: "/min_relevance",
}


# Where the clients of OpenAI and Cohere ask: both look for a reason in `message`, and show no other.
DIALECTS = frozenset({"/v1/embeddings", "/v1/rerank"})


class Malformed(Exception):
    """A body that is not JSON, or not of the shape: the status, a sentence, and the faults."""

    headers: Mapping[str, str] | None = None

    def __init__(self, status: int, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.faults = faults


def problem(
    request: Request,
    status: int,
    detail: str,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as a response."""
    told = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        errors=list(faults),
    )
    members = told.model_dump(exclude=set() if faults else {"errors"})
    if request.url.path in DIALECTS:
        members["message"] = detail
    # What is quoted from a request may hold half a character; a response never does.
    body = json.dumps(members, ensure_ascii=False).encode(errors="replace")
    return Response(body, status, dict(headers or {}), MEDIA_TYPE)


def faults_of(error: ValidationError | RequestValidationError, prefix: str = "") -> list[Fault]:
    """Return the faults that pydantic found, with JSON pointers; what was sent is not repeated."""
    faults = []
    for each in error.errors():
        pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in each["loc"])
        faults.append(Fault(pointer=prefix + pointer, detail=each["msg"].removeprefix("Value error, ")))
    return faults


def register(app: FastAPI, *routers: APIRouter) -> None:
    """Make `app` answer every error with a problem."""

    async def malformed(request: Request, error: Exception) -> Response:
        assert isinstance(error, Malformed)
        return problem(request, error.status, error.detail, error.faults, error.headers or HEADERS.get(error.status))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # FastAPI's locations begin with where the parameter is (query, path): its name is enough.
        faults = [
            Fault(pointer="/" + fault.pointer.split("/", 2)[-1], detail=fault.detail) for fault in faults_of(error)
        ]
        return problem(request, 422, summary(faults), faults)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = error.detail
        if error.status_code == 404 and detail == "Not Found":
            detail = f"There is nothing at {request.url.path}; /docs lists what there is."
        elif error.status_code == 405:
            detail = f"{request.method} is not allowed here; /docs lists what is."
            # Starlette tells the methods of the first route at the address only.
            allowed = ", ".join(methods(routers, request.url.path)) or "GET"
            return problem(request, 405, detail, (), {"Allow": allowed})
        return problem(request, error.status_code, detail, (), error.headers)

    async def known(request: Request, error: Exception) -> Response:
        status = next(status for kind, status in STATUSES if isinstance(error, kind))
        pointer = getattr(error, "pointer", None) or POINTERS.get(type(error))
        detail = str(error.args[0]) if error.args else str(error)
        faults = [Fault(pointer=pointer, detail=detail)] if pointer else []
        return problem(request, status, detail, faults, HEADERS.get(status))

    async def unexpected(request: Request, _: Exception) -> Response:
        # This answer is made outside of the middleware.
        detail = "Something failed that should not; the log of the server tells what."
        return problem(request, 500, detail, (), headers(request.state.request_id))

    app.add_exception_handler(Malformed, malformed)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, refused)
    for root in (embed.EmbedError, index.LibraryError, ServiceError):
        app.add_exception_handler(root, known)
    app.add_exception_handler(Exception, unexpected)


def methods(routers: Sequence[APIRouter], path: str) -> list[str]:
    """Return the methods that an address knows."""
    known: set[str] = set()
    for route in (route for router in routers for route in router.routes):
        if isinstance(route, Route) and route.path_regex.match(path):
            known |= route.methods or set()
    return sorted(known)


def summary(faults: Sequence[Fault]) -> str:
    """Return the faults in one sentence."""
    told = "; ".join(f"{fault.pointer or 'the body'}: {fault.detail}" for fault in faults[:3])
    return told + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")


def as_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of problems for a route's OpenAPI entry."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}} for status in statuses}
