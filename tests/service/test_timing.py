"""Requests that take longer than they may, over a real socket."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray

from embed import KeepTokens
from index import Action, Addition, Library
from service.engine import Engine
from service.pools import FIRST_POOL
from service.settings import Settings
from service.web.app import create_app
from service.web.state import State
from tests.fakes import ToyEncoder
from tests.service.conftest import served, wait_until


class Slow(ToyEncoder):
    """A toy encoder that can be held up."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.open = threading.Event()
        self.open.set()

    def encode_queries(self, texts: Sequence[str], keep: KeepTokens | None = None) -> NDArray[np.float32]:
        """Encode as the toy does, when it is let."""
        self.texts += texts
        assert self.open.wait(20)
        return super().encode_queries(texts, keep)


@contextmanager
def serving(settings: Settings, encoder: Slow) -> Iterator[tuple[str, State]]:
    """Serve a library with this encoder; yield the address and what its routes share."""
    app = create_app(
        settings,
        lambda: Engine(encoder, Library.open(settings.data, model="toy", fingerprint="toy-1", dim=32)),
    )
    with served(app) as address:
        try:
            yield address, app.state.service
        finally:
            encoder.open.set()


def test_a_search_that_takes_too_long_is_told_so_in_time(settings: Settings) -> None:
    """After a second there is 504, with what to do; nothing is left in line, and the next search is answered."""
    encoder = Slow()
    with serving(replace(settings, request_seconds=1), encoder) as (address, shared):
        encoder.open.clear()
        started = time.monotonic()
        answers = [httpx2.post(f"{address}/v1/search", json={"query": "river"}, timeout=10)]
        took = time.monotonic() - started
        answers.append(httpx2.get(f"{address}/v1/search", params={"q": "bank"}, timeout=10))
        assert [(answer.status_code, answer.headers["content-type"]) for answer in answers] == [
            (504, "application/problem+json")
        ] * 2
        assert answers[0].json()["detail"].startswith("It was not done within 1 seconds (DRAGOMAN_REQUEST_SECONDS).")
        assert 0.9 < took < 5
        wait_until(lambda: shared.searches.length == 0)
        encoder.open.set()
        assert httpx2.post(f"{address}/v1/search", json={"query": "flood"}, timeout=10).status_code == 200
    assert "bank" not in encoder.texts


def test_a_body_that_does_not_come_is_not_waited_for(settings: Settings) -> None:
    """A search and an article of which half is sent get 408, and the connection is closed."""
    with serving(replace(settings, request_seconds=1, write_seconds=1), Slow()) as (address, _):
        for path in ("/v1/search", "/v1/articles"):
            with socket.create_connection((urlsplit(address).hostname, urlsplit(address).port), timeout=10) as sent:
                head = [f"POST {path} HTTP/1.1", "Host: a", "Content-Type: application/json", "Content-Length: 99"]
                sent.sendall("\r\n".join([*head, "", '{"query": ']).encode())
                answer = b""
                while part := sent.recv(65536):
                    answer += part
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"The body did not come in the time" in answer


def test_an_add_that_takes_too_long_keeps_what_it_did_and_goes_on_when_sent_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the limit there is 504; the articles of finished transactions are kept, told in the audit log, and stay."""
    articles = [{"id": f"a{number}", "text": f"river {number}", "language": "en"} for number in range(300)]
    add_all = Library.add_all

    def slow(library: Library, additions: Sequence[Addition]) -> list[Action]:
        time.sleep(1.1)
        return add_all(library, additions)

    with serving(replace(settings, write_seconds=1), Slow()) as (address, shared):
        with monkeypatch.context() as patched:
            patched.setattr(Library, "add_all", slow)
            answer = httpx2.post(f"{address}/v1/articles", json=articles, timeout=20)
        assert answer.status_code == 504
        assert "What was done until then stays" in answer.json()["detail"]
        there = httpx2.get(f"{address}/v1/status").json()["articles"]
        assert there == FIRST_POOL
        [line] = (settings.data / "audit.jsonl").read_text(encoding="utf-8").splitlines()
        assert [each["id"] for each in json.loads(line)["articles"]] == [f"a{number}" for number in range(there)]
        again = httpx2.post(f"{address}/v1/articles", json=articles, timeout=20)
        assert again.status_code == 201
        actions = [each["action"] for each in again.json()["articles"]]
        assert actions == ["unchanged"] * there + ["added"] * (300 - there)
        assert shared.writes.length == 0
