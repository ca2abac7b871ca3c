from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from index.fusion import Evidence, Fusion, Relevance

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
    similarity=10.0,
    maxsim=20.0,
    maxsim_base=0.1,
    maxsim_slope=0.5,
    maxsim_same=0.2,
    sounds=0.5,
    words=0.25,
    same=-1.0,
    intercept=-10.0,
)


def evidence(**given: list[float]) -> Evidence:
    """Return evidence of two passages, zero where not given."""
    values = {name: np.zeros(2) for name in Evidence.__dataclass_fields__}
    return Evidence(**{**values, **{name: np.array(each) for name, each in given.items()}})


def logit(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log odds of probabilities."""
    odds: NDArray[np.float64] = np.log(chance / (1 - chance))
    return odds


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
    near = evidence(similarity=[0.4, 0.4], maxsim=[np.nan, 0.5], same=[1, 1])
    likely = RELEVANCE.probability(near, {"bn": 1.0}, ["bn", "bn"])

    assert found[0] == pytest.approx(found[1])
    assert likely[0] == pytest.approx(likely[1])


def test_relevance_is_the_logistic_curve_of_its_own_weighted_sum() -> None:
    """It tells how near a passage is, however usual that is in its language."""
    found = RELEVANCE.probability(
        evidence(similarity=[0.5, 0.5], maxsim=[0.3, 0.3], sounds=[1, 1], words=[0, 2], same=[0, 1], meaning=[0, 9]),
        {"en": 1.0},
        ["bn", "en"],
    )

    assert found == pytest.approx([1 / (1 + np.exp(-1.5)), 1 / (1 + np.exp(-1.0))])


def test_relevance_is_within_0_and_1_however_far_out() -> None:
    """No warning of an overflow, no NaN."""
    far = evidence(similarity=[1000.0, -1000.0])
    assert RELEVANCE.probability(far, {}, ["en", "en"]) == pytest.approx([1.0, 0.0])


def test_relevance_knows_how_far_the_model_is_to_be_believed_in_a_language() -> None:
    """A question that may be in two languages counts as each by its probability; one nobody knows of counts nothing."""
    knowing = replace(RELEVANCE, asked={"en": 1.0, "bn": -1.0}, written={"hi": 0.5})
    even = evidence(similarity=[1.0, 1.0])

    certain = knowing.probability(even, {"en": 1.0}, ["hi", "xx"])
    torn = knowing.probability(even, {"en": 0.5, "bn": 0.25, "xx": 0.25}, ["hi", "xx"])

    before = RELEVANCE.probability(even, {}, ["hi", "xx"])
    assert logit(certain) - logit(before) == pytest.approx([1.5, 1.0])
    assert logit(torn) - logit(before) == pytest.approx([0.75, 0.25])


def test_weights_come_back_from_their_array() -> None:
    """What is written into the priors is what is read."""
    assert Fusion.of(FUSION.array()) == FUSION
    assert Relevance.of(RELEVANCE.array()) == RELEVANCE
    assert Relevance.of(RELEVANCE.array(), asked={"en": 1.0}) == replace(RELEVANCE, asked={"en": 1.0})
