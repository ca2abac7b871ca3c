import httpx2
import pytest

from service.client import Client
from service.errors import NotFound, Refused, Unreachable
from service.wire import ArticleIn, GroupOut, HitOut


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
            client.search("a", colour=1)
        with pytest.raises(TypeError, match=r"similar\(\).*colour"):
            client.similar("a", colour=1)
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
