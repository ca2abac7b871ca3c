"""Backups: the database of a library, copied while others read and write it, checked, and put back.

A backup is a folder: the database, and a manifest that says what it is of and its SHA-256. What is derived from the
database is left out, and made again by the first search after a backup was put back.
"""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from index import inspection
from index.errors import BackupError, DamagedLibrary, LibraryAbsent, LibraryBusy
from index.library import Library
from index.records import LibraryInfo, Problem
from index.store import DATABASE, Store, sync_folder

MANIFEST = "manifest.json"
FORMAT = 1

# Pages that are copied between two tellings of progress: 4 MiB.
PAGES = 1024
PIECE = 1 << 22

# Damage that is told one by one in a message.
TOLD = 5

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is of: when it was made (ISO 8601), what the library was built with, how much it holds, at which
    change; and the database's size in bytes and its SHA-256 in hex.
    """

    format: int
    made: str
    model: str
    fingerprint: str
    dim: int
    schema: int
    change: int
    articles: int
    passages: int
    bytes: int
    sha256: str


def backup(folder: Path, destination: Path, progress: Progress | None = None) -> Manifest:
    """Copy the library in `folder` to the new folder `destination`, as it is at this moment, whoever reads or writes.

    The copy is written aside, every article and passage of it is checked, and then it gets its name. `progress` is told
    a stage and its fraction done. Raises BackupError where it cannot be written or there is something at `destination`
    already; DamagedLibrary, which names what is damaged, and then no backup is made; LibraryAbsent.
    """
    if os.path.lexists(destination):
        raise BackupError(f"{destination} exists: a backup is not written over anything; name a new folder.")
    if Library.describe(folder) is None:
        raise LibraryAbsent(f"There is no library in {folder}: --data names another.")
    with aside(destination) as unfinished:
        _copy(folder, unfinished / DATABASE, progress)
        info = _sound(unfinished, f"The library in {folder} is damaged", "No backup was made of it.", progress)
        size, digest = _digest(unfinished / DATABASE, "taking the checksum", progress)
        made = datetime.now(UTC).isoformat(timespec="seconds")
        told = info.model, info.fingerprint, info.dim, info.schema, info.change, info.articles, info.passages
        manifest = Manifest(FORMAT, made, *told, size, digest)
        (unfinished / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
        sync(unfinished)
        unfinished.rename(destination)
    sync_folder(destination.absolute().parent)
    return manifest


def restore(
    source: Path, folder: Path, *, force: bool = False, progress: Progress | None = None
) -> tuple[Manifest, Path | None]:
    """Make the library of a backup anew in `folder`; return what it is of, and where what was there was set aside.

    The backup is compared with its checksum before it is copied, and every article and passage of the copy is checked
    before it gets its name. A folder in which there is something is refused, or with `force` renamed, never deleted.
    Raises BackupError, DamagedLibrary, and LibraryBusy while a process has the library open that is to be set aside.
    """
    folder = folder.resolve()
    occupied = os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir()))
    if occupied and not force:
        raise BackupError(
            f"{folder} is not empty: name a new folder with --data, or have what is there set aside with --force."
        )
    if occupied:
        _free(folder)
    manifest = read(source)
    _compare(source / DATABASE, manifest, "checking the backup", progress)
    with aside(folder) as unfinished:
        _copy_file(source / DATABASE, unfinished / DATABASE, progress)
        _compare(unfinished / DATABASE, manifest, "checking the copy", progress)
        info = _sound(unfinished, f"The backup {source} is damaged", "Nothing was restored from it.", progress)
        if (info.change, info.articles, info.passages) != (manifest.change, manifest.articles, manifest.passages):
            raise BackupError(f"{source / MANIFEST} tells of another library than lies beside it: use another backup.")
        _keep_a_log(unfinished / DATABASE)
        sync(unfinished)
        replaced = None
        if occupied:
            _free(folder)
            replaced = folder.with_name(f"{folder.name}.replaced-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%f')}")
            folder.rename(replaced)
        try:
            unfinished.rename(folder)
        except OSError:
            if replaced is not None:
                replaced.rename(folder)
            raise
    sync_folder(folder.parent)
    return manifest, replaced


def read(source: Path) -> Manifest:
    """Return the manifest of a backup; raises BackupError."""
    try:
        manifest = Manifest(**json.loads((source / MANIFEST).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BackupError(f"{source} is no backup: it has no {MANIFEST}. `dragoman backup` makes one.") from None
    except OSError as error:
        raise BackupError(f"{source / MANIFEST} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError) as error:
        raise BackupError(f"{source / MANIFEST} is damaged ({error}): use another backup.") from error
    if manifest.format != FORMAT:
        raise BackupError(
            f"{source} has format {manifest.format!r}, and this version knows {FORMAT}: upgrade Dragoman."
        )
    return manifest


@contextmanager
def aside(target: Path, failure: type[Exception] = BackupError) -> Iterator[Path]:
    """Give a folder beside `target`, of this process alone, that is to be renamed; what is left of it is removed.

    Raises `failure` where it cannot be written.
    """
    unfinished = target.absolute().parent / f".{target.name}.unfinished-{os.getpid()}"
    try:
        try:
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            yield unfinished
        except OSError as error:
            raise failure(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _copy(folder: Path, copy: Path, progress: Progress | None) -> None:
    """Copy a database page by page."""

    def tell(_status: int, remaining: int, total: int) -> None:
        _tell(progress, "copying", (total - remaining) / max(total, 1))

    store = Store(folder, read_only=True)
    target = sqlite3.connect(copy, isolation_level=None)
    try:
        # The transaction stays at one change, so that the copy need not begin anew whenever somebody writes.
        with store.reading() as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            try:
                connection.backup(target, pages=PAGES, progress=tell)
                # One file, that needs nothing beside it.
                target.execute("PRAGMA journal_mode = DELETE")
            except sqlite3.OperationalError as error:
                raise BackupError(
                    f"{copy.parent} cannot be written ({error}): see that its disk is not full."
                ) from error
    finally:
        target.close()
        store.close()


def _copy_file(source: Path, copy: Path, progress: Progress | None) -> None:
    total, done = source.stat().st_size, 0
    with source.open("rb") as read, copy.open("wb") as write:
        while piece := read.read(PIECE):
            write.write(piece)
            done += len(piece)
            _tell(progress, "copying", done / max(total, 1))


def _sound(folder: Path, what: str, then: str, progress: Progress | None) -> LibraryInfo:
    """Check everything that a copy holds; raise DamagedLibrary naming what is damaged."""
    info = Library.describe(folder)
    if info is None:
        raise DamagedLibrary(f"{what}: it is empty. {then}")
    store = Store(folder, read_only=True)
    try:
        problems = inspection.stored(store, info.dim, lambda done: _tell(progress, "checking every passage", done))
    finally:
        store.close()
    if lost := [problem for problem in problems if not problem.repairable]:
        raise DamagedLibrary(
            f"{what}: {listed(lost)}. {then} `dragoman repair` mends what can be mended;"
            " articles that it names are to be added again."
        )
    return info


def listed(problems: Sequence[Problem]) -> str:
    """Return problems in a sentence, the first few of them."""
    told = "; ".join(f"{each.where} {each.what}" for each in problems[:TOLD])
    return told + (f"; and {len(problems) - TOLD} more" if len(problems) > TOLD else "")


def _compare(path: Path, manifest: Manifest, stage: str, progress: Progress | None) -> None:
    try:
        found = _digest(path, stage, progress)
    except FileNotFoundError:
        raise BackupError(f"{path} is missing: the backup is not whole; use another.") from None
    if found != (manifest.bytes, manifest.sha256):
        raise BackupError(f"{path} is not what was backed up (its checksum is another): use another backup.")


def _digest(path: Path, stage: str, progress: Progress | None) -> tuple[int, str]:
    """Return the size of a file in bytes and its SHA-256."""
    total, done, digest = path.stat().st_size, 0, hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
            done += len(piece)
            _tell(progress, stage, done / max(total, 1))
    return done, digest.hexdigest()


def _keep_a_log(path: Path) -> None:
    """Let a database have a log of commits again, as a library that is written to has."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _free(folder: Path) -> None:
    """Raise LibraryBusy while a process has a library open that lies in the folder."""
    for path in folder.rglob(DATABASE) if folder.is_dir() else ():
        connection = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            # While one is connected to a database with a log nobody can have it alone.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise LibraryBusy(
                    f"{path.parent} is open in another process, a server perhaps: stop it, then restore again."
                ) from error
        except sqlite3.DatabaseError:
            pass  # what is damaged is set aside like anything else
        finally:
            connection.close()


def sync(folder: Path) -> None:
    """Have the files of a folder, and their names, on disk."""
    for path in folder.iterdir():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    sync_folder(folder)


def _tell(progress: Progress | None, stage: str, fraction: float) -> None:
    if progress:
        progress(stage, fraction)
