"""The routes that clients of other services know: embeddings as OpenAI's ask for them, re-ranking as Cohere's."""

import base64
import uuid
from collections.abc import Iterator, Sequence
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Request
from pydantic import JsonValue
from starlette.responses import Response

from service import deadline
from service.dialects import (
    Embedding,
    Embeddings,
    EmbeddingsRequest,
    Reranking,
    RerankRequest,
    RerankResult,
    Usage,
)
from service.engine import Engine
from service.errors import InvalidRequest
from service.judging import judge
from service.web import bodies
from service.web.description import body
from service.web.problems import as_responses
from service.web.state import State, state
from service.web.timing import Timed

router = APIRouter(route_class=Timed, tags=["models"])
Shared = Annotated[State, Depends(state)]

# Texts that are encoded before the time is looked at.
TOGETHER = 64


@router.post(
    "/v1/embeddings",
    response_model=Embeddings,
    responses=as_responses(400, 408, 413, 415, 422, 503, 504),
    openapi_extra=body("EmbeddingsRequest"),
)
async def embed(request: Request, shared: Shared) -> Response:
    """Encode texts with the model of the library, as OpenAI's clients ask for it."""
    given = await bodies.read_one(request, EmbeddingsRequest, shared.settings.max_body_bytes)
    engine = shared.engine
    return await shared.models.run(lambda: shaped(embeddings(engine, given)))


@router.post(
    "/v1/rerank",
    response_model=Reranking,
    responses=as_responses(400, 408, 413, 415, 422, 503, 504),
    openapi_extra=body("RerankRequest"),
)
async def rerank(request: Request, shared: Shared) -> Response:
    """Put documents that are in no library in the order of how well they answer, as Cohere's clients ask for it."""
    given = await bodies.read_one(request, RerankRequest, shared.settings.max_body_bytes)
    limit = shared.settings.max_query_chars
    if (found := len(given.query)) > limit:
        detail = f"A question has at most {limit:,} characters (DRAGOMAN_MAX_QUERY_CHARS), not {found:,}."
        raise InvalidRequest(detail, "/query")
    engine = shared.engine
    return await shared.models.run(lambda: shaped(reranking(engine, given)))


def embeddings(engine: Engine, given: EmbeddingsRequest) -> Embeddings:
    """Return the model's own vectors of texts."""
    encoder = engine.encoder
    check_model(given.model, encoder.name)
    if given.dimensions not in (None, encoder.dim):
        detail = f"The vectors of {encoder.name} have {encoder.dim} dimensions and are not cut; leave `dimensions` out."
        raise InvalidRequest(detail, "/dimensions")
    encode = encoder.encode_queries if given.input_type == "query" else encoder.encode_passages
    vectors = np.concatenate([encode(texts) for texts in timely(given.input)]).astype("<f4")
    read = sum(encoder.count_tokens(given.input))

    def told(vector: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> list[float] | str:
        return base64.b64encode(vector.tobytes()).decode() if given.encoding_format == "base64" else vector.tolist()

    return Embeddings(
        data=[Embedding(index=number, embedding=told(vector)) for number, vector in enumerate(vectors)],
        model=encoder.name,
        usage=Usage(prompt_tokens=read, total_tokens=read),
    )


def reranking(engine: Engine, given: RerankRequest) -> Reranking:
    """Return documents in order: by the re-ranker where there is one, by the evidence of a search otherwise."""
    crossing = engine.reranking
    names = [crossing.model.name] if crossing else []
    check_model(given.model, *names, engine.encoder.name)
    texts, read = given.texts, None
    if crossing and given.model in ("default", *_names(crossing.model.name)):
        # All of them, for it is this that is asked for: the time is that of a request, not that of re-ranking hits.
        name, kind = crossing.model.name, "reranker"
        scores = np.concatenate([crossing.model.score(given.query, some) for some in timely(texts)]).astype(np.float64)
    else:
        judged = judge(engine, given.query, texts)
        name, read = engine.encoder.name, judged.tokens
        kind = "similarity" if judged.relevance is None else "relevance"
        scores = np.maximum(judged.similarity, 0.0).astype(np.float64) if judged.relevance is None else judged.relevance
    order = np.argsort(-scores, kind="stable")[: given.top_n].tolist()
    return Reranking.model_validate(
        {
            "id": str(uuid.uuid4()),
            "results": [
                RerankResult(
                    index=place,
                    relevance_score=round(float(scores[place]), 6),
                    document=_document(given, place) if given.return_documents else None,
                )
                for place in order
            ],
            "model": name,
            "scores": kind,
            "meta": {
                "api_version": {"version": "1"},
                **({} if read is None else {"tokens": {"input_tokens": read}}),
            },
        }
    )


def timely(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the texts, some at a time; raises Overdue where the time of the request is over."""
    for start in range(0, len(texts), TOGETHER):
        deadline.check()
        yield texts[start : start + TOGETHER]


def check_model(asked: str, *known: str) -> None:
    """Raise InvalidRequest where a model is asked for by name that is none of these."""
    if asked == "default" or any(asked in _names(name) for name in known):
        return
    raise InvalidRequest(f"There is no model {asked!r} here; there is {', '.join(known)}, also as `default`.", "/model")


def _names(name: str) -> tuple[str, str]:
    """Return a model's name, and the same without its owner or folder."""
    return name, name.rstrip("/").rpartition("/")[2]


def _document(given: RerankRequest, place: int) -> dict[str, JsonValue]:
    document = given.documents[place]
    return {"text": document} if isinstance(document, str) else dict(document)


def shaped(model: Embeddings | Reranking) -> Response:
    """Return a shape as a JSON response, without what is not told."""
    return Response(model.model_dump_json(exclude_none=True), media_type="application/json")
