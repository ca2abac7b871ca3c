"""Adding a file or an address over HTTP."""

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.engine import Engine
from service.fetching import Fetcher
from service.settings import Settings
from service.web.app import create_app
from tests.service import samples
from tests.service.conftest import wait_until
from tests.service.sites import Site, site

FILE = {"Content-Type": "application/octet-stream"}
PAGE = """<html><head><title>{title}</title>{head}</head><body><article><p>{text}</p></article></body></html>"""


@pytest.fixture
def local(app: FastAPI) -> Iterator[Site]:
    """A site that the application takes for a public one."""
    with site() as found:
        app.state.service.fetcher = Fetcher(private_hosts=frozenset({"127.0.0.1"}), delay=0)
        yield found


def page(text: str, title: str = "Flood", head: str = "") -> str:
    """Return a page of one paragraph."""
    return PAGE.format(text=text, title=title, head=head)


def test_a_file_is_added_by_its_name(web: TestClient) -> None:
    """The body is the file as it is; what it holds is found."""
    answer = web.post(
        "/v1/files?name=flood.md&source=desk&language=ru", content="# Потоп\n\nвода".encode(), headers=FILE
    )
    assert answer.status_code == 201
    [article] = answer.json()["articles"]
    assert (article["action"], article["language"]) == ("added", "ru")
    assert answer.json()["refused"] == answer.json()["skipped"] == []
    kept = web.get(f"/v1/articles/{article['id']}").json()
    assert (kept["title"], kept["text"], kept["source"]) == ("Потоп", "Потоп\n\nвода", "desk")


def test_what_in_a_file_cannot_be_read_is_told(web: TestClient) -> None:
    """Good lines are added, bad ones named with their reason."""
    answer = web.post("/v1/files?name=a.jsonl", content=b'{"id": "a", "text": "water"}\nnonsense\n', headers=FILE)
    assert answer.status_code == 201
    assert [each["id"] for each in answer.json()["articles"]] == ["a"]
    [refused] = answer.json()["refused"]
    assert refused["where"] == "a.jsonl, line 2"
    assert refused["reason"].startswith("not JSON")


@pytest.mark.parametrize(
    ("query", "content", "kind", "status", "detail"),
    [
        ("name=a.exe", b"MZ", "application/octet-stream", 422, ".exe files are not read"),
        ("name=a.txt", b"", "application/octet-stream", 422, "no text"),
        ("name=a.jsonl", b"nonsense", "application/octet-stream", 422, "a.jsonl, line 1: not JSON"),
        ("name=a.txt", b"water", "text/plain", 415, "application/octet-stream"),
        ("name=a.txt", b"a" * 100_001, "application/octet-stream", 413, "limit of 100,000"),
        ("name=a.txt", b"a" * 50_001, "application/octet-stream", 413, "limit of 50,000"),
        ("name=a.txt&language=xx1", b"water", "application/octet-stream", 422, "language"),
        ("", b"water", "application/octet-stream", 422, "name"),
    ],
)
def test_a_file_that_cannot_be_added_is_a_problem(
    web: TestClient, query: str, content: bytes, kind: str, status: int, detail: str
) -> None:
    """The reason is told; another content type, which any page could send unasked, is refused."""
    answer = web.post(f"/v1/files?{query}", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert detail in answer.text


def test_an_address_is_added(web: TestClient, local: Site) -> None:
    """The article has the page's text, title and canonical address; its source is the host."""
    local.page("/a?x=1", page("water in the river", head='<link rel="canonical" href="/a">'), ETag='"1"')
    answer = web.post("/v1/fetch", json={"url": f"{local.address}/a?x=1"})
    assert answer.status_code == 201
    [outcome] = answer.json()["articles"]
    kept = web.get(f"/v1/articles/{outcome['id']}").json()
    assert (kept["title"], kept["text"]) == ("Flood", "water in the river")
    assert (kept["url"], kept["source"]) == (f"{local.address}/a", "127.0.0.1")

    again = web.post("/v1/fetch", json={"url": f"{local.address}/a?x=1"}).json()
    assert again["articles"] == []
    assert again["skipped"] == [{"where": f"{local.address}/a?x=1", "reason": "it has not changed since it was added"}]

    web.delete(f"/v1/articles/{outcome['id']}")
    [anew] = web.post("/v1/fetch", json={"url": f"{local.address}/a?x=1"}).json()["articles"]
    assert (anew["id"], anew["action"]) == (outcome["id"], "added")


def test_the_pages_of_a_feed_are_added(web: TestClient, local: Site) -> None:
    """As many as are asked for; a page that is not there is told, and one that says the same is skipped."""
    links = "".join(f"<item><title>{n}</title><link>{local.address}/{n}</link></item>" for n in (1, 2, 3, 4, 5))
    local.page("/feed", f'<rss version="2.0"><channel><title>f</title>{links}</channel></rss>', "application/rss+xml")
    local.page("/1", page("water"))
    local.page("/2", page("bank"))
    local.page("/4", page("water", title="another"))
    answer = web.post("/v1/fetch", json={"url": f"{local.address}/feed", "pages": 4, "source": "feed"}).json()
    assert [each["action"] for each in answer["articles"]] == ["added", "added"]
    assert answer["refused"] == [{"where": f"{local.address}/3", "reason": "the server answered with status 404"}]
    first = answer["articles"][0]["id"]
    assert answer["skipped"] == [
        {"where": f"{local.address}/4", "reason": f"it says the same as {first}"},
        {"where": f"{local.address}/feed", "reason": "1 more that it lists are beyond the limit of pages"},
    ]
    assert web.get(f"/v1/articles/{first}").json()["source"] == "feed"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "169.254.169.254", "10.0.0.1"])
def test_the_server_fetches_from_public_addresses_alone(web: TestClient, host: str) -> None:
    """By name or by number, what is not public is refused."""
    answer = web.post("/v1/fetch", json={"url": f"http://{host}/"})
    assert answer.status_code == 422
    assert "is not a public address" in answer.json()["detail"]


def test_the_setting_for_private_hosts_is_not_the_servers(settings: Settings, toy_engine: Engine) -> None:
    """A server whose environment names hosts of our own refuses them all the same."""
    app = create_app(replace(settings, private_hosts=("127.0.0.1",)), lambda: toy_engine)
    with site() as private, TestClient(app) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        answer = client.post("/v1/fetch", json={"url": f"http://127.0.0.1:{private.port}/"})
        assert answer.status_code == 422
        assert client.post("/v1/fetch", json={"url": "http://127.0.0.1/"}).status_code == 422
        assert private.asked == []


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.pdf", samples.pdf(["river water"])),
        ("a.eml", samples.letter("river", "water").as_bytes()),
        ("a.zip", samples.zipped({"a.txt": "river", "b.csv": "text\nwater\n"})),
    ],
)
def test_files_of_other_formats_are_added(web: TestClient, name: str, data: bytes) -> None:
    """A PDF, a document, an archive with several articles."""
    answer = web.post(f"/v1/files?name={name}", content=data, headers=FILE)
    assert answer.status_code == 201
    assert [each["action"] for each in answer.json()["articles"]] == ["added"] * (2 if name == "a.zip" else 1)


def test_a_file_whose_library_is_missing_tells_what_brings_it(web: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer names the command."""
    monkeypatch.delitem(sys.modules, "service.reading.pdf", raising=False)
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    answer = web.post("/v1/files?name=a.pdf", content=samples.pdf(["x"]), headers=FILE)
    assert (answer.status_code, answer.headers["content-type"]) == (501, "application/problem+json")
    assert "pip install 'dragoman[pdf]'" in answer.json()["detail"]


def test_what_there_is_no_time_for_is_told(settings: Settings, toy_engine: Engine) -> None:
    """A feed of more pages than there is time for gives those that came in time."""
    app = create_app(replace(settings, write_seconds=2), lambda: toy_engine)
    with site() as slow, TestClient(app) as client:
        app.state.service.fetcher = Fetcher(private_hosts=frozenset({"127.0.0.1"}), delay=0.5)
        wait_until(lambda: client.get("/readyz").status_code == 200)
        links = "".join(f"<item><link>{slow.address}/{n}</link></item>" for n in range(9))
        slow.page(
            "/feed", f'<rss version="2.0"><channel><title>f</title>{links}</channel></rss>', "application/rss+xml"
        )
        for n in range(9):
            slow.page(f"/{n}", page(f"river water {n}"))
        answer = client.post("/v1/fetch", json={"url": f"{slow.address}/feed"})
        assert answer.status_code == 201
        assert 1 <= len(answer.json()["articles"]) <= 4
        [skipped] = answer.json()["skipped"]
        assert skipped["reason"].startswith("more of it was not asked for, because the time is over")


@pytest.mark.parametrize("body", [{}, {"url": ""}, {"url": "http://a/", "pages": 51}, {"url": "http://a/", "x": 1}])
def test_a_request_of_another_shape_is_a_problem(web: TestClient, body: dict[str, object]) -> None:
    """What is wrong is told, and nothing is fetched."""
    assert web.post("/v1/fetch", json=body).status_code == 422
