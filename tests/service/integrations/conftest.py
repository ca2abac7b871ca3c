import os
from collections.abc import Iterator

import pytest

from index import Library
from service.client import Client
from service.engine import Engine
from service.settings import Settings
from service.web.app import create_app
from tests.fakes import ToyEncoder
from tests.service.conftest import served

# Haystack tells its makers what is used, unless it is told not to before it is imported.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"


@pytest.fixture
def anyio_backend() -> str:
    """Coroutines of standard suites run in asyncio."""
    return "asyncio"


@pytest.fixture(scope="package")
def toy_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The toy encoder over one library for all standard suites, behind a real socket."""
    folder = tmp_path_factory.mktemp("toy")
    library = Library.open(folder, model="toy", fingerprint="toy-1", dim=32)
    with served(create_app(Settings(data=folder), lambda: Engine(ToyEncoder(), library))) as address:
        yield address


@pytest.fixture
def empty_address(toy_address: str) -> str:
    """The same, emptied."""
    with Client(toy_address) as client:
        for article in client.all_articles():
            client.delete(article.id)
    return toy_address
