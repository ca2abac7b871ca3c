from collections.abc import Iterator
from pathlib import Path

import pytest

from embed import Encoder, load_encoder
from index import Library
from service.engine import Engine
from tests.fakes import ToyEncoder
from tests.milvus import Milvus, lacking


@pytest.fixture
def toy_encoder() -> ToyEncoder:
    """A small exact encoder; no model."""
    return ToyEncoder()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """An empty library for the toy encoder."""
    with Library.open(tmp_path / "library", model="toy", fingerprint="toy-1", dim=32) as library:
        yield library


@pytest.fixture
def toy_engine(library: Library, toy_encoder: ToyEncoder) -> Engine:
    """The toy encoder over an empty library."""
    return Engine(toy_encoder, library)


@pytest.fixture(scope="session")
def model() -> Encoder:
    """The real default model."""
    return load_encoder()


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """A real Milvus server; a library of a test begins its collections' names with its own."""
    if (why := lacking()) is not None:
        pytest.skip(why)
    with Milvus(tmp_path_factory.mktemp("milvus")) as server:
        yield server
