"""A client of the HTTP API: small to import, and with the same verbs as the command line."""

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ValidationError

from service.errors import NotFound, Refused, Unreachable
from service.wire import (
    ArticleIn,
    ArticleOut,
    OutcomeOut,
    Outcomes,
    PassageOut,
    Problem,
    SearchAnswer,
    SearchRequest,
    SimilarAnswer,
    SimilarRequest,
    StatusOut,
)

Shape = TypeVar("Shape", bound=BaseModel)


class Client:
    """A connection to a running service, to be closed, or used in a `with` statement.

    Every method raises Unreachable where nobody answers, and Refused (or its kind NotFound) where the service
    answers with a problem. `key` is an API key, where the service wants one; `transport` is for tests and for those
    who have their own.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        timeout: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx2.Client(base_url=base_url, timeout=timeout, transport=transport, headers=headers)

    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        cursor: str | None = None,
        languages: Sequence[str] = (),
        filter: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> SearchAnswer:
        """Return the passages that answer `query`; `more` is any other member of `SearchRequest`."""
        given = {"query": query, "limit": limit, "languages": list(languages), **more}
        if cursor is not None:
            given["cursor"] = cursor
        if filter is not None:
            given["filter"] = dict(filter)
        _known("search", given, SearchRequest)
        return self._ask(SearchAnswer, "POST", "/v1/search", given)

    def similar(self, passage_id: str, *, limit: int = 10, languages: Sequence[str] = (), **more: Any) -> SimilarAnswer:
        """Return passages that say what this one says, in other languages; `more` as in `SimilarRequest`."""
        given = {"limit": limit, "languages": list(languages), **more}
        _known("similar", given, SimilarRequest)
        return self._ask(SimilarAnswer, "POST", f"/v1/passages/{quote(passage_id, safe='')}/similar", given)

    def add(self, articles: Mapping[str, Any] | ArticleIn | Iterable[Mapping[str, Any] | ArticleIn]) -> Outcomes:
        """Add one article or several; all of them are durable when this returns."""
        given = [articles] if isinstance(articles, Mapping | ArticleIn) else list(articles)
        return self._ask(Outcomes, "POST", "/v1/articles", [_plain(article) for article in given])

    def get(self, article_id: str) -> ArticleOut:
        """Return an article."""
        return self._ask(ArticleOut, "GET", _address(article_id))

    def put(self, article_id: str, article: Mapping[str, Any] | ArticleIn) -> OutcomeOut:
        """Add or replace the article with this id."""
        return self._ask(OutcomeOut, "PUT", _address(article_id), _plain(article))

    def delete(self, article_id: str) -> None:
        """Remove an article for good."""
        self._send("DELETE", _address(article_id))

    def passage(self, passage_id: str) -> PassageOut:
        """Return a passage."""
        return self._ask(PassageOut, "GET", f"/v1/passages/{quote(passage_id, safe='')}")

    def status(self) -> StatusOut:
        """Return how much the library holds and with what it was built."""
        return self._ask(StatusOut, "GET", "/v1/status")

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, shape: type[Shape], method: str, path: str, body: Any = None) -> Shape:
        answer = self._send(method, path, body)
        try:
            return shape.model_validate_json(answer.content)
        except ValidationError:
            raise Refused(answer.status_code, "Unexpected answer", f"{path} is not answered by Dragoman.") from None

    def _send(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, json=body)
        except httpx2.TransportError as error:
            raise Unreachable(f"No answer from {self._http.base_url} ({error}); is `dragoman serve` up?") from error
        if answer.is_success:
            return answer
        try:
            told = Problem.model_validate_json(answer.content)
        except ValidationError:
            told = Problem(title=answer.reason_phrase or "Error", status=answer.status_code)
        kind = NotFound if answer.status_code == 404 else Refused
        raise kind(answer.status_code, told.title, told.detail)


def _known(method: str, given: Mapping[str, Any], shape: type[BaseModel]) -> None:
    """Raise TypeError for a member that does not exist, before anything is sent."""
    unknown = set(given) - set(shape.model_fields)
    if unknown:
        raise TypeError(f"{method}() got unexpected arguments: {', '.join(sorted(unknown))}")


def _address(article_id: str) -> str:
    return f"/v1/articles/{quote(article_id, safe='')}"


def _plain(article: Mapping[str, Any] | ArticleIn) -> dict[str, Any]:
    return article.model_dump(exclude_unset=True) if isinstance(article, ArticleIn) else dict(article)
