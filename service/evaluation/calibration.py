"""How far a probability is to be believed: whether it parts right from wrong, and how often what it says is so."""

from collections.abc import Sequence

import numpy as np

BINS = 15


def auroc(chances: Sequence[float], positive: Sequence[bool]) -> float | None:
    """Return the area under the ROC curve: how often a positive has the greater chance (ties count half)."""
    yes = np.array([chance for chance, is_so in zip(chances, positive, strict=True) if is_so])
    no = np.sort([chance for chance, is_so in zip(chances, positive, strict=True) if not is_so])
    if not len(yes) or not len(no):
        return None
    below, upto = np.searchsorted(no, yes, "left"), np.searchsorted(no, yes, "right")
    return round(float((below + upto).mean() / 2 / len(no)), 6)


def reliability(chances: Sequence[float], right: Sequence[bool], bins: int = BINS) -> list[dict[str, float]]:
    """Return for each bin of equal width that holds any: how many, their mean chance, and how many were right."""
    given, so = np.array(chances), np.array(right, dtype=np.float64)
    places = np.minimum((given * bins).astype(np.int64), bins - 1)
    return [
        {
            "count": int((places == place).sum()),
            "relevance": round(float(given[places == place].mean()), 6),
            "answered": round(float(so[places == place].mean()), 6),
        }
        for place in np.unique(places).tolist()
    ]


def calibration_error(chances: Sequence[float], right: Sequence[bool]) -> float | None:
    """Return the expected calibration error: the mean gap of the bins between chance and truth, by their counts."""
    found = reliability(chances, right)
    total = sum(each["count"] for each in found)
    if not total:
        return None
    return round(sum(each["count"] * abs(each["relevance"] - each["answered"]) for each in found) / total, 6)
