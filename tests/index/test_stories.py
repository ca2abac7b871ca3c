import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray

from index.background import Sample
from index.neutral import Neutral
from index.stories import AGREEING, CONFLICTING, LEAST, SLACK, Likeness, Telling, in_common, likeness, numbers, stories
from tests.index.samples import units

Values = NDArray[np.float64]

# So many directions that vectors of chance are far from each other, as those of models are.
WIDE = 128

# Passages that nobody compares, by which what is usual is told.
SAMPLE = Sample(np.arange(1000, 1120), np.array(["en", "bn", "hi"] * 40))
SAMPLED = units(99, 120, WIDE)


def telling(seed: int, language: str, vectors: NDArray[np.float32], *texts: str) -> Telling:
    """Return an article of passages of these vectors."""
    rows = np.arange(10 * seed, 10 * seed + len(vectors))
    return Telling(language, rows, vectors, np.full(len(vectors), 100.0), numbers(texts))


def near(vectors: NDArray[np.float32], seed: int, share: float = 0.3) -> NDArray[np.float32]:
    """Return vectors near to others."""
    moved: NDArray[np.float32] = vectors + np.float32(share) * units(seed, len(vectors), WIDE)
    unit: NDArray[np.float32] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return unit


def told(*articles: Telling) -> list[int]:
    """Return the story of each."""
    return stories(likeness(articles, SAMPLE, SAMPLED, Neutral(None)).total())


def likeness_of(one: Telling, other: Telling) -> Likeness:
    """Return how alike two articles are."""
    return likeness([one, other], SAMPLE, SAMPLED, Neutral(None))


# Which articles are alike


def test_a_short_copy_is_as_near_to_the_long_article_as_to_what_it_copies() -> None:
    """The nearest passage counts, and the shorter article weighs as much more as it is shorter."""
    long = units(1, 8, WIDE)
    copy = near(long[3:4], 2)

    with_all = likeness_of(telling(1, "en", long), telling(2, "bn", copy)).meaning[0, 1]
    with_one = likeness_of(telling(1, "en", long[3:4]), telling(2, "bn", copy)).meaning[0, 1]
    with_others = likeness_of(telling(1, "en", long[:3]), telling(2, "bn", copy)).meaning[0, 1]

    assert with_all > 0.8 * with_one
    assert with_all > with_others + 1.5


def test_likeness_does_not_depend_on_the_order() -> None:
    """Of two articles of unlike length in two languages, either may come first."""
    one, other = (
        telling(1, "en", units(1, 5, WIDE), "in 2020"),
        telling(2, "hi", near(units(1, 2, WIDE), 3), "in 2020 and 77"),
    )

    here, there = likeness_of(one, other).total(), likeness_of(other, one).total()

    assert here == pytest.approx(here.T, nan_ok=True)
    assert here[0, 1] == pytest.approx(there[0, 1], abs=1e-5)


def test_articles_that_are_no_nearer_than_their_own_passages_are_two_stories() -> None:
    """About the same men, and other news of them: what lies beside a passage is nearer than the other article is."""
    subject = near(np.repeat(units(5, 1, WIDE), 2, axis=0), 8, 0.5)
    one, other = (near(np.repeat(subject[place : place + 1], 3, axis=0), 9 + place, 0.5) for place in (0, 1))

    found = likeness_of(telling(1, "bn", one), telling(2, "hi", other))

    assert found.meaning[0, 1] > LEAST
    assert found.total()[0, 1] < 0
    assert np.isnan(likeness_of(telling(1, "bn", one[:1]), telling(2, "hi", other[:1])).beside).all()


def test_total_is_what_is_told_of_it() -> None:
    """Meaning beyond what is needed, which is the greater of two, and what the numbers say."""
    parts = [np.full((1, 1), value) for value in (7.0, 6.5, 0.5, 0.0)]
    assert Likeness(*parts).total()[0, 0] == pytest.approx(7 - max(LEAST, 6.5 - SLACK) + AGREEING / 2)
    parts = [np.full((1, 1), value) for value in (7.0, np.nan, 0.0, 1.0)]
    assert Likeness(*parts).total()[0, 0] == pytest.approx(7 - LEAST + CONFLICTING)


def test_numbers_agree_by_the_share_of_the_fewer_and_conflict_where_none_is_common() -> None:
    """In any digits; one digit alone says nothing."""
    said = [numbers([text]) for text in ("36 and 2,000 of 5", "৩৬", "५", "41 of 36", "99")]
    agreeing, conflicting = in_common(said)

    assert said[0] == {"36", "2000"}
    assert agreeing[0].tolist() == pytest.approx([1, 1, 0, 0.5, 0])
    assert conflicting[0].tolist() == [0, 0, 0, 0, 1]
    assert conflicting[2].tolist() == [0, 0, 0, 0, 0]


def test_other_tellings_of_a_story_do_not_make_it_usual() -> None:
    """A passage whose translations are in the sample stands out as far as one whose translations are not."""
    one = units(1, 1, WIDE)
    pair = [telling(1, "en", one), telling(2, "bn", near(one, 2))]
    among = np.concatenate([SAMPLED[:117], near(np.repeat(one, 3, axis=0), 4)])

    alone = likeness(pair, SAMPLE, SAMPLED, Neutral(None)).meaning[0, 1]
    surrounded = likeness(pair, SAMPLE, among.astype(np.float32), Neutral(None)).meaning[0, 1]

    assert surrounded == pytest.approx(alone, rel=0.1)


# Stories


def test_a_chain_is_not_one_story() -> None:
    """Of three, the first like the second and the second like the third, only the two most alike go together."""
    alike = np.array([[0, 2.0, -3.0], [2.0, 0, 1.0], [-3.0, 1.0, 0]])

    assert stories(alike) == [0, 0, 1]


def test_an_article_like_most_of_a_story_belongs_to_it() -> None:
    """One pair that is not alike does not part what is alike on average."""
    alike = np.array([[0, 3.0, 2.0], [3.0, 0, -1.0], [2.0, -1.0, 0]])

    assert stories(alike) == [0, 0, 0]


@given(some.integers(0, 12), some.integers(0, 10_000))
def test_stories_are_those_of_average_linkage(count: int, seed: int) -> None:
    """A partition, numbered as its first articles come: the same as by looking at every two groups each time."""
    chance = np.random.default_rng(seed).standard_normal((count, count))
    alike: Values = chance + chance.T

    found = stories(alike)

    assert found == by_hand(alike)
    assert list(dict.fromkeys(found)) == list(range(len(set(found))))


def by_hand(alike: Values) -> list[int]:
    """Return the stories by the definition."""
    groups = [[place] for place in range(len(alike))]
    while len(groups) > 1:
        average, one, other = max(
            (alike[np.ix_(groups[one], groups[other])].mean(), one, other)
            for one in range(len(groups))
            for other in range(one + 1, len(groups))
        )
        if average < 0:
            break
        groups[one] += groups.pop(other)
    order = {min(group): group for group in groups}
    number = {place: k for k, first in enumerate(sorted(order)) for place in order[first]}
    return [number[place] for place in range(len(alike))]


def test_no_articles_have_no_stories() -> None:
    """An empty library is grouped too."""
    assert told() == []
