"""The lexical index on disk: files that never change once written, and a manifest that says which of them are whole.

Each process works on its own folder of links to the published files, so that no process sees another's writes or
waits for its lock. What it made is published as one more folder of links, by renaming a manifest that names it.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from index.store import sync_folder

FOLDER = "lexical"
MANIFEST = "manifest.json"
UNFINISHED = "manifest.json.unfinished"
META = "meta.json"
MANAGED = ".managed.json"
LOCK = "lexical.lock"
WORK = "lexical.work-"
HOLD = ".hold"

# How long one waits for another who is linking or publishing.
PATIENCE = 5.0


class BrokenIndex(Exception):
    """The published files are not as they were written. No caller sees this: the index is built anew."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index is of: a change (number, mark in hex), a way of making terms, the last row ever indexed, how many
    rows were removed since it was built; tantivy's own list of segments; the folder, and of each file in it its size
    and SHA-256.
    """

    change: int
    mark: str
    identity: str
    last: int
    removed: int
    meta: str
    folder: str
    files: dict[str, tuple[int, str]]


class Work:
    """A folder of this process alone, in which an index is opened and changed; gone when it is closed."""

    def __init__(self, parent: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=WORK, dir=parent))
        # Held as long as the folder is used, so that what a killed process left can be told from it.
        self._hold = FileLock(self.folder / HOLD, thread_local=False)
        self._hold.acquire()

    def link(self, published: Path, manifest: Manifest) -> None:
        """Link the published files into the folder. Raises BrokenIndex; OSError if they cannot be read."""
        for name in manifest.files:
            try:
                _link(published / manifest.folder / name, self.folder / name)
            except FileNotFoundError as error:
                raise BrokenIndex(f"{name} is missing") from error
        (self.folder / META).write_text(manifest.meta, encoding="utf-8")
        (self.folder / MANAGED).write_text(json.dumps([*manifest.files, META]), encoding="utf-8")

    def check(self, manifest: Manifest) -> None:
        """Raise BrokenIndex where a file is not what was published."""
        _check(self.folder, manifest)

    def meta(self) -> str:
        """Return tantivy's list of segments."""
        return (self.folder / META).read_text(encoding="utf-8")

    def close(self) -> None:
        """Remove the folder. Files that are still being searched stay until they are no longer."""
        self._hold.release()
        shutil.rmtree(self.folder, ignore_errors=True)


def read(published: Path) -> Manifest | None:
    """Return the manifest of the published index, its files not checked; None where nothing is published.

    Raises BrokenIndex; OSError if it cannot be read.
    """
    try:
        written = (published / MANIFEST).read_bytes()
    except FileNotFoundError:
        return None
    try:
        digest, body = written.split(b"\n", 1)
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise BrokenIndex("the checksum of its manifest is another")
        told = json.loads(body)
        files = {name: (size, digest) for name, (size, digest) in told.pop("files").items()}
        return Manifest(**told, files=files)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BrokenIndex(f"its manifest cannot be read: {error}") from error


def publish(library: Path, work: Work, manifest: Manifest) -> dict[str, tuple[int, str]] | None:
    """Publish what `work` holds in place of what was published; return what each file is.

    `manifest.files` are those that are known, which are not read again. Does nothing and returns None while another
    process publishes. Raises OSError; then what was published is as it was.
    """
    try:
        with alone(library, PATIENCE):
            return _publish(library / FOLDER, work, manifest)
    except Timeout:
        return None


def _publish(published: Path, work: Work, manifest: Manifest) -> dict[str, tuple[int, str]]:
    published.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=published))
    unfinished = published / UNFINISHED
    files: dict[str, tuple[int, str]] = {}
    try:
        for name in segment_files(work.folder):
            _link(work.folder / name, folder / name)
            if name not in manifest.files:
                _sync(folder / name)
            files[name] = manifest.files.get(name) or _told(folder / name)
        sync_folder(folder)
        told = asdict(manifest) | {"meta": work.meta(), "folder": folder.name, "files": files}
        body = json.dumps(told).encode()
        unfinished.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        _sync(unfinished)
        unfinished.replace(published / MANIFEST)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    sync_folder(published)
    sync_folder(published.parent)
    for path in published.iterdir():
        if path.is_dir() and path != folder:
            shutil.rmtree(path, ignore_errors=True)
    return files


def verify(library: Path) -> None:
    """Raise BrokenIndex if something is published and it is not as it was written."""
    published = library / FOLDER
    manifest = read(published)
    if manifest is None:
        return
    try:
        _check(published / manifest.folder, manifest)
    except BrokenIndex:
        if read(published) == manifest:  # else another process published meanwhile, and what was read is gone
            raise


def remove(library: Path) -> None:
    """Remove what is published; who searches it goes on. Raises OSError, filelock.Timeout."""
    with alone(library, PATIENCE):
        (library / FOLDER / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(library / FOLDER, ignore_errors=True)


def clear(library: Path) -> None:
    """Remove the folders of processes that were killed."""
    with suppress(OSError, Timeout), alone(library, 0):
        for folder in library.glob(WORK + "*"):
            hold = FileLock(folder / HOLD, thread_local=False)
            with suppress(OSError, Timeout), hold.acquire(timeout=0):
                shutil.rmtree(folder, ignore_errors=True)


def alone(library: Path, seconds: float) -> AbstractContextManager[object]:
    """Hold the lock under which files are linked and published. Raises filelock.Timeout."""
    return FileLock(library / LOCK, thread_local=False).acquire(timeout=seconds)


def segment_files(folder: Path) -> list[str]:
    """Return the names of the files that tantivy wrote and never changes."""
    named = json.loads((folder / META).read_text(encoding="utf-8"))["segments"]
    segments = {segment["segment_id"].replace("-", "") for segment in named}
    return sorted(path.name for path in folder.iterdir() if path.name.split(".")[0] in segments)


def _link(source: Path, target: Path) -> None:
    """Link a file, or copy it where that cannot be done."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS, errno.EACCES):
            raise
        shutil.copyfile(source, target)


def _check(folder: Path, manifest: Manifest) -> None:
    for name, told in manifest.files.items():
        try:
            if _told(folder / name) != told:
                raise BrokenIndex(f"the checksum of {name} is another")
        except FileNotFoundError as error:
            raise BrokenIndex(f"{name} is missing") from error


def _told(path: Path) -> tuple[int, str]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
        return stream.tell(), digest.hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
