"""What is committed: a record for every write, and a lease for the one writer at a time.

Milvus has no transactions over records, so a write is three steps, and the record of it says how far it is.

    open        what is new is being written; nobody looks at it
    committed   one record changed, and all that is new is there at once, and what it replaces is not
    settled     what was replaced is removed

Whoever reads asks first which writes are not settled, and leaves out what is new of the open ones and what is old of
the committed ones. What was replaced stays for `GRACE` seconds, so that a search which began before finds it whole;
then it is removed, in the background. A writer that was killed leaves a write that is not settled; the next one takes
back what was open, and ends what was committed.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from index.changes import Change
from index.errors import LibraryBusy, LibraryClosed, LibraryError, LibraryUnavailable
from index.milvus.expressions import among, both
from index.milvus.server import KEYS, LONGEST, STARTING, Name, Server

OPEN, COMMITTED, SETTLED = 0, 1, 2

# Records of writes that are kept, for those who follow them.
REMEMBERED = 10_000

# Seconds for which a lease holds unless it is renewed, after how many it is, and by how much clocks may differ.
LEASE, RENEWAL, SKEW = 15.0, 4.0, 3.0

# Seconds for which what was replaced is kept for searches that began before; one that takes longer than half of it
# looks afterwards whether anything was replaced meanwhile.
GRACE = 3.0

# Bytes of the ids that one record of a write has room for.
ROOM = LONGEST - 5_000

# What a write leaves: records of these, by version (what is new) and by edition (what is old).
DATA: tuple[Name, ...] = ("passages", "raw", "texts", "articles")


@dataclass(frozen=True, slots=True)
class Committed:
    """What is committed at one moment: the last write, those that are open, and the editions that they replaced."""

    number: int
    open: tuple[int, ...] = ()
    replaced: tuple[int, ...] = ()

    @property
    def change(self) -> Change:
        """Return it as a change of the library."""
        return Change(self.number, self.number.to_bytes(8, "big"))

    def sees(self, record: Mapping[str, Any]) -> bool:
        """Tell whether a record, by its version and edition, is there at this moment."""
        return (
            record["version"] <= self.number
            and record["version"] not in self.open
            and record["edition"] not in self.replaced
        )

    @property
    def exact(self) -> str:
        """Return the expression of all that is there."""
        return both(self.expression, f"version <= {self.number}")

    @property
    def expression(self) -> str:
        """Return the same but for what is written from this moment on: mostly it asks nothing, so it costs nothing."""
        return both(
            f"not ({among('version', self.open)})" if self.open else "",
            f"not ({among('edition', self.replaced)})" if self.replaced else "",
        )


@dataclass(frozen=True, slots=True)
class Write:
    """A write: its number, which all that is new of it has as its version, the ids of its articles, and the editions
    that it replaces or removes.
    """

    number: int
    articles: tuple[str, ...]
    replaced: tuple[int, ...]

    def record(self, state: int, heard: int) -> dict[str, Any]:
        """Return it as it is kept."""
        value = json.dumps({"articles": self.articles, "replaced": self.replaced}, ensure_ascii=False)
        return {"number": self.number, "state": state, "heard": heard, "value": value}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Write":
        """Return it from how it is kept."""
        told = json.loads(record["value"])
        return cls(record["number"], tuple(told["articles"]), tuple(told["replaced"]))


class Ledger:
    """The writes of a library. Safe to use from many threads."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._last = 0
        self._unsettled: set[int] = set()  # writes that were, when it was last looked
        self._lease = Lease(server)
        self._mine: set[int] = set()  # writes that are open here, of which the server may not tell yet
        self._given: int | None = None  # the last row that was given, as far as it is known while the lease is held
        self._due: dict[int, tuple[float, Write]] = {}  # when what was replaced is to be removed
        self._settling: threading.Thread | None = None
        self._closing = threading.Event()

    def committed(self) -> Committed:
        """Return what is committed now; raises LibraryUnavailable where the server does not come to tell."""
        end = time.monotonic() + STARTING
        while (found := self._read()) is None:
            if time.monotonic() > end:
                raise LibraryUnavailable(
                    f"Milvus at {self._server.address} does not tell the last write that it acknowledged: it may still"
                    " be starting; try again."
                )
            time.sleep(0.1)
        return found

    def _read(self) -> Committed | None:
        """Return what is committed; None where the server contradicts itself, for it is starting, or for something was
        written in between.
        """
        with self._lock:
            last, mine, before = self._last, set(self._mine), set(self._unsettled)
        where = f"number >= {last} or state < {SETTLED}"
        if before:  # what they removed is to be heard of, too
            where += f" or {among('number', sorted(before))}"
        records = {each["number"]: each for each in self._server.query("changes", where, ["state", "heard"])}
        if last and last not in records:
            # The last one is always kept: the server has not taken in all that it holds.
            self._server.lose()
            return None
        unsettled = [number for number, each in records.items() if each["state"] < SETTLED]
        if unsettled:
            told = self._server.by_key("changes", unsettled, ["state", "heard", "value"])
            if len(told) < len(unsettled):
                return None
            records |= told  # which may be of a later moment
        done = {number for number, each in records.items() if each["state"] >= COMMITTED}
        for number in done:
            self._server.hear(records[number]["heard"])
        last = max([last, *done])
        with self._lock:
            self._last = max(self._last, last)
            self._unsettled = self._unsettled.difference(before).union(unsettled)
        writes = [Write.of(each) for each in records.values() if each["state"] == COMMITTED]
        replaced = tuple(edition for write in writes for edition in write.replaced)
        return Committed(last, tuple(sorted((records.keys() | mine) - done)), replaced)

    def since(self, number: int, most: int | None = None) -> list[Write] | None:
        """Return the writes after one, in their order, at most so many; None where they are not all remembered."""
        if number and not self._server.by_key("changes", [number], []):
            return None
        where = f"number > {number} and state >= {COMMITTED}"
        return [Write.of(each) for each in self._server.query("changes", where, ["value"], most)]

    @contextmanager
    def writing(self, timeout: float) -> Iterator[None]:
        """Be the one writer; what another left undone is ended first. Raises LibraryBusy, LibraryUnavailable."""
        with self._lease.held(timeout) as fresh:
            if fresh:
                self._given = None
                self.recover()
            yield

    def held(self) -> bool:
        """Tell whether somebody has the right to write."""
        return bool(self._lease.claims())

    def begin(self, articles: Sequence[str], replaced: Sequence[int]) -> Write:
        """Begin a write."""
        self._lease.check()
        with self._lock:
            number = max(time.time_ns() // 1000, self._last + 1)
        write = Write(number, tuple(articles), tuple(replaced))
        self._mine.add(number)
        self._server.insert("changes", [write.record(OPEN, 0)])
        return write

    def rows(self, count: int, beyond: int = 0) -> range:
        """Give numbers for so many rows, in their order and beyond one: as on disk none is given twice, not even those
        of a write that comes to nothing, for what has a row is remembered by it.
        """
        self._lease.check()
        if self._given is None:
            told = self.remembered("rows").get("given")
            # Where none are told of there may be any of 63 bits, from before they were given in their order.
            self._given = int(told) if told else 1 << 62 if self._server.count("passages") else 0
        first = max(self._given, beyond) + 1
        self._given = first + count - 1
        self.remember("rows", {"given": str(self._given)})
        return range(first, first + count)

    def commit(self, write: Write) -> None:
        """Let what was written be seen, and what it replaces no more; it is durable when this returns."""
        left = self._lease.check()
        state = COMMITTED if write.replaced else SETTLED
        self._server.put("changes", write.record(state, self._server.now()), timeout=left)
        self._server.hear(self._server.now())
        with self._lock:
            self._last = max(self._last, write.number)
            self._unsettled.add(write.number)
        self._mine.discard(write.number)
        if write.replaced:
            self._later(write)

    def settle(self, write: Write) -> None:
        """Remove what a committed write replaced."""
        self._lease.check()
        self._remove("edition", write.replaced)
        self._server.put("changes", write.record(SETTLED, self._server.now()))
        self._due.pop(write.number, None)

    def undo(self, write: Write) -> None:
        """Take back what was written of an open write."""
        self._lease.check()
        self._remove("version", [write.number])
        self._server.delete("changes", [write.number])
        self._mine.discard(write.number)

    def recover(self) -> None:
        """Take back the writes that others left open, have those ended that were committed, and forget those of long
        ago.
        """
        for record in self._server.query("changes", f"state < {SETTLED}", ["state", "value"]):
            write = Write.of(record)
            if record["state"] == OPEN:
                self.undo(write)
            elif write.number not in self._due:
                self._later(write)
        if self._server.count("changes") > 2 * REMEMBERED:
            numbers = [each["number"] for each in self._server.query("changes", "", ["number"])]
            self._server.delete("changes", numbers[:-REMEMBERED])

    def _later(self, write: Write) -> None:
        """Have what a write replaced removed when no search asks for it any more."""
        with self._lock:
            self._due[write.number] = time.monotonic() + GRACE, write
            if self._settling is None:
                self._settling = threading.Thread(target=self._settle, name="settling", daemon=True)
                self._settling.start()

    def _settle(self) -> None:
        """Settle writes as they come due, until there are none."""
        while True:
            with self._lock:
                if not self._due:
                    self._settling = None
                    return
                wait = min(due for due, _ in self._due.values()) - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            try:
                with self.writing(LEASE):
                    self.settle_due()
            except LibraryClosed:
                return
            except LibraryError:
                if self._closing.wait(1.0):
                    return

    def settle_due(self) -> None:
        """Settle the writes that have come due."""
        for due, write in list(self._due.values()):
            if due <= time.monotonic():
                self.settle(write)

    def close(self) -> None:
        """End what is to be ended. Where the server does not answer, it is left to the next writer."""
        self._closing.set()
        if settling := self._settling:
            settling.join(GRACE + LEASE)

    def _remove(self, field: str, values: Sequence[int]) -> None:
        for name in DATA if values else ():
            key = KEYS[name]
            self._server.delete(name, [each[key] for each in self._server.having(name, field, values, [])])

    # What the library remembers of itself

    def remembered(self, kind: str) -> dict[str, str]:
        """Return what is remembered under keys that begin with a kind, by the rest of the key."""
        told = self._server.query("meta", f'key like "{kind}/%"', ["value"])
        return {each["key"].removeprefix(f"{kind}/"): each["value"] for each in told}

    def remember(self, kind: str, values: Mapping[str, str]) -> None:
        """Remember something."""
        self._server.put("meta", *({"key": f"{kind}/{key}", "value": value} for key, value in values.items()))
        self._server.hear(self._server.now())

    def forget(self, kind: str, keys: Sequence[str]) -> None:
        """Forget something."""
        self._server.delete("meta", [f"{kind}/{key}" for key in keys])
        self._server.hear(self._server.now())


class Lease:
    """The right to write, one holder at a time over all processes and machines, for a while.

    Milvus has no compare-and-set, but its reads can be told to see all that was written before: whoever wants to write
    writes down a claim and then reads all claims. If his is the only one he holds the lease; else he takes it back,
    waits a random time, and tries again. Of two, at least one reads after both have written, so never do both find
    themselves alone. A claim that is not renewed ends; clocks may differ by `SKEW` seconds.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._name = f"{socket.gethostname()} ({os.getpid()})"
        # Not of a thread: a generator that holds it can be closed by whichever thread drops it.
        self._mine = threading.Lock()
        self._owner: int | None = None
        self._key = ""
        self._renewed = 0.0

    @contextmanager
    def held(self, timeout: float) -> Iterator[bool]:
        """Hold the lease; yield whether it was taken now, not held by this thread already. Raises LibraryBusy."""
        if self._owner == threading.get_ident():
            yield False
            return
        end = time.monotonic() + timeout
        if not self._mine.acquire(timeout=max(0.0, timeout)):
            raise LibraryBusy("Another thread of this process is writing to the library: try again when it has ended.")
        try:
            self._take(end)
            self._owner = threading.get_ident()
            stop = threading.Event()
            renewing = threading.Thread(target=self._renew, args=(stop,), name="lease", daemon=True)
            renewing.start()
            try:
                yield True
            finally:
                stop.set()
                renewing.join()
                with suppress(LibraryError):  # it ends by itself
                    self._server.delete("meta", [self._key])
        finally:
            self._owner = None
            self._mine.release()

    def check(self) -> float:
        """Return for how many seconds the lease holds; raise LibraryBusy where it may have ended: the server was away,
        or this process was held up.
        """
        left = self._renewed + LEASE - SKEW - time.monotonic()
        if left <= 0:
            raise LibraryBusy("The right to write to the library ended meanwhile, so nothing was written: try again.")
        return left

    def _take(self, end: float) -> None:
        self._key = f"lease/{secrets.token_hex(8)}"
        while True:
            self._claim()
            others = [each for each in self.claims() if each["key"] != self._key]
            if not others:
                return
            self._server.delete("meta", [self._key])
            if time.monotonic() > end:
                holder = json.loads(others[0]["value"])["holder"]
                raise LibraryBusy(f"{holder} is writing to the library: try again when it has ended.")
            time.sleep(0.05 + secrets.randbelow(200) / 1000)

    def _claim(self) -> None:
        begun = time.monotonic()
        value = json.dumps({"holder": self._name, "until": time.time() + LEASE})
        self._server.put("meta", {"key": self._key, "value": value})
        self._renewed = begun

    def claims(self) -> list[dict[str, Any]]:
        """Return the claims that hold, and remove those that have ended."""
        self._server.hear(self._server.now())
        claims = self._server.query("meta", 'key like "lease/%"', ["value"])
        over = [each["key"] for each in claims if json.loads(each["value"])["until"] + SKEW < time.time()]
        if over:
            self._server.delete("meta", over)
        return [each for each in claims if each["key"] not in over]

    def _renew(self, stop: threading.Event) -> None:
        while not stop.wait(RENEWAL):
            with suppress(LibraryError):
                self._claim()
