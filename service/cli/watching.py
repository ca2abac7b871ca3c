"""`dragoman add --watch`: what comes into folders is added, what changes replaced, what goes deleted if so asked.

The system's events say when to look; what is there says what to do. So nothing is missed that happens in between.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from service.cli.adding import Intake, sentence
from service.cli.terminal import say
from service.errors import ExtraMissing
from service.reading import read_path

# Events within so long of each other are one: a file is written in pieces.
DEBOUNCE_MS = 1_000
# Without an event it is looked at all the same, for folders of whose events the system tells nothing (network drives).
ROUND_MS = 5_000

Mark = tuple[int, int]


@dataclass(slots=True)
class Watcher:
    """Follows files and folders. `begin` gives an intake for each look; `deleting` removes the articles of what went.

    `done` counts what became of everything so far; `stop` is set by whoever wants it to end.
    """

    paths: list[Path]
    begin: Callable[[], Intake]
    limit: int
    deleting: bool
    done: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)
    _marks: dict[Path, Mark] = field(default_factory=dict)
    _ids: dict[Path, set[str]] = field(default_factory=dict)

    def follow(self, alarms: Iterable[object]) -> None:
        """Look at once, and whenever an alarm goes; ends with the alarms, or after the file at which `stop` is set."""
        self.look()
        for _ in alarms:
            self.look()

    def look(self) -> None:
        """Add what came or changed since the last look, and tell of what went."""
        marks = {path: mark for root in self.paths for path, mark in _files(root)}
        # Marks are taken before files are read: what changes meanwhile is read again at the next look.
        before, self._marks = self._marks, marks
        intake = self.begin()
        try:
            for path, mark in marks.items():
                if self.stop.is_set():
                    return
                if before.get(path) != mark:
                    ids = set(intake.add(read_path(path, self.limit)))
                    gone, self._ids[path] = self._ids.get(path, set()) - ids, ids
                    self._forget(intake, gone)
            for path in sorted(before.keys() - marks.keys()):
                ids = self._ids.pop(path, set())
                if self.deleting:
                    self._forget(intake, ids)
                elif ids:
                    say(f"gone {path}: its {len(ids)} articles stay; --delete would remove them")
        finally:
            self.done.update(intake.every())
            if summary := sentence(intake.every()):
                say(summary)

    def _forget(self, intake: Intake, ids: set[str]) -> None:
        """Delete articles that no file has any more."""
        for article_id in sorted(ids - set().union(*self._ids.values())) if self.deleting else ():
            if intake.engine.delete(article_id):
                self.done["deleted"] += 1
                say(f"deleted {article_id}")


def alarms(paths: list[Path], stop: threading.Event) -> Iterator[object]:
    """Return an iterator that goes on whenever something happens in folders, and every few seconds.

    It ends once `stop` is set. Raises ExtraMissing where watchfiles is not there.
    """
    try:
        import watchfiles
    except ImportError:
        raise ExtraMissing("--watch needs the extra watch: pip install 'dragoman[watch]'") from None
    return watchfiles.watch(
        *paths,
        watch_filter=None,
        debounce=DEBOUNCE_MS,
        rust_timeout=ROUND_MS,
        yield_on_timeout=True,
        stop_event=stop,
        raise_interrupt=False,
    )


@contextmanager
def at_signals(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set `stop`, so that the file that is being added is finished; a second one interrupts."""

    def told(_: int, __: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _files(root: Path) -> Iterator[tuple[Path, Mark]]:
    """Yield the files under a folder with their time and size, by name; hidden ones are left out, as by `add`."""
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except NotADirectoryError:
        status = root.stat()
        yield root, (status.st_mtime_ns, status.st_size)
        return
    except OSError:
        return
    for entry in entries:
        try:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            else:
                status = entry.stat()
                yield Path(entry.path), (status.st_mtime_ns, status.st_size)
        except OSError:
            continue  # it went while it was looked at
