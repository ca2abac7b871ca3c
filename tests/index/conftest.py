from collections.abc import Iterator
from pathlib import Path

import pytest

from index import Library
from tests.index.samples import open_library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the library of a test lies."""
    return tmp_path / "library"


@pytest.fixture
def numbers(folder: Path) -> Iterator[Library]:
    """An empty library for the vectors of `samples`."""
    with open_library(folder) as library:
        yield library
