"""How what speaks for a passage becomes one score: what it means, which tokens meet, which words and sounds it shares.

All evidence comes standardised for the question and the passage's language (`index.background`), so that one weight of
each kind serves all pairs of languages, and what is left over for a passage in the question's own language is a weight
of its own. The weights are fitted on FLORES-200 (`benchmarks/fusion.py`), and the score is the log odds that the
passage answers, so that the order of hits is that of their relevance (Robertson 1977, "The probability ranking
principle in IR").
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for passages (n,), for one question, in deviations from what is usual.

    `meaning` is the similarity of their vectors, `late` the MaxSim of their tokens, NaN where it is not known; `sounds`
    and `words` are BM25. `same` is the probability that question and passage are in the same language.
    """

    meaning: Values
    late: Values
    sounds: Values
    words: Values
    same: Values


@dataclass(frozen=True, slots=True)
class Fusion:
    """The weights of evidence; those that end in `_same` come on top within one language.

    `late_base`, `late_slope` and `late_same` tell what MaxSim to expect of a passage by its meaning: where it is not
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
    intercept: float = -6.0

    def logit(self, evidence: Evidence) -> Values:
        """Return the log odds that the passages answer (n,)."""
        expected = self.late_base + self.late_slope * evidence.meaning + self.late_same * evidence.same
        late = np.where(np.isnan(evidence.late), expected, evidence.late)
        logit: Values = (
            self.meaning * evidence.meaning
            + self.late * late
            + self.lexical(evidence)
            + self.same * evidence.same
            + self.intercept
        )
        return logit

    def lexical(self, evidence: Evidence) -> Values:
        """Return what words and sounds alone say for the passages (n,)."""
        said: Values = (self.sounds + self.sounds_same * evidence.same) * evidence.sounds + (
            self.words + self.words_same * evidence.same
        ) * evidence.words
        return said

    def array(self) -> Values:
        """Return the weights in the order of the fields, for `of`."""
        return np.array([getattr(self, each.name) for each in fields(self)])

    @classmethod
    def of(cls, weights: Values) -> Self:
        """Return the fusion with these weights."""
        return cls(*weights.tolist())


def probability(logit: Values) -> Values:
    """Return log odds as probabilities, 0..1."""
    found: Values = 1 / (1 + np.exp(-np.clip(logit, -500, 500)))
    return found
