"""Derived files damaged at random places, disks that fill up or can no longer be written to: a rebuild or a clear
error, never a wrong answer.
"""

import random
import shutil
from pathlib import Path

from benchmarks import kills
from benchmarks.kills import State
from index import Library
from index.segments import FOLDER, MANIFEST
from index.snapshots import SNAPSHOT
from tests.index.test_store import in_a_mount

TIMES = 12


def fill(folder: Path) -> State:
    """Make a library with a snapshot and a published lexical index; return what is in it."""
    state: State = {f"a0-{number}": number % 7 for number in range(30)}
    with kills.open_library(folder) as library:
        for id, version in state.items():
            one = kills.addition(library, kills.written(id, version or 0))
            library.add(one.article, one.passages, one.vectors)
        library.load()
    assert (folder / SNAPSHOT).exists()
    assert (folder / FOLDER / MANIFEST).exists()
    return state


def by_words(library: Library) -> list[list[str]]:
    """Return what is found by words alone."""
    asked = ["a0-7 begins", "goes on 5", "a0-11 goes on 1 2"]
    vector = kills.vector_of("any")
    return [
        [hit.passage.text for hit in library.search(vector, {}, limit=10, mode="lexical", text=text).hits]
        for text in asked
    ]


def damage(path: Path, chance: random.Random) -> None:
    """Tear a file, turn one of its bits round, write zeros over a piece of it, or take it away."""
    held = bytearray(path.read_bytes())
    place = chance.randrange(len(held))
    match chance.choice(["torn", "flipped", "zeros", "gone"]):
        case "torn":
            held = held[:place]
        case "flipped":
            held[place] ^= 1 << chance.randrange(8)
        case "zeros":
            held[place : place + 100] = bytes(len(held[place : place + 100]))
        case _:
            path.unlink()
            return
    path.unlink()  # what is published is linked to, and the links are to stay as they were
    path.write_bytes(held)


def test_derived_files_damaged_anywhere(tmp_path: Path) -> None:
    """Whichever derived file is torn, flipped or gone, wherever: answers are those of before, all is built anew."""
    state = fill(tmp_path / "library")
    with kills.open_library(tmp_path / "library") as library:
        words = by_words(library)
    assert all(words)
    chance = random.Random(11)
    for number in range(TIMES):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "library", folder)
        files = [folder / SNAPSHOT, *(path for path in (folder / FOLDER).rglob("*") if path.is_file())]
        for path in {folder / SNAPSHOT, chance.choice(files)} if number % 2 else {chance.choice(files)}:
            damage(path, chance)
        for _ in range(2):  # as it is mended, and as it was left
            with kills.open_library(folder) as library:
                assert by_words(library) == words
                kills.compare(library, {id: kills.written(id, version or 0) for id, version in state.items()}, chance)
                assert kills.check(library, dict(state), [], chance) == 0


MIXED_ON_A_SMALL_DISK = """
import pathlib, random, sys
from benchmarks import kills
from index import LibraryFull, lexical, recovery
recovery.OPEN_ROWS, recovery.OPEN_SHARE, lexical.OPEN_ROWS, lexical.OPEN_SHARE = 40, 0.02, 60, 0.03
folder, state, chance, refused, went_on = pathlib.Path(sys.argv[1]) / "library", {}, random.Random(3), 0, 0
ballast = pathlib.Path(sys.argv[1]) / "ballast"
ballast.write_bytes(bytes(300_000))
for opened in range(3):
    with kills.open_library(folder) as library:
        for _ in range(700):
            ids = [f"a0-{number}" for number in chance.sample(range(400), chance.choice([1, 1, 4]))]
            changed = {id: (state.get(id) or 0) + chance.randrange(1, 9) for id in ids}
            try:
                additions = [kills.addition(library, kills.written(id, version)) for id, version in changed.items()]
                library.add_all(additions)
            except LibraryFull as error:
                refused += 1
                message = str(error)
                assert kills.check(library, dict(state), [], chance) == 0
                ballast.unlink(missing_ok=True)
                if refused % 4 == 0:
                    break
                continue
            state |= changed
            went_on += refused > 0
    with kills.open_library(folder) as library:
        assert kills.check(library, dict(state), [], chance) == 0
assert went_on, "nothing was written after room was made"
print(message, "refused", refused)
"""


def test_a_disk_that_fills_up_under_mixed_writes(tmp_path: Path) -> None:
    """Without room a write is refused whole and says so; once there is room it goes on; answers stay exact."""
    told = in_a_mount(f"mount -t tmpfs -o size=1200k none {tmp_path}", MIXED_ON_A_SMALL_DISK, tmp_path)

    assert "free some space" in told or "not full" in told
    assert int(told.split()[-1]) > 0


REMOUNTED = """
import pathlib, random, subprocess, sys
from benchmarks import kills
from index import LibraryError
folder, state, chance = pathlib.Path(sys.argv[1]) / "library", {}, random.Random(4)
def write(version):
    for number in range(10):
        one = kills.addition(library, kills.written(f"a0-{number}", version))
        library.add(one.article, one.passages, one.vectors)
        state[f"a0-{number}"] = version
def remount(how):
    subprocess.run(["mount", "-o", f"remount,{how}", sys.argv[1]], check=True)
library = kills.open_library(folder)
write(1)
library.load()
for version in (2, 3):
    library.close()
    remount("ro")
    library = kills.open_library(folder)
    kills.compare(library, {id: kills.written(id, version) for id, version in state.items()}, chance)
    try:
        write(version)
        raise AssertionError("written to a disk that is read only")
    except LibraryError as error:
        print("refused:", error)
    remount("rw")
    library.close()
    library = kills.open_library(folder)
    write(version)
    assert kills.check(library, dict(state), [], chance) == 0
library.close()
"""


def test_a_disk_that_becomes_read_only_and_writable_again(tmp_path: Path) -> None:
    """While it is read only all is found and writes are refused; afterwards the library goes on."""
    told = in_a_mount(f"mount -t tmpfs -o size=8m none {tmp_path}", REMOUNTED, tmp_path)

    assert told.count("refused:") == 2
