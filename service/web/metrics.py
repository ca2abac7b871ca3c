"""Prometheus numbers of a running service: requests, time spent on searches, how much the library holds."""

import time
from collections.abc import Mapping
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MutexValue, ValueClass
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)  # seconds

# Whether this process is one of several workers, whose numbers are kept in files and told together.
TOGETHER = ValueClass is not MutexValue


class Metrics:
    """The numbers of one service; each has its own registry, so that two services in a process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "dragoman_requests_total",
            "Requests answered",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._search_seconds = Histogram(
            "dragoman_search_seconds",
            "Time of a search inside the engine, encoding included",
            buckets=BUCKETS,
            registry=self._registry,
        )
        stage_seconds = Histogram(
            "dragoman_stage_seconds",
            "Time of a search in each stage: reading the question, encoding (with others, so the wait for them too), "
            "waiting for a core, ranking, best_sentences, explaining and counting",
            ["stage"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._stage_seconds = cache(stage_seconds.labels)
        self.articles = Gauge(
            "dragoman_articles", "Articles in the library", registry=self._registry, multiprocess_mode="mostrecent"
        )
        self.passages = Gauge(
            "dragoman_passages", "Passages in the library", registry=self._registry, multiprocess_mode="mostrecent"
        )
        self.started = Gauge(
            "dragoman_start_time_seconds", "When the service started", registry=self._registry, multiprocess_mode="min"
        )
        self.started.set(time.time())

    def searched(self, seconds: float, stages: Mapping[str, float]) -> None:
        """Count a search that took so long, and each of its stages."""
        self._search_seconds.observe(seconds)
        for stage, own in stages.items():
            self._stage_seconds(stage).observe(own)

    def text(self) -> bytes:
        """Return the numbers in Prometheus' text format, those of all workers together."""
        if not TOGETHER:
            return generate_latest(self._registry)
        every = CollectorRegistry()
        MultiProcessCollector(every)  # type: ignore[no-untyped-call]
        return generate_latest(every)


class CountRequests:
    """ASGI middleware that counts answers by method, route (its template, not the path) and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count what is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "other")
                # Any word may come as a method; only those that the routes know become a label.
                method = scope["method"] if scope["method"] in ("GET", "POST", "PUT", "DELETE") else "other"
                self._metrics.requests.labels(method, route, message["status"]).inc()
            await send(message)

        await self._app(scope, receive, counted)
