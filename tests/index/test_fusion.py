import numpy as np
import pytest

from index.fusion import Evidence, Fusion, probability

FUSION = Fusion(
    meaning=1.0,
    late=2.0,
    late_base=0.5,
    late_slope=1.0,
    late_same=0.25,
    sounds=0.1,
    sounds_same=0.2,
    words=0.3,
    words_same=0.4,
    same=-1.0,
    intercept=-3.0,
)


def evidence(**given: list[float]) -> Evidence:
    """Return evidence of two passages, zero where not given."""
    values = {name: np.zeros(2) for name in ("meaning", "late", "sounds", "words", "same")}
    return Evidence(**{**values, **{name: np.array(each) for name, each in given.items()}})


def test_the_score_is_the_weighted_sum() -> None:
    """Words and sounds weigh more within one language, which weighs something itself."""
    found = FUSION.logit(evidence(meaning=[2, 2], late=[1, 1], sounds=[1, 1], words=[1, 1], same=[0, 1]))

    assert found == pytest.approx([2 + 2 + 0.1 + 0.3 - 3, 2 + 2 + 0.3 + 0.7 - 1 - 3])


def test_where_tokens_are_not_known_the_expected_stands_in() -> None:
    """A passage without token vectors is neither lifted nor sunk by that."""
    found = FUSION.logit(evidence(meaning=[2, 2], late=[np.nan, 2.5]))

    assert found[0] == pytest.approx(found[1])


def test_weights_come_back_from_their_array() -> None:
    """What is written into the priors is what is read."""
    assert Fusion.of(FUSION.array()) == FUSION


def test_log_odds_become_probabilities() -> None:
    """However far out."""
    assert probability(np.array([0.0, 1000.0, -1000.0])) == pytest.approx([0.5, 1.0, 0.0])
