"""The web application: what it is made of and how long it lives. The routes are in `routes.py`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from service.engine import Engine
from service.settings import Settings
from service.web import dialects, intake, problems, questions, reference, routes
from service.web.current import InUse
from service.web.description import describe
from service.web.draining import drain_at_sigterm
from service.web.envelope import Envelope
from service.web.files import PageFiles
from service.web.metrics import CountRequests
from service.web.shapes import release
from service.web.state import State
from service.web.tracing import Traced
from service.web.watching import Watch

DESCRIPTION = """Ask in any language; get the passages that answer, whatever language they were written in.

Errors are `application/problem+json` (RFC 9457). Offsets count characters (Unicode code points)."""


def create_app(
    settings: Settings,
    open_engine: Callable[[], Engine],
    failed: Callable[[Exception], None] | None = None,
    opened: Callable[[], None] | None = None,
    counts: Path | None = None,
) -> FastAPI:
    """Return the application over the engine that `open_engine` opens.

    The engine is opened beside the event loop once the server runs; until then `/readyz` and everything that
    needs it answer 503. `failed` is told where it cannot be opened, `opened` when it is. It is closed when the
    application ends. `counts` is a file in which several processes count requests together.
    """
    shared = State(settings, open_engine, failed, opened, counts)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        drain_at_sigterm(shared)
        shared.start()
        watch = Watch(settings, shared.current)
        yield
        await run_in_threadpool(watch.stop)
        await run_in_threadpool(shared.stop)

    app = FastAPI(
        title="Dragoman",
        version=release(),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = shared
    for router in (routes.router, intake.router, dialects.router, questions.router, reference.router):
        # As they are: a router that FastAPI includes is looked through twice for a request.
        app.router.routes.extend(router.routes)
    app.mount("/page", PageFiles())
    app.add_middleware(InUse, current=shared.current)
    app.add_middleware(CountRequests, metrics=shared.metrics)
    if shared.tracing.on:
        app.add_middleware(Traced, tracing=shared.tracing)
    app.add_middleware(Envelope)
    problems.register(app, routes.router, intake.router, dialects.router, questions.router)
    describe(app)
    return app
