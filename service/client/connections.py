"""The two clients: what they ask is said once, in `Verbs`; each has its own way to send it and to wait."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

import httpx2
from pydantic import ValidationError

from service.client import calls
from service.client.calls import BATCH, BATCH_BYTES, Batches, Call, Given
from service.client.retries import BETWEEN, Retries
from service.errors import NotFound, Refused, Unreachable
from service.wire import ArticleKept, OutcomeOut, Problem

Asked = ParamSpec("Asked")
Read = TypeVar("Read")

ADDRESS = "http://127.0.0.1:8000"


class Verb(Generic[Asked, Read]):
    """A method of both clients: it makes a call, and the client it is asked of sends it."""

    def __init__(self, make: Callable[Asked, Call[Read]]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, client: None, kind: type) -> Self: ...
    @overload
    def __get__(self, client: "Client", kind: type) -> Callable[Asked, Read]: ...
    @overload
    def __get__(self, client: "AsyncClient", kind: type) -> Callable[Asked, Awaitable[Read]]: ...
    def __get__(self, client: Any, kind: type) -> Any:
        if client is None:
            return self

        @wraps(self.make)
        def ask(*given: Asked.args, **named: Asked.kwargs) -> Any:
            return client.send(self.make(*given, **named))

        return ask


class Verbs:
    """What a client can ask."""

    search = Verb(calls.search)
    similar = Verb(calls.similar)
    add = Verb(calls.add)
    add_file = Verb(calls.add_file)
    fetch = Verb(calls.fetch)
    articles = Verb(calls.articles)
    get = Verb(calls.get)
    put = Verb(calls.put)
    delete = Verb(calls.delete)
    passage = Verb(calls.passage)
    add_question = Verb(calls.add_question)
    questions = Verb(calls.questions)
    question = Verb(calls.question)
    remove_question = Verb(calls.remove_question)
    question_matches = Verb(calls.question_matches)
    question_feed = Verb(calls.question_feed)
    embed = Verb(calls.embed)
    rerank = Verb(calls.rerank)
    status = Verb(calls.status)
    metrics = Verb(calls.metrics)
    alive = Verb(calls.alive)
    ready = Verb(calls.ready)


class Client(Verbs):
    """A connection to a running service, to be closed, or used in a `with` statement. Safe to use from many threads.

    Every method raises Unreachable where nobody answers, and Refused (or its kind NotFound) where the service
    answers with a problem, both after as many attempts as `retries` says. `key` is an API key, where the service wants
    one; `timeout` is in seconds; `transport` is for tests and for those who have their own.
    """

    def __init__(
        self,
        base_url: str = ADDRESS,
        *,
        key: str | None = None,
        timeout: float = 60.0,
        retries: Retries | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._retries = retries or Retries()
        self._http = httpx2.Client(base_url=base_url, timeout=timeout, transport=transport, headers=_headers(key))

    def send(self, call: Call[Read]) -> Read:
        """Send a call, as often as it takes, and return what it reads."""
        attempt = 0
        while True:
            answer: httpx2.Response | httpx2.TransportError
            try:
                answer = self._http.request(call.method, call.path, content=call.body, headers=_type(call))
            except httpx2.TransportError as error:
                answer = error
            pause = _pause(self._retries, call, attempt, answer)
            if pause is None:
                return _read(call, attempt, answer, self._http.base_url)
            time.sleep(pause)
            attempt += 1

    def add_all(
        self, articles: Iterable[Given], *, batch: int = BATCH, batch_bytes: int = BATCH_BYTES
    ) -> Iterator[OutcomeOut]:
        """Add a stream of articles, and yield of each what became of it once it is durable, in order.

        Articles go in batches, and no more than one is held: the stream may be endless. Where a batch is refused,
        Refused is raised and the batches before it are kept; its `faults` point at the articles by their number in the
        stream. After an attempt that failed on the way, an article may be `unchanged` that was added by it.
        """
        batches = Batches(batch, batch_bytes)
        for article in articles:
            for call in batches.push(article):
                yield from self.send(call).articles
        for call in batches.rest():
            yield from self.send(call).articles

    def all_articles(
        self, *, languages: Sequence[str] = (), filter: Mapping[str, Any] | None = None
    ) -> Iterator[ArticleKept]:
        """Yield every article, in the order of ids, or those that a filter lets through."""
        after: str | None = ""
        while after is not None:
            page = self.articles(limit=100, after=after, languages=languages, filter=filter)
            yield from page.articles
            after = page.next

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AsyncClient(Verbs):
    """The same for `async` programs: each method is awaited, and it is used in an `async with` statement."""

    def __init__(
        self,
        base_url: str = ADDRESS,
        *,
        key: str | None = None,
        timeout: float = 60.0,
        retries: Retries | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries or Retries()
        self._http = httpx2.AsyncClient(base_url=base_url, timeout=timeout, transport=transport, headers=_headers(key))

    async def send(self, call: Call[Read]) -> Read:
        """Send a call, as often as it takes, and return what it reads."""
        attempt = 0
        while True:
            answer: httpx2.Response | httpx2.TransportError
            try:
                answer = await self._http.request(call.method, call.path, content=call.body, headers=_type(call))
            except httpx2.TransportError as error:
                answer = error
            pause = _pause(self._retries, call, attempt, answer)
            if pause is None:
                return _read(call, attempt, answer, self._http.base_url)
            await asyncio.sleep(pause)
            attempt += 1

    async def add_all(
        self,
        articles: Iterable[Given] | AsyncIterable[Given],
        *,
        batch: int = BATCH,
        batch_bytes: int = BATCH_BYTES,
    ) -> AsyncIterator[OutcomeOut]:
        """Add a stream of articles, and yield of each what became of it, as `Client.add_all` does."""
        batches = Batches(batch, batch_bytes)
        async for article in _each(articles):
            for call in batches.push(article):
                for outcome in (await self.send(call)).articles:
                    yield outcome
        for call in batches.rest():
            for outcome in (await self.send(call)).articles:
                yield outcome

    async def all_articles(
        self, *, languages: Sequence[str] = (), filter: Mapping[str, Any] | None = None
    ) -> AsyncIterator[ArticleKept]:
        """Yield every article, in the order of ids, or those that a filter lets through."""
        after: str | None = ""
        while after is not None:
            page = await self.articles(limit=100, after=after, languages=languages, filter=filter)
            for article in page.articles:
                yield article
            after = page.next

    async def close(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()


async def _each(given: Iterable[Given] | AsyncIterable[Given]) -> AsyncIterator[Given]:
    if isinstance(given, AsyncIterable):
        async for each in given:
            yield each
    else:
        for each in given:
            yield each


def _headers(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def _type(call: Call[Any]) -> dict[str, str]:
    return {} if call.body is None else {"Content-Type": call.type}


def _pause(
    retries: Retries, call: Call[Any], attempt: int, answer: httpx2.Response | httpx2.TransportError
) -> float | None:
    """Return the seconds until the next attempt, None where there is none."""
    if isinstance(answer, httpx2.TransportError):
        # Where nobody was reached nothing was done; where the answer was lost, nobody knows.
        return retries.pause(attempt) if isinstance(answer, httpx2.ConnectError) or not call.once else None
    if call.once and answer.status_code in BETWEEN:
        return None
    return retries.pause(attempt, answer.status_code, answer.headers)


def _read(call: Call[Read], attempt: int, answer: httpx2.Response | httpx2.TransportError, address: object) -> Read:
    """Return what the call reads of the last answer; raises Unreachable, Refused, NotFound."""
    if isinstance(answer, httpx2.TransportError):
        raise Unreachable(f"No answer from {address} ({answer}); is `dragoman serve` up?") from answer
    # Where an earlier attempt removed it, and only its answer was lost.
    done = call.gone and attempt > 0 and answer.status_code == 404
    if answer.is_success or done:
        return call.read(answer.status_code, answer.content)
    try:
        told = Problem.model_validate_json(answer.content)
    except ValidationError:
        told = Problem(title=answer.reason_phrase or "Error", status=answer.status_code)
    faults = [(_moved(fault.pointer, call.first), fault.detail) for fault in told.errors]
    kind = NotFound if answer.status_code == 404 else Refused
    raise kind(answer.status_code, told.title, told.detail, faults)


def _moved(pointer: str, first: int) -> str:
    """Return the pointer to an article of a batch as one into the stream, of which article `first` begins the batch."""
    _, *parts = pointer.split("/")
    if first and parts and parts[0].isdecimal():
        parts[0] = str(int(parts[0]) + first)
    return "".join(f"/{part}" for part in parts)
