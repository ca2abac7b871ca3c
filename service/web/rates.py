"""How often a caller may ask: a count for each, kept in one SQLite file for all processes of a service."""

import sqlite3
import time
from pathlib import Path

# Writes between two cleanings. Who has not asked for a minute is as if they never had, and is forgotten.
CLEANING = 1_000


class Rate:
    """Lets through `a_minute` requests of each caller at once, and as many each minute; 0 for any number.

    Of a caller one number is kept: the time at which nothing of what was used would be left to wait for (GCRA, the
    generic cell rate algorithm of ITU-T I.371, which counts as a token bucket does). `path` is a file that several
    processes share, made by one of them before the others open it; None for this one alone. To be used by one event
    loop. A request takes about 5 microseconds, 50 where processes share.
    """

    def __init__(self, a_minute: int, path: Path | None = None) -> None:
        self._a_minute = a_minute
        self._each = 60 / a_minute if a_minute else 0.0
        self._writes = 0
        if not a_minute:
            return
        self._counts = sqlite3.connect(path or ":memory:", timeout=5.0, isolation_level=None, check_same_thread=False)
        # Nothing of it is to outlive the service, so no disk is waited for; a process that is killed leaves it whole.
        self._counts.execute("PRAGMA journal_mode = WAL")
        self._counts.execute("PRAGMA synchronous = OFF")
        self._counts.execute("CREATE TABLE IF NOT EXISTS counts (caller TEXT PRIMARY KEY, free REAL) WITHOUT ROWID")

    def wait(self, caller: str, now: float | None = None) -> float:
        """Count a request and return 0.0, or the seconds until the next may come.

        `now` is in seconds on a clock that all processes share, as `time.monotonic` is.
        """
        if not self._a_minute:
            return 0.0
        now = time.monotonic() if now is None else now
        self._writes += 1
        if self._writes % CLEANING == 0:
            self._counts.execute("DELETE FROM counts WHERE free < ?", (now,))
        asked = {"caller": caller, "now": now, "each": self._each, "latest": now + 60 - self._each}
        # One statement, so that of two processes neither counts on what the other is changing.
        counted = self._counts.execute(
            "INSERT INTO counts VALUES (:caller, :now + :each) ON CONFLICT (caller) DO UPDATE"
            " SET free = max(free, :now) + :each WHERE free <= :latest + 1e-6 RETURNING free",
            asked,
        ).fetchall()
        if counted:
            return 0.0
        [(free,)] = self._counts.execute("SELECT free FROM counts WHERE caller = :caller", asked).fetchall()
        return float(max(free - asked["latest"], 1e-3))
