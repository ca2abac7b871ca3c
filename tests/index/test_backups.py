import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from index import BackupError, DamagedLibrary, LibraryAbsent, LibraryBusy, backup, backups, restore
from index.backups import MANIFEST
from index.store import DATABASE
from tests.index.samples import article, found, open_library, put
from tests.index.test_store import in_a_mount


def fill(folder: Path, count: int = 30) -> None:
    """Make a library of some articles."""
    with open_library(folder) as library:
        for number in range(count):
            put(library, article(f"a{number}"))


def whole(folder: Path, count: int = 30) -> None:
    """Assert that all of it is found and well, and that it can be added to."""
    with open_library(folder) as library:
        assert library.verify() == []
        assert library.status().articles == count
        for number in range(count):
            assert found(library, f"a{number} ends.", 1) == [f"a{number} ends."]
        assert put(library, article("afterwards")) == "added"
        assert library.verify() == []


def hidden(folder: Path) -> list[str]:
    """Return what a backup or a restore left beside its target."""
    return [path.name for path in folder.iterdir() if "unfinished" in path.name]


def test_there_and_back(folder: Path, tmp_path: Path) -> None:
    """A backup holds the database and a manifest, nothing derived; what is restored from it is the library."""
    fill(folder)
    stages: list[str] = []
    manifest = backup(folder, tmp_path / "kept", lambda stage, done: stages.append(f"{stage} {done <= 1}"))

    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [DATABASE, MANIFEST]
    assert (manifest.articles, manifest.passages, manifest.model) == (30, 60, "numbers")
    assert {"copying True", "taking the checksum True"} <= set(stages)
    told, aside = restore(tmp_path / "kept", tmp_path / "new")
    assert (told, aside) == (manifest, None)
    whole(tmp_path / "new")
    assert hidden(tmp_path) == []


def test_made_while_others_write(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup is of one moment, though an article is written between any two pages of it, and it ends."""
    fill(folder)
    monkeypatch.setattr(backups, "PAGES", 1)
    written = 0
    with open_library(folder) as library:

        def write(stage: str, _: float) -> None:
            nonlocal written
            if stage == "copying":
                assert put(library, article(f"b{written}")) == "added"
                written += 1

        manifest = backup(folder, tmp_path / "kept", write)
        assert written > 10
        assert manifest.articles == 30
        assert library.status().articles == 30 + written
    restore(tmp_path / "kept", tmp_path / "new")
    whole(tmp_path / "new")


def test_made_again_and_again_beside_a_writer(folder: Path, tmp_path: Path) -> None:
    """Backups made one after another beside a thread that adds hold all that was acknowledged before each began."""
    fill(folder, 1)
    done = threading.Event()
    acknowledged = 1

    def add() -> None:
        nonlocal acknowledged
        with open_library(folder) as library:
            while not done.is_set():
                put(library, article(f"a{acknowledged}"))
                acknowledged += 1

    writer = threading.Thread(target=add)
    writer.start()
    try:
        for number in range(5):
            before = acknowledged
            manifest = backup(folder, tmp_path / f"kept{number}")
            assert before <= manifest.articles <= acknowledged + 1
            assert manifest.passages == 2 * manifest.articles
    finally:
        done.set()
        writer.join()


def test_nothing_is_written_over(folder: Path, tmp_path: Path) -> None:
    """A backup refuses a place where something is, a restore a folder that is not empty; both stay as they are."""
    fill(folder)
    (tmp_path / "kept").mkdir()
    with pytest.raises(BackupError, match="name a new folder"):
        backup(folder, tmp_path / "kept")
    backup(folder, tmp_path / "real")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("precious")
    with pytest.raises(BackupError, match="--force"):
        restore(tmp_path / "real", tmp_path / "full")
    assert (tmp_path / "full" / "mine").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    restore(tmp_path / "real", tmp_path / "empty")
    whole(tmp_path / "empty")


def test_forced(folder: Path, tmp_path: Path) -> None:
    """With force the old library gets another name and stays as it was."""
    fill(folder)
    backup(folder, tmp_path / "kept")
    with open_library(folder) as library:
        put(library, article("later"))
    _, aside = restore(tmp_path / "kept", folder, force=True)

    assert aside is not None
    whole(folder)
    with open_library(aside) as library:
        assert library.get("later") == article("later")
        assert library.verify() == []


HOLD = """
import sys
from pathlib import Path
from tests.index.samples import found, open_library
with open_library(Path(sys.argv[1]), read_only=True) as library:
    found(library, "any")
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_library_that_is_open_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    """While another process has the library open, be it to search only, a restore says so and does nothing."""
    fill(folder)
    backup(folder, tmp_path / "kept")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(LibraryBusy, match="open in another process"):
            restore(tmp_path / "kept", folder, force=True)
        process.communicate()
    assert list(tmp_path.glob("library.replaced*")) == []
    restore(tmp_path / "kept", folder, force=True)
    whole(folder)


def test_no_library_and_no_backup(folder: Path, tmp_path: Path) -> None:
    """What is no library is not backed up, what is no backup is not restored; both say what to do."""
    with pytest.raises(LibraryAbsent, match="--data"):
        backup(folder, tmp_path / "kept")
    fill(folder)
    with pytest.raises(BackupError, match="dragoman backup"):
        restore(folder, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("UPDATE articles SET text = text || '!' WHERE id = 'a7'", "article a7"),
        ("UPDATE passages SET vector = zeroblob(64) WHERE row = 9", "passage .* of article a4"),
    ],
)
def test_a_damaged_library_is_not_backed_up(folder: Path, tmp_path: Path, statement: str, where: str) -> None:
    """What is damaged is named, and no backup is left that somebody would rely on."""
    fill(folder)
    with sqlite3.connect(folder / DATABASE) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(DamagedLibrary, match=where):
        backup(folder, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("place", [0.0, 0.3, 0.8, 1.0])
def test_a_damaged_backup_is_not_restored(folder: Path, tmp_path: Path, place: float) -> None:
    """One bit of a backup that is another, wherever, and it is refused; nothing is made."""
    fill(folder)
    backup(folder, tmp_path / "kept")
    path = tmp_path / "kept" / DATABASE
    bytes_there = bytearray(path.read_bytes())
    bytes_there[int(place * (len(bytes_there) - 1))] ^= 4
    path.write_bytes(bytes_there)
    with pytest.raises(BackupError, match="checksum is another"):
        restore(tmp_path / "kept", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_manifest_that_is_damaged_or_of_another_library(folder: Path, tmp_path: Path) -> None:
    """A manifest that cannot be read, is of a later format, or tells of other figures is refused."""
    fill(folder)
    backup(folder, tmp_path / "kept")
    path = tmp_path / "kept" / MANIFEST
    written = path.read_text()
    for changed, match in (
        (written[:-20], "damaged"),
        (json.dumps({**json.loads(written), "format": 2}), "upgrade"),
        (json.dumps({**json.loads(written), "articles": 31}), "another library"),
    ):
        path.write_text(changed)
        with pytest.raises(BackupError, match=match):
            restore(tmp_path / "kept", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert hidden(tmp_path) == []


TO_A_SMALL_DISK = """
import sys, pathlib
from index import BackupError, backup
try:
    backup(pathlib.Path(sys.argv[1]).parent / "library", pathlib.Path(sys.argv[1]) / "kept")
except BackupError as error:
    print(error, list(pathlib.Path(sys.argv[1]).iterdir()))
"""


def test_a_full_disk(folder: Path, tmp_path: Path) -> None:
    """A backup for which there is no room says so, and leaves nothing."""
    fill(folder, 300)
    small = tmp_path / "small"
    small.mkdir()
    told = in_a_mount(f"mount -t tmpfs -o size=64k none {small}", TO_A_SMALL_DISK, small)

    assert "disk is not full" in told or "No space left" in told
    assert told.strip().endswith("[]")
