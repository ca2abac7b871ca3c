"""Traces, as OpenTelemetry's own exporter in memory and an endpoint that takes OTLP get them."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from starlette.testclient import TestClient

from service.engine import Engine
from service.errors import ExtraMissing
from service.settings import Settings
from service.web import tracing
from service.web.app import create_app
from service.web.tracing import Tracing
from tests.service.conftest import wait_until

STAGES = ["reading", "encoding", "waiting", "ranking", "best_sentences", "explaining"]


@contextmanager
def traced(settings: Settings, engine: Engine) -> Iterator[TestClient]:
    """Serve with traces; all of them are sent when the block ends."""
    app = create_app(replace(settings, otlp_endpoint="http://127.0.0.1:9/v1/traces"), lambda: engine)
    with TestClient(app, raise_server_exceptions=False) as web:
        wait_until(lambda: web.get("/readyz").status_code == 200)
        yield web


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What is sent."""
    kept = InMemorySpanExporter()
    monkeypatch.setattr(tracing, "exporter", lambda _: kept)
    return kept


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    """Return the one span of this name."""
    [found] = [span for span in spans.get_finished_spans() if span.name == name]
    return found


def test_a_search_is_a_span_of_its_request_with_one_for_each_stage(
    settings: Settings, toy_engine: Engine, spans: InMemorySpanExporter
) -> None:
    """They follow each other without a gap inside the search, that lies inside the request; nothing asked is told."""
    trace_id, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"X-Request-ID": "r-7", "traceparent": f"00-{trace_id}-{caller}-01"}
    with traced(settings, toy_engine) as web:
        web.post("/v1/articles", json=[{"id": "a", "text": "river secretword", "language": "en"}])
        assert web.post("/v1/search", json={"query": "river secretword"}, headers=headers).status_code == 200
        counts = web.get("/metrics").text

    request, search = named(spans, "POST /v1/search"), named(spans, "search")
    assert request.kind is SpanKind.SERVER
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/search",
        "http.response.status_code": 200,
        "dragoman.request_id": "r-7",
    }
    assert request.parent is not None
    assert f"{request.context.trace_id:032x}" == trace_id
    assert f"{request.parent.span_id:016x}" == caller
    stages = [named(spans, stage) for stage in STAGES]
    parents = [span.parent.span_id if span.parent else None for span in (search, *stages)]
    assert parents == [request.context.span_id, *[search.context.span_id] * len(STAGES)]
    ends = [search.start_time, *(span.end_time for span in stages)]
    assert [span.start_time for span in stages] == ends[:-1]
    assert ends[-1] == search.end_time
    assert request.start_time and search.start_time and search.end_time and request.end_time  # noqa: PT018
    assert request.start_time <= search.start_time < search.end_time <= request.end_time
    assert all(f'dragoman_stage_seconds_count{{stage="{stage}"}} 1.0' in counts for stage in STAGES)
    assert "secretword" not in "".join(span.to_json() for span in spans.get_finished_spans())


def test_adding_and_errors_are_told_and_probes_are_not(
    settings: Settings, toy_engine: Engine, spans: InMemorySpanExporter
) -> None:
    """An add tells how many articles; what is not found is its status; /readyz and /metrics make no span."""
    with traced(settings, toy_engine) as web:
        web.post("/v1/articles", json=[{"id": name, "text": "river", "language": "en"} for name in "ab"])
        web.get("/v1/articles/none")
        web.get("/metrics")

    add = named(spans, "add")
    assert add.attributes == {"dragoman.articles": 2}
    assert add.parent is not None
    assert add.parent.span_id == named(spans, "POST /v1/articles").context.span_id
    missing = named(spans, "GET /v1/articles/{article_id:path}")
    assert missing.attributes is not None
    assert missing.attributes["http.response.status_code"] == 404
    assert len(spans.get_finished_spans()) == 3


def test_spans_reach_an_endpoint_as_otlp(settings: Settings, toy_engine: Engine) -> None:
    """They are sent over HTTP, at the latest when the service stops, under the name of the service."""
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
        try:
            app = create_app(replace(settings, otlp_endpoint=endpoint), lambda: toy_engine)
            with TestClient(app) as web:
                wait_until(lambda: web.get("/readyz").status_code == 200)
                web.get("/v1/status")
        finally:
            collector.shutdown()
            thread.join()
    [sent] = [each for body in bodies for each in ExportTraceServiceRequest.FromString(body).resource_spans]
    about = {each.key: each.value.string_value for each in sent.resource.attributes}
    assert about["service.name"] == "dragoman"
    assert [span.name for scope in sent.scope_spans for span in scope.spans] == ["GET /v1/status"]


def test_without_an_endpoint_there_is_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No library is asked for; with an endpoint and without the extra the error names the extra."""
    for module in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    off = Tracing(None)
    with off.span("add"):
        off.told("search", {"ranking": 0.1})
    off.close()
    assert not off.on
    with pytest.raises(ExtraMissing, match=r"pip install 'dragoman\[otel\]'"):
        Tracing("http://127.0.0.1:9")
