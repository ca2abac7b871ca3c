"""Two runs over the same questions, held against each other, and how likely their difference is chance.

The test is the paired randomisation test, two-sided (Smucker, Allan, Carterette 2007, "A comparison of statistical
significance tests for information retrieval evaluation"): were the modes alike, which of the two a question's figure
came from would be as good as a coin's throw. So the differences of the questions are given signs by chance, and it is
counted how often they come to as much as the difference that was seen. One is added to that count and to the number of
throws (Phipson and Smyth 2010, "Permutation p-values should never be zero"). Over many pairs of languages p is
corrected by Holm's method (Holm 1979, "A simple sequentially rejective multiple test procedure"), which holds however
the pairs depend on each other.
"""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.evaluation.judgments import Pair

THROWS = 99_999  # so that p, which is never less than 1 in 100,000, can be small even times a thousand pairs
HELD = 4_000_000  # signs that are held at once
TIE = 1e-9  # sums that differ by less differ by rounding

Values = NDArray[np.float64]
Scores = Mapping[Pair | None, Mapping[str, float]]  # nDCG@10 by question, of each pair, and of all languages together


def comparison(a: Scores, b: Scores) -> dict[str, Any]:
    """Return the figures of two runs side by side: means over questions of each pair, the means of these, and of all
    languages together, each with its `difference`, b - a, and `p`; of pairs also `p_holm`.

    In a mean over pairs a question counts as it does in the mean: with the sum of its differences, each divided by the
    number of questions of its pair and the number of pairs.
    """
    groups: dict[str, list[Pair | None]] = {f"{pair[0]}->{pair[1]}": [pair] for pair in a if pair is not None}
    groups["mono"] = [pair for pair in a if pair is not None and pair[0] == pair[1]]
    groups["cross"] = [pair for pair in a if pair is not None and pair[0] != pair[1]]
    groups["pooled"] = [None]
    questions = sorted({question for scores in a.values() for question in scores})
    places = {question: place for place, question in enumerate(questions)}
    differences = np.zeros((len(places), len(groups)))
    for column, pairs in enumerate(groups.values()):
        for pair in pairs:
            for question, score in a[pair].items():
                share = len(a[pair]) * len(pairs)
                differences[places[question], column] += (b[pair][question] - score) / share
    chances = dict(zip(groups, randomised(differences).tolist(), strict=True))
    found: dict[str, dict[str, Any]] = {}
    for name, pairs in groups.items():
        if not pairs:
            continue
        of_a, of_b = (fmean(fmean(scores[pair].values()) for pair in pairs) for scores in (a, b))
        found[name] = {
            "queries": len({question for pair in pairs for question in a[pair]}),
            "a": round(of_a, 6),
            "b": round(of_b, 6),
            "difference": round(of_b - of_a, 6),
            "p": round(chances[name], 6),
        }
    told = {name: found.pop(name, None) for name in ("mono", "cross", "pooled")}
    for each, corrected in zip(found.values(), holm([each["p"] for each in found.values()]), strict=True):
        each["p_holm"] = round(corrected, 6)
    return {"measure": "ndcg@10", "test": "paired randomisation", "throws": THROWS, "pairs": found, **told}


def randomised(differences: Values) -> Values:
    """Return for each column of differences by question (n, k) how likely a sum so far from zero is chance: p (k,)."""
    chance = np.random.default_rng(0)
    seen = np.abs(differences.sum(axis=0)) - TIE
    reached = np.zeros(differences.shape[1])
    most = max(1, HELD // max(1, len(differences)))
    for start in range(0, THROWS, most):
        heads = chance.integers(0, 2, (min(most, THROWS - start), len(differences)), np.int8)
        reached += (np.abs((2.0 * heads - 1.0) @ differences) >= seen).sum(axis=0)
    found: Values = (reached + 1) / (THROWS + 1)
    return found


def holm(chances: list[float]) -> list[float]:
    """Return p corrected for there being so many tests, in the same order: 0..1, never less than what was given."""
    corrected = [0.0] * len(chances)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        highest = max(highest, (len(chances) - rank) * chances[place])
        corrected[place] = min(1.0, highest)
    return corrected
