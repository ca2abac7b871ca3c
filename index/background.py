"""What is usual for a question: the evidence that passages of each language have which nobody chose for it.

A question is nearer to some languages than to others, and in its own language it meets more of its tokens, words and
sounds, whatever is said there. So evidence counts by how far it stands out among passages of the same language. These
are a sample of the library's own; where they are few, the sample of all languages stands in, and what is known of the
model where the library itself is small.
"""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index.changes import Change
from index.scope import among

Rows = NDArray[np.int64]
Values = NDArray[np.float64]

# Passages that are sampled in all, and at most of one language.
SAMPLE, EACH = 4096, 256

# What is known of the model weighs as much as this many of the library's passages. What is known of the library weighs
# little for the mean of a language, which differs, and much for its deviation, which differs less and takes many more
# passages to know.
KNOWN_PRIOR, MEAN_PRIOR, DEVIATION_PRIOR = 64.0, 8.0, 64.0

# How much of a dear evidence's deviation goes with the cheap one's: the usual correlation of MaxSim with similarity
# among passages of one language (flores).
TOGETHER = 0.8


@dataclass(frozen=True)
class Written:
    """Rows of passages (n,), and the places (n,) of the languages that they are written in among the `names`."""

    rows: Rows
    names: tuple[str, ...]
    places: Rows

    @classmethod
    def of(cls, rows: Rows, languages: Sequence[str]) -> "Written":
        """Return rows (n,) with the language of each."""
        number = {name: place for place, name in enumerate(dict.fromkeys(languages))}
        return cls(rows, tuple(number), np.array([number[name] for name in languages], np.int64))

    def at(self, places: Rows) -> "Written":
        """Return the passages at these places (m,)."""
        return Written(self.rows[places], self.names, self.places[places])

    @cached_property
    def order(self) -> Rows:
        """Return the places of the rows in their order."""
        return np.argsort(self.rows)

    @cached_property
    def ascending(self) -> Rows:
        """Return the rows in their order."""
        return self.rows[self.order]

    @cached_property
    def number(self) -> dict[str, int]:
        """Return the place of each name."""
        return {name: place for place, name in enumerate(self.names)}

    @cached_property
    def counts(self) -> Values:
        """Return how many are in each language."""
        return np.bincount(self.places, minlength=len(self.names)).astype(np.float64)

    @cached_property
    def by_language(self) -> list[Rows]:
        """Return of each language that is there the places of its passages."""
        return [np.flatnonzero(self.places == place) for place in np.unique(self.places).tolist()]


@dataclass(frozen=True, slots=True)
class Usual:
    """What evidence comes to for one question, over sampled passages: of one kind, or of several at once, whose values
    are (kinds, n).

    `sums` (3, ..., languages + 1) holds by language, at the place that is its `number`, how many passages were sampled,
    the sum of their values and that of their squares, and at the end nothing, for any other language; `whole`
    (3, ..., 1) are those of all of them. `mean` and `deviation` are what is known beforehand, (kinds, 1) where there
    are several. Each level is drawn towards the one above it, the library towards what is known, as if that had been
    seen `KNOWN_PRIOR` times, and a language towards the library, as if that had been seen `MEAN_PRIOR` and
    `DEVIATION_PRIOR` times (normal with inverse gamma prior).
    """

    sums: Values
    whole: Values
    number: Mapping[str, int]
    rows: Rows
    mean: Values | float
    deviation: Values | float

    @classmethod
    def of(
        cls, values: NDArray[np.float32], passages: Written, mean: Values | float, deviation: Values | float
    ) -> "Usual":
        """Return what is usual where the sampled passages (n,) have `values` (..., n)."""
        seen = values.astype(np.float64)
        squared = seen**2
        shape, languages = seen.shape[:-1], len(passages.names)
        kinds = math.prod(shape)
        bins = (passages.places + languages * np.arange(kinds)[:, None]).ravel()
        sums = np.zeros((3, *shape, languages + 1))
        sums[0, ..., :-1] = passages.counts
        for place, each in ((1, seen), (2, squared)):
            totals = np.bincount(bins, each.ravel(), kinds * languages)
            sums[place, ..., :-1] = totals.reshape(*shape, languages)
        whole = np.stack([np.full(shape, float(seen.shape[-1])), seen.sum(axis=-1), squared.sum(axis=-1)])[..., None]
        # Numbers and rows are shared by all questions: they are remembered with each.
        return cls(sums, whole, passages.number, passages.ascending, mean, deviation)

    def kind(self, place: int) -> "Usual":
        """Return what is usual of one of several kinds."""
        mean, deviation = (float(np.ravel(each)[place]) for each in (self.mean, self.deviation))
        return Usual(self.sums[:, place], self.whole[:, place], self.number, self.rows, mean, deviation)

    def standing(self, values: NDArray[np.float32], passages: Written) -> Values:
        """Return how far values (..., n) of passages stand out among those of their languages, in deviations."""
        mean, deviation = self.level(values, passages)
        standing: Values = (values.astype(np.float64) - mean) / deviation
        return standing

    def beyond(self, values: NDArray[np.float32], rows: Rows) -> Values:
        """Return how far values (n,), 1 at most, go beyond the mean of all languages, as a share of what they could."""
        mean = self._whole(self._itself(values, rows))[0]
        beyond: Values = (values.astype(np.float64) - mean) / (1 - mean)
        return beyond

    def level(self, values: NDArray[np.float32], passages: Written) -> tuple[Values, Values]:
        """Return mean and deviation (..., n) of what is usual for the passages of these values (..., n).

        A passage that is in the sample itself is held against the others: in a small library, where all are, an answer
        would else be part of what is usual.
        """
        itself = self._itself(values, passages.rows)
        number = np.array([self.number.get(name, -1) for name in passages.names], np.int64)
        return drawn(self.sums[..., number[passages.places]] - itself, *self._whole(itself))

    def _itself(self, values: NDArray[np.float32], rows: Rows) -> Values:
        """Return what the passages of these values (..., n) are in the sums (3, ..., n)."""
        itself = np.empty((3, *values.shape))
        inside = among(rows, self.rows) & ~np.isnan(values)
        itself[0], itself[1] = inside, np.where(inside, values, 0.0)
        np.square(itself[1], out=itself[2])
        return itself

    def _whole(self, itself: Values) -> tuple[Values, Values]:
        """Return mean and deviation (..., n) over all languages, without the passages themselves."""
        return drawn(self.whole - itself, self.mean, self.deviation, KNOWN_PRIOR, KNOWN_PRIOR)


@dataclass(frozen=True, slots=True)
class Followed:
    """What evidence comes to that is dear, and was measured on few passages, by way of one that is cheap and was
    measured on many (the regression estimator: Cochran 1977, "Sampling techniques", chapter 7).

    `few` is the dear one where it was measured, `rest` what is left of it there when `slope` times the cheap one is
    subtracted, and `many` the cheap one.
    """

    few: Usual
    rest: Usual
    many: Usual
    slope: float

    @classmethod
    def of(
        cls, few: Usual, values: NDArray[np.float32], cheap: NDArray[np.float32], passages: Written, many: Usual
    ) -> Self:
        """Return what is usual where the passages of `few` have `values` and `cheap` (n,).

        The slope is that within languages, drawn towards the usual one.
        """
        both = np.stack([values, cheap]).astype(np.float64)
        for here in passages.by_language:
            own = both.take(here, axis=1)
            both[:, here] = own - np.add.reduce(own, axis=1, keepdims=True) / len(here)
        y, x = both
        usual = few.deviation / many.deviation * TOGETHER
        slope = float((x @ y + MEAN_PRIOR * many.deviation**2 * usual) / (x @ x + MEAN_PRIOR * many.deviation**2))
        left = (values - slope * cheap).astype(np.float32)
        rest = Usual.of(left, passages, few.mean - slope * many.mean, few.deviation)
        return cls(few, rest, many, slope)

    def standing(self, values: NDArray[np.float32], cheap: NDArray[np.float32], passages: Written) -> Values:
        """Return how far values (n,) of passages stand out, whose cheap evidence (n,) is known."""
        left = self.rest.level(values - np.float32(self.slope) * cheap, passages)[0]
        mean = left + self.slope * self.many.level(cheap, passages)[0]
        standing: Values = (values.astype(np.float64) - mean) / self.few.level(values, passages)[1]
        return standing


def drawn(
    sums: Values,
    mean: Values | float,
    deviation: Values | float,
    mean_prior: float = MEAN_PRIOR,
    deviation_prior: float = DEVIATION_PRIOR,
) -> tuple[Values, Values]:
    """Return means and deviations (..., n) of what has these sums (3, ..., n), drawn towards those given, which weigh
    as much as so many passages.
    """
    count, total, squares = np.maximum(sums[0], 0), sums[1], sums[2]
    spread = np.maximum(squares - total**2 / np.maximum(count, 1), 0)
    means = (total + mean_prior * mean) / (count + mean_prior)
    return means, np.sqrt((spread + deviation_prior * deviation**2) / (count + deviation_prior))


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of passages by chance (n,), in an order by chance, and their languages."""

    rows: Rows
    languages: NDArray[np.str_]

    def few(self, each: int, most: int) -> NDArray[np.int64]:
        """Return the places (n,) of at most `each` of a language, and at most `most` in all."""
        _, language, counts = np.unique(self.languages, return_inverse=True, return_counts=True)
        # How many of its language come before each.
        before = np.empty(len(language), np.int64)
        starts = np.cumsum(counts) - counts
        before[np.argsort(language, kind="stable")] = np.arange(len(language)) - np.repeat(starts, counts)
        return np.flatnonzero(before < each)[:most]


@dataclass(slots=True)
class Sampling:
    """The sample of a library, the same for the same rows; kept until the library changes."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _at: Change | None = None
    _sample: Sample | None = None

    def sample(self, at: Change, all_rows: Callable[[], Rows], languages: Callable[[Rows], list[str]]) -> Sample:
        """Return the sample of all rows that the library has at a change, which are read where it is another one."""
        with self._lock:
            if self._sample is None or self._at != at:
                self._sample, self._at = _sampled(all_rows(), languages), at
            return self._sample


def _sampled(rows: Rows, languages: Callable[[Rows], list[str]]) -> Sample:
    # By a hash of the row (Knuth's multiplicative one), so that what is added changes little of the sample.
    order = rows.astype(np.uint64) * np.uint64(11400714819323198485)
    chosen = rows if len(rows) <= SAMPLE else rows[np.argpartition(order, SAMPLE)[:SAMPLE]]
    chosen = chosen[np.argsort(chosen.astype(np.uint64) * np.uint64(11400714819323198485))]
    codes = np.array(languages(chosen), np.str_)
    kept = Sample(chosen, codes).few(EACH, SAMPLE)
    return Sample(chosen[kept], codes[kept])
