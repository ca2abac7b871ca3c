"""Why a passage matched: which of its sentences the question's tokens meet."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]


def best_sentence(
    sentences: Sequence[Span], spans: Sequence[Span], query: NDArray[np.float32], passage: NDArray[np.float32]
) -> Span | None:
    """Return the sentence whose tokens meet the question's best, by MaxSim; None where there is none to tell.

    `spans` are the characters of the passage's tokens, whose vectors are `passage` (t, width); `query` (q, width) are
    the question's.
    """
    if not len(query) or len(spans) != len(passage):
        return None
    cosines = query @ passage.T
    starts = np.array([start for start, _ in spans])
    best: tuple[float, Span] | None = None
    for start, end in sentences:
        inside = (starts >= start) & (starts < end)
        if inside.any():
            met = float(cosines[:, inside].max(axis=1).mean())
            if best is None or met > best[0]:
                best = met, (start, end)
    return best[1] if best else None
