"""How what speaks for a passage becomes one score, by which it is ranked, and how likely it is to answer.

The two ask for different things. Ranked by, all evidence counts by how far it stands out for the question among
passages of the same language (`index.background`), so that one weight of each kind serves all pairs of languages, and a
passage in the question's own language has no advantage but what is its due. Whether a passage answers at all is told by
how near it is too: among nothing but strangers somebody stands out (benchmarks/results.md). Both sets of weights are
fitted on FLORES-200 (`benchmarks/fusion.py`).
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for passages (n,), for one question.

    `similarity` is the cosine of their vectors, `maxsim` how their tokens meet the question's, NaN where it is not
    known; `meaning` and `late` are the same two in deviations from what is usual, and so are `sounds` and `words`, by
    BM25. `beyond` is how far MaxSim goes beyond what is usual for the question in all languages together, as a share of
    the most that it could. `same` is the probability that question and passage are in the same language.
    """

    similarity: Values
    maxsim: Values
    meaning: Values
    late: Values
    beyond: Values
    sounds: Values
    words: Values
    same: Values

    def at(self, places: NDArray[np.int64]) -> "Evidence":
        """Return what speaks for the passages at these places (m,)."""
        return Evidence(*(getattr(self, each.name)[places] for each in fields(self)))


class Weights:
    """Numbers by name, kept as an array in the order of the fields."""

    __slots__ = ()

    def array(self) -> Values:
        """Return the weights as an array, for `of`."""
        return np.array([getattr(self, each.name) for each in fields(self)])  # type: ignore[arg-type]

    @classmethod
    def of(cls, weights: Values) -> Self:
        """Return the weights in an array."""
        return cls(*weights.tolist())


@dataclass(frozen=True, slots=True)
class Fusion(Weights):
    """The weights of evidence in a ranking; those that end in `_same` come on top within one language.

    `late_base`, `late_slope` and `late_same` tell what `late` to expect of a passage by its meaning: where it is not
    known, the expected one stands in.
    """

    meaning: float = 1.0
    late: float = 1.0
    late_base: float = 0.0
    late_slope: float = 1.0
    late_same: float = 0.0
    sounds: float = 0.25
    sounds_same: float = 0.0
    words: float = 0.15
    words_same: float = 0.1
    same: float = -1.0

    def score(self, evidence: Evidence) -> Values:
        """Return the scores of the passages (n,), which tell their order and nothing else."""
        expected = self.late_base + self.late_slope * evidence.meaning + self.late_same * evidence.same
        late = np.where(np.isnan(evidence.late), expected, evidence.late)
        score: Values = (
            self.meaning * evidence.meaning + self.late * late + self.lexical(evidence) + self.same * evidence.same
        )
        return score

    def lexical(self, evidence: Evidence) -> Values:
        """Return what words and sounds alone say for the passages (n,)."""
        said: Values = (self.sounds + self.sounds_same * evidence.same) * evidence.sounds + (
            self.words + self.words_same * evidence.same
        ) * evidence.words
        return said


@dataclass(frozen=True, slots=True)
class Odds(Weights):
    """The weights of a logistic regression on whether a passage answers."""

    similarity: float
    meaning: float
    beyond: float
    sounds: float
    words: float
    same: float
    intercept: float

    def log(self, evidence: Evidence) -> Values:
        """Return the log odds (n,) that the passages answer."""
        odds: Values = evidence_of(evidence) @ self.array()
        return odds


def evidence_of(evidence: Evidence) -> Values:
    """Return what log odds are linear in, (n, 7), in the order of `Odds`; what is not known of tokens is 0."""
    told = [getattr(evidence, each.name) for each in fields(Odds)[:-1]]
    known: Values = np.nan_to_num(np.stack([*told, np.ones_like(evidence.same)], axis=1))
    return known


@dataclass(frozen=True, slots=True)
class Relevance:
    """How likely a passage is to answer: by all evidence, and of a passage without token vectors by the rest of it."""

    whole: Odds
    bare: Odds

    def probability(self, evidence: Evidence) -> Values:
        """Return the probabilities (n,), 0..1, that the passages answer."""
        logit = np.where(np.isnan(evidence.maxsim), self.bare.log(evidence), self.whole.log(evidence))
        found: Values = 1 / (1 + np.exp(-np.clip(logit, -500, 500)))
        return found
