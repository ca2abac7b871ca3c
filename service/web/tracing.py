"""Traces by OpenTelemetry (the extra `otel`): a span for each request, and under it spans of what was done when."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ExtraMissing
from service.web.shapes import release

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

# What is asked every few seconds by machines, and tells nothing of the service.
PROBES = ("/livez", "/readyz", "/metrics")


class Tracing:
    """Makes spans and sends them in batches to an OTLP `endpoint`; does nothing where there is none.

    How many requests are traced, and headers for the endpoint, are told by OpenTelemetry's own variables (`OTEL_*`).
    What is asked and what is found is in no span. Raises ExtraMissing where the extra is not installed.
    """

    def __init__(self, endpoint: str | None) -> None:
        self._provider: Any = None
        if endpoint is None:
            return
        try:
            from opentelemetry import propagate, trace
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor

            sender = exporter(endpoint)
        except ImportError:
            raise ExtraMissing(
                "Traces need OpenTelemetry: pip install 'dragoman[otel]', or leave DRAGOMAN_OTLP_ENDPOINT out."
            ) from None
        about = Resource.create({"service.name": "dragoman", "service.version": release()})
        self._api, self._propagate = trace, propagate
        self._provider = TracerProvider(resource=about)
        self._provider.add_span_processor(BatchSpanProcessor(sender))
        self._tracer = self._provider.get_tracer("dragoman")

    @property
    def on(self) -> bool:
        """Return whether there are traces at all."""
        return self._provider is not None

    @contextmanager
    def span(self, name: str) -> Iterator[dict[str, int | str]]:
        """Let what the block does be a span; the block tells more of it."""
        about: dict[str, int | str] = {}
        if not self.on:
            yield about
            return
        with self._tracer.start_as_current_span(name) as span:
            yield about
            span.set_attributes(_named(about))

    def told(self, name: str, stages: Mapping[str, float]) -> None:
        """Make a span that ended now, of stages that took so many seconds one after the other, and one of each."""
        if not self.on:
            return
        at = time.time_ns() - round(sum(stages.values()) * 1e9)
        whole = self._tracer.start_span(name, start_time=at)
        under = self._api.set_span_in_context(whole)
        for stage, seconds in stages.items():
            part = self._tracer.start_span(stage, under, start_time=at)
            at += round(seconds * 1e9)
            part.end(at)
        whole.end(at)

    @contextmanager
    def request(self, scope: Scope) -> Iterator[dict[str, Any]]:
        """Let what the block answers be a span, in the trace that the request names; the block tells more of it."""
        about: dict[str, Any] = {}
        method = scope["method"] if scope["method"] in ("GET", "POST", "PUT", "DELETE") else "_OTHER"
        span = self._tracer.start_span(
            method, self._propagate.extract(Headers(scope=scope)), kind=self._api.SpanKind.SERVER
        )
        with self._api.use_span(span, end_on_exit=True):
            yield about
            route = getattr(scope.get("route"), "path", None)
            if route is not None:
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
            span.set_attribute("http.request.method", method)
            span.set_attribute("http.response.status_code", about["status"])
            state = scope.get("state", {})
            told = {"request_id": state.get("request_id"), "key": state.get("caller")}
            span.set_attributes(_named({name: each for name, each in told.items() if each is not None}))
            if about["status"] >= 500:
                span.set_status(self._api.StatusCode.ERROR)

    def close(self) -> None:
        """Send what is not sent yet."""
        if self.on:
            self._provider.shutdown()


class Traced:
    """ASGI middleware that makes a span of each request but those of probes."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        with self._tracing.request(scope) as about:
            about["status"] = 500

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    about["status"] = message["status"]
                await send(message)

            await self._app(scope, receive, noted)


def exporter(endpoint: str) -> "SpanExporter":
    """Return what sends spans to an endpoint, as OTLP over HTTP."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=endpoint, timeout=5)


def _named(about: Mapping[str, Any]) -> dict[str, Any]:
    return {f"dragoman.{name}": each for name, each in about.items()}
