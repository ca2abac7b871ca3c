"""How the means follow the library: from what is known of the model to what its own passages and questions come to.

Kept is, by language, how many raw vectors were seen and their sum; no text, and no sum of fewer than `LEAST` questions.
Where means of the model are known, those of passages and of queries go together to the library's own, for a mean of
passages from one kind of text and one of queries from another do worse than both from one: by the smaller of the two
counts c, with m0 and n0 what is known,

    m = (K m0 + c mp) / (K + c)        n = (K n0 + c nq) / (K + c)        mp, nq the library's own, K = KNOWN

Where none are known they come from the library alone. Its mean over all passages is drawn towards nothing, a language's
passages towards that, and its queries towards its passages: a language moves questions as it moves passages.
"""

import logging
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index import tables
from index.neutral import Means, Priors

Vectors = NDArray[np.float32]
Values = NDArray[np.float64]

# Whose sums: of the passages and of the questions that the means in use were taken from, and of all questions so far.
Side = Literal["passages", "queries", "asked"]

# Questions of one language that are kept together, so that no single one can be told from their sum; and passages, or
# questions, before which the means do not follow.
LEAST = 25

# While the library is open it is looked whether a language has doubled when all passages have grown by so much.
LOOK = 1.25

# Questions of one language that wait in memory before they are kept.
WAITING = 100

# The probability of a question's language from which on it counts for that language's mean.
CERTAIN = 0.8

# As how many of the library's own vectors counts what they are drawn towards: known means; the mean of all passages,
# for a language's; a language's passages, for its queries (flores; benchmarks/results.md).
KNOWN, ALL, PASSAGES = 60.0, 8.0, 10.0

log = logging.getLogger("dragoman.index")


@dataclass(frozen=True, slots=True)
class Sums:
    """Raw vectors that were seen, by language: how many, and their sum (dim,)."""

    seen: Mapping[str, tuple[int, Values]] = field(default_factory=dict)

    @classmethod
    def of(cls, vectors: Vectors, languages: Sequence[str]) -> "Sums":
        """Return the sums of vectors (n, dim) in these languages (n,)."""
        codes = np.array(languages, np.str_)
        return cls(
            {
                code: (int((codes == code).sum()), vectors[codes == code].sum(axis=0, dtype=np.float64))
                for code in np.unique(codes).tolist()
            }
        )

    def __add__(self, other: "Sums") -> "Sums":
        """Return the sums of both."""
        together = dict(self.seen)
        for code, (count, total) in other.seen.items():
            before = together.get(code, (0, np.zeros_like(total)))
            together[code] = before[0] + count, before[1] + total
        return Sums(together)

    def __bool__(self) -> bool:
        """Tell whether any were seen."""
        return bool(self.seen)

    @property
    def counts(self) -> dict[str, int]:
        """Return how many were seen in each language."""
        return {code: count for code, (count, _) in self.seen.items()}

    def mean(self, language: str, towards: Values | Vectors, weight: float) -> Values:
        """Return the mean of a language (dim,), drawn towards another that counts as `weight` vectors."""
        count, total = self.seen.get(language, (0, np.zeros(len(towards))))
        drawn: Values = (total + weight * towards.astype(np.float64)) / (count + weight)
        return drawn


class Log:
    """The questions that were answered and are not yet kept. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = Sums()

    def note(self, vectors: Vectors, languages: Sequence[Mapping[str, float]]) -> bool:
        """Add questions (n, dim) whose language is certain; tell whether so many wait that they should be kept."""
        best = [max(each, key=each.__getitem__, default="und") for each in languages]
        sure = [place for place, code in enumerate(best) if languages[place].get(code, 0.0) >= CERTAIN]
        if not sure:
            return False
        with self._lock:
            self._waiting += Sums.of(vectors[sure], [best[place] for place in sure])
            return max(self._waiting.counts.values()) >= WAITING

    def take(self) -> Sums:
        """Return what waits of languages in which at least `LEAST` questions do; these wait no longer."""
        with self._lock:
            seen = self._waiting.seen
            taken = {code: told for code, told in seen.items() if told[0] >= LEAST}
            self._waiting = Sums({code: told for code, told in seen.items() if code not in taken})
        return Sums(taken)

    def put_back(self, sums: Sums) -> None:
        """Let what was taken wait again."""
        with self._lock:
            self._waiting += sums


def means(known: Priors | None, passages: Sums, queries: Sums) -> Means | None:
    """Return the means to use; None where nothing was seen that moves them."""
    return _estimated(passages, queries) if known is None else _moved(known, passages, queries)


def shares(known: Priors | None, passages: Mapping[str, int], queries: Mapping[str, int]) -> dict[str, float]:
    """Return by language how much of the means in use is the library's own, 0..1."""
    if known is None:
        return {code: count / (count + ALL) for code, count in passages.items()}
    together = {code: min(count, queries.get(code, 0)) for code, count in passages.items()}
    return {code: count / (count + KNOWN) for code, count in together.items() if count}


def _moved(known: Priors, passages: Sums, queries: Sums) -> Means | None:
    weights = shares(known, passages.counts, queries.counts)
    if not weights:
        return None
    languages = tuple(dict.fromkeys((*known.languages, *weights)))
    number = {code: place for place, code in enumerate(languages)}
    moved = []
    for means, sums in ((known.passages, passages), (known.queries, queries)):
        # A language of which nothing is known begins at the mean of all.
        rows = np.vstack([means, np.tile(means.mean(axis=0), (len(languages) - len(means), 1))]).astype(np.float64)
        for code, weight in weights.items():
            place = number[code]
            rows[place] += weight * (sums.mean(code, rows[place], 0.0) - rows[place])
        moved.append(rows.astype(np.float32))
    return Means(languages, *moved)


def _estimated(passages: Sums, queries: Sums) -> Means | None:
    count = sum(passages.counts.values())
    if not count:
        return None
    everything: Values = np.sum([total for _, total in passages.seen.values()], axis=0) / (count + ALL)
    languages = tuple(sorted({*passages.seen, *queries.seen} - {"und"})) or ("und",)
    own = [passages.mean(code, everything, ALL) for code in languages]
    asked = [queries.mean(code, mean, PASSAGES) for code, mean in zip(languages, own, strict=True)]
    return Means(languages, np.stack(own).astype(np.float32), np.stack(asked).astype(np.float32))


def due(
    known: Priors | None,
    before: tuple[Mapping[str, int], Mapping[str, int]],
    now: tuple[Mapping[str, int], Mapping[str, int]],
) -> bool:
    """Tell whether so much was seen that the means should follow: in some language twice as much, or half, as when they
    last did. `before` and `now` count passages and queries.
    """
    old, new = _weighed(known, *before), _weighed(known, *now)
    pairs = [(old.get(each, 0), new.get(each, 0)) for each in {*old, *new}]
    return any(max(pair) >= LEAST and (pair[1] >= 2 * pair[0] or 2 * pair[1] <= pair[0]) for pair in pairs)


def _weighed(
    known: Priors | None, passages: Mapping[str, int], queries: Mapping[str, int]
) -> dict[tuple[str, str], int]:
    """Return the counts by which the means move."""
    if known is not None:
        return {("both", code): min(count, queries.get(code, 0)) for code, count in passages.items()}
    of_passages = {("passages", code): count for code, count in passages.items()}
    return of_passages | {("queries", code): count for code, count in queries.items()}


# In the database


def summed(connection: sqlite3.Connection, dim: int) -> Sums:
    """Return the sums of all passages that are stored; raises DamagedLibrary."""
    sums = Sums()
    for _, raw, languages in tables.vectors_since(connection, dim, -1):
        sums += Sums.of(raw, languages)
    return sums


def read(connection: sqlite3.Connection, side: Side, dim: int) -> Sums:
    """Return what is kept of a side: nothing where it is not what was written, for means can be taken again."""
    found: dict[str, tuple[int, Values]] = {}
    if not _there(connection):
        return Sums()
    for language, count, total, checksum in connection.execute(
        "SELECT language, count, total, checksum FROM warmth WHERE side = ?", (side,)
    ):
        if not isinstance(total, bytes) or checksum != _checksum(side, language, count, total) or len(total) != 8 * dim:
            log.warning("the sums of %s are damaged; the means do without them until they follow again", side)
            return Sums()
        found[language] = count, np.frombuffer(total, "<f8")
    return Sums(found)


def write(connection: sqlite3.Connection, side: Side, sums: Sums) -> None:
    """Keep sums in the place of those of the same side."""
    connection.execute("DELETE FROM warmth WHERE side = ?", (side,))
    kept = [(side, code, count, total.astype("<f8").tobytes()) for code, (count, total) in sums.seen.items()]
    connection.executemany(
        "INSERT INTO warmth (side, language, count, total, checksum) VALUES (?, ?, ?, ?, ?)",
        [(*each, _checksum(*each)) for each in kept],
    )


def switch(connection: sqlite3.Connection, *, on: bool) -> None:
    """Turn warming on, or off: then all that was kept is removed, what questions have left before all."""
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('warming', ?)", ("on" if on else "off",))
    if not on:
        connection.execute("DELETE FROM warmth")


def unsound(connection: sqlite3.Connection) -> list[str]:
    """Return what is kept and is not what was written."""
    if not _there(connection):
        return []
    rows = connection.execute("SELECT side, language, count, total, checksum FROM warmth").fetchall()
    return [f"{row[0]} {row[1]}" for row in rows if not isinstance(row[3], bytes) or row[4] != _checksum(*row[:4])]


def _there(connection: sqlite3.Connection) -> bool:
    """Tell whether the database has the table: one of an older schema has not."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'warmth'").fetchone() is not None


def _checksum(side: str, language: str, count: int, total: bytes) -> bytes:
    return blake2b(f"{side} {language} {count} ".encode() + total, digest_size=8).digest()
