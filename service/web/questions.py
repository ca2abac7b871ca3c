"""The routes of standing questions."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from service.errors import FetchRefused, InvalidRequest
from service.questions import Book, Match, Question, Webhooks, ask, atom
from service.questions.feed import MEDIA_TYPE
from service.web import bodies
from service.web.description import body
from service.web.problems import as_responses
from service.web.routes import language, shaped
from service.web.state import State, state
from service.web.timing import Timed
from service.wire import MatchesOut, MatchOut, QuestionOut, QuestionRequest, QuestionsOut

router = APIRouter(route_class=Timed)
Shared = Annotated[State, Depends(state)]

MOST = 1000


@router.post(
    "/v1/questions",
    status_code=201,
    response_model=QuestionOut,
    responses=as_responses(400, 403, 408, 413, 415, 422, 503, 504),
    openapi_extra=body("QuestionRequest"),
    tags=["questions"],
)
async def add_question(request: Request, shared: Shared) -> Response:
    """Ask a standing question: articles that come from now on and answer it are told once each.

    They are told in its feed, under `matches`, and to its `webhook` if it has one, whose `secret` is in this answer
    alone.
    """
    asked = await bodies.read_one(request, QuestionRequest, shared.settings.max_body_bytes)
    return shaped(await shared.writes.run(asked_for, shared, asked), 201)


@router.get("/v1/questions", response_model=QuestionsOut, responses=as_responses(503), tags=["questions"])
def questions(shared: Shared) -> Response:
    """Return all standing questions."""
    book = Book(shared.settings.data)
    figures = book.figures()
    return shaped(QuestionsOut(questions=[shown(each, figures.get(each.id, {})) for each in book.all()]))


@router.get(
    "/v1/questions/{question_id}", response_model=QuestionOut, responses=as_responses(404, 503), tags=["questions"]
)
def question(question_id: str, shared: Shared) -> Response:
    """Return a standing question, how much matched it, and how its webhook fares."""
    book = Book(shared.settings.data)
    found = book.get(question_id)
    return shaped(shown(found, book.figures().get(question_id, {})))


@router.delete(
    "/v1/questions/{question_id}", status_code=204, responses=as_responses(403, 404, 503), tags=["questions"]
)
def remove_question(question_id: str, shared: Shared) -> Response:
    """Remove a standing question, and what was found for it."""
    Book(shared.settings.data).remove(question_id)
    return Response(status_code=204)


@router.get(
    "/v1/questions/{question_id}/matches",
    response_model=MatchesOut,
    responses=as_responses(404, 422, 503),
    tags=["questions"],
)
def question_matches(
    question_id: str,
    shared: Shared,
    after: Annotated[int, Query(ge=0, description="the number of the last match that is known")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> Response:
    """Return what matched a question, in the order of finding; each article once."""
    book = Book(shared.settings.data)
    book.get(question_id)
    return shaped(MatchesOut(matches=[match_out(each) for each in book.matches(question_id, after=after, limit=limit)]))


@router.get(
    "/v1/questions/{question_id}/feed",
    response_class=Response,
    responses={
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "An Atom feed (RFC 4287)"},
        **as_responses(404, 503),
    },
    tags=["questions"],
)
def question_feed(question_id: str, request: Request, shared: Shared) -> Response:
    """Return what matched a question last, as an Atom feed."""
    book = Book(shared.settings.data)
    data = atom(book.get(question_id), book.latest(question_id), str(request.url))
    return Response(data, media_type=MEDIA_TYPE)


def asked_for(shared: State, asked: QuestionRequest) -> QuestionOut:
    """Write a question down, and return it with the secret of its webhook."""
    limit = shared.settings.max_query_chars
    if len(asked.query) > limit:
        raise InvalidRequest(f"A question has at most {limit:,} characters (DRAGOMAN_MAX_QUERY_CHARS).", "/query")
    for number, code in enumerate(asked.languages):
        language(code, f"/languages/{number}")
    if asked.query_language is not None:
        language(asked.query_language, "/query_language")
    book, webhook = Book(shared.settings.data), asked.webhook
    if webhook is not None:
        try:
            webhook = Webhooks(book).check(webhook, private=False)
        except FetchRefused as error:
            raise InvalidRequest(f"The webhook cannot be posted to: {error}.", "/webhook") from None
    asked_now = ask(
        book,
        shared.engine.library,
        asked.query,
        min_relevance=asked.min_relevance,
        query_language=asked.query_language,
        languages=asked.languages,
        filter=asked.filter,
        webhook=webhook,
    )
    return shown(asked_now, {}).model_copy(update={"secret": asked_now.secret})


def shown(question: Question, figures: dict[str, object]) -> QuestionOut:
    """Return a question in its shape on the wire, without its secret."""
    told = {name: figures.get(name, 0) for name in ("matches", "pending", "failed")}
    return QuestionOut.model_validate(
        {
            "id": question.id,
            "query": question.query,
            "created_at": question.created_at,
            "min_relevance": question.min_relevance,
            "languages": list(question.languages),
            "filter": None if question.filter is None else dict(question.filter),
            "query_language": question.query_language,
            "webhook": question.webhook,
            "error": figures.get("error"),
            **told,
        }
    )


def match_out(match: Match) -> MatchOut:
    """Return a match in its shape on the wire."""
    return MatchOut(number=match.number, id=match.id, found_at=match.found_at, **match.told)
