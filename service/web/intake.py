"""Adding what is no JSON: a file as it is, or whatever is at an address."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from service import deadline
from service.errors import UnreadableInput
from service.fetching import Visits, Web
from service.reading import Draft, Refusal, Skipped, read_bytes
from service.web import bodies
from service.web.description import body, raw
from service.web.problems import as_responses
from service.web.routes import language as check_language
from service.web.routes import shaped, write
from service.web.state import State, state
from service.web.timing import Timed
from service.wire import FetchRequest, ReadOut, Told

router = APIRouter(route_class=Timed)
Shared = Annotated[State, Depends(state)]
Found = list[Draft | Refusal | Skipped]

# The most articles that one request adds: a table or an archive of more is for the command line.
MOST = 10_000
STATUSES = as_responses(400, 403, 408, 413, 415, 422, 501, 503, 504, 507)
# Of the time of a request this part is left for what was fetched to be added.
SPARED = 0.25


@router.post(
    "/v1/files",
    status_code=201,
    response_model=ReadOut,
    responses=STATUSES,
    openapi_extra=raw(bodies.BYTES),
    tags=["articles"],
)
async def add_file(
    request: Request,
    shared: Shared,
    name: Annotated[str, Query(min_length=1, max_length=1024, description="the file's name, which tells its format")],
    language: Annotated[str | None, Query(description="of the articles; detected where absent")] = None,
    source: Annotated[str | None, Query(max_length=4096, description="who published them")] = None,
) -> Response:
    """Add the articles in a file; the body is the file as it is.

    What in it cannot be read is told under `refused`; where nothing can, the answer is 422.
    """
    if language is not None:
        check_language(language, "/language")
    data = await bodies.read_file(request, shared.settings.max_body_bytes)
    limit = shared.settings.max_article_bytes
    found: Found = await shared.writes.run(lambda: list(islice(read_bytes(data, name, limit), MOST + 1)))
    if len(found) > MOST:
        raise UnreadableInput(f"The file holds over {MOST:,} articles; `dragoman add` takes any number.")
    return await _added(request, shared, found, language, source)


@router.post(
    "/v1/fetch",
    status_code=201,
    response_model=ReadOut,
    responses=STATUSES,
    openapi_extra=body("FetchRequest"),
    tags=["articles"],
)
async def fetch(request: Request, shared: Shared) -> Response:
    """Add what is at an address: a page, a file, or the pages of a feed or a sitemap.

    Only public addresses are fetched from, as far as the site's robots.txt allows. What cannot be had is told under
    `refused`, what is there already under `skipped`; where nothing can be had, the answer is 422.
    """
    asked = await bodies.read_one(request, FetchRequest, shared.settings.max_body_bytes)
    if asked.language is not None:
        check_language(asked.language, "/language")
    web = Web(
        shared.fetcher,
        Visits(shared.settings.visits_path, shared.engine.has),
        shared.settings.max_article_bytes,
    )
    found = await shared.fetches.run(in_time, web, asked)
    return await _added(request, shared, found, asked.language, asked.source)


def in_time(web: Web, asked: FetchRequest) -> Found:
    """Return what is found at an address in good time: what is not, the same request finds another time."""
    seconds = deadline.left()
    found: Found = []
    for each in islice(web.read(asked.url, asked.pages), MOST):
        found.append(each)
        if seconds is not None and (deadline.left() or 0) < SPARED * seconds:
            found.append(
                Skipped(asked.url, "more of it was not asked for, because the time is over; send the same again")
            )
            break
    return found


async def _added(request: Request, shared: State, found: Found, language: str | None, source: str | None) -> Response:
    """Add what was read, and answer with what became of it all; raises UnreadableInput where all was refused."""
    refused = told(each for each in found if isinstance(each, Refusal))
    drafts = [
        replace(each, language=language or each.language, source=source or each.source)
        for each in found
        if isinstance(each, Draft)
    ]
    if refused and len(refused) == len(found):
        more = f" ({len(refused) - 1} more were refused)" if len(refused) > 1 else ""
        raise UnreadableInput(f"{refused[0].where}: {refused[0].reason}{more}")
    outcomes = await write(request, shared, lambda: drafts) if drafts else []
    skipped = told(each for each in found if isinstance(each, Skipped))
    return shaped(ReadOut(articles=outcomes, skipped=skipped, refused=refused), 201)


def told(found: Iterable[Refusal | Skipped]) -> list[Told]:
    """Return what did not become an article, as it goes over HTTP."""
    return [Told(where=each.where, reason=each.reason) for each in found]
