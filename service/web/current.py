"""The engine that serves now: opened beside the server, and exchanged when the library goes over to another model."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from anyio import move_on_after, sleep
from starlette.types import ASGIApp, Receive, Scope, Send

from index import LibraryError, generations
from service import deadline
from service.engine import Engine

log = logging.getLogger("dragoman")

# How often it is looked which generation of the library serves, in seconds.
LOOK = 1.0

# After how many seconds it is tried again to open a generation that could not be opened.
AGAIN = 60.0


class Current:
    """The engine that answers requests, None until it is open.

    When the generation of the library in `data` that serves is another (`dragoman reembed --cut-over`), its engine is
    opened in the background and takes over; the one before is closed when the requests that may use it have ended.
    `failed` is told where the first cannot be opened, and `ready` when it is; `error` is why the one that is wanted
    cannot be had.
    """

    def __init__(
        self,
        data: Path,
        open_engine: Callable[[], Engine],
        failed: Callable[[Exception], None] | None = None,
        ready: Callable[[], None] | None = None,
    ) -> None:
        self.engine: Engine | None = None
        self.error: Exception | None = None
        self._data = data
        self._open_engine = open_engine
        self._failed = failed
        self._ready = ready
        self._lock = threading.Lock()
        self._opened = threading.Event()
        self._look = threading.Event()
        self._follows = False
        self._stopping = False
        # Requests by the turn of the engine in which they began, and engines of earlier turns that are open still.
        self._turn = 0
        self._running: Counter[int] = Counter()
        self._before: list[tuple[int, Engine]] = []

    def start(self, *, wait: bool) -> None:
        """Begin to open the engine, and `wait` for that or not."""
        threading.Thread(target=self._run, name="engine", daemon=True).start()
        if wait:
            self._opened.wait()

    def stop(self) -> None:
        """Close what is open, now or, if it is still being opened, as soon as it is."""
        with self._lock:
            self._stopping = True
            open_still = [engine for _, engine in self._before]
            if self.engine is not None:
                open_still.append(self.engine)
            self._before, self.engine = [], None
        self._look.set()
        for engine in open_still:
            engine.close()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep open, while the block lasts, the engine that serves, and whichever takes over meanwhile."""
        with self._lock:
            turn = self._turn
            self._running[turn] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[turn] -= 1
            if self._before:
                self._close_unused()

    async def after(self, engine: Engine) -> Engine | None:
        """Return the engine that takes over from one that may no longer write, once it is open; None if none does."""
        self._look.set()
        with move_on_after(deadline.left()):
            while self._follows and self.engine is engine and self.error is None:
                await sleep(0.05)
        return None if self.engine is engine else self.engine

    def _run(self) -> None:
        try:
            engine = self._loaded()
            place = engine.library.folder
            self._follows = place is not None and place == generations.folder(self._data)
        except Exception as error:
            self.error = error
            log.error("the library could not be opened: %s", error)
            self._opened.set()
            if self._failed is not None:
                self._failed(error)
            return
        self._take_over(engine)
        self._opened.set()
        if self._ready is not None:
            self._ready()
        if self._follows:
            assert place is not None
            self._follow(place)

    def _follow(self, serving: Path) -> None:
        """Exchange the engine whenever another generation than that in the folder `serving` serves."""
        refused, again = serving, 0.0
        while not self._stopping:
            self._look.wait(LOOK)
            self._look.clear()
            try:
                place = generations.folder(self._data)
            except LibraryError:  # what is there cannot be read, which says nothing of what was served until now
                continue
            if place == serving or (place == refused and time.monotonic() < again):
                continue
            try:
                engine = self._loaded()
            except Exception as error:
                refused, again, self.error = place, time.monotonic() + AGAIN, error
                log.error("the library went over to another model, which could not be opened: %s", error)
                continue
            serving, self.error = engine.library.folder or serving, None
            self._take_over(engine)
            log.warning("the library went over to the model %s, which answers from now on", engine.library.model)

    def _loaded(self) -> Engine:
        """Return the engine, what is loaded at its first use loaded."""
        engine = self._open_engine()
        try:
            engine.library.load()
            for together in (1, 2):  # the model has a form for one question, and another for several
                engine.questions(["Is the service ready?"] * together)
        except BaseException:
            engine.close()
            raise
        return engine

    def _take_over(self, engine: Engine) -> None:
        with self._lock:
            stopping, before = self._stopping, self.engine
            if not stopping:
                self.engine = engine
                if before is not None:
                    self._before.append((self._turn, before))
                    self._turn += 1
        if stopping:
            engine.close()
        self._close_unused()

    def _close_unused(self) -> None:
        """Close engines of turns in, and before, which no request began that runs still."""
        with self._lock:
            oldest = min((turn for turn, number in self._running.items() if number), default=self._turn)
            unused = [engine for turn, engine in self._before if turn < oldest]
            self._before = [(turn, engine) for turn, engine in self._before if turn >= oldest]
        for engine in unused:
            threading.Thread(target=engine.close, name="closing", daemon=True).start()


class InUse:
    """ASGI middleware that keeps the engine open for as long as a request is being answered."""

    def __init__(self, app: ASGIApp, current: Current) -> None:
        self._app = app
        self._current = current

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._current.in_use():
            await self._app(scope, receive, send)
