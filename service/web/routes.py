"""The routes: each reads a request, asks the engine off the event loop, and shapes the answer."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from anyio import CancelScope
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import HTMLResponse, PlainTextResponse, Response

import embed
import index
from service.engine import Engine, with_codes
from service.errors import InvalidRequest
from service.reading import Draft
from service.reading.jsonlines import draft
from service.stages import Stages, begin
from service.web import bodies, files, metrics, shapes
from service.web.description import body
from service.web.problems import Malformed, as_responses, faults_of, summary
from service.web.state import State, state
from service.web.timing import Timed
from service.wire import (
    MAX_ID,
    ArticleIn,
    ArticleOut,
    ArticlesPage,
    Fault,
    OutcomeOut,
    Outcomes,
    PassageOut,
    SearchAnswer,
    SearchRequest,
    SimilarAnswer,
    SimilarRequest,
    StatusOut,
    bounded,
)

router = APIRouter(route_class=Timed)
Shared = Annotated[State, Depends(state)]
Asked = TypeVar("Asked", bound=BaseModel)

# What the parameters of GET are called in the body of POST.
PARAMETERS = {"q": "query", "language": "languages"}


@router.post(
    "/v1/search",
    response_model=SearchAnswer,
    responses=as_responses(400, 408, 413, 415, 422, 503, 504),
    openapi_extra=body("SearchRequest"),
    tags=["search"],
)
async def search(request: Request, shared: Shared) -> Response:
    """Return the passages that answer a question, best first."""
    asked = await bodies.read_one(request, SearchRequest, shared.settings.max_body_bytes)
    return await shared.searches.answer(lambda told: begin(answering(shared, asked), told))


@router.get("/v1/search", response_model=SearchAnswer, responses=as_responses(422, 503, 504), tags=["search"])
async def search_by_address(
    request: Request,
    shared: Shared,
    q: Annotated[str, Query(description="the question")],
    limit: Annotated[int | None, Query(ge=1, le=100)] = None,
    language: Annotated[list[str] | None, Query(description="one or more, also as `bn,hi`")] = None,
    cursor: Annotated[str | None, Query()] = None,
    mode: Annotated[str | None, Query()] = None,
    min_relevance: Annotated[float | None, Query(ge=0, le=1)] = None,
    query_language: Annotated[str | None, Query()] = None,
    explain: Annotated[bool | None, Query(description="tell of each hit why it matched")] = None,
    facets: Annotated[bool | None, Query()] = None,
    group: Annotated[str | None, Query(description="`none`, `article` or `story`")] = None,
    rerank: Annotated[bool | None, Query(description="whether the re-ranker puts the page in order")] = None,
) -> Response:
    """Return the passages that answer a question, best first; for filters, use POST."""
    given = {
        "query": q,
        "limit": limit,
        "languages": codes(language),
        "cursor": cursor,
        "mode": mode,
        "min_relevance": min_relevance,
        "query_language": query_language,
        "explain": explain,
        "facets": facets,
        "group": group,
        "rerank": rerank,
    }
    asked = in_address(request, SearchRequest, given)
    return await shared.searches.answer(lambda told: begin(answering(shared, asked), told))


@router.post(
    "/v1/articles",
    status_code=201,
    response_model=Outcomes,
    responses=as_responses(400, 403, 408, 413, 415, 422, 503, 504, 507),
    openapi_extra=body("ArticleIn", "list"),
    tags=["articles"],
)
async def add(request: Request, shared: Shared) -> Response:
    """Add an article or a list of articles; none is added where one of them is malformed.

    An article with the id of another replaces it; one that says the same again changes nothing.
    """
    articles, listed = await bodies.read_articles(request, shared.settings.max_body_bytes)
    return shaped(Outcomes(articles=await write(request, shared, lambda: drafts(articles, listed))), 201)


@router.get(
    "/v1/articles",
    response_model=ArticlesPage,
    responses=as_responses(422, 503, 504),
    tags=["articles"],
)
async def articles(
    request: Request,
    shared: Shared,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str, Query(max_length=MAX_ID, description="`next` of the page before")] = "",
    language: Annotated[list[str] | None, Query(description="one or more, also as `bn,hi`")] = None,
    filter: Annotated[str | None, Query(description="a filter as in a search, in JSON")] = None,
) -> Response:
    """Return articles as they are kept, in the order of their ids.

    An article that comes or goes meanwhile may be left out; every other comes once.
    """
    if unknown := set(request.query_params) - {"limit", "after", "language", "filter"}:
        raise Malformed(422, f"There is no parameter {min(unknown)!r}; there are after, filter, language, limit.")
    where = index.parse_filter(
        with_codes(read_filter(filter)), [embed.normalise(code) for code in codes(language) or ()]
    )
    library = shared.engine.library

    def listed() -> ArticlesPage:
        found = library.articles(after, limit + 1, where)
        page = [shapes.kept_out(each) for each in found[:limit]]
        return ArticlesPage(articles=page, next=page[-1].id if len(found) > limit else None)

    return await shared.reads.run(lambda: shaped(listed()))


@router.get(
    "/v1/articles/{article_id:path}",
    response_model=ArticleOut,
    responses=as_responses(404, 503, 504),
    tags=["articles"],
)
async def show(article_id: str, shared: Shared) -> Response:
    """Return an article as it is kept, and where its passages are."""
    library = shared.engine.library
    return await shared.reads.run(
        lambda: shaped(shapes.article_out(library.get(article_id), library.passages(article_id)))
    )


@router.put(
    "/v1/articles/{article_id:path}",
    response_model=OutcomeOut,
    responses={
        201: {"model": OutcomeOut, "description": "The article is new"},
        **as_responses(400, 403, 408, 413, 415, 422, 503, 504, 507),
    },
    openapi_extra=body("ArticleIn"),
    tags=["articles"],
)
async def put(article_id: str, request: Request, shared: Shared) -> Response:
    """Add or replace the article with this id."""
    given = await bodies.read_one(request, ArticleIn, shared.settings.max_body_bytes)
    if given.id not in (None, article_id):
        raise InvalidRequest("The id in the body is not the one in the address; leave it out.", "/id")
    try:
        article = ArticleIn.model_validate({**given.model_dump(exclude_unset=True), "id": article_id})
    except ValidationError as error:
        raise Malformed(422, summary(faults_of(error)), faults_of(error)) from None
    [outcome] = await write(request, shared, lambda: drafts([article]))
    return shaped(outcome, 201 if outcome.action == "added" else 200)


@router.delete(
    "/v1/articles/{article_id:path}",
    status_code=204,
    responses=as_responses(403, 404, 503, 504),
    tags=["articles"],
)
async def delete(article_id: str, request: Request, shared: Shared) -> Response:
    """Remove an article for good."""
    if not await shared.write(lambda engine: engine.delete(article_id)):
        raise index.ArticleNotFound(f"There is no article {article_id!r}.")
    await shared.audit.tell(request, [(article_id, "deleted")])
    return Response(status_code=204)


@router.get(
    "/v1/passages/{passage_id}",
    response_model=PassageOut,
    responses=as_responses(404, 503, 504),
    tags=["articles"],
)
async def passage(passage_id: str, shared: Shared) -> Response:
    """Return a passage and what is known of its article."""
    library = shared.engine.library
    return await shared.reads.run(lambda: shaped(shapes.passage_out(*library.passage(passage_id))))


@router.post(
    "/v1/passages/{passage_id}/similar",
    response_model=SimilarAnswer,
    responses=as_responses(400, 404, 408, 413, 415, 422, 503, 504),
    openapi_extra=body("SimilarRequest"),
    tags=["search"],
)
async def similar(passage_id: str, request: Request, shared: Shared) -> Response:
    """Return the passages of other articles, in other languages, that say most nearly what a passage says."""
    body = await bodies.read(request, shared.settings.max_body_bytes)
    return await shared.searches.run(lambda: shaped(alike(shared, passage_id, bodies.parse(SimilarRequest, body))))


@router.get(
    "/v1/passages/{passage_id}/similar",
    response_model=SimilarAnswer,
    responses=as_responses(404, 422, 503, 504),
    tags=["search"],
)
async def similar_by_address(
    passage_id: str,
    request: Request,
    shared: Shared,
    limit: Annotated[int | None, Query(ge=1, le=100)] = None,
    language: Annotated[list[str] | None, Query(description="one or more, also as `bn,hi`")] = None,
    same_language: Annotated[bool | None, Query()] = None,
) -> Response:
    """Return the passages of other articles, in other languages, that say most nearly what a passage says."""
    given = {"limit": limit, "languages": codes(language), "same_language": same_language}
    asked = in_address(request, SimilarRequest, given)
    return await shared.searches.run(lambda: shaped(alike(shared, passage_id, asked)))


@router.get("/v1/status", response_model=StatusOut, responses=as_responses(503, 504), tags=["service"])
async def status(shared: Shared) -> Response:
    """Return how much the library holds and with what it was built."""
    library = shared.engine.library
    return await shared.reads.run(lambda: shaped(shapes.status_out(library.status())))


@router.get("/livez", tags=["service"])
async def alive() -> PlainTextResponse:
    """Say that the process answers."""
    return PlainTextResponse("alive\n")


@router.get("/readyz", responses=as_responses(503), tags=["service"])
async def ready(shared: Shared) -> PlainTextResponse:
    """Say that searches are answered; 503 with the reason until they are, and once the service is being stopped."""
    shared.check_ready()
    return PlainTextResponse("ready\n")


@router.get("/metrics", response_class=PlainTextResponse, tags=["service"])
async def numbers(shared: Shared) -> Response:
    """Return Prometheus numbers."""
    return Response(await shared.reads.run(counted, shared), media_type=metrics.CONTENT_TYPE)


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
async def page() -> Response:
    """Return the search page."""
    return files.page()


def counted(shared: State) -> bytes:
    """Return the numbers, with what the library holds."""
    if shared.ready:
        held = shared.engine.library.status()
        shared.metrics.articles.set(held.articles)
        shared.metrics.passages.set(held.passages)
    return shared.metrics.text()


def answering(shared: State, asked: SearchRequest) -> Stages[Response]:
    """Ask the engine, and shape what it answers, stage by stage."""
    limit = shared.settings.max_query_chars
    if (found := len(asked.query)) > limit:
        detail = f"A question has at most {limit:,} characters (DRAGOMAN_MAX_QUERY_CHARS), not {found:,}."
        raise InvalidRequest(detail, "/query")
    for number, code in enumerate(asked.languages):
        language(code, f"/languages/{number}")
    if asked.query_language is not None:
        language(asked.query_language, "/query_language")
    answered = yield from shared.engine.searching(
        asked.query,
        limit=asked.limit,
        cursor=asked.cursor,
        languages=asked.languages,
        filter=asked.filter,
        mode=asked.mode,
        min_relevance=asked.min_relevance,
        query_language=asked.query_language,
        explain=asked.explain,
        facets=asked.facets,
        group=asked.group,
        rerank=asked.rerank,
    )
    shared.tracing.told("search", answered.stages)
    shared.metrics.searched(answered.took_ms / 1000, answered.stages)
    return Response(shapes.answer_json(answered), media_type="application/json")


def alike(shared: State, passage_id: str, asked: SimilarRequest) -> SimilarAnswer:
    """Ask the engine for similar passages, and shape what it answers."""
    for number, code in enumerate(asked.languages):
        language(code, f"/languages/{number}")
    found = shared.engine.similar(
        passage_id,
        limit=asked.limit,
        languages=asked.languages,
        filter=asked.filter,
        same_language=asked.same_language,
    )
    return shapes.similar_out(found)


def codes(given: list[str] | None) -> list[str] | None:
    """Return the language codes of a parameter, which may come several times, and as `bn,hi`."""
    return [code.strip() for each in given for code in each.split(",")] if given else None


def read_filter(given: str | None) -> dict[str, Any] | None:
    """Return the filter in a parameter; raises InvalidFilter where that is no JSON object."""
    if given is None:
        return None
    try:
        found = json.loads(given)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise index.InvalidFilter('The filter is a JSON object, as {"source": "example"}.')
    return bounded(found)


def in_address(request: Request, shape: type[Asked], given: Mapping[str, object]) -> Asked:
    """Return the parameters that were given as the body of POST; raises Malformed for what it does not take."""
    names = {member: parameter for parameter, member in PARAMETERS.items()}
    known = {names.get(member, member) for member in given}
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        raise Malformed(422, f"There is no parameter {unknown[0]!r}; there are {', '.join(sorted(known))}.")
    try:
        return shape.model_validate({member: value for member, value in given.items() if value is not None})
    except ValidationError as error:
        pointers = {f"/{member}": f"/{parameter}" for member, parameter in names.items()}
        faults = [
            Fault(pointer=pointers.get(fault.pointer, fault.pointer), detail=fault.detail) for fault in faults_of(error)
        ]
        raise Malformed(422, summary(faults), faults) from None


async def write(request: Request, shared: State, drafts: Callable[[], Iterable[Draft]]) -> list[OutcomeOut]:
    """Add articles, and tell the audit log of those that were, whatever becomes of the others.

    `drafts` gives them, off the event loop.
    """
    outcomes: list[OutcomeOut] = []
    try:
        with shared.tracing.span("add") as about:
            await shared.write(lambda engine: keep(engine, drafts, outcomes))
            about["articles"] = len(outcomes)
    finally:
        if outcomes:
            with CancelScope(shield=True):  # they are durable, so they are told, even while the server stops
                await shared.audit.tell(request, [(each.id, each.action) for each in outcomes])
    return outcomes


def keep(engine: Engine, drafts: Callable[[], Iterable[Draft]], outcomes: list[OutcomeOut]) -> None:
    """Add articles; put what becomes of each into `outcomes`."""
    for outcome in engine.add(drafts(), serving=True):
        outcomes.append(shapes.outcome_out(outcome))


def drafts(articles: Sequence[ArticleIn], listed: bool = False) -> list[Draft]:
    """Return articles as they are added; all of them are checked before the first is added."""
    for number, article in enumerate(articles):
        if article.language is not None:
            language(article.language, f"/{number}/language" if listed else "/language")
    return list(map(draft, articles))


def language(code: str, pointer: str) -> None:
    """Raise InvalidRequest where `code` is no language."""
    try:
        embed.normalise(code)
    except embed.UnknownLanguage as error:
        raise InvalidRequest(str(error), pointer) from None


def shaped(model: BaseModel, status: int = 200) -> Response:
    """Return a shape as a JSON response."""
    return Response(model.model_dump_json(), status, media_type="application/json")
