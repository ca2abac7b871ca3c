"""Libraries that older versions made, opened with today's code: `tests/index/old/make.py` says how they came about."""

import shutil
from pathlib import Path

import pytest

from index import Article, Library, backup, restore
from index.migrations import SCHEMA
from index.snapshots import SNAPSHOT
from tests.index.old import make

OLD = Path(make.__file__).parent
SCHEMAS = range(1, SCHEMA + 1)


@pytest.fixture(params=SCHEMAS)
def schema(request: pytest.FixtureRequest) -> int:
    """Each schema that there was, and the one there is."""
    number: int = request.param
    return number


@pytest.fixture
def old(schema: int, folder: Path) -> Path:
    """A copy of the library that a version of this schema made."""
    shutil.copytree(OLD / f"schema-{schema}", folder)
    return folder


def texts(library: Library, asked: str, **options: object) -> list[str]:
    """Return what is found for the vector of a text."""
    hits = library.search(make.vector_of(asked), {}, mode="raw", **options).hits  # type: ignore[arg-type]
    return [hit.passage.text for hit in hits]


def whole(library: Library) -> None:
    """Assert that what the old version left is there, and is found by its vectors and by its words."""
    assert library.verify() == []
    assert library.status().articles == len(make.LEFT)
    every = [passage.text for article in make.LEFT for passage in make.passages_of(article)]
    assert library.status().passages == len(every)
    for article in make.LEFT:
        assert library.get(article.id) == article
        for passage in make.passages_of(article):
            assert texts(library, passage.text, limit=1) == [passage.text]
    assert sorted(texts(library, "any", limit=100)) == sorted(every)
    hits = library.search(make.vector_of("any"), {}, mode="lexical", text="army stayed", limit=1).hits
    assert [hit.passage.text for hit in hits] == ["It stayed."]


def test_opened_and_searched(old: Path, schema: int) -> None:
    """It is brought up to today's schema when it is opened, and all is there, now and when it is opened again."""
    info = Library.describe(old)
    assert info is not None
    assert info.schema == schema
    for _ in range(2):
        with make.open_library(old) as library:
            assert library.status().schema == SCHEMA
            whole(library)


def test_read_only(old: Path, schema: int) -> None:
    """Opened to be searched only, it is read as it is, and is of its own schema afterwards."""
    with make.open_library(old, read_only=True, warming=None) as library:
        assert texts(library, "It stayed.", limit=1) == ["It stayed."]
        assert library.get("flood") == make.LEFT[0]
    info = Library.describe(old)
    assert info is not None
    assert info.schema == schema


def test_its_snapshot_is_right_or_not_used(old: Path) -> None:
    """With the snapshot of the old version, without it, or with one of another schema, the same is found."""
    with make.open_library(old) as library:
        expected = texts(library, "any", limit=100)
        neutral = [hit.row for hit in library.search(make.vector_of("any"), {"en": 1.0}, limit=100).hits]
    for other in SCHEMAS:
        shutil.copyfile(OLD / f"schema-{other}" / SNAPSHOT, old / SNAPSHOT)
        with make.open_library(old) as library:
            assert texts(library, "any", limit=100) == expected
            assert [hit.row for hit in library.search(make.vector_of("any"), {"en": 1.0}, limit=100).hits] == neutral
            assert library.verify() == []


def test_written_to(old: Path) -> None:
    """What is there is unchanged, articles are added, replaced and deleted, and all is well."""
    with make.open_library(old) as library:
        passages = {article.id: make.passages_of(article) for article in make.LEFT}
        for article in make.LEFT:
            assert library.add(article, passages[article.id], {}) == "unchanged"
        new = Article("new", "A new one.\n\nOf two.", language="en")
        assert make.put(library, new) == "added"
        assert make.put(library, make.ARTICLES[2]) == "replaced"
        assert library.delete("trade")
    with make.open_library(old) as library:
        assert library.verify() == []
        assert library.get("new") == new
        assert texts(library, "Of two.", limit=1) == ["Of two."]
        assert texts(library, "It left.", limit=1) == ["It left."]
        assert "It stayed." not in texts(library, "It stayed.", limit=100)
        assert library.status().articles == 3


def test_token_vectors_are_given_to_it(old: Path, schema: int) -> None:
    """A library of before there were token vectors keeps them from now on: added again, its passages get theirs."""
    with make.open_library(old) as library:
        assert library.status().late_interaction
        assert library.status().token_passages == (0 if schema == 1 else 6)
        lacking = [article.id for article in make.LEFT if not library.unchanged(article)]
        assert lacking == ([article.id for article in make.LEFT] if schema == 1 else [])
        for article in make.LEFT:
            assert make.put(library, article) == ("replaced" if schema == 1 else "unchanged")
        assert library.status().token_passages == 6
        assert all(library.unchanged(article) for article in make.LEFT)
        whole(library)


def test_backed_up(old: Path, schema: int, tmp_path: Path) -> None:
    """A backup of it is of its own schema; what is restored is brought up to date when it is opened."""
    assert backup(old, tmp_path / "kept").schema == schema
    restore(tmp_path / "kept", tmp_path / "new")
    with make.open_library(tmp_path / "new") as library:
        whole(library)


def test_every_schema_has_a_library(schema: int) -> None:
    """A new schema needs a library of it here, made by the code that brought it."""
    info = Library.describe(OLD / f"schema-{schema}")
    assert info is not None
    assert (info.schema, info.articles, info.passages) == (schema, 3, 6)
    assert sum(path.stat().st_size for path in (OLD / f"schema-{schema}").iterdir()) < 200_000
