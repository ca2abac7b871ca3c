from itertools import product
from operator import mul

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.evaluation.comparison import Scores, comparison, holm, randomised

A: Scores = {
    ("en", "en"): {"q1": 1.0, "q2": 0.0},
    ("en", "hi"): {"q1": 0.5, "q2": 0.5, "q3": 0.2},
    ("hi", "en"): {"q4": 0.1},
    None: {"q1": 0.5, "q2": 0.5, "q3": 0.5, "q4": 0.5},
}
B: Scores = {
    ("en", "en"): {"q1": 1.0, "q2": 1.0},
    ("en", "hi"): {"q1": 0.8, "q2": 0.2, "q3": 0.8},
    ("hi", "en"): {"q4": 0.6},
    None: {"q1": 0.6, "q2": 0.7, "q3": 0.8, "q4": 0.9},
}


def exact(differences: list[float]) -> float:
    """The share of all ways to give signs whose sum is as far from zero as the one that was seen."""
    seen = abs(sum(differences)) - 1e-9
    sums: list[float] = [abs(sum(map(mul, signs, differences))) for signs in product((-1, 1), repeat=len(differences))]
    return sum(each >= seen for each in sums) / len(sums)


def test_p_is_that_of_all_ways_to_give_signs() -> None:
    """Against the exact figure, which counts every way, ties among them; p has a standard error of 0.0016 at most."""
    columns = [
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],  # all of one sign: 2 of 64
        [0.3, -0.1, 0.2, 0.2, -0.4, 0.5],
        [0.1, 0.1, 0.1, -0.1, 0.0, 0.0],  # many ties
        [0.5, -0.5, 0.2, -0.2, 0.1, -0.1],  # nothing was seen: all ways
    ]
    found = randomised(np.array(columns).T)
    assert found.tolist() == pytest.approx([exact(column) for column in columns], abs=0.007)
    assert exact(columns[0]) == 2 / 64
    assert found[3] == 1.0


def test_p_is_never_zero() -> None:
    """What was seen is one of the ways, so the least p is one in as many throws as there were, and one."""
    assert randomised(np.full((100, 1), 0.3)).tolist() == [1 / 100_000]


def test_holm_is_that_worked_out_by_hand() -> None:
    """The least times four, the next times three, and none less than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_lies_between_no_correction_and_bonferroni(chances: list[float]) -> None:
    """It is never less than p, never more than p times the number of tests, and keeps the order."""
    corrected = holm(chances)
    for given_, found in zip(chances, corrected, strict=True):
        assert given_ <= found <= min(1.0, given_ * len(chances)) or found == pytest.approx(given_)
    order = sorted(range(len(chances)), key=chances.__getitem__)
    assert [corrected[place] for place in order] == sorted(corrected)


def test_figures_are_those_of_the_reports() -> None:
    """A pair's figures are means over its questions, and a mean over pairs weighs each pair the same."""
    found = comparison(A, B)
    assert list(found["pairs"]) == ["en->en", "en->hi", "hi->en"]
    assert found["pairs"]["en->hi"]["queries"] == 3
    assert [found["pairs"]["en->hi"][name] for name in ("a", "b", "difference")] == [0.4, 0.6, 0.2]
    cross = found["cross"]
    assert (cross["queries"], cross["a"], cross["b"], cross["difference"]) == (4, 0.25, 0.6, 0.35)
    assert (found["mono"]["a"], found["mono"]["b"]) == (0.5, 1.0)
    assert (found["pooled"]["queries"], found["pooled"]["difference"]) == (4, 0.25)
    assert "p_holm" not in cross


def test_a_mean_over_pairs_is_tested_over_questions() -> None:
    """A question counts once, with all its pairs: q1 of two pairs gives one sign to both."""
    found = comparison(A, B)
    # en->hi has three questions and hi->en one, so a third of the one difference weighs as much as the other whole.
    assert found["cross"]["p"] == pytest.approx(exact([0.1, -0.1, 0.2, 0.5]), abs=0.007)
    assert found["pooled"]["p"] == pytest.approx(exact([0.1, 0.2, 0.3, 0.4]), abs=0.007)
    assert found["mono"]["p"] == 1.0


def test_the_other_way_round_only_the_signs_change() -> None:
    """Which of the two is named first decides nothing."""
    there, back = comparison(A, B), comparison(B, A)
    for name in ("cross", "pooled"):
        assert back[name]["p"] == there[name]["p"]
        assert back[name]["difference"] == -there[name]["difference"]


def test_without_pairs_of_a_kind_there_is_no_mean_of_it() -> None:
    """Nothing is said of what was not measured."""
    some: Scores = {("en", "hi"): {"q1": 0.5}, None: {"q1": 0.5}}
    found = comparison(some, some)
    assert found["mono"] is None
    assert found["cross"]["p"] == 1.0
