import numpy as np
import pytest

from index.background import DEVIATION_PRIOR, KNOWN_PRIOR, MEAN_PRIOR, Followed, Usual

OTHER = np.array([1000, 1001])


def test_a_value_stands_out_from_its_own_language() -> None:
    """The same value is usual in one language and far out in another."""
    chance = np.random.default_rng(0)
    values = np.concatenate([chance.normal(0.5, 0.1, 64), chance.normal(0.2, 0.05, 64)]).astype(np.float32)
    languages = np.array(["en"] * 64 + ["bn"] * 64)

    usual = Usual.of(values, languages, np.arange(128), 0.3, 0.1)
    en, bn = usual.standing(np.array([0.5, 0.5], np.float32), ["en", "bn"], OTHER)

    assert abs(en) < 1
    assert bn > 2.5


def test_what_is_known_beforehand_weighs_as_so_many_passages() -> None:
    """The library is drawn towards what is known as by so many passages more, and a language towards the library."""
    values = np.array([0.9, 1.1], np.float32)
    nothing = Usual.of(np.zeros(0, np.float32), np.zeros(0, np.str_), np.zeros(0, np.int64), 0.3, 0.1)
    two = Usual.of(values, np.array(["en", "en"]), np.array([1, 2]), 0.3, 0.1)

    assert nothing.standing(np.array([0.5], np.float32), ["en"], OTHER[:1]) == pytest.approx([2])
    mean, variance = (2 + KNOWN_PRIOR * 0.3) / (2 + KNOWN_PRIOR), (0.02 + KNOWN_PRIOR * 0.01) / (2 + KNOWN_PRIOR)
    mean = (2 + MEAN_PRIOR * mean) / (2 + MEAN_PRIOR)
    variance = (0.02 + DEVIATION_PRIOR * variance) / (2 + DEVIATION_PRIOR)
    expected = (0.5 - mean) / variance**0.5
    assert two.standing(np.array([0.5], np.float32), ["en"], OTHER[:1]) == pytest.approx([expected], rel=1e-5)


def test_what_was_measured_on_few_follows_what_was_measured_on_many() -> None:
    """By chance the few are nearer to the question than the many: what they have dearly is usual for nearer ones."""
    chance = np.random.default_rng(2)
    cheap = chance.normal(0.4, 0.05, 2000).astype(np.float32)
    dear = (0.2 + (cheap - 0.4) + chance.normal(0, 0.01, 2000)).astype(np.float32)
    languages, rows = np.array(["en"] * 2000), np.arange(2000)
    places = np.argsort(-cheap)[:200]  # far from chance, to show it
    many = Usual.of(cheap, languages, rows, 0.4, 0.05)
    few = Usual.of(dear[places], languages[places], rows[places], 0.2, 0.05)

    followed = Followed.of(few, dear[places], cheap[places], languages[places], many)
    asked = np.array([0.2, 0.3], np.float32), np.array([0.4, 0.5], np.float32)
    usual, above = followed.standing(*asked, ["en", "en"], 5000 + OTHER)

    assert abs(usual) < 0.3
    assert few.standing(asked[0], ["en", "en"], 5000 + OTHER)[0] < -1.5
    assert above > usual + 1


def test_a_sampled_passage_is_held_against_the_others() -> None:
    """An answer in a small library stands out as far as one that is not in the sample."""
    values = np.array([0.1, 0.2, 0.3, 0.9], np.float32)
    languages = np.array(["en"] * 4)
    whole = Usual.of(values, languages, np.array([1, 2, 3, 4]), 0.3, 0.1)
    others = Usual.of(values[:3], languages[:3], np.array([1, 2, 3]), 0.3, 0.1)

    found = whole.standing(values[3:], ["en"], np.array([4]))

    assert found == pytest.approx(others.standing(values[3:], ["en"], np.array([4])), rel=1e-5)


def test_what_goes_beyond_the_usual_is_a_share_of_what_it_could() -> None:
    """Whatever the language; a passage that is in the sample is held against the others."""
    values = np.array([0.1, 0.2, 0.3, 0.9], np.float32)
    usual = Usual.of(values, np.array(["en", "en", "bn", "bn"]), np.array([1, 2, 3, 4]), 0.3, 0.1)

    mean, others = (1.5 + KNOWN_PRIOR * 0.3) / (4 + KNOWN_PRIOR), (0.6 + KNOWN_PRIOR * 0.3) / (3 + KNOWN_PRIOR)
    assert usual.beyond(np.array([1.0, mean, 0.9], np.float32), np.array([1000, 1001, 4])) == pytest.approx(
        [1.0, 0.0, (0.9 - others) / (1 - others)], abs=1e-6
    )
    assert np.isnan(usual.beyond(np.array([np.nan], np.float32), np.array([4]))).all()


def test_a_language_that_was_not_met_is_as_all_are() -> None:
    """Its passages are held against the library as a whole."""
    values = np.random.default_rng(1).normal(0.4, 0.05, 500).astype(np.float32)

    usual = Usual.of(values, np.array(["en"] * 500), np.arange(500), 0.4, 0.05)
    zz, en = usual.standing(np.array([0.5, 0.5], np.float32), ["zz", "en"], OTHER)

    assert zz == pytest.approx(en, abs=0.2)
