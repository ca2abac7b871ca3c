"""How the lexical index comes to say what SQLite says: from what was published, by replaying changes, or anew."""

from __future__ import annotations

import logging
import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import unidata_version

from filelock import Timeout

from index import changes, segments, sounds, tables, words
from index.changes import Change
from index.errors import LibraryError
from index.lexicon import TantivyLexicon, document, schema
from index.records import Problem
from index.segments import FOLDER, PATIENCE, BrokenIndex, Manifest, Work
from index.store import Store, set_aside

if TYPE_CHECKING:
    import tantivy

# Raised when the fields of the index become others.
VERSION = 1

# As for the dense index: while the library is open it is published when this many rows changed and one in five, and on
# closing when one row in twenty did.
OPEN_ROWS, OPEN_SHARE = 20_000, 0.2
CLOSE_SHARE = 0.05

# Removed rows count in BM25's frequencies until segments are merged: where they are one in five, all is built anew.
REMOVED_SHARE = 0.2

# Bytes that tantivy's writer may use before it writes a segment; it takes no less than 15 MB. So many passages of some
# hundred words fit.
HEAP, PIECE = 128_000_000, 30_000

# So many segments of like size tantivy makes into one (its LogMergePolicy, `min_num_segments`).
MERGED = 8

log = logging.getLogger("dragoman.index")


class Lexical:
    """The passages' words and sounds, equal to what SQLite says at a change.

    With `keep` it is on disk, in `lexical/` of the library's folder; else in memory, built when first used. Where
    the library can only be read, what is on disk is read, and kept up to date in a folder for temporary files.
    """

    def __init__(self, store: Store, *, keep: bool) -> None:
        self._store = store
        self._keep = keep
        self._catching_up = threading.Lock()
        self._work: Work | None = None
        self._index: tantivy.Index | None = None
        self._now: tuple[TantivyLexicon, Change] | None = None
        self._last = self._removed = self._unsaved = 0
        self._known: dict[str, tuple[int, str]] = {}

    @property
    def loaded(self) -> bool:
        """Tell whether there is an index to search."""
        return self._now is not None

    @contextmanager
    def shared(self) -> Iterator[tuple[TantivyLexicon | None, Change | None]]:
        """Give the index, and the change it stands at: both None before the first `catch_up`.

        Nothing changes what is given, and it can be searched as long as one likes.
        """
        yield self._now or (None, None)

    def catch_up(self) -> None:
        """Bring the index to the last change. Raises DamagedLibrary; then it stands where it stood."""
        with self._catching_up:
            with self._store.reading() as connection:
                now = changes.current(connection)
                if self._now is None and self._keep:
                    self._load(connection)
                if self._now is not None and self._now[1] == now:
                    return
                try:
                    if self._now is not None and changes.remembers(connection, self._now[1]) and not self._worn():
                        self._now = self._replayed(connection, self._now[1], now)
                    else:
                        self._rebuild(connection, now, on_disk=True)
                except (OSError, ValueError) as error:  # tantivy's own, where the disk is full
                    log.warning("the lexical index cannot be kept on disk (%s); it is built in memory", error)
                    self._rebuild(connection, now, on_disk=False)
            if self._unsaved >= max(OPEN_ROWS, OPEN_SHARE * self._count()):
                self._save()

    @contextmanager
    def ahead(self) -> Iterator[Callable[[sqlite3.Connection], None]]:
        """Give what is called with a transaction before it is committed: its passages are indexed then, and found when
        the block ends, which is to be after the commit. So no search waits while they are indexed.

        Where the block raises, or indexing fails, the next `catch_up` begins from what was published.
        """
        prepared: tuple[TantivyLexicon, Change] | None = None

        def follow(connection: sqlite3.Connection) -> None:
            nonlocal prepared
            now = changes.current(connection)
            if self._now is None or self._now[1] == now:
                return
            if self._worn() or not changes.remembers(connection, self._now[1]):
                return  # a search builds it anew
            try:
                prepared = self._replayed(connection, self._now[1], now)
            except (LibraryError, OSError, ValueError) as error:
                log.warning("the lexical index could not follow: %s", error)
                self._forget()

        with self._catching_up:
            try:
                yield follow
            except BaseException:
                if prepared is not None:
                    self._forget()
                raise
            if prepared is not None:
                self._now = prepared

    def forget(self) -> None:
        """Give up the index and what is published of it; it is built anew when it is next asked for."""
        with self._catching_up:
            self._forget()
            if self._keep:
                segments.remove(self._store.folder)

    def close(self, *, wrote: bool) -> None:
        """Publish if that pays; `wrote` tells whether this process changed the library."""
        if self._keep and not self._store.read_only and wrote:
            self.catch_up()
        with self._catching_up:
            if self._unsaved and self._unsaved >= CLOSE_SHARE * self._count():
                self._save()
            self._now = self._index = None
            self._drop()

    def verify(self) -> Iterator[Problem]:
        """Yield what is wrong: with the published files, and with the rows of the index. Raises DamagedLibrary."""
        if self._keep:
            try:
                segments.verify(self._store.folder)
            except (BrokenIndex, OSError) as error:
                told = f"the lexical index is damaged: {error}; a search sets it aside and builds it anew"
                yield Problem(FOLDER, told, True)
        self.catch_up()
        with self._store.reading() as connection, self.shared() as (lexicon, change):
            if lexicon is None or change != changes.current(connection):
                return
            expected = set(changes.column(connection.execute("SELECT row FROM passages")).tolist())
            held = lexicon.rows().tolist()
            if len(held) != len(expected) or set(held) != expected:
                yield Problem("lexical index", f"holds {len(held)} rows, the database {len(expected)}", True)

    def _load(self, connection: sqlite3.Connection) -> None:
        """Take what is published if it is of this library and these terms and can be brought up to date."""
        published = self._store.folder / FOLDER
        try:
            with self._alone():
                manifest = segments.read(published)
                if manifest is None or not self._fits(connection, manifest):
                    return
                work = self._hold()
                work.link(published, manifest)
            work.check(manifest)
            index = _open(work)
        except Timeout:
            log.warning("another process holds the lexical index; it is built anew for this one")
            self._drop()
            return
        except (BrokenIndex, OSError, ValueError) as error:
            self._drop()
            aside = None if self._store.read_only else set_aside(self._store.folder, FOLDER)
            kept = f", set aside as {aside.name}" if aside else ""
            log.warning("the lexical index is damaged (%s)%s; it is built anew", error, kept)
            return
        self._index, self._known = index, manifest.files
        self._last, self._removed, self._unsaved = manifest.last, manifest.removed, 0
        self._now = TantivyLexicon(index.searcher()), Change(manifest.change, bytes.fromhex(manifest.mark))

    def _fits(self, connection: sqlite3.Connection, manifest: Manifest) -> bool:
        change = Change(manifest.change, bytes.fromhex(manifest.mark))
        return manifest.identity == identity() and changes.remembers(connection, change)

    def _forget(self) -> None:
        """Give up an index that holds what the database may not."""
        self._now = self._index = None
        self._drop()

    def _replayed(self, connection: sqlite3.Connection, since: Change, now: Change) -> tuple[TantivyLexicon, Change]:
        """Make the changes that came since, and return the index as it is then."""
        assert self._index is not None
        removed = [row for row in changes.removed_since(connection, since.number).tolist() if row <= self._last]
        last, added = _write(self._index, connection, since.number, self._last, removed)
        self._last = last
        self._removed += len(removed)
        self._unsaved += len(removed) + added
        return TantivyLexicon(self._index.searcher()), now

    def _rebuild(self, connection: sqlite3.Connection, now: Change, *, on_disk: bool) -> None:
        """Build the index from all that is stored, aside, and put it in the place of the old one."""
        old = self._work, self._now
        self._work, self._now = None, None
        index = self._fresh() if on_disk else _in_memory()
        try:
            last, added = _write(index, connection, -1, 0, [], _piece(tables.counts(connection)[1]))
        except BaseException:
            self._drop()
            self._work, self._now = old
            raise
        if old[0] is not None:
            old[0].close()
        self._index, self._known = index, {}
        self._last, self._removed, self._unsaved = last, 0, added
        self._now = TantivyLexicon(index.searcher()), now

    def _fresh(self) -> tantivy.Index:
        """Return an empty index, in memory where none is kept or no folder can be had."""
        import tantivy

        if self._keep and not self._store.read_only:
            try:
                with self._alone():
                    work = self._hold()
                return tantivy.Index(schema(), str(work.folder))
            except (OSError, Timeout) as error:
                self._drop()
                log.warning("the lexical index cannot be kept on disk (%s); it is built in memory", error)
        return _in_memory()

    def _hold(self) -> Work:
        """Make this process a folder; where the library can only be read, among the temporary files."""
        work = Work(Path(tempfile.gettempdir()) if self._store.read_only else self._store.folder)
        self._work = work
        weakref.finalize(self, work.close)
        return work

    def _drop(self) -> None:
        if self._work is not None:
            self._work.close()
            self._work = None

    def _alone(self) -> AbstractContextManager[object]:
        """Hold the lock of those who link and publish; where the library can only be read, nobody does."""
        return nullcontext() if self._store.read_only else segments.alone(self._store.folder, PATIENCE)

    def _worn(self) -> bool:
        return self._removed > REMOVED_SHARE * self._count()

    def _count(self) -> int:
        return len(self._now[0]) if self._now else 0

    def _save(self) -> None:
        """Publish the index; where that fails (a full disk), all goes on: nothing depends on it."""
        self._unsaved = 0
        if self._store.read_only or self._work is None or self._now is None:
            return
        change = self._now[1]
        manifest = Manifest(
            change.number, change.mark.hex(), identity(), self._last, self._removed, "", "", dict(self._known)
        )
        try:
            self._known = segments.publish(self._store.folder, self._work, manifest) or self._known
        except OSError as error:
            log.warning("the lexical index could not be written (%s); the next start takes longer", error)


@cache
def identity() -> str:
    """Name all that terms and files depend on: an index made with another is built anew."""
    libraries = " ".join(f"{name} {version(name)}" for name in ("tantivy", "anyascii", "regex"))
    return f"lexical {VERSION}, words {words.VERSION}, sounds {sounds.VERSION}, Unicode {unidata_version}, {libraries}"


def _in_memory() -> tantivy.Index:
    import tantivy

    return tantivy.Index(schema())


def _open(work: Work) -> tantivy.Index:
    """Open the index in a folder. Raises BrokenIndex where tantivy cannot."""
    import tantivy

    index = tantivy.Index.open(str(work.folder))
    index.reload()
    return index


def _piece(passages: int) -> int:
    """Return how many passages to make a segment of, so that merging those that become alike leaves one of all.

    A search looks for its best passages in each segment by itself, so that few are searched sooner than many.
    """
    while passages > PIECE:
        passages = -(-passages // MERGED)
    return max(1, passages)


def _write(
    index: tantivy.Index,
    connection: sqlite3.Connection,
    since: int,
    last: int,
    removed: Sequence[int],
    piece: int | None = None,
) -> tuple[int, int]:
    """Remove rows, and add those beyond `last` of the articles written since a change, in one commit, or in one for
    each `piece` of so many.

    A row's text never changes and no row comes back, so the rows up to `last` that are not removed stay as they are.
    Returns the last row there is now and how many were added. Raises DamagedLibrary; then nothing was changed.
    """
    import tantivy

    writer = index.writer(HEAP, 1)
    added, newest = 0, last
    try:
        if removed:
            # By a query: given a term, tantivy-py takes the number for a signed one, and removes nothing.
            writer.delete_documents_by_query(tantivy.Query.term_set_query(schema(), "row", list(removed)))
        for rows, texts in tables.texts_since(connection, since):
            for row, text in zip(rows.tolist(), texts, strict=True):
                if row > last:
                    writer.add_document(document(row, text))
                    added, newest = added + 1, max(newest, row)
                    if piece and added % piece == 0:
                        writer.commit()
        writer.commit()
    except BaseException:
        with suppress(ValueError):
            writer.rollback()
        raise
    finally:
        # The files are final when this returns, and tantivy's lock is given back.
        with suppress(ValueError):  # where writing failed, the threads have nothing more to say
            writer.wait_merging_threads()
    index.reload()
    return newest, added
