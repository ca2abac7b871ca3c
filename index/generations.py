"""Generations: a library that is built with another model beside the one that serves, and the switch between the two.

The folder of a library is itself the first generation. Each further one is a whole library folder in `generations/`,
and `generation.json`, which is renamed into its place, says which of them serves. So the switch is one step, which has
happened or has not, and what served before stays as it was.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from index.errors import DamagedLibrary, LibraryAbsent, LibraryBusy, Superseded
from index.store import DATABASE, sync_folder

POINTER = "generation.json"
UNFINISHED = "generation.json.unfinished"
FOLDER = "generations"
LOCK = "generations.lock"

# What belongs to the first generation, which lies in the folder beside the others.
FIRST = (f"{DATABASE}*", "dense.snapshot*", "lexical", "lexical.damaged-*", "lexical.work-*")

Which = Literal["serving", "other"]


@dataclass(frozen=True, slots=True)
class Generations:
    """Which generation serves, which other there is, if any, and whether that one has served. The first has no name;
    `last` is the number of the latest.
    """

    serving: str = ""
    other: str | None = None
    served: bool = False
    last: int = 0


def read(data: Path) -> Generations:
    """Return what there is; the first generation alone where nothing is said. Raises DamagedLibrary."""
    try:
        told = json.loads((data / POINTER).read_text(encoding="utf-8"))
        found = Generations(**told)
        if not isinstance(told.get("serving"), str) or not isinstance(told.get("other"), str | None):
            raise ValueError("it names no generation")
        return found
    except (FileNotFoundError, NotADirectoryError):
        return Generations()
    except (OSError, ValueError, TypeError) as error:
        raise DamagedLibrary(
            f"{data / POINTER} cannot be read ({error}), so it is not known which generation serves: put the file back"
            f' from a copy, or write {{"serving": NAME}} into it, NAME a folder in {data / FOLDER} or empty for the'
            " first."
        ) from error


def folder(data: Path, which: Which = "serving") -> Path:
    """Return the folder of the generation that serves, or of the other. Raises LibraryAbsent, DamagedLibrary."""
    found = read(data)
    name = found.serving if which == "serving" else found.other
    if name is None:
        raise LibraryAbsent(f"{data} has no other generation: `dragoman reembed --model NAME` makes one.")
    return _folder(data, name)


def check(place: Path) -> None:
    """Raise Superseded if the library in a folder is a generation that does not serve."""
    beside = place.parent.name == FOLDER and (place.parent.parent / POINTER).exists()
    data, name = (place.parent.parent, place.name) if beside else (place, "")
    if read(data).serving != name:
        raise Superseded(
            f"The library in {place} no longer serves: {data} went over to another model. Nothing can be added or"
            " deleted here any more; run the command again, or restart the server where it does not go over by itself."
        )


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Be the one who changes generations. Raises LibraryBusy."""
    try:
        with FileLock(data / LOCK, thread_local=False).acquire(timeout=0):
            yield
    except Timeout:
        raise LibraryBusy(f"Another `dragoman reembed` is at work in {data}: wait for it, or stop it.") from None


def begin(data: Path) -> Path:
    """Return the folder of the other generation, after having said that there is one, if there was none."""
    found = read(data)
    if found.other is None:
        found = replace(found, other=str(found.last + 1), served=False, last=found.last + 1)
        (data / FOLDER).mkdir(exist_ok=True)
        _write(data, found)
    assert found.other is not None
    return _folder(data, found.other)


def switch(data: Path) -> None:
    """Let the other generation serve, and the one that serves be the other; the caller holds both still."""
    found = read(data)
    assert found.other is not None
    _write(data, replace(found, serving=found.other, other=found.serving, served=True))


def discard(data: Path) -> None:
    """Remove the other generation for good; the one that serves is not touched. Raises LibraryAbsent."""
    found = read(data)
    place = folder(data, "other")
    _write(data, replace(found, other=None, served=False))
    if place == data:
        for pattern in FIRST:
            for path in data.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
    else:
        shutil.rmtree(place, ignore_errors=True)


def _folder(data: Path, name: str) -> Path:
    return data / FOLDER / name if name else data


def _write(data: Path, generations: Generations) -> None:
    unfinished = data / UNFINISHED
    with unfinished.open("w", encoding="utf-8") as stream:
        json.dump(asdict(generations), stream)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(data / POINTER)
    sync_folder(data)
