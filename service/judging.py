"""How well texts that are in no library answer a question: as a search would say of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embed import BUDGET, detect, split
from service.engine import Engine


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of each text (n,) the similarity of its best passage, -1..1, and how relevant that is, 0..1: the calibrated
    probability that it answers, None for a model without calibration. `tokens` is what was read, in the model's tokens.
    """

    similarity: NDArray[np.float32]
    relevance: NDArray[np.float64] | None
    tokens: int


def judge(engine: Engine, query: str, texts: Sequence[str]) -> Judgement:
    """Return how well each text (at least one) answers `query`.

    A text is cut into passages as an article is, in the language that it is detected to be in, and counts by its best
    one. The same evidence is weighed as in a search, but for shared words and sounds, of which nobody knows how usual
    they are in texts that are in no index.
    """
    codes = [detect(text).code for text in texts]
    budget = min(BUDGET, engine.encoder.window)
    passages: list[str] = []
    languages: list[str] = []
    owner: list[int] = []
    for number, (text, code) in enumerate(zip(texts, codes, strict=True)):
        cut = split(text, code, engine.encoder.count_tokens, budget)
        passages += [text[start:end] for start, end in cut]
        languages += [code] * len(cut)
        owner += [number] * len(cut)
    similarity, relevance = engine.judge(query, passages, languages)
    return Judgement(
        _best(similarity, owner, len(texts)).astype(np.float32),
        None if relevance is None else _best(relevance, owner, len(texts)),
        sum(engine.encoder.count_tokens([query, *passages])),
    )


def _best(values: NDArray[np.float32] | NDArray[np.float64], owner: Sequence[int], count: int) -> NDArray[np.float64]:
    """Return the greatest value (count,) of each owner."""
    best = np.full(count, -np.inf)
    np.maximum.at(best, owner, values)
    return best
