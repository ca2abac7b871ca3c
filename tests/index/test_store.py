import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from index import (
    DamagedLibrary,
    Library,
    LibraryError,
    LibraryFull,
    NewerSchema,
    changes,
    migrations,
    parse_filter,
)
from index.migrations import SCHEMA
from index.store import DATABASE, Store
from tests.index.samples import article, found, open_library, passages, put, vector_of


def change(folder: Path, statement: str, *parameters: object) -> None:
    """Change the database behind the library's back."""
    connection = sqlite3.connect(folder / DATABASE)
    connection.execute(statement, parameters)
    connection.commit()
    connection.close()


def test_durable_settings(numbers: Library) -> None:
    """Connections keep a log, sync it at each commit and hold on to references."""
    with numbers._store.reading() as connection:
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }

    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_no_database(folder: Path) -> None:
    """A file that is no database, and a database that is not ours, are refused and left as they are."""
    folder.mkdir()
    for content in (b"not a database, " * 1000, b"x", b"SQLite format 3\0"):
        (folder / DATABASE).write_bytes(content)
        for act in (lambda: open_library(folder), lambda: Library.describe(folder)):
            with pytest.raises(DamagedLibrary, match="dragoman verify"):
                act()
        assert (folder / DATABASE).read_bytes() == content
    (folder / DATABASE).unlink()
    change(folder, "CREATE TABLE other (x)")
    with pytest.raises(DamagedLibrary, match="not one of Dragoman's"):
        open_library(folder)


def test_torn_database(folder: Path) -> None:
    """A database whose end is missing is refused, or what is read from it is whole."""
    with open_library(folder) as library:
        for id in range(200):
            put(library, article(f"a{id}"))
    whole = (folder / DATABASE).read_bytes()
    shutil.rmtree(folder)
    for share in (0.1, 0.5, 0.9):
        folder.mkdir()
        (folder / DATABASE).write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DamagedLibrary, match="dragoman verify"), open_library(folder) as library:
            found(library, "any")
        shutil.rmtree(folder)


def test_empty_file(folder: Path) -> None:
    """A process killed before its first transaction leaves an empty file; a library is made of it."""
    folder.mkdir()
    (folder / DATABASE).touch()

    assert Library.describe(folder) is None
    with open_library(folder) as library:
        assert put(library, article("a")) == "added"


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("UPDATE passages SET vector = zeroblob(64) WHERE row = 2", "passage"),
        ("UPDATE passages SET vector = x'00' WHERE row = 2", "passage"),
        ("UPDATE passages SET start = 1 WHERE row = 2", "passage"),
        ("UPDATE passages SET position = 7 WHERE row = 2", "passage"),
        ("UPDATE passages SET article = 2 WHERE row = 2", "passage"),
        ("UPDATE articles SET text = 'other text altogether' WHERE id = 'a'", "article a"),
        ("UPDATE articles SET language = 'bn' WHERE id = 'a'", "article a"),
        ("UPDATE articles SET metadata = '{}' WHERE id = 'a'", "article a"),
        ("UPDATE articles SET id = 'z' WHERE id = 'a'", "of article z"),
    ],
)
def test_changed_behind_our_back(folder: Path, statement: str, where: str) -> None:
    """Whatever field of what is stored is not what was written: no search answers from it, and verify names
    it.
    """
    with open_library(folder) as library:
        put(library, article("a", metadata={"x": 1}))
        put(library, article("b"))
    change(folder, statement)

    with open_library(folder) as library:
        with pytest.raises(DamagedLibrary, match=r"not what was written.*dragoman verify"):
            found(library, "a ends.")
        problems = library.verify()
        assert any(where in problem.where for problem in problems)
        assert not all(problem.repairable for problem in problems)


def test_damage_is_undone_by_adding_again(folder: Path) -> None:
    """What the message says helps: the damaged article is deleted and added again, and all is well."""
    with open_library(folder) as library:
        put(library, article("a"))
        put(library, article("b"))
    change(folder, "UPDATE passages SET vector = zeroblob(64) WHERE row = 2")

    with open_library(folder) as library:
        assert library.delete("a")
        assert put(library, article("a")) == "added"
        assert found(library, "a ends.", 1) == ["a ends."]
        assert library.verify() == []


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM passages WHERE row = 1", "at position 1 where 0"),
        ("UPDATE articles SET published = 3 WHERE id = 'a'", "another date"),
        ("DELETE FROM articles WHERE id = 'a'", "refers to what is not in articles"),
    ],
)
def test_verify_sees_what_a_search_does_not(folder: Path, statement: str, what: str) -> None:
    """Verify finds what is missing, and what is filed wrongly."""
    with open_library(folder) as library:
        put(library, article("a", published_at="2023-01-01"))
    change(folder, statement)

    with open_library(folder) as library:
        assert any(what in problem.what for problem in library.verify())


def test_newer(folder: Path) -> None:
    """A library of a newer version is refused, and says to upgrade."""
    open_library(folder).close()
    change(folder, f"PRAGMA user_version = {SCHEMA + 1}")

    with pytest.raises(NewerSchema, match="upgrade"):
        open_library(folder)


def test_older(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library of an older version takes the steps it lacks when it is opened, and keeps what it has."""
    with open_library(folder) as library:
        put(library, article("a"))

    def m002_remember_something(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE something (x)")

    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, m002_remember_something))
    for module in ("index.migrations", "index.library"):
        monkeypatch.setattr(f"{module}.SCHEMA", SCHEMA + 1)
    with open_library(folder) as library:
        assert library.status().schema == SCHEMA + 1
        assert library.get("a") == article("a")


def test_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk undoes the article that was being written, keeps all before it, and says what to do."""
    connect = Store._connect

    def bounded(store: Store) -> sqlite3.Connection:
        connection = connect(store)
        connection.execute("PRAGMA max_page_count = 60")
        return connection

    open_library(folder).close()
    monkeypatch.setattr(Store, "_connect", bounded)
    with open_library(folder) as library:
        kept = list[str]()

        def fill() -> None:
            for id in range(500):
                put(library, article(f"a{id}"))
                kept.append(f"a{id}")

        with pytest.raises(LibraryFull, match="free some space"):
            fill()
        assert kept
        assert library.status().articles == len(kept)
        assert found(library, f"{kept[-1]} ends.", 1) == [f"{kept[-1]} ends."]
        assert library.verify() == []
        assert all(library.delete(id) for id in kept[: len(kept) // 2])
        assert put(library, article(kept[0])) == "added"


def test_undone_when_it_fails(numbers: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replacement that fails halfway leaves the article as it was."""
    put(numbers, article("a", "1", "2", "3"))
    changed = article("a", "3", "4", "5")
    with pytest.raises(ValueError, match="without a vector"):
        numbers.add(changed, passages(changed), {1: vector_of("4")})

    assert numbers.get("a") == article("a", "1", "2", "3")
    assert sorted(found(numbers, "any")) == ["1", "2", "3"]
    assert numbers.verify() == []


IN_A_SMALL_DISK = """
import sys, pathlib
from index import LibraryFull
from tests.index.samples import article, found, open_library, put
kept = []
with open_library(pathlib.Path(sys.argv[1])) as library:
    try:
        for number in range(100_000):
            put(library, article(f"a{number}", "word " * 2000))
            kept.append(f"a{number}")
            if number % 10 == 0:
                found(library, "any")
    except LibraryFull as error:
        print(error)
    assert library.status().articles == len(kept), (library.status(), len(kept))
    assert library.verify() == [], library.verify()
with open_library(pathlib.Path(sys.argv[1])) as library:
    assert library.status().articles == len(kept)
    assert library.verify() == []
    assert library.get(kept[-1]).id == kept[-1]
    print("kept", len(kept))
"""

ON_A_READ_ONLY_DISK = """
import sys, pathlib
from index import ReadOnlyLibrary
from tests.index.samples import article, found, open_library, put
with open_library(pathlib.Path(sys.argv[1])) as library:
    assert found(library, "a ends.", 1) == ["a ends."]
    assert library.status().read_only
    assert library.verify() == []
    try:
        put(library, article("b"))
    except ReadOnlyLibrary as error:
        print("refused:", error)
"""


def in_a_mount(commands: str, script: str, folder: Path) -> str:
    """Run a script in a process that has mounts of its own, after the shell commands that make them."""
    command = [
        "unshare",
        "--mount",
        "sh",
        "-ec",
        f'{commands}\nexec "$@"',
        "sh",
        sys.executable,
        "-c",
        script,
    ]
    if not shutil.which("unshare") or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("a disk can only be mounted by the administrator of a Linux machine")
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_really_full(tmp_path: Path) -> None:
    """On a real disk that is full, what was acknowledged stays, what was not is not there, and the error says
    so.
    """
    told = in_a_mount(f"mount -t tmpfs -o size=2m none {tmp_path}", IN_A_SMALL_DISK, tmp_path)

    assert "free some space" in told or "not full" in told
    assert "kept" in told


def test_really_read_only(folder: Path) -> None:
    """On a disk that is mounted to be read only, all is found and nothing can be added."""
    with open_library(folder) as library:
        put(library, article("a"))
    told = in_a_mount(f"mount --bind {folder} {folder}\nmount -o remount,bind,ro {folder}", ON_A_READ_ONLY_DISK, folder)

    assert "refused" in told


def test_the_log_is_bounded(numbers: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log of changes forgets what is old; who was away for longer builds the index anew and misses
    nothing.
    """
    monkeypatch.setattr(changes, "LOG_LENGTH", 10)
    with open_library(numbers.folder) as sleeper:
        put(numbers, article("a"))
        assert len(found(sleeper, "any")) == 2
        for id in range(30):
            put(numbers, article(f"b{id}", "x", "y"))
            numbers.delete(f"b{id}")
        numbers.delete("a")
        put(numbers, article("c", "only"))
        assert found(sleeper, "any") == ["only"]
        with numbers._store.reading() as connection:
            assert connection.execute("SELECT count(*) FROM changes").fetchone()[0] == 10
            assert connection.execute("SELECT count(*) FROM removals").fetchone()[0] <= 20


def test_flipped(folder: Path) -> None:
    """Whichever bit of the database is flipped: it is refused, or answers as before, or verify sees it."""
    with open_library(folder) as library:
        for id in range(12):
            put(library, article(f"a{id}", language="bn" if id % 2 else "hi"))
    whole = (folder / DATABASE).read_bytes()

    def answers(library: Library) -> list[tuple[int, str, float]]:
        hits = library.search(vector_of("q"), {}, limit=100, where=parse_filter({"language": "bn"})).hits
        return [(hit.row, hit.passage.text, hit.similarity) for hit in hits]

    with open_library(folder) as library:
        expected = answers(library)
    refused = 0
    for place in np.random.default_rng(3).integers(0, len(whole), 150).tolist():
        shutil.rmtree(folder)
        folder.mkdir()
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        (folder / DATABASE).write_bytes(flipped)
        try:
            with open_library(folder) as library:
                assert answers(library) == expected or library.verify()
        except LibraryError:
            refused += 1

    assert refused > 10
