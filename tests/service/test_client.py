import asyncio
import inspect
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from service.client import AsyncClient, Client, Retries
from service.client.connections import Verb, Verbs
from service.errors import NotFound, Refused, Unreachable
from service.wire import ArticleIn, GroupOut, HitOut, QuestionRequest, SearchRequest, SimilarRequest

AT_ONCE = Retries(first=0.001)
HEAVY = ["embed", "index", "torch", "numpy", "faiss", "tantivy", "fastapi", "starlette", "uvicorn", "typer", "pandas"]


def test_a_whole_life(address: str) -> None:
    """The client adds, asks, reads, replaces and deletes, and gives typed answers."""
    with Client(address) as client:
        added = client.add([{"id": "a/b c", "text": "নদী পানি", "language": "bn"}, ArticleIn(text="вода", id="ru")])
        assert [outcome.action for outcome in added.articles] == ["added", "added"]
        found = client.search("water", languages=["bn"], query_language="en")
        assert [(hit.article_id, hit.language) for hit in found.hits] == [("a/b c", "bn")]
        assert client.passage(found.hits[0].passage_id).text == "নদী পানি"
        assert [hit.article_id for hit in client.similar(found.hits[0].passage_id, limit=1).hits] == ["ru"]
        counted = client.search("water", languages=["bn"], facets=True).facets
        assert counted is not None
        assert [(each.value, each.passages) for each in counted["language"]] == [("bn", 1), ("ru", 1)]
        assert client.get("a/b c").text == "নদী পানি"
        assert client.put("ru", {"text": "дождь"}).action == "replaced"
        assert client.add({"id": "ru", "text": "дождь"}).articles[0].action == "unchanged"
        client.delete("ru")
        assert client.status().articles == 1


def test_pages(address: str) -> None:
    """A cursor leads through all pages."""
    with Client(address) as client:
        client.add([{"id": str(number), "text": "вода", "language": "ru"} for number in range(5)])
        seen, cursor = [], None
        while True:
            page = client.search("water", limit=2, cursor=cursor)
            seen += [hit.article_id for hit in page.hits]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert sorted(seen) == ["0", "1", "2", "3", "4"]


def test_problems_are_errors(address: str) -> None:
    """What the service refuses is an error with status and the service's own words."""
    with Client(address) as client:
        with pytest.raises(NotFound, match="no article 'x'"):
            client.get("x")
        with pytest.raises(Refused, match="empty") as refused:
            client.search(" ")
        assert refused.value.status == 422
        with pytest.raises(Refused, match="field 'colour'"):
            client.search("a", filter={"colour": 1})
        with pytest.raises(TypeError, match="colour"):
            client.search("a", colour=1)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"similar\(\).*colour"):
            client.similar("a", colour=1)  # type: ignore[call-arg]
        with pytest.raises(NotFound, match="no passage 'x'"):
            client.similar("x")


def test_grouped_hits_are_read(address: str) -> None:
    """A story has its sources, and a hit that is not grouped has none."""
    with Client(address) as client:
        client.add([{"id": "a", "text": "вода река\n\nшкола", "language": "ru"}, {"id": "b", "text": "банк"}])
        [first, _] = client.search("water river", group="article").hits
        assert isinstance(first, GroupOut)
        assert (first.article_id, [each.text for each in first.passages], first.sources) == ("a", ["школа"], [])
        assert type(client.search("water river").hits[0]) is HitOut


def test_nobody_there() -> None:
    """Where nobody answers, the error names the address and the command to start."""
    with (
        Client("http://127.0.0.1:9", timeout=2) as client,
        pytest.raises(Unreachable, match="dragoman serve"),
    ):
        client.status()


def test_another_service() -> None:
    """What is not Dragoman is told apart, whatever status it answers."""
    for status in (200, 502):
        transport = httpx2.MockTransport(lambda _, status=status: httpx2.Response(status, text="<html>"))
        with Client(transport=transport) as client, pytest.raises(Refused) as refused:
            client.status()
        assert refused.value.status == status


def answering(*answers: httpx2.Response | Exception) -> tuple[Callable[[httpx2.Request], httpx2.Response], list[str]]:
    """Return a server that gives these answers in turn, and what it was asked."""
    left, asked = list(answers), []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(f"{request.method} {request.url.path}")
        given = left.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    return answer, asked


def read(number: int) -> httpx2.Response:
    """Return an answer to `status` by a library of so many articles."""
    told = {"version": "1", "model": "m", "articles": number, "passages": number, "languages": {}}
    return httpx2.Response(200, json=told)


def busy(seconds: str | None = None) -> httpx2.Response:
    """Return an answer that says to come again."""
    return httpx2.Response(503, headers={} if seconds is None else {"Retry-After": seconds})


def test_what_passes_is_tried_again() -> None:
    """A server that is busy, or was not reached, is asked again; the pauses are those that it asks for."""
    answer, asked = answering(busy("0"), httpx2.ConnectError("no"), httpx2.ReadTimeout("slow"), read(7))
    with Client(transport=httpx2.MockTransport(answer), retries=AT_ONCE) as client:
        assert client.status().articles == 7
    assert asked == ["GET /v1/status"] * 4


def test_what_does_not_pass_is_told_at_once() -> None:
    """A refusal is not repeated, nor is what would have to wait longer than the caller would."""
    for given, tries in ((httpx2.Response(404), 1), (httpx2.Response(500), 1), (busy("31"), 1), (busy(), 4)):
        answer, asked = answering(*[given] * tries)
        with Client(transport=httpx2.MockTransport(answer), retries=AT_ONCE) as client, pytest.raises(Refused) as told:
            client.status()
        assert (told.value.status, len(asked)) == (given.status_code, tries)


def test_pauses_grow_and_are_what_the_server_asks_for() -> None:
    """In seconds or as a date; without a word, twice as long each time, at most by half shortened."""
    retries = Retries(most=4, first=1, longest=3)
    pauses = [retries.pause(attempt) for attempt in range(5)]
    for pause, longest in zip(pauses, (1, 2, 3, 3), strict=False):
        assert pause is not None
        assert longest / 2 <= pause <= longest
    assert pauses[4] is None
    assert retries.pause(0, 429, {"retry-after": "2"}) == 2
    assert retries.pause(0, 503, {"retry-after": "Mon, 01 Jan 2024 00:00:00 GMT"}) == 0
    assert retries.pause(0, 503, {"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}) is None
    assert retries.pause(0, 200) is None


def test_a_deletion_that_was_done_and_not_heard_of_is_done() -> None:
    """Its second attempt finds nothing to delete; a first that finds nothing says so."""
    gone = httpx2.Response(404, json={"title": "Not Found", "status": 404})
    answer, asked = answering(httpx2.ReadError("lost"), gone)
    with Client(transport=httpx2.MockTransport(answer), retries=AT_ONCE) as client:
        client.delete("a")
    answer, asked = answering(gone)
    with Client(transport=httpx2.MockTransport(answer), retries=AT_ONCE) as client, pytest.raises(NotFound):
        client.delete("a")
    assert asked == ["DELETE /v1/articles/a"]


def test_what_would_be_done_twice_is_sent_again_only_where_it_was_not_heard() -> None:
    """A standing question whose answer was lost may be there already."""
    for given, tries in ((httpx2.ReadTimeout("slow"), 1), (httpx2.Response(504), 1), (httpx2.ConnectError("no"), 4)):
        answer, asked = answering(*[given] * tries)
        with (
            Client(transport=httpx2.MockTransport(answer), retries=AT_ONCE) as client,
            pytest.raises((Unreachable, Refused)),
        ):
            client.add_question("water")
        assert len(asked) == tries


@pytest.mark.model
def test_standing_questions(seeds_address: str) -> None:
    """They are asked, listed, told of and removed."""
    with Client(seeds_address) as client:
        asked = client.add_question("water", min_relevance=0.1, languages=["ru"])
        assert [each.id for each in client.questions().questions] == [asked.id]
        assert client.question(asked.id).languages == ["ru"]
        assert client.question_matches(asked.id).matches == []
        assert "<feed" in client.question_feed(asked.id)
        client.remove_question(asked.id)
        assert client.questions().questions == []


def test_a_stream_is_added_in_batches_and_acknowledged_as_it_goes(address: str) -> None:
    """No more than a batch is read ahead of what was acknowledged, and every article is acknowledged in order."""
    given: list[int] = []

    def articles() -> Iterator[dict[str, Any]]:
        for number in range(7):
            given.append(number)
            yield {"id": f"a{number}", "text": "вода " + "река " * number}

    with Client(address) as client:
        stream = client.add_all(articles(), batch=3)
        first = next(stream)
        assert (first.id, first.action, given) == ("a0", "added", [0, 1, 2])
        assert [each.id for each in stream] == [f"a{number}" for number in range(1, 7)]
        assert client.status().articles == 7
        assert {each.action for each in client.add_all(articles(), batch_bytes=100)} == {"unchanged"}


def test_a_fault_in_a_stream_points_at_its_article(address: str) -> None:
    """By its number in the whole stream; what came before it is kept."""
    articles = [{"id": str(number), "text": "" if number == 5 else "вода"} for number in range(8)]
    with Client(address) as client:
        stream = client.add_all(articles, batch=2)
        assert [next(stream).id for _ in range(4)] == ["0", "1", "2", "3"]
        with pytest.raises(Refused) as told:
            next(stream)
        assert [pointer for pointer, _ in told.value.faults] == ["/5"]
        assert client.status().articles == 4


def test_the_async_client_does_the_same(address: str) -> None:
    """The same verbs, awaited; a stream may be asynchronous too."""

    async def articles() -> AsyncIterator[dict[str, Any]]:
        for number in range(3):
            yield {"id": str(number), "text": "вода", "language": "ru"}

    async def live() -> list[Any]:
        async with AsyncClient(address) as client:
            added = [each.action async for each in client.add_all(articles(), batch=2)]
            again = [each.action async for each in client.add_all([{"id": "0", "text": "вода", "language": "ru"}])]
            found, held = await asyncio.gather(client.search("water", query_language="en"), client.status())
            await client.delete("2")
            with pytest.raises(NotFound, match="no article '2'"):
                await client.get("2")
            return [added, again, [hit.language for hit in found.hits], held.articles, await client.alive()]

    assert asyncio.run(live()) == [["added"] * 3, ["unchanged"], ["ru"] * 3, 3, "alive"]


def test_the_async_client_tries_again() -> None:
    """As often as the other."""
    answer, asked = answering(busy("0"), httpx2.ConnectError("no"), read(7))

    async def ask() -> int:
        transport = httpx2.MockTransport(answer)
        async with AsyncClient(transport=transport, retries=AT_ONCE) as client:
            return (await client.status()).articles

    assert asyncio.run(ask()) == 7
    assert len(asked) == 3


def test_the_client_takes_what_the_service_takes() -> None:
    """Every member of a request is an argument, and every verb says what it does."""
    for verb, shape in (
        (Verbs.search, SearchRequest),
        (Verbs.similar, SimilarRequest),
        (Verbs.add_question, QuestionRequest),
    ):
        arguments = set(inspect.signature(verb.make).parameters) - {"passage_id"}
        assert arguments == set(shape.model_fields)
    for name, verb in vars(Verbs).items():
        if isinstance(verb, Verb):
            assert verb.__doc__, name


def test_only_what_is_asked_for_is_sent() -> None:
    """So that an older service, which knows less, answers too."""
    sent: list[Any] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(json.loads(request.content))
        return httpx2.Response(500)

    with Client(transport=httpx2.MockTransport(answer), retries=Retries(0)) as client, pytest.raises(Refused):
        client.search("water")
    assert sent == [{"query": "water", "limit": 10}]


def test_the_client_is_small_to_import() -> None:
    """It brings neither server nor model nor index, nor anything that draws."""
    told = f"import sys, service.client; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_operation_has_a_verb(app: FastAPI) -> None:
    """What the service can be asked, the client can ask."""
    twins = {"search_by_address", "similar_by_address"}  # the same as the bodies that the client sends
    named = {"show": "get", "numbers": "metrics"}
    asked = {each["operationId"] for path in app.openapi()["paths"].values() for each in path.values()} - twins
    verbs = {name for name, verb in vars(Verbs).items() if isinstance(verb, Verb)}
    assert {named.get(each, each) for each in asked} == verbs


def test_all_articles_come_page_by_page(address: str) -> None:
    """In the order of their ids, however many there are; of both clients."""
    with Client(address) as client:
        client.add([{"id": f"{n:03}", "text": "вода", "language": "ru", "metadata": {"n": n}} for n in range(230)])
        assert [each.id for each in client.all_articles()] == [f"{n:03}" for n in range(230)]
        assert [each.id for each in client.all_articles(languages=["ru"], filter={"metadata.n": {"gte": 228}})] == [
            "228",
            "229",
        ]
        told = client.add_file("note.txt", "Вода в реке.".encode(), source="desk")
        assert [each.action for each in told.articles] == ["added"]

    async def count() -> int:
        async with AsyncClient(address) as client:
            return len([each async for each in client.all_articles()])

    assert asyncio.run(count()) == 231
