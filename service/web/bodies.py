"""Request bodies: read under a limit, refused where they are not JSON, checked off the event loop."""

import json
from asyncio import timeout
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from service import deadline
from service.web.problems import Malformed, faults_of, summary
from service.wire import ArticleIn

Shape = TypeVar("Shape", bound=BaseModel)

BYTES = "application/octet-stream"

# Bytes of a body that is checked on the event loop: some 30 microseconds.
SHORT = 4096
_ARTICLES = TypeAdapter(list[ArticleIn])


async def read(request: Request, limit: int) -> bytes:
    """Return the body; raises Malformed: 415 where it is not said to be JSON, 413 for over `limit` bytes, 408."""
    media_type = _media_type(request)
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        told = media_type or "none"
        raise Malformed(415, f"The content type must be application/json, not {told}.")
    return await _received(request, limit)


async def read_file(request: Request, limit: int) -> bytes:
    """Return a body that is a file; raises Malformed: 415 where it is not `BYTES`, 413 for over `limit` bytes.

    A browser asks before it lets the page of another site send this content type.
    """
    media_type = _media_type(request)
    if media_type != BYTES:
        raise Malformed(415, f"The content type must be {BYTES}, not {media_type or 'none'}; `name` tells the format.")
    return await _received(request, limit)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _received(request: Request, limit: int) -> bytes:
    """Return the body; no more than the limit is ever held, whatever the length that the sender tells."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with timeout(deadline.left()):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise Malformed(408, "The body did not come in the time that a request has; send less at once.") from None
    return bytes(body)


def _too_large(limit: int) -> Malformed:
    return Malformed(413, f"The body is over the limit of {limit:,} bytes (DRAGOMAN_MAX_BODY_BYTES).")


async def read_one(request: Request, shape: type[Shape], limit: int) -> Shape:
    """Return the body as `shape`; raises what `read` and `parse` raise."""
    body = await read(request, limit)
    # What a thread takes to be asked is more than what a short one takes to be checked.
    return parse(shape, body) if len(body) <= SHORT else await run_in_threadpool(parse, shape, body)


async def read_articles(request: Request, limit: int) -> tuple[list[ArticleIn], bool]:
    """Return the articles in the body, and whether they came as a list; one article may come by itself."""
    body = await read(request, limit)
    if body.lstrip()[:1] == b"[":
        return await run_in_threadpool(_parse_list, body), True
    return [await run_in_threadpool(parse, ArticleIn, body)], False


def parse(shape: type[Shape], body: bytes) -> Shape:
    """Return a body as `shape`; raises Malformed: 400 for what is not JSON, 422 for another shape."""
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise _malformed(error, body) from None


def _parse_list(body: bytes) -> list[ArticleIn]:
    try:
        articles = _ARTICLES.validate_json(body)
    except ValidationError as error:
        raise _malformed(error, body) from None
    if not articles:
        raise Malformed(422, "The list holds no article.")
    return articles


def _malformed(error: ValidationError, body: bytes) -> Malformed:
    """Return the error that tells what is wrong with a body."""
    first: Any = error.errors(include_input=False, include_url=False)[0]
    if first["type"] != "json_invalid":
        faults = faults_of(error)
        return Malformed(422, summary(faults), faults)
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return Malformed(400, f"The body is not JSON: {first['ctx']['error']}.")
    # JSON's grammar allows what the parser refused: escapes that are half a character, numbers beyond use.
    return Malformed(
        422,
        f"The body holds what is no text, such as a lone surrogate (\\ud800): {first['ctx']['error']}.",
    )
