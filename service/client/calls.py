"""What a client sends for each verb, and how it reads the answer. No connection: `connections` has those."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ValidationError

from service.client.results import SearchResult
from service.dialects import Embeddings, InputType, Reranking
from service.errors import Refused
from service.wire import (
    ArticleIn,
    ArticleOut,
    ArticlesPage,
    Group,
    MatchesOut,
    Mode,
    OutcomeOut,
    Outcomes,
    PassageOut,
    QuestionOut,
    QuestionRequest,
    QuestionsOut,
    ReadOut,
    SearchRequest,
    SimilarAnswer,
    SimilarRequest,
    StatusOut,
)

Read = TypeVar("Read")
Shape = TypeVar("Shape", bound=BaseModel)
Given = Mapping[str, Any] | ArticleIn

# A batch of a stream: of more articles the first would wait for the last to be acknowledged; of more bytes a server
# with a small limit would take none.
BATCH, BATCH_BYTES = 64, 1_000_000


@dataclass(frozen=True, slots=True)
class Call(Generic[Read]):
    """A request, and `read`, which makes of the status and the body of its answer what the caller gets.

    `gone` says that what the request removes may be gone already by an earlier attempt of the same call; `first` is the
    number of the body's first article in the stream that it is a batch of; `once` that a second attempt would do it
    twice.
    """

    method: str
    path: str
    read: Callable[[int, bytes], Read]
    body: bytes | None = None
    type: str = "application/json"
    gone: bool = False
    first: int = 0
    once: bool = False


def search(
    query: str,
    *,
    limit: int = 10,
    cursor: str | None = None,
    languages: Sequence[str] = (),
    filter: Mapping[str, Any] | None = None,
    mode: Mode | None = None,
    min_relevance: float | None = None,
    query_language: str | None = None,
    explain: bool = False,
    facets: bool = False,
    group: Group | None = None,
    rerank: bool | None = None,
) -> Call[SearchResult]:
    """Return the passages that answer `query`, best first; what the members mean is told by `SearchRequest`."""
    given = {
        "query": query,
        "limit": limit,
        "cursor": cursor,
        "languages": list(languages) or None,
        "filter": filter,
        "mode": mode,
        "min_relevance": min_relevance,
        "query_language": query_language,
        "explain": explain or None,
        "facets": facets or None,
        "group": group,
        "rerank": rerank,
    }
    assert given.keys() == SearchRequest.model_fields.keys()
    return _post("/v1/search", SearchResult, _known(given))


def similar(
    passage_id: str,
    *,
    limit: int = 10,
    languages: Sequence[str] = (),
    filter: Mapping[str, Any] | None = None,
    same_language: bool = False,
) -> Call[SimilarAnswer]:
    """Return passages of other articles that say what this one says, in other languages."""
    given = {
        "limit": limit,
        "languages": list(languages) or None,
        "filter": filter,
        "same_language": same_language or None,
    }
    assert given.keys() == SimilarRequest.model_fields.keys()
    return _post(f"/v1/passages/{quote(passage_id, safe='')}/similar", SimilarAnswer, _known(given))


def add(articles: Given | Sequence[Given]) -> Call[Outcomes]:
    """Add one article or several; all of them are durable when this returns, or none where one is malformed."""
    given = [articles] if isinstance(articles, Mapping | ArticleIn) else list(articles)
    return _post("/v1/articles", Outcomes, [_plain(each) for each in given])


def articles(
    *, limit: int = 20, after: str = "", languages: Sequence[str] = (), filter: Mapping[str, Any] | None = None
) -> Call[ArticlesPage]:
    """Return articles in the order of their ids, behind `after`: a page, whose `next` is `after` of the next one."""
    given = {
        "limit": limit,
        "after": after,
        "language": ",".join(languages) or None,
        "filter": None if filter is None else json.dumps(filter, ensure_ascii=False),
    }
    return Call("GET", f"/v1/articles?{urlencode(_known(given))}", _shape(ArticlesPage))


def add_file(name: str, content: bytes, *, language: str | None = None, source: str | None = None) -> Call[ReadOut]:
    """Add the articles in a file, in the format that its name tells."""
    given = urlencode(_known({"name": name, "language": language, "source": source}))
    return Call("POST", f"/v1/files?{given}", _shape(ReadOut), content, type="application/octet-stream")


def fetch(url: str, *, language: str | None = None, source: str | None = None, pages: int = 10) -> Call[ReadOut]:
    """Add what is at a public address: a page, a file, or so many pages of a feed or a sitemap."""
    return _post("/v1/fetch", ReadOut, _known({"url": url, "language": language, "source": source, "pages": pages}))


def get(article_id: str) -> Call[ArticleOut]:
    """Return an article."""
    return Call("GET", _article(article_id), _shape(ArticleOut))


def put(article_id: str, article: Given) -> Call[OutcomeOut]:
    """Add or replace the article with this id."""
    return Call("PUT", _article(article_id), _shape(OutcomeOut), _json(_plain(article)))


def delete(article_id: str) -> Call[None]:
    """Remove an article for good."""
    return Call("DELETE", _article(article_id), _nothing, gone=True)


def passage(passage_id: str) -> Call[PassageOut]:
    """Return a passage and what is known of its article."""
    return Call("GET", f"/v1/passages/{quote(passage_id, safe='')}", _shape(PassageOut))


def embed(texts: str | Sequence[str], *, input_type: InputType = "passage", model: str = "default") -> Call[Embeddings]:
    """Return the model's own vectors of texts, at length 1; `input_type` says which of the two they are."""
    given = {
        "input": texts if isinstance(texts, str) else list(texts),
        "input_type": input_type,
        "model": model,
        "encoding_format": "base64",
    }
    return _post("/v1/embeddings", Embeddings, given)


def rerank(
    query: str, documents: Sequence[str | Mapping[str, Any]], *, top_n: int | None = None, model: str = "default"
) -> Call[Reranking]:
    """Return documents that are in no library, in the order of how well they answer `query`."""
    given = {"query": query, "documents": list(documents), "top_n": top_n, "model": model}
    return _post("/v1/rerank", Reranking, _known(given))


def add_question(
    query: str,
    *,
    min_relevance: float | None = None,
    languages: Sequence[str] = (),
    filter: Mapping[str, Any] | None = None,
    query_language: str | None = None,
    webhook: str | None = None,
) -> Call[QuestionOut]:
    """Ask a standing question: articles that come from now on and answer it are told once each."""
    given = {
        "query": query,
        "min_relevance": min_relevance,
        "languages": list(languages) or None,
        "filter": filter,
        "query_language": query_language,
        "webhook": webhook,
    }
    assert given.keys() == QuestionRequest.model_fields.keys()
    return replace(_post("/v1/questions", QuestionOut, _known(given)), once=True)


def questions() -> Call[QuestionsOut]:
    """Return all standing questions."""
    return Call("GET", "/v1/questions", _shape(QuestionsOut))


def question(question_id: str) -> Call[QuestionOut]:
    """Return a standing question, how much matched it, and how its webhook fares."""
    return Call("GET", _question(question_id), _shape(QuestionOut))


def remove_question(question_id: str) -> Call[None]:
    """Remove a standing question, and what was found for it."""
    return Call("DELETE", _question(question_id), _nothing, gone=True)


def question_matches(question_id: str, *, after: int = 0, limit: int = 100) -> Call[MatchesOut]:
    """Return what matched a question, in the order of finding, behind match number `after`."""
    given = urlencode({"after": after, "limit": limit})
    return Call("GET", f"{_question(question_id)}/matches?{given}", _shape(MatchesOut))


def question_feed(question_id: str) -> Call[str]:
    """Return what matched a question last, as an Atom feed."""
    return Call("GET", f"{_question(question_id)}/feed", _text)


def status() -> Call[StatusOut]:
    """Return how much the library holds and with what it was built."""
    return Call("GET", "/v1/status", _shape(StatusOut))


def metrics() -> Call[str]:
    """Return the numbers of the service, as Prometheus reads them."""
    return Call("GET", "/metrics", _text)


def alive() -> Call[str]:
    """Return "alive" where the process answers."""
    return Call("GET", "/livez", _text)


def ready() -> Call[str]:
    """Return "ready" where searches are answered; raises Refused (503), after all attempts, where they are not."""
    return Call("GET", "/readyz", _text)


@dataclass(slots=True)
class Batches:
    """Gathers a stream of articles into calls of `add` of at most so many articles and bytes.

    One article of more bytes goes alone. `before` is how many articles earlier calls held.
    """

    most: int = BATCH
    most_bytes: int = BATCH_BYTES
    before: int = 0
    _held: list[bytes] = field(default_factory=list)
    _size: int = 0

    def push(self, article: Given) -> Iterator[Call[Outcomes]]:
        """Yield the calls that are full now that this article came."""
        told = _json(_plain(article))
        if self._held and self._size + len(told) > self.most_bytes:
            yield self._taken()
        self._held.append(told)
        self._size += len(told) + 1
        if len(self._held) >= self.most:
            yield self._taken()

    def rest(self) -> Iterator[Call[Outcomes]]:
        """Yield the call for the articles that are left, if there are any."""
        if self._held:
            yield self._taken()

    def _taken(self) -> Call[Outcomes]:
        held, first = self._held, self.before
        self._held, self._size, self.before = [], 0, first + len(held)
        return Call("POST", "/v1/articles", _shape(Outcomes), b"[" + b",".join(held) + b"]", first=first)


def _post(path: str, shape: type[Shape], given: Any) -> Call[Shape]:
    return Call("POST", path, _shape(shape), _json(given))


def _shape(shape: type[Shape]) -> Callable[[int, bytes], Shape]:
    def read(status: int, content: bytes) -> Shape:
        try:
            # A newer service may tell more than this client knows.
            return shape.model_validate_json(content, extra="ignore")
        except ValidationError:
            raise Refused(status, "Unexpected answer", "This is not how this version of Dragoman answers.") from None

    return read


def _text(_: int, content: bytes) -> str:
    return content.decode(errors="replace").strip()


def _nothing(_: int, __: bytes) -> None:
    return None


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in given.items() if value is not None}


def _json(given: Any) -> bytes:
    return json.dumps(given, ensure_ascii=False, default=dict).encode(errors="surrogatepass")


def _article(article_id: str) -> str:
    return f"/v1/articles/{quote(article_id, safe='')}"


def _question(question_id: str) -> str:
    return f"/v1/questions/{quote(question_id, safe='')}"


def _plain(article: Given) -> dict[str, Any]:
    return article.model_dump(exclude_unset=True) if isinstance(article, ArticleIn) else dict(article)
