"""How what speaks for a passage becomes one score, by which it is ranked, and how likely it is to answer.

The two ask for different things. Ranked by, all evidence counts by how far it stands out for the question among
passages of the same language (`index.background`), so that one weight of each kind serves all pairs of languages, and a
passage in the question's own language has no advantage but what is its due. Whether a passage answers at all is told
better by how near it is than by how far it stands out: among nothing but strangers somebody stands out too
(benchmarks/results.md). Both sets of weights are fitted on FLORES-200 (`benchmarks/fusion.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for passages (n,), for one question.

    `similarity` is the cosine of their vectors, `maxsim` how their tokens meet the question's, NaN where it is not
    known; `meaning` and `late` are the same two in deviations from what is usual, and so are `sounds` and `words`, by
    BM25. `same` is the probability that question and passage are in the same language.
    """

    similarity: Values
    maxsim: Values
    meaning: Values
    late: Values
    sounds: Values
    words: Values
    same: Values


class Weights:
    """Numbers by name, kept as an array in the order of the fields."""

    __slots__ = ()

    def array(self) -> Values:
        """Return the weights as an array, for `of`."""
        told = [each.name for each in fields(self) if each.type is float]  # type: ignore[arg-type]
        return np.array([getattr(self, name) for name in told])

    @classmethod
    def of(cls, weights: Values, **more: Mapping[str, float]) -> Self:
        """Return the weights in an array, with `more` that is told by language."""
        return cls(*weights.tolist(), **more)


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
class Relevance(Weights):
    """The weights of a logistic regression on whether a passage answers.

    Where MaxSim is not known, the one to expect of the similarity stands in: `maxsim_base`, `maxsim_slope`,
    `maxsim_same`. A model knows some languages better than others, and what looks like an answer there is one more
    often: `asked` and `written` are the log odds on top for questions in a language and for passages in it, 0 for one
    that is not told.
    """

    similarity: float
    maxsim: float
    maxsim_base: float
    maxsim_slope: float
    maxsim_same: float
    sounds: float
    words: float
    same: float
    intercept: float
    asked: Mapping[str, float] = field(default_factory=dict)
    written: Mapping[str, float] = field(default_factory=dict)

    def probability(self, evidence: Evidence, question: Mapping[str, float], languages: Sequence[str]) -> Values:
        """Return the probabilities (n,), 0..1, that passages in these `languages` (n) answer a question of these
        language probabilities.
        """
        expected = self.maxsim_base + self.maxsim_slope * evidence.similarity + self.maxsim_same * evidence.same
        maxsim = np.where(np.isnan(evidence.maxsim), expected, evidence.maxsim)
        logit = (
            self.similarity * evidence.similarity
            + self.maxsim * maxsim
            + self.sounds * evidence.sounds
            + self.words * evidence.words
            + self.same * evidence.same
            + self.intercept
            + sum(share * self.asked.get(code, 0.0) for code, share in question.items())
            + np.array([self.written.get(code, 0.0) for code in languages])
        )
        found: Values = 1 / (1 + np.exp(-np.clip(logit, -500, 500)))
        return found
