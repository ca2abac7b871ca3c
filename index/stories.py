"""Which articles tell the same story, in whatever language, and however much of it each of them tells.

Two articles are compared by how well their passages cover each other. Each passage of the one is held against the
nearest of the other: by how far their similarity stands out among those that both have with passages of the other's
language (`index.background`; so a passage that is near to everything is near to nothing, as in Conneau et al. 2018,
"Word translation without parallel data", section 2.3). The shorter article counts for more, so that a wire copy of two
paragraphs is found in the report of twenty. Passages of one article are about the same and say other things: those of
two that tell one story are nearer to each other than to the ones beside them, or nearly so. Numbers tell apart what is
alike otherwise: those that both have speak for one story, and where both have some and none in common, that speaks
against it.

Stories are then built by average linkage (Sokal and Michener 1958, "A statistical method for evaluating systematic
relationships"): the two groups that are most alike become one as long as their articles are alike enough on average, so
that a chain of likenesses does not run through several stories. `benchmarks/stories.py` fits the constants on half of
flores, in languages other than those it reports.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.background import Sample, drawn
from index.dense import Searched
from index.neutral import Neutral
from index.words import tokens

Vectors = NDArray[np.float32]
Values = NDArray[np.float64]
Rows = NDArray[np.int64]

# How alike two groups must be on average to tell one story, in deviations of similarity; what it adds if the numbers of
# one are all in the other; and if both have numbers, none of them in common (benchmarks/stories.py).
LEAST, AGREEING, CONFLICTING = 5.0, 1.0, -1.05

# How much less than the passages beside them, which say other things about the same, those of the other article may
# cover an article's.
SLACK = 0.5

# Passages of an article that are compared, from its beginning: news tells first what the story is.
LEADING = 16

# Of the sampled passages of each language, the nearest so many tell nothing of what is usual: in a small library they
# are other tellings of the same story.
TELLINGS = 2

# What is known of the model weighs as much as this many passages: in a small library, which may be about one thing
# only, what is usual is not told by that library.
KNOWN = 512.0

# So many passages weighs what a language's own sample is drawn towards.
PRIOR = 16.0


@dataclass(frozen=True, slots=True)
class Told:
    """How an article begins: its language, and its first `LEADING` passages, by row, with their texts."""

    language: str
    rows: Sequence[int]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Telling:
    """An article as it is compared: its language, its first passages by row (p,), their neutral vectors (p, dim) and
    lengths in characters (p,), and the numbers of two digits or more that occur in them.
    """

    language: str
    rows: Rows
    vectors: Vectors
    lengths: Values
    numbers: frozenset[str]


def read(told: Mapping[int, Told], index: Searched, articles: Sequence[int]) -> list[Telling]:
    """Return articles, by number, as they are compared."""
    found = []
    for each in (told[number] for number in articles):
        rows = np.array(each.rows, np.int64)
        lengths = np.array([len(text) for text in each.texts], np.float64)
        found.append(Telling(each.language, rows, index.vectors(rows), lengths, numbers(each.texts)))
    return found


def numbers(texts: Sequence[str]) -> frozenset[str]:
    """Return the numbers of two digits or more in some texts, as `index.words` writes them."""
    return frozenset(
        piece.term for text in texts for piece in tokens(text) if piece.kind == "number" and len(piece.term) > 1
    )


@dataclass(frozen=True, slots=True)
class Likeness:
    """What speaks for each two of some articles telling one story, (n, n) each and symmetric.

    `meaning` is how well their passages cover each other, in deviations; `beside` how well the passages of each cover
    those beside them, the mean of both articles, NaN where neither has two; `agreeing` the share of the fewer numbers
    that are among the other's; `conflicting` whether both have numbers, and none in common, 0 or 1.
    """

    meaning: Values
    beside: Values
    agreeing: Values
    conflicting: Values

    def total(self, least: float = LEAST) -> Values:
        """Return how far it goes beyond what one story takes, in deviations (n, n)."""
        needed = np.fmax(least, self.beside - SLACK)
        alike: Values = self.meaning - needed + AGREEING * self.agreeing + CONFLICTING * self.conflicting
        return alike


def likeness(told: Sequence[Telling], sample: Sample, sampled: Vectors, neutral: Neutral) -> Likeness:
    """Return how alike articles are; `sampled` are the neutral vectors of `sample`, passages of the same library."""
    return Likeness(*covering(told, sample, sampled, neutral), *in_common([each.numbers for each in told]))


def stories(alike: Values) -> list[int]:
    """Return for each of the articles, of which `alike` is the `Likeness.total` (n, n), the number of its story.

    Stories count from 0 in the order of their first articles.
    """
    linked = alike.copy()
    np.fill_diagonal(linked, -np.inf)
    story = np.arange(len(alike))
    sizes = np.ones(len(alike))
    nearest = linked.argmax(axis=1) if len(alike) else story
    best = linked[story, nearest]
    while len(alike) and best.max() >= 0:
        first = int(best.argmax())
        one, other = sorted((first, int(nearest[first])))
        together = sizes[one] + sizes[other]
        linked[one] = (sizes[one] * linked[one] + sizes[other] * linked[other]) / together
        linked[:, one] = linked[one]
        linked[one, one] = linked[other] = linked[:, other] = -np.inf
        sizes[one] = together
        story[story == other] = one
        # An average is no more than the greater of two, so the nearest of all the rest stay the nearest.
        changed = np.union1d(np.flatnonzero((nearest == one) | (nearest == other)), [one, other])
        nearest[changed] = linked[changed].argmax(axis=1)
        best[changed] = linked[changed, nearest[changed]]
    names: dict[int, int] = {}
    return [names.setdefault(each, len(names)) for each in story.tolist()]


def covering(told: Sequence[Telling], sample: Sample, sampled: Vectors, neutral: Neutral) -> tuple[Values, Values]:
    """Return how well the passages of articles cover each other, and those beside them: `meaning` and `beside`."""
    if not told:
        return np.zeros((0, 0)), np.zeros((0, 0))
    vectors = np.concatenate([each.vectors for each in told])
    sizes = np.array([len(each.rows) for each in told])
    owner, starts = np.repeat(np.arange(len(told)), sizes), np.cumsum(sizes) - sizes
    usual, deviation = _usual(told, vectors, owner, sample, sampled, neutral)
    standing = ((vectors @ vectors.T).astype(np.float64) - usual[:, owner]) / deviation[:, owner]
    standing = (standing + standing.T) / 2
    nearest = np.maximum.reduceat(standing, starts, axis=1)
    shares = np.concatenate([each.lengths / each.lengths.sum() for each in told])
    covered = np.add.reduceat(nearest * shares[:, None], starts, axis=0)
    weight = sizes[None] / (sizes[None] + sizes[:, None])
    np.fill_diagonal(standing, -np.inf)
    siblings = np.where(owner[:, None] == owner[None], standing, -np.inf).max(axis=1)
    own = np.where(sizes > 1, np.add.reduceat(np.where(np.isfinite(siblings), siblings, 0) * shares, starts), np.nan)
    theirs = np.where(np.isnan(own), own[:, None], own)
    return weight * covered + (weight * covered).T, (theirs + theirs.T) / 2


def in_common(said: Sequence[frozenset[str]]) -> tuple[Values, Values]:
    """Return for each two articles the share of the fewer numbers that are among the others' (n, n), and whether both
    have numbers, and none in common (n, n), 0 or 1.
    """
    place = {number: column for column, number in enumerate(sorted(frozenset().union(*said)))}
    having = np.zeros((len(said), len(place)), np.float32)
    for article, own in enumerate(said):
        having[article, [place[number] for number in own]] = 1
    shared = (having @ having.T).astype(np.float64)
    counts = having.sum(axis=1)
    fewer = np.minimum(counts[:, None], counts[None])
    return shared / np.maximum(fewer, 1), ((fewer > 0) & (shared == 0)).astype(np.float64)


def _usual(
    told: Sequence[Telling], vectors: Vectors, owner: Rows, sample: Sample, sampled: Vectors, neutral: Neutral
) -> tuple[Values, Values]:
    """Return mean and deviation (passages, articles) of the similarities that a passage has with ordinary ones in the
    language of an article: sampled ones of other articles, without the nearest.
    """
    near = (vectors @ sampled.T).astype(np.float64)
    known = np.array([neutral.usual(vector, own) for vector, own in zip(vectors, near.astype(np.float32), strict=True)])
    articles = {row: number for number, each in enumerate(told) for row in each.rows.tolist()}
    theirs = np.array([articles.get(row, -1) for row in sample.rows.tolist()])
    near[owner[:, None] == theirs[None]] = np.inf
    nothing = np.zeros((3, len(near)))
    sums = {code: _ordinary(near[:, sample.languages == code]) for code in np.unique(sample.languages).tolist()}
    prior = KNOWN if neutral.calibrated else PRIOR
    whole = drawn(sum(sums.values(), nothing), known[:, 0], known[:, 1], prior, prior)
    of_language = {
        code: drawn(sums.get(code, nothing), *whole, PRIOR, PRIOR) for code in {each.language for each in told}
    }
    usual = np.stack([of_language[each.language] for each in told], axis=2)
    return usual[0], usual[1]


def _ordinary(near: Values) -> Values:
    """Return count, sum, and sum of squares (3, n) of similarities (n, sampled) without the `TELLINGS` nearest
    of each passage, and without infinite ones.
    """
    ordered = np.sort(near, axis=1)
    counts = np.maximum(np.isfinite(near).sum(axis=1) - TELLINGS, 0)
    kept = np.where(np.arange(near.shape[1])[None] < counts[:, None], ordered, 0.0)
    return np.stack([counts, kept.sum(axis=1), (kept**2).sum(axis=1)])
