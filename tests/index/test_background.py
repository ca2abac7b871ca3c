import numpy as np
import pytest

from index.background import PRIOR, Usual

OTHER = np.array([1000, 1001])


def test_a_value_stands_out_from_its_own_language() -> None:
    """The same value is usual in one language and far out in another."""
    chance = np.random.default_rng(0)
    values = np.concatenate([chance.normal(0.5, 0.1, 64), chance.normal(0.2, 0.05, 64)]).astype(np.float32)
    languages = np.array(["en"] * 64 + ["bn"] * 64)

    usual = Usual.of(values, languages, np.arange(128), 0.3, 0.1)
    en, bn = usual.standing(np.array([0.5, 0.5], np.float32), ["en", "bn"], OTHER)

    assert abs(en) < 1
    assert bn > 3


def test_what_is_known_beforehand_weighs_as_so_many_passages() -> None:
    """Mean and deviation are those of the passages and of `PRIOR` more that are as is known."""
    values = np.array([0.9, 1.1], np.float32)
    nothing = Usual.of(np.zeros(0, np.float32), np.zeros(0, np.str_), np.zeros(0, np.int64), 0.3, 0.1)
    two = Usual.of(values, np.array(["en", "en"]), np.array([1, 2]), 0.3, 0.1)

    assert nothing.standing(np.array([0.5], np.float32), ["en"], OTHER[:1]) == pytest.approx([2])
    mean, variance = (2 + PRIOR * 0.3) / (2 + PRIOR), (0.02 + PRIOR * 0.01) / (2 + PRIOR)
    of_language = (2 + PRIOR * mean) / (2 + PRIOR), (0.02 + PRIOR * variance) / (2 + PRIOR)
    expected = (0.5 - of_language[0]) / of_language[1] ** 0.5
    assert two.standing(np.array([0.5], np.float32), ["en"], OTHER[:1]) == pytest.approx([expected], rel=1e-5)


def test_a_sampled_passage_is_held_against_the_others() -> None:
    """An answer in a small library stands out as far as one that is not in the sample."""
    values = np.array([0.1, 0.2, 0.3, 0.9], np.float32)
    languages = np.array(["en"] * 4)
    whole = Usual.of(values, languages, np.array([1, 2, 3, 4]), 0.3, 0.1)
    others = Usual.of(values[:3], languages[:3], np.array([1, 2, 3]), 0.3, 0.1)

    found = whole.standing(values[3:], ["en"], np.array([4]))

    assert found == pytest.approx(others.standing(values[3:], ["en"], np.array([4])), rel=1e-5)


def test_a_language_that_was_not_met_is_as_all_are() -> None:
    """Its passages are held against the library as a whole."""
    values = np.random.default_rng(1).normal(0.4, 0.05, 500).astype(np.float32)

    usual = Usual.of(values, np.array(["en"] * 500), np.arange(500), 0.4, 0.05)
    zz, en = usual.standing(np.array([0.5, 0.5], np.float32), ["zz", "en"], OTHER)

    assert zz == pytest.approx(en, abs=0.2)
