import json
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from index import DamagedLibrary, LibraryBusy, LibraryFull, ReadOnlyLibrary
from service import dialects, wire
from service.engine import Engine
from service.settings import Settings
from service.web.app import create_app
from service.web.examples import EXAMPLES, PARAMETERS
from service.web.files import FOLDER
from tests.service.conftest import wait_until

FLOOD = {
    "id": "flood",
    "title": "বন্যা",
    "paragraphs": ["নদী পানি বন্যা", "সেনাবাহিনী"],
    "language": "bn",
    "source": "daily",
    "published_at": "2023-05-06",
    "metadata": {"desk": "weather"},
}
BANK = {"id": "bank", "text": "बैंक पैसा व्यापार", "language": "hi"}


def test_add_search_show_replace_delete(web: TestClient) -> None:
    """An article lives through its whole life over HTTP, and every answer has the documented members."""
    added = web.post("/v1/articles", json=[FLOOD, BANK])
    assert added.status_code == 201
    assert added.json() == {
        "articles": [
            {"id": "flood", "action": "added", "passages": 2, "language": "bn"},
            {"id": "bank", "action": "added", "passages": 1, "language": "hi"},
        ]
    }
    found = web.post("/v1/search", json={"query": "river flood", "query_language": "en", "limit": 1}).json()
    assert found["query_language"] == {"code": "en", "confidence": 1.0}
    assert isinstance(found["took_ms"], float)
    assert found["answer"] == {"found": None, "relevance": None}  # the toy is not calibrated
    assert found["facets"] is None
    [hit] = found["hits"]
    passage_id, similarity = hit.pop("passage_id"), hit.pop("similarity")
    assert 0.5 < similarity <= 1
    assert hit.pop("raw_similarity") == similarity  # the toy's space is its own
    assert hit == {
        "rank": 1,
        "article_id": "flood",
        "title": "বন্যা",
        "text": "নদী পানি বন্যা",
        "language": "bn",
        "relevance": None,
        "start": 0,
        "end": 14,
        "best_sentence": None,
        "explanation": None,
        "url": None,
        "source": "daily",
        "published_at": "2023-05-06",
        "metadata": {"desk": "weather"},
        "rerank_score": None,
    }
    passage = web.get(f"/v1/passages/{passage_id}").json()
    assert (passage["article_id"], passage["position"], passage["text"]) == ("flood", 0, "নদী পানি বন্যা")
    article = web.get("/v1/articles/flood").json()
    assert article["text"] == "নদী পানি বন্যা\n\nসেনাবাহিনী"
    assert article["text"][article["passages"][1]["start"] : article["passages"][1]["end"]] == "সেনাবাহিনী"

    assert web.put("/v1/articles/flood", json=FLOOD).json()["action"] == "unchanged"
    replaced = web.put("/v1/articles/flood", json={"text": "স্কুল", "language": "bn"})
    assert (replaced.status_code, replaced.json()["action"]) == (200, "replaced")
    assert web.put("/v1/articles/new", json={"text": "স্কুল", "language": "bn"}).status_code == 201
    assert web.get("/v1/articles/flood").json()["text"] == "স্কুল"

    assert web.delete("/v1/articles/flood").status_code == 204
    assert web.get("/v1/articles/flood").status_code == 404
    assert web.delete("/v1/articles/flood").status_code == 404
    assert web.get("/v1/status").json()["articles"] == 2


def test_filters_languages_and_pages(web: TestClient) -> None:
    """Languages and filters restrict what is searched; a cursor goes on where the page before ended."""
    web.post("/v1/articles", json=[FLOOD, BANK, {"id": "ru", "text": "река\n\nвода\n\nдождь", "language": "ru"}])

    def articles(**asked: Any) -> list[str]:
        answer = web.post("/v1/search", json={"query": "water", **asked})
        assert answer.status_code == 200, answer.text
        return [hit["article_id"] for hit in answer.json()["hits"]]

    assert set(articles(languages=["bn", "hi"])) == {"flood", "bank"}
    assert articles(filter={"source": "daily"}) == ["flood", "flood"]
    assert articles(filter={"metadata.desk": "weather", "published_at": {"gte": "2023-05"}}) == [
        "flood",
        "flood",
    ]
    first = web.get("/v1/search", params={"q": "water", "language": "ru,hi", "limit": 3}).json()
    rest = web.get("/v1/search", params={"q": "water", "language": ["ru", "hi"], "cursor": first["next_cursor"]}).json()
    assert [hit["rank"] for hit in first["hits"] + rest["hits"]] == [1, 2, 3, 4]
    assert len({hit["passage_id"] for hit in first["hits"] + rest["hits"]}) == 4
    assert rest["next_cursor"] is None


def test_a_hit_tells_why_it_matched_where_that_is_asked(web: TestClient) -> None:
    """Over POST and GET alike: shares that sum to the similarity, and words, as characters of article and question."""
    web.post("/v1/articles", json=[FLOOD, {**BANK, "text": "सेना\n\nबैंक पैसा व्यापार"}])
    query = '-school "पैसा" bank'

    told = web.post("/v1/search", json={"query": f"  {query}\n", "query_language": "en", "limit": 2, "explain": True})

    hit = told.json()["hits"][0]
    why = hit["explanation"]
    text = web.get("/v1/articles/bank").json()["text"]
    assert [text[each["start"] : each["end"]] for each in why["tokens"]] == ["बैंक", "पैसा", "व्यापार"]
    assert [query[each["start"] : each["end"]] for each in why["query_tokens"]] == ["पैसा", "bank"]
    for tokens, rest in ((why["tokens"], why["rest"]), (why["query_tokens"], why["query_rest"])):
        assert sum(each["share"] for each in tokens) + rest == pytest.approx(hit["similarity"], abs=2e-6)
    words = [
        (query[slice(*met["query"].values())], text[slice(*met["passage"].values())], met["cosine"])
        for met in why["words"]
    ]
    assert words == [("पैसा", "पैसा", 1.0), ("bank", "बैंक", 1.0)]
    address = f"/v1/search?q={quote(query)}&query_language=en&limit=2&explain=true"
    assert web.get(address).json()["hits"] == told.json()["hits"]
    assert web.post("/v1/search", json={"query": query, "explain": "yes"}).status_code == 422


def test_where_nothing_is_searched_nothing_answers(web: TestClient) -> None:
    """Whatever is known of the model: an empty library, or a filter that lets nothing through, answers nothing."""
    empty = {"found": False, "relevance": None}
    assert web.post("/v1/search", json={"query": "water"}).json()["answer"] == empty
    web.post("/v1/articles", json=BANK)
    assert web.get("/v1/search", params={"q": "water"}).json()["answer"] == {"found": None, "relevance": None}
    assert web.get("/v1/search", params={"q": "water", "language": "bn"}).json()["answer"] == empty


def test_facets_are_counted_when_they_are_asked_for(web: TestClient) -> None:
    """In the body and in the address; each without the filter on itself, all with phrases and exclusions."""
    web.post("/v1/articles", json=[FLOOD, BANK])
    languages = [{"value": "bn", "passages": 2, "articles": 1}, {"value": "hi", "passages": 1, "articles": 1}]
    daily = {"value": "daily", "passages": 2, "articles": 1}
    asked = {"query": "water", "facets": True, "languages": ["hi"], "limit": 1}
    assert web.post("/v1/search", json=asked).json()["facets"] == {"language": languages, "source": [], "year": []}
    by_address = web.get("/v1/search", params={"q": "water", "facets": "true", "language": "bn", "limit": 1}).json()
    assert by_address["facets"] == {"language": languages, "source": [daily], "year": [{**daily, "value": "2023"}]}
    without = web.post("/v1/search", json={"query": "water -নদী", "facets": True}).json()["facets"]
    assert without["source"] == [{"value": "daily", "passages": 1, "articles": 1}]
    assert web.get("/v1/search", params={"q": "water", "facets": "maybe"}).status_code == 422


def test_similar_passages(web: TestClient) -> None:
    """By the address, or with a filter in a body: passages of other languages that say most nearly the same."""
    river = {"id": "river", "text": "река наводнение\n\nармия", "language": "ru", "source": "weekly"}
    web.post("/v1/articles", json=[FLOOD, BANK, river])
    flood = web.get("/v1/articles/flood").json()["passages"][0]["passage_id"]
    path = f"/v1/passages/{flood}/similar"

    found = web.get(path).json()["hits"]
    assert found[0]["text"] == "река наводнение"
    assert sorted(hit["article_id"] for hit in found) == ["bank", "river", "river"]
    assert set(found[0]) == set(web.get("/v1/search", params={"q": "a"}).json()["hits"][0])
    assert (found[0]["relevance"], found[0]["best_sentence"]) == (None, None)
    assert [hit["text"] for hit in web.get(path, params={"limit": 1}).json()["hits"]] == ["река наводнение"]
    assert [hit["article_id"] for hit in web.get(path, params={"language": "hi,bn"}).json()["hits"]] == ["bank"]
    assert len(web.get(path, params={"same_language": True}).json()["hits"]) == 3
    filtered = web.post(path, json={"filter": {"source": "weekly"}, "limit": 5}).json()["hits"]
    assert [hit["article_id"] for hit in filtered] == ["river", "river"]
    assert [hit["article_id"] for hit in web.post(path, json={"languages": ["hi"]}).json()["hits"]] == ["bank"]


@pytest.mark.parametrize(
    ("parameters", "status", "told"),
    [
        ({"language": "klingon-ish"}, 422, "klingon-ish"),
        ({"limit": 0}, 422, "greater than or equal to 1"),
        ({"q": "water"}, 422, "no parameter 'q'; there are language, limit, same_language"),
    ],
)
def test_similar_refuses_what_it_does_not_take(
    web: TestClient, parameters: dict[str, Any], status: int, told: str
) -> None:
    """Each fault is told in words, and so is a passage that is not there."""
    web.post("/v1/articles", json=BANK)
    [bank] = web.get("/v1/articles/bank").json()["passages"]
    refused = web.get(f"/v1/passages/{bank['passage_id']}/similar", params=parameters)
    assert (refused.status_code, told in refused.json()["detail"]) == (status, True), refused.text
    unknown = web.get("/v1/passages/nobody/similar")
    assert (unknown.status_code, "no passage 'nobody'" in unknown.json()["detail"]) == (404, True)
    wrong = web.post(f"/v1/passages/{bank['passage_id']}/similar", json={"languages": ["bn", "xx1"]})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/languages/1")


def test_hits_are_grouped_by_article_and_by_story(web: TestClient) -> None:
    """`limit` counts articles or stories; passages and sources are told as hits are, and members of no group stay."""
    articles = [{"id": f"n{number}", "text": f"вода {number}", "language": "ru"} for number in range(60)]
    copies = [{**FLOOD, "id": "copy", "source": "wire"}]
    assert web.post("/v1/articles", json=[FLOOD, *copies, BANK, *articles]).status_code == 201

    def hits(**asked: Any) -> list[dict[str, Any]]:
        answer = web.post("/v1/search", json={"query": "river water flood", "query_language": "en", **asked})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["hits"]
        return found

    plain = hits(limit=1)[0]
    assert "passages" not in plain
    by_article = hits(limit=2, group="article")
    assert {hit["article_id"] for hit in by_article} == {"flood", "copy"}
    assert [[each["text"] for each in hit["passages"]] for hit in by_article] == [["সেনাবাহিনী"]] * 2
    assert by_article[0]["sources"] == []
    [story] = hits(limit=1, group="story")
    assert set(story) == {*plain, "passages", "sources"}
    [source] = story["sources"]
    assert set(source) == {*plain, "passages"}
    assert {story["article_id"], source["article_id"]} == {"flood", "copy"}
    assert {story["source"], source["source"]} == {"daily", "wire"}
    assert set(source["passages"][0]) == set(plain)
    asked: dict[str, Any] = {"q": "river water flood", "query_language": "en", "limit": 1, "group": "story"}
    assert web.get("/v1/search", params=asked).json()["hits"] == [story]
    refused = web.get("/v1/search", params={"q": "water", "group": "paragraph"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/group")


def test_ids_may_be_addresses(web: TestClient) -> None:
    """An id with slashes, spaces and other scripts is reached by its escaped form."""
    identity = "https://example.org/a b?c=ঢাকা#d"
    assert web.post("/v1/articles", json={"id": identity, "text": "вода"}).status_code == 201
    assert web.get(f"/v1/articles/{quote(identity, safe='')}").json()["id"] == identity


def test_none_is_added_where_one_is_malformed(web: TestClient) -> None:
    """A list is checked before its first article is added; the fault has a pointer."""
    answer = web.post("/v1/articles", json=[BANK, {"id": "x", "text": "вода", "language": "klingon-ish"}])
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/1/language"
    answer = web.post("/v1/articles", json=[BANK, {"id": "x", "txt": "вода"}])
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/1/txt"
    assert web.get("/v1/status").json()["articles"] == 0


def test_health_while_the_engine_is_being_opened(settings: Settings, toy_engine: Engine) -> None:
    """The server is alive at once, ready when the engine is open; until then questions get 503."""
    may_open = threading.Event()

    def open_engine() -> Engine:
        assert may_open.wait(20)
        return toy_engine

    with TestClient(create_app(settings, open_engine)) as web:
        assert web.get("/livez").status_code == 200
        assert web.get("/readyz").status_code == 503
        asked = web.post("/v1/search", json={"query": "water"})
        assert (asked.status_code, asked.headers["retry-after"]) == (503, "5")
        assert web.get("/metrics").status_code == 200
        may_open.set()
        wait_until(lambda: web.get("/readyz").status_code == 200)


def test_an_engine_that_cannot_be_opened_is_told(settings: Settings) -> None:
    """Readiness says why, and the one who started the service is told."""
    told: list[Exception] = []

    def open_engine() -> Engine:
        raise DamagedLibrary("the disk ate it; restore a backup")

    with TestClient(create_app(settings, open_engine, told.append)) as web:
        wait_until(lambda: bool(told))
        ready = web.get("/readyz")
        assert ready.status_code == 503
        assert "the disk ate it; restore a backup" in ready.json()["detail"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (LibraryBusy("dragoman add (process 7) writes; wait"), 503),
        (LibraryFull("the disk is full; make room"), 507),
        (ReadOnlyLibrary("it can only be read"), 403),
        (DamagedLibrary("checksum differs; run dragoman verify"), 500),
    ],
)
def test_errors_of_the_library_have_their_status(
    web: TestClient, toy_engine: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    """What the library raises becomes a problem with its own message."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(toy_engine.library, "add_all", fail)
    answer = web.post("/v1/articles", json=BANK)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == str(error)
    assert ("retry-after" in answer.headers) == (status == 503)


def test_the_unexpected_is_a_problem_without_a_traceback(
    web: TestClient, toy_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours answers 500, says nothing of our insides, and the service goes on."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret")

    with monkeypatch.context() as broken:
        broken.setattr(toy_engine.library, "search", fail)
        answer = web.post("/v1/search", json={"query": "water"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert web.post("/v1/search", json={"query": "water"}).status_code == 200


def test_a_method_that_is_not_there_names_those_that_are(web: TestClient) -> None:
    """405 is a problem and carries Allow with every method of the address."""
    answer = web.patch("/v1/search")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"
    assert answer.json()["title"] == "Method Not Allowed"


def test_metrics(web: TestClient) -> None:
    """Requests are counted by route and status; the library's size is told."""
    web.post("/v1/articles", json=[FLOOD, BANK])
    web.post("/v1/search", json={"query": "water"})
    web.get("/v1/articles/one")
    web.get("/v1/articles/two")
    text = web.get("/metrics").text
    assert 'dragoman_requests_total{method="POST",route="/v1/search",status="200"} 1.0' in text
    assert 'dragoman_requests_total{method="GET",route="/v1/articles/{article_id:path}",status="404"} 2.0' in text
    assert "dragoman_search_seconds_count 1.0" in text
    assert "dragoman_articles 2.0" in text
    assert "dragoman_passages 3.0" in text


def test_the_description_is_complete(app: FastAPI) -> None:
    """Every reference resolves, bodies have examples, and every error of every operation is a problem."""
    description = app.openapi()
    schemas = description["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(description)))
    assert references <= set(schemas)
    assert schemas["SearchRequest"]["examples"]
    assert schemas["ArticleIn"]["examples"]
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            errors = {code: each for code, each in operation["responses"].items() if code >= "400"}
            assert errors, (method, path)
            for code, each in errors.items():
                assert list(each["content"]) == ["application/problem+json"], (method, path, code)


def test_every_operation_is_told_in_full(app: FastAPI) -> None:
    """A name, a summary and a description; each parameter with meaning and example; each answer with shape and example
    that fits it; problems as errors.
    """
    description = app.openapi()
    schemas = description["components"]["schemas"]
    operations = [each for path in description["paths"].values() for each in path.values()]
    names = [each["operationId"] for each in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        name = operation["operationId"]
        assert re.fullmatch("[a-z_]+", name), name
        assert len(operation["summary"].split()) > 2, name
        assert operation["description"].startswith(operation["summary"]), name
        assert operation["tags"], name
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (name, parameter)
            assert "example" in parameter, (name, parameter)
        assert {"500"} < set(operation["responses"]) or name == "alive", name
        contents = [("body", each) for each in [operation.get("requestBody", {})]] + [*operation["responses"].items()]
        for code, each in contents:
            for media_type, content in each.get("content", {}).items():
                if "json" not in media_type or name in ("alive", "ready"):
                    continue
                assert content["schema"], (name, code)
                told = content["schema"].get("$ref") or content["schema"]["anyOf"][0]["$ref"]
                shape = told.rpartition("/")[2]
                known = {**vars(wire), **vars(dialects)}
                known[shape].model_validate(content["example"])
                assert schemas[shape]["examples"][0] == content["example"]


def test_every_example_is_of_a_shape_that_is_answered(app: FastAPI) -> None:
    """None is left over from a shape that is gone."""
    assert set(EXAMPLES) <= set(app.openapi()["components"]["schemas"])
    used = {
        each["name"]
        for path in app.openapi()["paths"].values()
        for one in path.values()
        for each in one.get("parameters", ())
    }
    assert used == {name.rpartition(".")[2] for name in PARAMETERS}


def test_articles_are_listed_in_pages(web: TestClient) -> None:
    """In the order of their ids, those that languages and a filter let through, each once."""
    web.post("/v1/articles", json=[FLOOD, BANK, *({"id": f"a{n}", "text": "вода", "language": "ru"} for n in range(3))])

    def ids(**asked: Any) -> list[str]:
        answer = web.get("/v1/articles", params=asked)
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["articles"]]

    first = web.get("/v1/articles", params={"limit": 3}).json()
    assert ([each["id"] for each in first["articles"]], first["next"]) == (["a0", "a1", "a2"], "a2")
    rest = web.get("/v1/articles", params={"limit": 3, "after": "a2"}).json()
    assert ([each["id"] for each in rest["articles"]], rest["next"]) == (["bank", "flood"], None)
    assert rest["articles"][1] == {
        "id": "flood",
        "title": "বন্যা",
        "text": "নদী পানি বন্যা\n\nসেনাবাহিনী",
        "language": "bn",
        "url": None,
        "source": "daily",
        "published_at": "2023-05-06",
        "metadata": {"desk": "weather"},
    }
    assert ids(language="bn,hi") == ["bank", "flood"]
    assert ids(filter='{"metadata.desk": "weather"}') == ["flood"]
    for asked in (
        {"filter": "[]"},
        {"filter": "{"},
        {"filter": '{"colour": 1}'},
        {"limit": 101},
        {"language": "klingon"},
        {"q": "a"},
    ):
        assert web.get("/v1/articles", params=asked).status_code == 422, asked


def test_every_route_is_documented(app: FastAPI) -> None:
    """docs/http-api.md names every route, and every status that a route may answer."""
    text = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text(encoding="utf-8")
    for path, operations in app.openapi()["paths"].items():
        assert re.sub("(article|passage|question)_id", "id", path) in text, path
        for operation in operations.values():
            for code in operation["responses"]:
                assert code in ("200", "201", "204") or f"| {code} |" in text, (path, code)


def test_the_page_runs_only_the_scripts_of_its_own_host(web: TestClient) -> None:
    """The page holds no script or style itself, its policy lets none run, and no text becomes markup."""
    answer = web.get("/")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert not re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=", answer.text)


def test_the_files_of_the_page_are_its_own(web: TestClient) -> None:
    """What the page and its scripts name is there, of the right type, asks whether it is fresh, and names no host."""
    page = web.get("/").text
    named = set(re.findall(r'(?:src|href)="(page/[^"]+)"', page))
    waiting, seen = sorted(named), set[str]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = web.get(f"/{path}")
        assert answer.status_code == 200, path
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in ("text/javascript", "application/javascript", "text/css", "image/svg+xml"), path
        assert answer.headers["cache-control"] == "no-cache"
        assert web.get(f"/{path}", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
        assert not re.findall(r"""["'(](?:https?:)?//(?!www\.w3\.org/2000/svg)""", answer.text), path
        assert "innerHTML" not in answer.text
        waiting += [f"page/{each}" for each in re.findall(r'from "\./([\w.]+)"', answer.text)]
    assert {"page/page.js", "page/texts.js", "page/why.js", "page/style.css", "page/icon.svg"} <= seen
    modules = {path for path in seen if path.endswith(".js")} - {"page/page.js", "page/theme.js"}
    assert set(re.findall(r'rel="modulepreload" href="([^"]+)"', page)) == modules  # none waits for another
    assert seen == {f"page/{each.name}" for each in FOLDER.iterdir() if each.is_file()} - {"page/index.html"}


@pytest.mark.parametrize("path", ["/page/../routes.py", "/page/%2e%2e/routes.py", "/page/texts", "/page/none.js"])
def test_only_the_files_of_the_page_are_given_away(web: TestClient, path: str) -> None:
    """Nothing beside its folder, and no list of what is in it."""
    answer = web.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_real_server(address: str) -> None:
    """Over a real socket: add, ask; an article that is too large is refused while it is being sent."""
    with httpx2.Client(base_url=address, timeout=30) as web:
        assert web.post("/v1/articles", json=FLOOD).status_code == 201
        assert web.get("/v1/search", params={"q": "flood"}).json()["hits"][0]["article_id"] == "flood"
        sent = 0

        def endless() -> Any:
            nonlocal sent
            yield b'{"text": "'
            for _ in range(3200):
                sent += 65_536
                yield b"a" * 65_536

        try:
            answer = web.post("/v1/articles", content=endless(), headers={"Content-Type": "application/json"})
            assert answer.status_code == 413
        except httpx2.TransportError:
            pass  # the server may close before the client has stopped sending
        assert sent < 200 * 1024 * 1024
        assert web.get("/readyz").status_code == 200


def test_settings_limit_questions(settings: Settings, toy_engine: Engine) -> None:
    """The longest question is a setting."""
    short = replace(settings, max_query_chars=5)
    with TestClient(create_app(short, lambda: toy_engine)) as web:
        wait_until(lambda: web.get("/readyz").status_code == 200)
        assert web.post("/v1/search", json={"query": "water"}).status_code == 200
        answer = web.post("/v1/search", json={"query": "waters"})
        assert answer.status_code == 422
        assert "at most 5 characters (DRAGOMAN_MAX_QUERY_CHARS), not 6" in answer.json()["detail"]


def test_a_crowd_is_sent_away_with_503_and_told_when_to_come_again(
    settings: Settings, toy_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where as many searches as may are being answered, a further one is refused at once; other requests are not."""
    app = create_app(replace(settings, max_waiting=1), lambda: toy_engine)
    gate, inside = threading.Event(), threading.Event()
    search = toy_engine.library.search

    def slowly(*given: Any, **named: Any) -> Any:
        inside.set()
        assert gate.wait(20)
        return search(*given, **named)

    monkeypatch.setattr(toy_engine.library, "search", slowly)
    with TestClient(app) as web:
        wait_until(lambda: web.get("/readyz").status_code == 200)
        first: list[int] = []
        asking = threading.Thread(target=lambda: first.append(web.get("/v1/search?q=water").status_code))
        asking.start()
        assert inside.wait(20)
        refused = [web.get("/v1/search?q=river"), web.post("/v1/search", json={"query": "river"})]
        assert web.post("/v1/articles", json=BANK).status_code == 201
        gate.set()
        asking.join()
        assert web.get("/v1/search?q=river").status_code == 200
    assert [(each.status_code, each.headers["Retry-After"]) for each in refused] == [(503, "1")] * 2
    assert refused[0].json()["detail"].startswith("1 searches are being answered or wait already")
    assert first == [200]
