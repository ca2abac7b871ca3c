"""What the routes of one service share: its settings, its engine once that is open, its numbers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fastapi import Request

from index import Superseded
from service.engine import Engine
from service.fetching import Fetcher
from service.keys import Keys
from service.settings import Settings
from service.web.audit import Audit
from service.web.current import Current
from service.web.lines import Line
from service.web.metrics import Metrics
from service.web.problems import Malformed
from service.web.rates import Rate
from service.web.tracing import Tracing

Written = TypeVar("Written")

# Threads that encode texts which go into no library: one at work, one that reads what the next will be.
ENCODERS = 2

# Threads that read an article, a passage, numbers.
READERS = 16

# Threads that read what is to be added, and wait for the one that adds.
WRITERS = 4
# Addresses that are fetched at once.
FETCHERS = 4


class Unready(Malformed):
    """The engine is not open yet, or could not be opened."""


@dataclass(slots=True)
class State:
    """The one changing thing of a service: the engine arrives some time after the server does."""

    settings: Settings
    open_engine: Callable[[], Engine]
    failed: Callable[[Exception], None] | None = None
    opened: Callable[[], None] | None = None
    counts: Path | None = None
    metrics: Metrics = field(default_factory=Metrics)
    current: Current = field(init=False)
    keys: Keys = field(init=False)
    rate: Rate = field(init=False)
    audit: Audit = field(init=False)
    tracing: Tracing = field(init=False)
    searches: Line = field(init=False)
    reads: Line = field(init=False)
    writes: Line = field(init=False)
    fetches: Line = field(init=False)
    fetcher: Fetcher = field(init=False)
    models: Line = field(init=False)
    draining: bool = False

    def __post_init__(self) -> None:
        self.current = Current(self.settings.data, self.open_engine, self.failed, self.opened)
        self.keys = Keys(self.settings.data)
        self.rate = Rate(self.settings.rate_limit, self.counts)
        self.audit = Audit(self.settings.audit_path)
        self.tracing = Tracing(self.settings.otlp_endpoint)
        most = self.settings.max_waiting
        # A search that waits takes no thread; what is similar takes one each.
        self.searches = Line("searches", most, most, leaving=True)
        self.reads = Line("requests to read", most, READERS, leaving=True)
        self.writes = Line("requests to add or delete", most, WRITERS)
        self.fetches = Line("addresses to be fetched", most, FETCHERS, leaving=True)
        # Hosts that are not public are for the command line alone.
        self.fetcher = Fetcher(limit=self.settings.max_article_bytes)
        self.models = Line("requests to embed or re-rank", most, ENCODERS, leaving=True)

    @property
    def ready(self) -> bool:
        """Return whether the engine is open."""
        return self.current.engine is not None

    @property
    def engine(self) -> Engine:
        """Return the engine; raises Unready (503) while it is not open."""
        if (engine := self.current.engine) is None:
            error = self.current.error
            reason = f"the library could not be opened: {error}" if error else "the engine is being opened"
            raise Unready(503, f"Not ready: {reason}")
        return engine

    async def write(self, work: Callable[[Engine], Written]) -> Written:
        """Return what `work` returns, in the line of those that write.

        Where the library has gone over to another model, it waits for the engine that takes over. Raises Superseded
        where none does, Crowded, Overdue, Unready.
        """
        engine = self.engine
        try:
            return await self.writes.run(work, engine)
        except Superseded:
            if (other := await self.current.after(engine)) is None:
                raise
        return await self.writes.run(work, other)

    def check_ready(self) -> None:
        """Raise Unready (503), with the reason, where a new request should go to another."""
        if self.draining:
            raise Unready(503, "Not ready: the service is being stopped")
        _ = self.engine
        if self.current.error is not None:
            raise Unready(
                503,
                f"Not ready: the library went over to another model, which could not be opened: {self.current.error};"
                " until then searches are answered from the one before, and nothing can be added",
            )

    def start(self) -> None:
        """Begin to open the engine, so that the server can say meanwhile that it is alive.

        One of several workers takes no request before its engine is open: the others may be ready.
        """
        self.current.start(wait=self.settings.workers > 1)

    def stop(self) -> None:
        """Close the engine, now or, if it is still being opened, as soon as it is, and send the last traces."""
        self.current.stop()
        self.tracing.close()


def state_of(request: Request) -> State:
    """Return the state of the service that a request came to."""
    found = request.app.state.service
    assert isinstance(found, State)
    return found


async def state(request: Request) -> State:
    """Return to a route what `state_of` does. FastAPI would call a plain function in a thread, at some cost."""
    return state_of(request)
