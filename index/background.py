"""What is usual for a question: the evidence that passages of each language have which nobody chose for it.

A question is nearer to some languages than to others, and in its own language it meets more of its tokens, words and
sounds, whatever is said there. So evidence counts by how far it stands out among passages of the same language. These
are a sample of the library's own; where they are few, the sample of all languages stands in, and what is known of the
model where the library itself is small.
"""

import sqlite3
import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from index import tables
from index.changes import Change

Rows = NDArray[np.int64]
Values = NDArray[np.float64]

# Passages that are sampled in all, and at most of one language.
SAMPLE, EACH = 2048, 64

# What is known beforehand weighs as much as this many passages.
PRIOR = 16.0


@dataclass(frozen=True, slots=True)
class Usual:
    """Mean and deviation of one kind of evidence for one question: by language, and of a language not met before."""

    means: dict[str, float]
    deviations: dict[str, float]
    mean: float
    deviation: float

    def standing(self, values: NDArray[np.float32], languages: list[str]) -> Values:
        """Return how far values (n,) stand out among passages of their languages, in deviations."""
        mean = np.array([self.means.get(code, self.mean) for code in languages])
        deviation = np.array([self.deviations.get(code, self.deviation) for code in languages])
        standing: Values = (values - mean) / deviation
        return standing

    @classmethod
    def of(cls, values: NDArray[np.float32], languages: NDArray[np.str_], mean: float, deviation: float) -> "Usual":
        """Return what is usual where sampled passages (n,) of these languages have `values`.

        `mean` and `deviation` are what is known beforehand. Each level is drawn towards the one above it, as if that
        had been seen `PRIOR` times: the library towards what is known, a language towards the library.
        """
        overall = _drawn(values.astype(np.float64), mean, deviation)
        means, deviations = {}, {}
        for code in np.unique(languages).tolist():
            means[code], deviations[code] = _drawn(values[languages == code].astype(np.float64), *overall)
        return cls(means, deviations, *overall)


def _drawn(values: Values, mean: float, deviation: float) -> tuple[float, float]:
    """Return mean and deviation of values, drawn towards those given (normal with inverse gamma prior)."""
    count = len(values)
    if not count:
        return mean, deviation
    own = float(values.mean())
    found = (count * own + PRIOR * mean) / (count + PRIOR)
    spread = float(((values - own) ** 2).sum()) + PRIOR * deviation**2
    return found, float(np.sqrt(spread / (count + PRIOR)))


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of passages by chance (n,), ascending, and their languages."""

    rows: Rows
    languages: NDArray[np.str_]

    def few(self, each: int, most: int) -> "Sample":
        """Return at most `each` of a language, and at most `most` in all."""
        seen: dict[str, int] = {}
        kept = []
        for place, code in enumerate(self.languages.tolist()):
            seen[code] = seen.get(code, 0) + 1
            if seen[code] <= each:
                kept.append(place)
        return Sample(self.rows[kept[:most]], self.languages[kept[:most]])


@dataclass(slots=True)
class Sampling:
    """The sample of a library, the same for the same rows; kept until the library changes."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _at: Change | None = None
    _sample: Sample | None = None

    def sample(self, connection: sqlite3.Connection, rows: Rows, change: Change) -> Sample:
        """Return the sample of these rows, all that the library has at the change."""
        with self._lock:
            if self._sample is None or self._at != change:
                self._sample, self._at = _sampled(connection, rows), change
            return self._sample


def _sampled(connection: sqlite3.Connection, rows: Rows) -> Sample:
    # By a hash of the row (Knuth's multiplicative one), so that what is added changes little of the sample.
    order = rows.astype(np.uint64) * np.uint64(11400714819323198485)
    chosen = rows if len(rows) <= SAMPLE else rows[np.argpartition(order, SAMPLE)[:SAMPLE]]
    languages = tables.languages_of(connection, chosen.tolist())
    chosen = chosen[np.argsort(chosen.astype(np.uint64) * np.uint64(11400714819323198485))]
    codes = np.array([languages.get(row, "und") for row in chosen.tolist()], np.str_)
    return Sample(chosen, codes).few(EACH, SAMPLE)
