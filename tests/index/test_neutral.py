from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index.neutral import Neutral, Priors, offsets, unit


def two_corners() -> Priors:
    """A space of three dimensions in which the first says 'Bengali', the second 'Hindi' and the third the meaning."""
    means = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)
    centre, spread = np.array([0, 0, 0.25], dtype=np.float32), np.diag([0, 0, 0.0625]).astype(np.float32)
    return Priors("toy", ("bn", "hi"), means, means, 1.0, 1.0, centre, spread, slope=2.0, intercept=-2.0)


def test_passages_of_one_meaning_meet_whatever_their_language() -> None:
    """What is left of a passage after its language is subtracted is what it says."""
    said = np.array([[1, 0, 0.5], [0, 1, 0.5]], dtype=np.float32)

    neutral = Neutral(two_corners()).passages(said, ["bn", "hi"])

    np.testing.assert_allclose(neutral, [[0, 0, 1], [0, 0, 1]], atol=1e-6)


def test_a_query_of_mixed_language_is_moved_by_the_mixture() -> None:
    """The mean subtracted from a query is weighted by the probabilities of its languages."""
    neutral = Neutral(two_corners()).queries(np.array([[0.75, 0.25, 1]], dtype=np.float32), [{"bn": 0.75, "hi": 0.25}])

    np.testing.assert_allclose(neutral, [[0, 0, 1]], atol=1e-6)


def test_an_unknown_language_is_moved_by_the_mean_of_all() -> None:
    """`und` and languages without priors take the mean of the known languages, for passages and for queries."""
    half = np.array([[0.5, 0.5, 1]], dtype=np.float32)
    neutral = Neutral(two_corners())

    np.testing.assert_allclose(neutral.passages(half, ["und"]), [[0, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(neutral.queries(half, [{}]), [[0, 0, 1]], atol=1e-6)


def test_own_and_common_shares_are_subtracted_apart() -> None:
    """With a = 1 and b = 0 only what tells the languages apart goes; what their means share stays."""
    moved = offsets(np.array([[1, 0, 1], [0, 1, 1]], dtype=np.float32), own=1.0, common=0.0)

    expected = np.array([[0.5, -0.5, 0], [-0.5, 0.5, 0], [0, 0, 0]], dtype=np.float32)
    np.testing.assert_array_equal(moved, expected)


def test_neutral_vectors_have_length_one() -> None:
    """Inner products in the neutral space are cosines."""
    vectors = unit(np.random.default_rng(7).normal(size=(50, 3)).astype(np.float32))
    neutral = Neutral(two_corners())

    np.testing.assert_allclose(np.linalg.norm(neutral.passages(vectors, ["bn"] * 50), axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(neutral.queries(vectors, [{"hi": 1.0}] * 50), axis=1), 1, atol=1e-6)


def test_relevance_tells_how_far_a_passage_stands_out_for_its_query() -> None:
    """One deviation above what ordinary passages have is the even chance here (slope 2, intercept -2), in logits."""
    query = np.array([0, 0, 1], dtype=np.float32)  # ordinary passages have a cosine of 0.25, give or take 0.25

    relevance = Neutral(two_corners()).relevance(np.array([0.5, 1.0, 0.25], dtype=np.float32), query)

    np.testing.assert_allclose(relevance, [0.5, 1 / (1 + np.exp(-4)), 1 / (1 + np.exp(2))])


def test_a_query_that_is_near_to_everything_needs_more_similarity() -> None:
    """The same similarity is worth less to a query to which ordinary passages are nearer."""
    near, far = np.array([[0, 0, 1], [0, 0.8, 0.6]], dtype=np.float32)
    similarity = np.array([0.5], dtype=np.float32)
    neutral = Neutral(two_corners())

    assert neutral.relevance(similarity, near)[0] < neutral.relevance(similarity, far)[0]


def test_a_model_without_priors_keeps_its_space() -> None:
    """For a model that ships no means, vectors stay as they are and there is no calibration."""
    neutral = Neutral.for_model("somebody/unknown-model")
    vectors = unit(np.ones((2, 3), dtype=np.float32))

    assert neutral.identity == "none"
    np.testing.assert_array_equal(neutral.passages(vectors, ["bn", "hi"]), vectors)
    assert not neutral.calibrated


def test_priors_come_back_as_they_were_saved(tmp_path: Path) -> None:
    """Means are kept in half precision; everything else exactly."""
    priors = two_corners()
    priors.save(tmp_path / "toy.npz")

    loaded = Priors.load(tmp_path / "toy.npz")

    assert (loaded.model, loaded.languages) == (priors.model, priors.languages)
    assert (loaded.own, loaded.common, loaded.slope, loaded.intercept) == (1.0, 1.0, 2.0, -2.0)
    np.testing.assert_array_equal(loaded.spread, priors.spread)
    np.testing.assert_array_equal(loaded.passages, priors.passages)


def test_other_numbers_are_another_identity() -> None:
    """A snapshot made with other means is recognised as such."""
    other = two_corners()
    changed = replace(other, passages=other.passages * 2)

    assert Neutral(changed).identity != Neutral(other).identity


@pytest.mark.model
def test_the_default_model_has_priors_for_the_languages_of_the_seeds() -> None:
    """The shipped file speaks of Bengali, Hindi and English, with unit-like means of 384 dimensions."""
    neutral = Neutral.for_model("intfloat/multilingual-e5-small")

    moved = neutral.passages(unit(np.ones((3, 384), dtype=np.float32)), ["bn", "hi", "en"])

    assert neutral.identity != "none"
    assert len({row.tobytes() for row in moved}) == 3
