"""Bad input over HTTP: each kind gets a clear error of the right status, and the service goes on."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

JSON = {"Content-Type": "application/json"}
NESTED = b'{"query": "a", "filter": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "said"),
    [
        pytest.param(*case[1:], id=case[0])
        for case in [
            # questions
            ("empty query", "POST", "/v1/search", b'{"query": ""}', JSON, 422, "empty"),
            ("blank query", "POST", "/v1/search", b'{"query": " \\n\\t"}', JSON, 422, "empty"),
            ("only controls", "POST", "/v1/search", b'{"query": "\\u0000\\u0007"}', JSON, 422, "empty"),
            ("no query", "POST", "/v1/search", b"{}", JSON, 422, "/query: Field required"),
            (
                "100,000 characters",
                "POST",
                "/v1/search",
                json.dumps({"query": "a" * 99_000}).encode(),
                JSON,
                422,
                "at most 4,000 characters",
            ),
            ("lone surrogate", "POST", "/v1/search", b'{"query": "a\\ud800"}', JSON, 422, "surrogate"),
            ("number as query", "POST", "/v1/search", b'{"query": 5}', JSON, 422, "/query"),
            ("limit as text", "POST", "/v1/search", b'{"query": "a", "limit": "5"}', JSON, 422, "/limit"),
            ("limit of 0", "POST", "/v1/search", b'{"query": "a", "limit": 0}', JSON, 422, "/limit"),
            (
                "limit of 1e9",
                "POST",
                "/v1/search",
                b'{"query": "a", "limit": 1000000000}',
                JSON,
                422,
                "/limit",
            ),
            (
                "huge number",
                "POST",
                "/v1/search",
                b'{"query": "a", "limit": ' + b"9" * 5000 + b"}",
                JSON,
                400,
                "",
            ),
            (
                "NaN",
                "POST",
                "/v1/search",
                b'{"query": "a", "min_relevance": NaN}',
                JSON,
                422,
                "/min_relevance",
            ),
            (
                "NaN in a filter",
                "POST",
                "/v1/search",
                b'{"query": "a", "filter": {"url": NaN}}',
                JSON,
                422,
                "",
            ),
            ("unknown mode", "POST", "/v1/search", b'{"query": "a", "mode": "x"}', JSON, 422, "/mode"),
            ("unknown member", "POST", "/v1/search", b'{"query": "a", "lang": "bn"}', JSON, 422, "/lang"),
            (
                "unknown language",
                "POST",
                "/v1/search",
                b'{"query": "a", "languages": ["bn", "xx1"]}',
                JSON,
                422,
                "'xx1'",
            ),
            (
                "unknown query language",
                "POST",
                "/v1/search",
                b'{"query": "a", "query_language": "english, please"}',
                JSON,
                422,
                "english, please",
            ),
            (
                "unknown filter field",
                "POST",
                "/v1/search",
                b'{"query": "a", "filter": {"colour": "red"}}',
                JSON,
                422,
                "published_at",
            ),
            (
                "filter of a wrong type",
                "POST",
                "/v1/search",
                b'{"query": "a", "filter": {"source": {"near": 1}}}',
                JSON,
                422,
                "source",
            ),
            ("forged cursor", "POST", "/v1/search", b'{"query": "a", "cursor": "AAAA"}', JSON, 422, "cursor"),
            ("deep nesting", "POST", "/v1/search", NESTED, JSON, 400, "not JSON"),
            (
                "min_relevance unknown",
                "POST",
                "/v1/search",
                b'{"query": "a", "min_relevance": 0.5}',
                JSON,
                422,
                "",
            ),
            ("empty q", "GET", "/v1/search?q=", b"", {}, 422, "empty"),
            ("half a character in q", "GET", "/v1/search?q=%ED%A0%80&limit=999", b"", {}, 422, "limit"),
            ("unknown parameter", "GET", "/v1/search?q=a&lang=bn", b"", {}, 422, "'lang'"),
            # bodies
            ("no body", "POST", "/v1/search", b"", JSON, 400, "not JSON"),
            ("not JSON", "POST", "/v1/articles", b"{text: 1}", JSON, 400, "not JSON"),
            ("not UTF-8", "POST", "/v1/articles", b'{"text": "\xff\xfe"}', JSON, 400, "unicode"),
            ("binary as JSON", "POST", "/v1/articles", b"\x89PNG\r\n\x1a\n\x00\xff", JSON, 400, "not JSON"),
            (
                "binary as binary",
                "POST",
                "/v1/articles",
                b"\x89PNG\r\n\x1a\n",
                {"Content-Type": "application/octet-stream"},
                415,
                "application/json",
            ),
            (
                "text",
                "POST",
                "/v1/articles",
                b"text",
                {"Content-Type": "text/plain"},
                415,
                "application/json",
            ),
            ("no content type", "POST", "/v1/articles", b"{}", {}, 415, "not none"),
            (
                "too large",
                "POST",
                "/v1/articles",
                b'{"text": "' + b"a" * 100_000 + b'"}',
                JSON,
                413,
                "100,000",
            ),
            # articles
            ("empty list", "POST", "/v1/articles", b"[]", JSON, 422, "no article"),
            ("a string", "POST", "/v1/articles", b'"text"', JSON, 422, "the body"),
            ("a list of numbers", "POST", "/v1/articles", b"[1]", JSON, 422, "/0"),
            ("no text", "POST", "/v1/articles", b'{"id": "a"}', JSON, 422, "`text` or `paragraphs`"),
            ("text of a wrong type", "POST", "/v1/articles", b'{"text": ["a"]}', JSON, 422, "/text"),
            ("binary as text", "POST", "/v1/articles", b'{"text": "\\u0000\\u0001"}', JSON, 422, "NUL"),
            ("surrogate in text", "POST", "/v1/articles", b'{"text": "\\udfff a"}', JSON, 422, "surrogate"),
            (
                "surrogate in metadata",
                "POST",
                "/v1/articles",
                b'{"text":"a","metadata":{"\\ud800":1}}',
                JSON,
                422,
                "",
            ),
            (
                "NaN in metadata",
                "POST",
                "/v1/articles",
                b'{"text":"a","metadata":{"x":NaN}}',
                JSON,
                422,
                "NaN",
            ),
            (
                "unknown language code",
                "POST",
                "/v1/articles",
                b'{"text":"a","language":"xx1"}',
                JSON,
                422,
                "'xx1'",
            ),
            (
                "a date that is none",
                "POST",
                "/v1/articles",
                b'{"text":"a","published_at":"now"}',
                JSON,
                422,
                "ISO",
            ),
            ("two ids", "PUT", "/v1/articles/a", b'{"id": "b", "text": "a"}', JSON, 422, "/id"),
            ("id of a control", "PUT", "/v1/articles/a%00b", b'{"text": "a"}', JSON, 422, "not an id"),
            ("no such article", "GET", "/v1/articles/%00", b"", {}, 404, ""),
            ("no such passage", "GET", "/v1/passages/none", b"", {}, 404, "none"),
            ("no such route", "GET", "/v2/search", b"", {}, 404, "/docs"),
            ("no such method", "PUT", "/v1/search", b"{}", JSON, 405, "PUT"),
        ]
    ],
)
def test_bad_input(
    web: TestClient, method: str, path: str, body: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    """The status is right, the body is a problem that says what is wrong, the next question is answered."""
    answer = web.request(method, path, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = json.loads(answer.content.decode("utf-8"))
    assert problem["status"] == status
    assert problem["title"]
    assert problem["instance"]
    assert said in problem["detail"] + json.dumps(problem.get("errors", []))
    assert web.post("/v1/search", json={"query": "water"}).status_code == 200


def test_control_characters_in_a_question_are_spaces(web: TestClient) -> None:
    """A question that was copied with its line breaks and bells is answered."""
    web.post("/v1/articles", json={"id": "w", "text": "вода"})
    answer = web.post("/v1/search", content=b'{"query": "\\u0007water\\u0000\\r\\n"}', headers=JSON)
    assert answer.status_code == 200
    assert answer.json()["hits"][0]["article_id"] == "w"
