import numpy as np
import pytest

from index.background import DEVIATION_PRIOR, KNOWN_PRIOR, MEAN_PRIOR, Followed, Usual, Written

OTHER = np.array([1000, 1001])


def test_a_value_stands_out_from_its_own_language() -> None:
    """The same value is usual in one language and far out in another."""
    chance = np.random.default_rng(0)
    values = np.concatenate([chance.normal(0.5, 0.1, 64), chance.normal(0.2, 0.05, 64)]).astype(np.float32)
    usual = Usual.of(values, Written.of(np.arange(128), ["en"] * 64 + ["bn"] * 64), 0.3, 0.1)
    en, bn = usual.standing(np.array([0.5, 0.5], np.float32), Written.of(OTHER, ["en", "bn"]))

    assert abs(en) < 1
    assert bn > 2.5


def test_what_is_known_beforehand_weighs_as_so_many_passages() -> None:
    """The library is drawn towards what is known as by so many passages more, and a language towards the library."""
    values = np.array([0.9, 1.1], np.float32)
    nothing = Usual.of(np.zeros(0, np.float32), Written.of(np.zeros(0, np.int64), []), 0.3, 0.1)
    two = Usual.of(values, Written.of(np.array([1, 2]), ["en", "en"]), 0.3, 0.1)
    half, other = np.array([0.5], np.float32), Written.of(OTHER[:1], ["en"])

    assert nothing.standing(half, other) == pytest.approx([2])
    mean, variance = (2 + KNOWN_PRIOR * 0.3) / (2 + KNOWN_PRIOR), (0.02 + KNOWN_PRIOR * 0.01) / (2 + KNOWN_PRIOR)
    mean = (2 + MEAN_PRIOR * mean) / (2 + MEAN_PRIOR)
    variance = (0.02 + DEVIATION_PRIOR * variance) / (2 + DEVIATION_PRIOR)
    expected = (0.5 - mean) / variance**0.5
    assert two.standing(half, other) == pytest.approx([expected], rel=1e-5)


def test_what_was_measured_on_few_follows_what_was_measured_on_many() -> None:
    """By chance the few are nearer to the question than the many: what they have dearly is usual for nearer ones."""
    chance = np.random.default_rng(2)
    cheap = chance.normal(0.4, 0.05, 2000).astype(np.float32)
    dear = (0.2 + (cheap - 0.4) + chance.normal(0, 0.01, 2000)).astype(np.float32)
    passages = Written.of(np.arange(2000), ["en"] * 2000)
    places = np.argsort(-cheap)[:200]  # far from chance, to show it
    many = Usual.of(cheap, passages, 0.4, 0.05)
    few = Usual.of(dear[places], passages.at(places), 0.2, 0.05)

    followed = Followed.of(few, dear[places], cheap[places], passages.at(places), many)
    asked = np.array([0.2, 0.3], np.float32), np.array([0.4, 0.5], np.float32)
    others = Written.of(5000 + OTHER, ["en", "en"])
    usual, above = followed.standing(*asked, others)

    assert abs(usual) < 0.3
    assert few.standing(asked[0], others)[0] < -1.5
    assert above > usual + 1


def test_a_sampled_passage_is_held_against_the_others() -> None:
    """An answer in a small library stands out as far as one that is not in the sample."""
    values = np.array([0.1, 0.2, 0.3, 0.9], np.float32)
    whole = Usual.of(values, Written.of(np.array([1, 2, 3, 4]), ["en"] * 4), 0.3, 0.1)
    others = Usual.of(values[:3], Written.of(np.array([1, 2, 3]), ["en"] * 3), 0.3, 0.1)
    last = Written.of(np.array([4]), ["en"])

    assert whole.standing(values[3:], last) == pytest.approx(others.standing(values[3:], last), rel=1e-5)


def test_what_goes_beyond_the_usual_is_a_share_of_what_it_could() -> None:
    """Whatever the language; a passage that is in the sample is held against the others."""
    values = np.array([0.1, 0.2, 0.3, 0.9], np.float32)
    usual = Usual.of(values, Written.of(np.array([1, 2, 3, 4]), ["en", "en", "bn", "bn"]), 0.3, 0.1)

    mean, others = (1.5 + KNOWN_PRIOR * 0.3) / (4 + KNOWN_PRIOR), (0.6 + KNOWN_PRIOR * 0.3) / (3 + KNOWN_PRIOR)
    assert usual.beyond(np.array([1.0, mean, 0.9], np.float32), np.array([1000, 1001, 4])) == pytest.approx(
        [1.0, 0.0, (0.9 - others) / (1 - others)], abs=1e-6
    )
    assert np.isnan(usual.beyond(np.array([np.nan], np.float32), np.array([4]))).all()


def test_a_language_that_was_not_met_is_as_all_are() -> None:
    """Its passages are held against the library as a whole."""
    values = np.random.default_rng(1).normal(0.4, 0.05, 500).astype(np.float32)

    usual = Usual.of(values, Written.of(np.arange(500), ["en"] * 500), 0.4, 0.05)
    zz, en = usual.standing(np.array([0.5, 0.5], np.float32), Written.of(OTHER, ["zz", "en"]))

    assert zz == pytest.approx(en, abs=0.2)
