"""The SQLite database of a library: connections, transactions, and its errors in our words. What is in it:
`tables`.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from index.errors import (
    DamagedLibrary,
    LibraryBusy,
    LibraryClosed,
    LibraryError,
    LibraryFull,
    ReadOnlyLibrary,
)
from index.migrations import APPLICATION, check, migrate, schema_of

DATABASE = "library.sqlite"

# How a database begins, and the smallest there is: one page (https://sqlite.org/fileformat.html).
MAGIC = b"SQLite format 3\0"
SMALLEST = 512

# How long a connection waits for another that holds SQLite's own lock: for the milliseconds of a commit, and
# for the longer ones of a checkpoint.
BUSY_SECONDS = 30.0


class Store:
    """Connections to one database: as many readers at once as are asked for, each kept for the next, and one
    writer.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.folder = folder
        self.read_only = read_only
        self._path = folder / DATABASE
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._immutable = False
        if read_only:
            self._immutable = self._must_be_immutable()

    @property
    def path(self) -> Path:
        """Return the path of the database file."""
        return self._path

    def schema(self) -> int:
        """Return the schema of the database, 0 for an empty one; raise for one that is not ours or is too
        new.
        """
        with self._path.open("rb") as stream:
            start = stream.read(SMALLEST)
        if start and (len(start) < SMALLEST or not start.startswith(MAGIC)):
            # SQLite takes a file of less than a page for a new database, and would write over it.
            raise DamagedLibrary(damage(f"{self._path} is no database, or the first piece of one"))
        with self._connection() as connection:
            application = int(connection.execute("PRAGMA application_id").fetchone()[0])
            tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
            if tables and application != APPLICATION:
                raise DamagedLibrary(f"{self._path} is a database, but not one of Dragoman's. Choose another folder.")
            schema = schema_of(connection)
            check(schema)
            return schema

    def prepare(self, meta: Mapping[str, str]) -> None:
        """Bring a new or an older database up to date; `meta` is what a new one is to remember."""
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        with self.writing() as connection:
            if not schema_of(connection):
                migrate(connection)
                connection.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", meta.items())
            else:
                migrate(connection)
        sync_folder(self.folder)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that sees the database as it is at the first statement, whatever is committed
        meanwhile.
        """
        with self._connection() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection inside a transaction: committed and on disk when the block ends, undone if it
        raises.
        """
        if self.read_only:
            raise ReadOnlyLibrary(f"{self.folder} was opened to be searched only; open it where it can be written to.")
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def size(self) -> int:
        """Return the bytes that the library's folder takes on disk, derived files included."""
        files: dict[int, int] = {}  # by inode: the lexical index links to its files more than once
        for path in self.folder.rglob("*"):
            try:
                told = path.lstat()
            except FileNotFoundError:
                continue  # files come and go while others use the library
            files[told.st_ino] = told.st_size
        return sum(files.values())

    def close(self) -> None:
        """Close every connection that is not in use now; the ones in use are closed as they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection; a connection is used by one thread at a time and need not be by the same one
        always.
        """
        with self._translated():
            with self._lock:
                if self._closed:
                    raise LibraryClosed(f"The library in {self.folder} is closed; open it again.")
                connection = self._idle.pop() if self._idle else None
            connection = connection or self._connect()
            try:
                yield connection
            finally:
                with self._lock:
                    keep = not self._closed
                    if keep:
                        self._idle.append(connection)
                if not keep:
                    connection.close()

    def _connect(self) -> sqlite3.Connection:
        address = f"file:{quote(str(self._path.absolute()))}"
        address += "?immutable=1" if self._immutable else "?mode=ro" if self.read_only else ""
        connection = sqlite3.connect(
            address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            # What is acknowledged survives a power cut: the log is synced at each commit.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cell_size_check = ON")
            connection.execute(f"PRAGMA journal_size_limit = {64 * 1024 * 1024}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _must_be_immutable(self) -> bool:
        """Tell whether the database can only be read as a file that never changes.

        Reading beside a writer needs SQLite's shared memory file, which a folder that cannot be written to
        has only while a writer lives. Where it is missing, the database is read as it stands, which is right
        as long as no log of commits lies beside it.
        """
        shared, log = self._path.with_name(DATABASE + "-shm"), self._path.with_name(DATABASE + "-wal")
        if shared.exists() or writable(self.folder):
            return False
        if log.exists() and log.stat().st_size:
            raise ReadOnlyLibrary(
                f"{self.folder} was not closed and cannot be written to, so what {log.name} holds cannot be"
                " read. Open the library once where it can be written to, or copy the folder to such a place."
            )
        return True

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what SQLite raises into errors of the library."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._in_our_words(error) from error

    def _in_our_words(self, error: sqlite3.Error) -> LibraryError:
        code = getattr(error, "sqlite_errorcode", 0)
        if isinstance(error, sqlite3.ProgrammingError) and self._closed:
            return LibraryClosed(f"The library in {self.folder} was closed while it was in use.")
        match code & 0xFF:
            case sqlite3.SQLITE_FULL:
                return LibraryFull(
                    f"The disk that holds {self.folder} is full: free some space and add the article again."
                )
            case sqlite3.SQLITE_IOERR if code in WRITE_FAILURES:
                return LibraryFull(
                    f"{self.folder} could not be written ({error}): see that its disk is not full, then add again."
                )
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
                return ReadOnlyLibrary(
                    f"{self._path} cannot be written to ({error}): check its permissions and its disk."
                )
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return LibraryBusy(f"{self._path} is held by another program ({error}); try again when it has ended.")
            case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
                return DamagedLibrary(damage(f"{self._path} is no database or a damaged one ({error})"))
            case _:
                return DamagedLibrary(damage(f"{self._path} could not be read ({error})"))


WRITE_FAILURES = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMOPEN,
}


def damage(what: str) -> str:
    """Return the message of a DamagedLibrary: what is wrong, and what to do."""
    return (
        f"{what}. Nothing is answered from it. `dragoman verify` lists all that is wrong; `dragoman repair`"
        " mends what can be mended; add again the articles that it names, or put a backup back (dragoman restore)."
    )


def set_aside(folder: Path, name: str) -> Path | None:
    """Give what is damaged in a library's folder another name, under which nothing reads it; None if the folder cannot
    be changed.
    """
    aside = folder / f"{name}.damaged-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%f')}"
    try:
        (folder / name).rename(aside)
    except OSError:
        return None
    return aside


def sync_folder(folder: Path) -> None:
    """Have the folder's list of files on disk too; without it a new file can be gone after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def writable(folder: Path) -> bool:
    """Tell whether files can be made in the folder."""
    return os.access(folder, os.W_OK | os.X_OK)
