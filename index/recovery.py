"""How the dense index comes to say what SQLite says: from a snapshot, by replaying changes, or built anew."""

import logging
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import numpy as np
from numpy.typing import NDArray

from index import changes, snapshots, tables
from index.changes import Change
from index.dense import DenseIndex, Sizing, make
from index.errors import LibraryError
from index.guard import Guard
from index.snapshots import BrokenSnapshot, Header
from index.store import Store, set_aside

Vectors = NDArray[np.float32]

# While the library is open a snapshot is written when this many rows changed since the last one, and one in
# five.
OPEN_ROWS, OPEN_SHARE = 20_000, 0.2
# On closing, when one row in twenty did: replaying fewer is quicker than writing everything again.
CLOSE_SHARE = 0.05

# A quantised index is built anew when this share of its rows came, went or changed since.
STALE = 0.1

log = logging.getLogger("dragoman.index")


class Space:
    """The passages' vectors in one space (neutral or raw), in memory, equal to what SQLite says at `change`.

    `project` makes this space's vectors from raw ones and the passages' languages; `identity` names how. A
    space with `keep` has snapshots on disk.
    """

    def __init__(
        self,
        store: Store,
        dim: int,
        project: Callable[[Vectors, Sequence[str]], Vectors],
        *,
        fingerprint: str,
        identity: str,
        keep: bool,
        sizing: Sizing | None = None,
    ) -> None:
        self._store = store
        self._dim = dim
        self._project = project
        self._fingerprint = fingerprint
        self._identity = identity
        self._keep = keep
        self._guard = Guard()
        self._catching_up = threading.Lock()
        self._index = make(dim)
        # None while the index is not whole: not yet loaded, or a replay did not end.
        self._change: Change | None = None
        self._unsaved = 0
        self.sizing = sizing or Sizing()
        self._building: threading.Thread | None = None
        self._stopped = threading.Event()

    @property
    def recall(self) -> float:
        """Return the recall@10 against exact search that was measured when the index was built, 1 where it is exact."""
        if not self.loaded and (header := self._published()):
            return header.recall
        return _recall(self._index)

    @property
    def backend(self) -> str:
        """Return the name of the kind of index: the one in memory, or the one that would be loaded."""
        if not self.loaded and (header := self._published()):
            return header.backend
        return self._index.name

    def _published(self) -> Header | None:
        """Return what the snapshot says of itself, if there is one of this space."""
        header = snapshots.header(self._store.folder) if self._keep else None
        return header if header and header.neutral == self._identity else None

    @property
    def loaded(self) -> bool:
        """Tell whether the index is in memory."""
        return self._change is not None

    @contextmanager
    def shared(self) -> Iterator[tuple[DenseIndex, Change | None]]:
        """Share the index, and the change it stands at, while nobody can change it; keep the block short."""
        with self._guard.shared():
            yield self._index, self._change

    def catch_up(self) -> None:
        """Bring the index to the last change. Raises DamagedLibrary; then nothing is answered from it."""
        with self._catching_up:
            with self._store.reading() as connection:
                now = changes.current(connection)
                if self._change == now:
                    return
                if self._change is None and self._keep:
                    self._load(lambda change: changes.remembers(connection, change))
                if self._change is not None and changes.remembers(connection, self._change):
                    if self._change != now:
                        self._replay(connection, self._change, now)
                else:
                    self._rebuild(connection, now)
            if self._due():
                self._begin()
            elif self._unsaved >= max(OPEN_ROWS, OPEN_SHARE * len(self._index)):
                self._save(self._index, now)

    def forget(self) -> None:
        """Give up the index and its snapshot; it is built anew when it is next asked for."""
        with self._catching_up:
            if self._keep:
                (self._store.folder / snapshots.SNAPSHOT).unlink(missing_ok=True)
            with self._guard.alone():
                self._index, self._change = make(self._dim), None

    def settle(self) -> None:
        """Wait until nothing is built in the background."""
        if (building := self._building) is not None:
            building.join()

    def retire(self) -> None:
        """Have what is built in the background end, and wait for it: another space takes this one's place."""
        self._stopped.set()
        self.settle()

    def close(self, *, wrote: bool) -> None:
        """Write a snapshot if that pays; `wrote` tells whether this process changed the library."""
        self.retire()
        if not self._keep or self._store.read_only:
            return
        if not self.loaded and wrote and self._pays_unloaded():
            self.catch_up()
        with self._catching_up:
            if self._change is not None and self._unsaved and self._unsaved >= CLOSE_SHARE * len(self._index):
                self._save(self._index, self._change)

    def _load(self, remembered: Callable[[Change], bool]) -> None:
        """Take the snapshot if it is of this library, model and projection, and can be brought up to date."""
        told = snapshots.header(self._store.folder)
        fresh = make(self._dim, "faiss" if told is None else told.backend)

        def fits(header: Header) -> bool:
            made = (header.fingerprint, header.neutral, header.backend, header.dim)
            return made == (self._fingerprint, self._identity, fresh.name, self._dim) and remembered(_of(header))

        try:
            header = snapshots.read(self._store.folder, fits, fresh.load)
            if header is not None and len(fresh) != header.count:
                raise BrokenSnapshot(f"it holds {len(fresh)} vectors and promises {header.count}")
        except (BrokenSnapshot, OSError) as error:
            aside = None if self._store.read_only else set_aside(self._store.folder, snapshots.SNAPSHOT)
            kept = f", set aside as {aside.name}" if aside else ""
            log.warning("the snapshot of the dense index is damaged (%s)%s; it is built anew", error, kept)
            return
        if header is not None:
            with self._guard.alone():
                self._index, self._change, self._unsaved = fresh, _of(header), 0

    def _replay(self, connection: sqlite3.Connection, since: Change, now: Change) -> None:
        """Make the changes that came since. Until all are made, the index stands at no change and answers
        nothing.
        """
        removed = changes.removed_since(connection, since.number)
        pieces = (
            (rows, self._project(raw, languages))
            for rows, raw, languages in tables.vectors_since(connection, self._dim, since.number)
        )
        self._unsaved += len(removed)
        # A piece is made before searches have to wait for it. Mostly there is one, and they wait once, for a moment.
        piece = next(pieces, None)
        while True:
            following = None if piece is None else next(pieces, None)
            with self._guard.alone():
                self._index.remove(removed)
                if piece is not None:
                    self._index.add(*piece)
                self._change = now if following is None else None
            self._unsaved += 0 if piece is None else len(piece[0])
            if following is None:
                return
            piece = following

    def _rebuild(self, connection: sqlite3.Connection, now: Change) -> None:
        """Build the index from all that is stored, aside, and put it in the place of the old one."""
        with self._guard.alone():
            self._index, self._change = make(self._dim), None
        fresh = make(self._dim)
        for rows, raw, languages in tables.vectors_since(connection, self._dim, -1):
            fresh.add(rows, self._project(raw, languages))
        with self._guard.alone():
            self._index, self._change, self._unsaved = fresh, now, len(fresh)

    def _due(self) -> bool:
        """Tell whether a quantised index should be built: the library has grown large, or much of it has changed."""
        may = self._keep and not self._store.read_only and not self._stopped.is_set()
        if not may or len(self._index) < self.sizing.threshold:
            return False
        changed = getattr(self._index, "changed", None)
        return changed is None or changed > STALE * len(self._index)

    def _begin(self) -> None:
        """Build a quantised index in the background, unless one is being built."""
        if self._building is None or not self._building.is_alive():
            self._building = threading.Thread(target=self._quantise, name="dense index", daemon=True)
            self._building.start()

    def _quantise(self) -> None:
        """Build a quantised index aside, publish it as a snapshot, bring it up to date and put it in the place of the
        old one.

        It goes from the database, so nothing is held that a search or a write waits for; the old index answers until
        the new one says what it says.
        """
        try:
            # Without a name, so that nothing is left of it whatever happens.
            with tempfile.TemporaryFile(dir=self._store.folder) as scratch:
                rows, change = self._copied(scratch)
                if not len(rows) or self._stopped.is_set():
                    return
                built = make(self._dim, "quantised")
                vectors = np.memmap(scratch, np.float32, "r", 0, (len(rows), self._dim))
                built.build(rows, vectors.view(np.ndarray), self.sizing.recall)  # type: ignore[attr-defined]
                if self._stopped.is_set():
                    return
                snapshots.write(self._store.folder, self._header(built, change), built.save)
                del built, vectors
            with self._catching_up, self._store.reading() as connection:
                fresh = make(self._dim, "quantised")
                wanted = (self._fingerprint, self._identity, "quantised", self._dim, change.number, change.mark.hex())

                def fits(header: Header) -> bool:
                    made = (header.fingerprint, header.neutral, header.backend, header.dim)
                    return (*made, header.change, header.mark) == wanted

                now = changes.current(connection)
                if not changes.remembers(connection, change):
                    return
                if snapshots.read(self._store.folder, fits, fresh.load) is None:
                    return
                removed = changes.removed_since(connection, change.number)
                fresh.remove(removed)
                since = len(removed)
                for new, raw, languages in tables.vectors_since(connection, self._dim, change.number):
                    fresh.add(new, self._project(raw, languages))
                    since += len(new)
                with self._guard.alone():
                    self._index, self._change, self._unsaved = fresh, now, since
            log.info("the dense index is quantised now: %d passages, recall@10 %.4f", len(fresh), self.recall)
        except (OSError, BrokenSnapshot, LibraryError, MemoryError, RuntimeError) as error:
            # FAISS raises RuntimeError. The index of before goes on; the next write tries again.
            log.warning("no quantised index could be built (%s); the one there was answers on", error)

    def _copied(self, stream: IO[bytes]) -> tuple[NDArray[np.int64], Change]:
        """Write this space's vectors into a file; return their rows and the change at which they were read."""
        rows = [np.empty(0, np.int64)]
        with self._store.reading() as connection:
            now = changes.current(connection)
            for new, raw, languages in tables.vectors_since(connection, self._dim, -1):
                if self._stopped.is_set():
                    break
                stream.write(np.ascontiguousarray(self._project(raw, languages), np.float32).tobytes())
                rows.append(new)
        stream.flush()
        return np.concatenate(rows), now

    def _pays_unloaded(self) -> bool:
        """Tell whether a snapshot is so far behind that the next search is better off with a new one."""
        header = snapshots.header(self._store.folder)
        with self._store.reading() as connection:
            if header is None or not changes.remembers(connection, _of(header)):
                return True
            behind = len(changes.removed_since(connection, header.change))
            behind += len(changes.touched_since(connection, header.change))
        return behind >= CLOSE_SHARE * header.count

    def _save(self, index: DenseIndex, change: Change) -> None:
        """Write a snapshot; where that fails (a full disk), all goes on: nothing depends on it."""
        self._unsaved = 0
        if not self._keep or self._store.read_only:
            return
        try:
            with self._guard.shared():
                snapshots.write(self._store.folder, self._header(index, change), index.save)
        except OSError as error:
            log.warning("no snapshot of the dense index could be written (%s); the next start takes longer", error)

    def _header(self, index: DenseIndex, change: Change) -> Header:
        told = change.number, change.mark.hex(), self._fingerprint, self._identity
        return Header(*told, index.name, self._dim, len(index), _recall(index))


def _recall(index: DenseIndex) -> float:
    effort = getattr(index, "effort", None)
    return 1.0 if effort is None else float(effort.recall)


def _of(header: Header) -> Change:
    return Change(header.change, bytes.fromhex(header.mark))
