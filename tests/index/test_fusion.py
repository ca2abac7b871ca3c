import numpy as np
import pytest

from index.fusion import Evidence, Fusion, Odds, Relevance

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
)

RELEVANCE = Relevance(
    whole=Odds(similarity=10.0, meaning=0.5, beyond=20.0, sounds=0.5, words=0.25, same=-1.0, intercept=-10.0),
    bare=Odds(similarity=15.0, meaning=1.0, beyond=0.0, sounds=0.5, words=0.25, same=-1.0, intercept=-8.0),
)


def evidence(**given: list[float]) -> Evidence:
    """Return evidence of two passages, zero where not given."""
    values = {name: np.zeros(2) for name in Evidence.__dataclass_fields__}
    return Evidence(**{**values, **{name: np.array(each) for name, each in given.items()}})


def test_the_score_is_the_weighted_sum() -> None:
    """Words and sounds weigh more within one language, which weighs something itself."""
    found = FUSION.score(evidence(meaning=[2, 2], late=[1, 1], sounds=[1, 1], words=[1, 1], same=[0, 1]))

    assert found == pytest.approx([2 + 2 + 0.1 + 0.3, 2 + 2 + 0.3 + 0.7 - 1])


def test_the_score_does_not_see_how_near_a_passage_is_as_it_is() -> None:
    """A passage is ranked by how far it stands out in its language, so that no language is nearer than another."""
    near = FUSION.score(evidence(similarity=[0.1, 0.9], maxsim=[0.1, 0.9]))

    assert near[0] == near[1]


def test_where_tokens_are_not_known_the_expected_stands_in() -> None:
    """A passage without token vectors is neither lifted nor sunk by that."""
    found = FUSION.score(evidence(meaning=[2, 2], late=[np.nan, 2.5]))

    assert found[0] == pytest.approx(found[1])


def test_relevance_is_the_logistic_curve_of_its_own_weighted_sum() -> None:
    """It tells how near a passage is, and how far it stands out."""
    found = RELEVANCE.probability(
        evidence(similarity=[0.5, 0.5], beyond=[0.3, 0.3], sounds=[1, 1], words=[0, 2], same=[0, 1], meaning=[0, 1])
    )

    assert found == pytest.approx([1 / (1 + np.exp(-1.5)), 1 / (1 + np.exp(-1.5))])


def test_a_passage_without_tokens_is_judged_by_what_is_known_of_it() -> None:
    """By weights of its own, whatever passages it comes with."""
    found = RELEVANCE.probability(
        evidence(similarity=[0.5, 0.5], maxsim=[0.4, np.nan], beyond=[0.3, np.nan], sounds=[1, 1])
    )

    assert found == pytest.approx([1 / (1 + np.exp(-1.5)), 0.5])


def test_relevance_is_within_0_and_1_however_far_out() -> None:
    """No warning of an overflow, no NaN."""
    assert RELEVANCE.probability(evidence(similarity=[1000.0, -1000.0])) == pytest.approx([1.0, 0.0])


def test_weights_come_back_from_their_array() -> None:
    """What is written into the priors is what is read."""
    assert Fusion.of(FUSION.array()) == FUSION
    assert Odds.of(RELEVANCE.whole.array()) == RELEVANCE.whole
