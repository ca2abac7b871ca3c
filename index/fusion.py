"""How what speaks for a passage becomes one score: what it means, which tokens meet, which words and sounds it shares.

A passage in the question's own language shares words and sounds with it that one in another language cannot, so what
it gains by them is weighed by the pair of languages: within one, or across two. The weights are fitted on FLORES-200
(`benchmarks/fusion.py`), and the score is the logit of the probability that the passage answers, so that the order of
hits is that of their relevance (Robertson 1977, "The probability ranking principle in IR").
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for passages (n,), for one question.

    `similarity` is the cosine in the neutral space; `standing` says how far it stands out for this question, in
    deviations; `late` is the MaxSim of the tokens, NaN where it is not known; `sounds` and `words` are BM25 as a share
    of what it could be, 0..1; `same` is the probability that question and passage are in the same language.
    """

    similarity: Vectors
    standing: NDArray[np.float64]
    late: Vectors
    sounds: Vectors
    words: Vectors
    same: Vectors


@dataclass(frozen=True, slots=True)
class Fusion:
    """The weights of evidence. Those that end in `_same` come on top within one language.

    `late_base`, `late_slope` and `late_same` tell what MaxSim to expect of a passage by its standing: where it is not
    known, the expected one stands in; where it is, what counts is how far it departs.
    """

    standing: float = 1.0
    late: float = 0.0
    late_base: float = 0.0
    late_slope: float = 0.0
    late_same: float = 0.0
    sounds: float = 1.0
    sounds_same: float = 0.0
    words: float = 0.0
    words_same: float = 1.0
    same: float = 0.0
    intercept: float = 0.0

    def logit(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return the log odds that the passages answer (n,)."""
        expected = self.late_base + self.late_slope * evidence.standing + self.late_same * evidence.same
        beyond = np.where(np.isnan(evidence.late), 0.0, evidence.late - expected)
        logit: NDArray[np.float64] = (
            self.standing * evidence.standing
            + self.late * beyond
            + self.lexical(evidence)
            + self.same * evidence.same
            + self.intercept
        )
        return logit

    def lexical(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return what words and sounds alone say for the passages (n,)."""
        said: NDArray[np.float64] = (
            (self.sounds + self.sounds_same * evidence.same) * evidence.sounds
            + (self.words + self.words_same * evidence.same) * evidence.words
        ).astype(np.float64)
        return said

    def array(self) -> NDArray[np.float64]:
        """Return the weights in the order of the fields, for `of`."""
        return np.array([getattr(self, each.name) for each in fields(self)])

    @classmethod
    def of(cls, weights: NDArray[np.float64]) -> Self:
        """Return the fusion with these weights."""
        return cls(*weights.tolist())


def probability(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log odds as probabilities, 0..1."""
    found: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logit, -500, 500)))
    return found
