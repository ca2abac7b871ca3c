import json
import sqlite3
from pathlib import Path

from index import Library
from service.engine import Engine
from service.reading import Draft
from service.repairing import repair
from tests.fakes import ToyEncoder


def open_library(folder: Path) -> Library:
    """Open the toy's library."""
    return Library.open(folder, model="toy", fingerprint="toy-1", dim=32)


def damaged(folder: Path, *statements: str) -> None:
    """Make a library of three articles, and change its database behind its back."""
    with Engine(ToyEncoder(), open_library(folder)) as engine:
        texts = ["river flood", "bank money\n\nmarket trade", "school teacher"]
        list(engine.add(Draft(text, id=f"a{number}", language="en") for number, text in enumerate(texts)))
    connection = sqlite3.connect(folder / "library.sqlite")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_vectors_are_made_again_from_texts_that_are_sound(tmp_path: Path) -> None:
    """A damaged passage of a sound article is encoded again, the others are left; then all is well."""
    damaged(tmp_path, "UPDATE passages SET vector = zeroblob(128) WHERE row = 2")
    stages: list[str] = []

    found = repair(
        lambda: open_library(tmp_path),
        lambda: Engine(ToyEncoder(), open_library(tmp_path)),
        lambda stage, done: stages.append(f"{stage} {done}"),
    )

    assert (found.mended, found.problems) == (["a1"], [])
    assert stages == ["encoding again 1.0"]
    with Engine(ToyEncoder(), open_library(tmp_path)) as engine:
        assert [hit.passage.text for hit in engine.search("money", mode="raw", limit=1).hits] == ["bank money"]


def test_no_model_is_needed_where_nothing_is_to_be_encoded(tmp_path: Path) -> None:
    """What cannot be mended is named: an article whose own words are not what was written."""
    damaged(tmp_path, "UPDATE articles SET text = text || '!' WHERE id = 'a0'")

    found = repair(lambda: open_library(tmp_path), lambda: 1 / 0)  # type: ignore[arg-type, return-value]

    assert found.mended == []
    assert [problem.where for problem in found.problems] == ["article a0"]
    assert json.dumps([problem.what for problem in found.problems]) == '["is not what was written"]'
