import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from embed import Encoder
from index import Library
from service.engine import Engine
from service.reading import Draft, read_path
from service.settings import Settings
from service.web.app import create_app
from service.web.heads import BoundedHeads


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Small limits, so that going over them is cheap."""
    return Settings(
        data=tmp_path / "library", cache=tmp_path / "cache", max_body_bytes=100_000, max_article_bytes=50_000
    )


@pytest.fixture
def app(settings: Settings, toy_engine: Engine) -> FastAPI:
    """The application over the toy engine."""
    return create_app(settings, lambda: toy_engine)


@pytest.fixture
def web(app: FastAPI) -> Iterator[TestClient]:
    """The application in process, ready."""
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        yield client


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    """The application behind a real socket."""
    with served(app) as address:
        yield address


@pytest.fixture(scope="session")
def seeds_address(model: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real default model over the two seed articles, behind a real socket; whoever adds removes again."""
    folder = tmp_path_factory.mktemp("seeds")
    library = Library.open(folder, model=model.name, fingerprint=model.fingerprint, dim=model.dim)
    engine = Engine(model, library)
    seeds = Path(__file__).parents[2] / "seeds"
    drafts = [each for path in sorted(seeds.glob("*.txt")) for each in read_path(path, 10**6)]
    list(engine.add(each for each in drafts if isinstance(each, Draft)))
    with served(create_app(Settings(data=folder), lambda: engine)) as address:
        yield address


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve `app` on a free port of the loopback in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, http=BoundedHeads, port=0, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started and app.state.service.ready)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def wait_until(done: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.01)
