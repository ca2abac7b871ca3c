"""Who may ask what, over every route that there is."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from service.engine import Engine
from service.keys import SCOPES, Keys
from service.settings import Settings
from service.web.app import create_app
from service.web.rates import Rate
from tests.service.conftest import wait_until

# What is written down of each route: what it needs. A new one fails the test below until it is here.
NEEDS = {
    ("GET", "/"): None,
    ("GET", "/docs"): None,
    ("GET", "/docs/swagger-ui-bundle.js"): None,
    ("GET", "/docs/swagger-ui.css"): None,
    ("GET", "/openapi.json"): None,
    ("GET", "/livez"): None,
    ("GET", "/readyz"): None,
    ("GET", "/metrics"): "read",
    ("GET", "/v1/status"): "read",
    ("GET", "/v1/search"): "read",
    ("POST", "/v1/search"): "read",
    ("GET", "/v1/articles"): "read",
    ("GET", "/v1/articles/{article_id}"): "read",
    ("GET", "/v1/passages/{passage_id}"): "read",
    ("GET", "/v1/passages/{passage_id}/similar"): "read",
    ("POST", "/v1/passages/{passage_id}/similar"): "read",
    ("POST", "/v1/embeddings"): "read",
    ("POST", "/v1/rerank"): "read",
    ("GET", "/v1/questions"): "read",
    ("GET", "/v1/questions/{question_id}"): "read",
    ("GET", "/v1/questions/{question_id}/matches"): "read",
    ("GET", "/v1/questions/{question_id}/feed"): "read",
    ("POST", "/v1/questions"): "write",
    ("DELETE", "/v1/questions/{question_id}"): "write",
    ("POST", "/v1/articles"): "write",
    ("POST", "/v1/files"): "write",
    ("POST", "/v1/fetch"): "write",
    ("PUT", "/v1/articles/{article_id}"): "write",
    ("DELETE", "/v1/articles/{article_id}"): "write",
}
HIDDEN = {(method, path) for method, path in NEEDS if path == "/" or path.startswith(("/docs", "/openapi"))}


@pytest.fixture
def locked(settings: Settings, toy_engine: Engine) -> Iterator[TestClient]:
    """The application, ready, where keys are on."""
    app = create_app(replace(settings, keys=True), lambda: toy_engine)
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        yield client


def test_every_route_is_written_down(locked: TestClient) -> None:
    """The routes of the description, and those that are hidden from it, are those whose scopes are written down."""
    described = {
        (method.upper(), path)
        for path, methods in locked.get("/openapi.json").json()["paths"].items()
        for method in methods
    }
    assert described | HIDDEN == set(NEEDS)


def test_what_is_hidden_from_the_description_is_written_down_too(settings: Settings, toy_engine: Engine) -> None:
    """No route of any kind is there but those of the description, those that are known to be hidden, and the page's
    files.
    """
    app = create_app(settings, lambda: toy_engine)
    routes = [
        each for route in app.routes for each in getattr(getattr(route, "original_router", None), "routes", [route])
    ]
    hidden = {
        (method, route.path)
        for route in routes
        if isinstance(route, Route) and not route.include_in_schema
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert hidden == HIDDEN
    others = [route for route in routes if not isinstance(route, Route)]
    assert [route.path for route in others if isinstance(route, Mount)] == ["/page"]
    assert len(others) == 1


@pytest.mark.parametrize(("method", "path"), NEEDS)
def test_a_key_without_the_scope_is_refused_everywhere(
    locked: TestClient, settings: Settings, method: str, path: str
) -> None:
    """No key and a wrong one get 401, too small a scope 403, and every other is let in."""
    needed = NEEDS[method, path]
    keys = Keys(settings.data)
    secrets = {scope: keys.create(scope, scope) for scope in SCOPES}

    def ask(authorization: str | None) -> tuple[int, str, str | None]:
        headers = {} if authorization is None else {b"Authorization": authorization.encode("latin-1")}
        answer = locked.request(method, path, headers=headers)
        return answer.status_code, answer.headers["content-type"], answer.headers.get("www-authenticate")

    for wrong in (None, "Bearer dragoman_wrong", "Bearer ", f"Basic {secrets['admin']}", "Bearer \xff"):
        status, kind, scheme = ask(wrong)
        if needed is None:
            assert status == 200
        else:
            assert (status, kind, scheme) == (401, "application/problem+json", 'Bearer realm="dragoman"')
    for scope, secret in secrets.items():
        status, kind, _ = ask(f"Bearer {secret}")
        if needed is None or SCOPES.index(scope) >= SCOPES.index(needed):
            assert status not in (401, 403)
        else:
            assert (status, kind) == (403, "application/problem+json")


def test_a_revoked_key_is_refused_at_once(locked: TestClient, settings: Settings) -> None:
    """A running service takes a new key and refuses it once it is revoked."""
    secret = Keys(settings.data).create("desk", "read")
    headers = {"Authorization": f"Bearer {secret}"}
    assert locked.get("/v1/status", headers=headers).status_code == 200
    Keys(settings.data).revoke("desk")
    assert locked.get("/v1/status", headers=headers).status_code == 401


def test_keys_are_off_on_loopback_alone(settings: Settings) -> None:
    """They are needed on any other address unless told otherwise, and on loopback where told."""
    hosts = ["127.0.0.1", "localhost", "::1", "0.0.0.0", "192.0.2.1", "example.org"]
    assert [replace(settings, host=host).needs_key for host in hosts] == [False, False, False, True, True, True]
    assert replace(settings, keys=True).needs_key
    assert not replace(settings, host="0.0.0.0", keys=False).needs_key


def test_too_many_requests_are_told_when_to_come_again(settings: Settings, toy_engine: Engine) -> None:
    """Beyond the limit there is 429 with Retry-After; another key, and what needs none, are not counted with it."""
    limited = replace(settings, keys=True, rate_limit=2)
    keys = Keys(settings.data)
    first, second = ({"Authorization": f"Bearer {keys.create(name, 'read')}"} for name in ("one", "two"))
    with TestClient(create_app(limited, lambda: toy_engine)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        asked = [client.get("/v1/status", headers=first) for _ in range(3)]
        assert [answer.status_code for answer in asked] == [200, 200, 429]
        assert asked[2].headers["content-type"] == "application/problem+json"
        assert 1 <= int(asked[2].headers["retry-after"]) <= 30
        assert client.get("/v1/status", headers=second).status_code == 200
        assert [client.get("/v1/status").status_code for _ in range(3)] == [401, 401, 429]


def test_a_bucket_fills_again() -> None:
    """Of 60 a minute 60 may come at once, then one each second, and what was not used beyond a minute is lost."""
    rate = Rate(60)
    assert [rate.wait("a", 0.0) for _ in range(60)] == [0.0] * 60
    assert rate.wait("a", 0.0) == pytest.approx(1.0)
    assert rate.wait("b", 0.0) == 0.0
    assert rate.wait("a", 1.0) == 0.0
    assert rate.wait("a", 1.5) == pytest.approx(0.5)
    assert [rate.wait("a", 1000.0) > 0 for _ in range(61)] == [False] * 60 + [True]


COUNT = """
import sys
from pathlib import Path
from service.web.rates import Rate
rate = Rate(100, Path(sys.argv[1]))
print(sum(rate.wait("key desk", 7.0) == 0 for _ in range(90)))
"""


def test_the_processes_of_a_service_count_together(tmp_path: Path) -> None:
    """Of three that ask 90 times each in one moment 100 requests are let through, and not one more."""
    Rate(100, tmp_path / "counts.sqlite")
    command = [sys.executable, "-c", COUNT, str(tmp_path / "counts.sqlite")]
    root = Path(__file__).parents[2]
    each = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(3)]
    assert sum(int(process.communicate(timeout=60)[0]) for process in each) == 100


def test_who_has_not_asked_for_a_minute_is_forgotten(tmp_path: Path) -> None:
    """Of two thousand callers who came once those of the last minute are kept, and nobody is let through the more."""
    rate = Rate(1)
    assert [rate.wait(f"address {number}", number / 10) for number in range(2000)] == [0.0] * 2000
    [(kept,)] = rate._counts.execute("SELECT count(*) FROM counts")
    assert kept < 1700
    assert rate.wait("address 1999", 200.0) == pytest.approx(59.9)


def test_writes_are_told_in_the_audit_log(locked: TestClient, settings: Settings) -> None:
    """Each write is a line: who, what, under which request; a search is none, and nothing of a text is told."""
    headers = {"Authorization": f"Bearer {Keys(settings.data).create('desk', 'write')}", "X-Request-ID": "r-1"}
    articles = [{"id": "a", "text": "river", "language": "en"}, {"id": "b", "text": "bank", "language": "en"}]
    locked.post("/v1/articles", json=articles, headers=headers)
    locked.put("/v1/articles/a", json={"text": "flood", "language": "en"}, headers=headers)
    locked.post("/v1/search", json={"query": "river"}, headers=headers)
    locked.delete("/v1/articles/b", headers=headers)

    text = (settings.data / "audit.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [[(each["id"], each["action"]) for each in line["articles"]] for line in lines] == [
        [("a", "added"), ("b", "added")],
        [("a", "replaced")],
        [("b", "deleted")],
    ]
    assert {(line["key"], line["request_id"]) for line in lines} == {("desk", "r-1")}
    assert "river" not in text


def test_the_audit_log_may_be_off(settings: Settings) -> None:
    """It is a file in the library's folder, one elsewhere, or none."""
    assert settings.audit_path == settings.data / "audit.jsonl"
    assert replace(settings, audit="off").audit_path is None
    assert str(replace(settings, audit="/var/log/a.jsonl").audit_path) == "/var/log/a.jsonl"


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/status", "/nothing"])
def test_every_answer_has_headers_that_keep_browsers_safe(web: TestClient, path: str) -> None:
    """A policy that lets nobody frame it nor load from elsewhere, no sniffing, no referrer, and the request's id."""
    answer = web.get(path, headers={"X-Request-ID": "mine.1"})
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-request-id"] == "mine.1"
    if path in ("/", "/docs"):
        assert 'src="http' not in answer.text
    other = web.get(path, headers={"X-Request-ID": "a b\tc" * 50}).headers["x-request-id"]
    assert len(other) == 16


def test_the_numbers_tell_where_the_time_goes(web: TestClient) -> None:
    """Each search is counted in each stage, and the stages take no longer than the search."""
    for _ in range(3):
        assert web.post("/v1/search", json={"query": "river"}).status_code == 200
    told = dict(line.rsplit(" ", 1) for line in web.get("/metrics").text.splitlines() if line.startswith("dragoman_s"))
    stages = ("encoding", "waiting", "ranking", "best_sentences")
    counts = [float(told[f'dragoman_stage_seconds_count{{stage="{stage}"}}']) for stage in stages]
    seconds = [float(told[f'dragoman_stage_seconds_sum{{stage="{stage}"}}']) for stage in stages]
    assert counts == [3.0] * 4
    assert 0 < sum(seconds) <= float(told["dragoman_search_seconds_sum"])


def test_what_fails_unexpectedly_names_the_request_too(settings: Settings, toy_engine: Engine) -> None:
    """A damaged file of keys lets nobody in, and even an error has the headers and the request's id."""
    with TestClient(create_app(replace(settings, keys=True), lambda: toy_engine), raise_server_exceptions=False) as web:
        (settings.data / "keys.json").write_text("{", encoding="utf-8")
        answer = web.get("/v1/status", headers={"X-Request-ID": "r-2", "Authorization": "Bearer x"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "r-2")
    assert answer.headers["x-content-type-options"] == "nosniff"
