import numpy as np
import pytest

from index.background import PRIOR, Usual


def test_a_value_stands_out_from_its_own_language() -> None:
    """The same value is usual in one language and far out in another."""
    chance = np.random.default_rng(0)
    values = np.concatenate([chance.normal(0.5, 0.1, 64), chance.normal(0.2, 0.05, 64)]).astype(np.float32)
    languages = np.array(["en"] * 64 + ["bn"] * 64)

    usual = Usual.of(values, languages, 0.3, 0.1)
    en, bn = usual.standing(np.array([0.5, 0.5], np.float32), ["en", "bn"])

    assert abs(en) < 1
    assert bn > 3


def test_few_passages_are_drawn_towards_what_is_known() -> None:
    """One passage moves what is usual by its share; none leaves it as it was."""
    nothing = Usual.of(np.zeros(0, np.float32), np.zeros(0, np.str_), 0.3, 0.1)
    one = Usual.of(np.array([1.3], np.float32), np.array(["en"]), 0.3, 0.1)

    assert (nothing.mean, nothing.deviation) == (0.3, 0.1)
    assert one.mean == pytest.approx(0.3 + 1 / (1 + PRIOR))
    assert nothing.standing(np.array([0.5], np.float32), ["xx"])[0] == pytest.approx(2)


def test_a_language_that_was_not_met_is_as_all_are() -> None:
    """Its passages are held against the library as a whole."""
    values = np.random.default_rng(1).normal(0.4, 0.05, 500).astype(np.float32)

    usual = Usual.of(values, np.array(["en"] * 500), 0.0, 1.0)

    assert usual.standing(np.array([0.4], np.float32), ["zz"])[0] == pytest.approx((0.4 - usual.mean) / usual.deviation)
