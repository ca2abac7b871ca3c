"""What the routes of one service share: its settings, its engine once that is open, its numbers."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request

from service.engine import Engine
from service.keys import Keys
from service.settings import Settings
from service.web.audit import Audit
from service.web.lines import Line
from service.web.metrics import Metrics
from service.web.problems import Malformed
from service.web.rates import Rate

log = logging.getLogger("dragoman")

# Threads that read an article, a passage, numbers.
READERS = 16

# Threads that read what is to be added, and wait for the one that adds.
WRITERS = 4


class Unready(Malformed):
    """The engine is not open yet, or could not be opened."""


@dataclass(slots=True)
class State:
    """The one changing thing of a service: the engine arrives some time after the server does."""

    settings: Settings
    open_engine: Callable[[], Engine]
    failed: Callable[[Exception], None] | None = None
    metrics: Metrics = field(default_factory=Metrics)
    error: Exception | None = None
    keys: Keys = field(init=False)
    rate: Rate = field(init=False)
    audit: Audit = field(init=False)
    searches: Line = field(init=False)
    reads: Line = field(init=False)
    writes: Line = field(init=False)
    draining: bool = False
    _engine: Engine | None = None
    _stopping: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self.keys = Keys(self.settings.data)
        self.rate = Rate(self.settings.rate_limit)
        self.audit = Audit(self.settings.audit_path)
        most = self.settings.max_waiting
        # A search that waits to be encoded with others takes a thread and no core.
        self.searches = Line("searches", most, most, leaving=True)
        self.reads = Line("requests to read", most, READERS, leaving=True)
        self.writes = Line("requests to add or delete", most, WRITERS)

    @property
    def ready(self) -> bool:
        """Return whether the engine is open."""
        return self._engine is not None

    @property
    def engine(self) -> Engine:
        """Return the engine; raises Unready (503) while it is not open."""
        if self._engine is None:
            reason = f"the library could not be opened: {self.error}" if self.error else "the engine is being opened"
            raise Unready(503, f"Not ready: {reason}")
        return self._engine

    def check_ready(self) -> None:
        """Raise Unready (503), with the reason, where a new request should go to another."""
        if self.draining:
            raise Unready(503, "Not ready: the service is being stopped")
        _ = self.engine

    def start(self) -> None:
        """Begin to open the engine, so that the server can say meanwhile that it is alive.

        One of several workers takes no request before its engine is open: the others may be ready.
        """
        self._thread = threading.Thread(target=self._open, name="open-engine", daemon=True)
        self._thread.start()
        if self.settings.workers > 1:
            self._thread.join()

    def stop(self) -> None:
        """Close the engine, now or, if it is still being opened, as soon as it is."""
        with self._lock:
            self._stopping = True
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _open(self) -> None:
        try:
            engine = self.open_engine()
            # What is loaded at its first use is loaded before the service says that it is ready.
            engine.library.load()
            engine.questions(["Is the service ready?"])
        except Exception as error:
            self.error = error
            log.error("the library could not be opened: %s", error)
            if self.failed is not None:
                self.failed(error)
            return
        with self._lock:
            if not self._stopping:
                self._engine = engine
                return
        engine.close()


def state(request: Request) -> State:
    """Return the state of the service that a request came to."""
    found = request.app.state.service
    assert isinstance(found, State)
    return found
