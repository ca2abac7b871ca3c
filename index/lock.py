"""One writer at a time: a file lock, and beside it a note of who holds it."""

import errno
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from index.errors import LibraryBusy, LibraryFull, ReadOnlyLibrary

LOCK = "writer.lock"
HOLDER = "writer.json"


class WriterLock:
    """The lock of one library folder. The operating system gives it back when its holder dies, however it
    dies.

    A thread may take it again while it holds it; other threads and other processes wait. The note of the
    holder may outlive a holder that was killed: it is read only when the lock itself is held.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Threads of this process wait here, on a lock that another thread may give back: a generator that
        # holds the lock can be closed by whichever thread drops it.
        self._mine = threading.Lock()
        self._owner: int | None = None
        self._depth = 0
        self._file = FileLock(folder / LOCK, thread_local=False)

    @property
    def nested(self) -> bool:
        """Tell whether the thread that holds the lock took it more than once."""
        return self._depth > 1

    @contextmanager
    def held(self, timeout: float) -> Iterator[None]:
        """Hold the lock; wait for it at most `timeout` seconds, then raise LibraryBusy, naming its holder."""
        if self._owner == threading.get_ident():
            self._depth += 1
        else:
            self._take(timeout)
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._give()

    def _take(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        if not self._mine.acquire(timeout=max(0.0, timeout)):
            raise LibraryBusy(self._busy())
        try:
            self._file.acquire(timeout=max(0.0, deadline - time.monotonic()))
        except BaseException as error:
            self._mine.release()
            if isinstance(error, Timeout):
                raise LibraryBusy(self._busy()) from None
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise LibraryFull(f"The disk that holds {self._folder} is full: free some space.") from error
            if isinstance(error, OSError):
                raise ReadOnlyLibrary(
                    f"{self._folder} cannot be written to ({error}): open it to search only."
                ) from error
            raise
        self._owner, self._depth = threading.get_ident(), 1
        with suppress(OSError):  # a full disk must not keep a deletion from being made; the note is a courtesy
            (self._folder / HOLDER).write_text(json.dumps(_note()), encoding="utf-8")

    def _give(self) -> None:
        with suppress(OSError):
            (self._folder / HOLDER).unlink(missing_ok=True)
        self._owner = None
        self._file.release()
        self._mine.release()

    def _busy(self) -> str:
        """Say who holds the lock, as far as the note tells."""
        try:
            note = json.loads((self._folder / HOLDER).read_text(encoding="utf-8"))
            holder = f"process {note['pid']} on {note['host']} ({note['command']}), since {note['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            holder = "another process"
        return (
            f"{self._folder} is being written to by {holder}. Only one process writes at a time; searching is"
            " not affected. Try again when it has ended, or stop it."
        )


def _note() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": " ".join(sys.argv)[:500],
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
