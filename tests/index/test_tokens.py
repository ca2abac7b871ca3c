import numpy as np
import pytest
from numpy.typing import NDArray

from index.neutral import TokenPriors
from index.tokens import AT_ONCE, Stack, Tokens, TokenSpace, maxsim, nearest, nearest_within, together
from tests.index.samples import units

WIDTH, LANGUAGES = 64, ("bn", "en")


@pytest.fixture
def space() -> TokenSpace:
    """A space of 64 numbers a token, in which Bengali and English tokens have means of their own."""
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    return TokenSpace(TokenPriors(turn, units(1, 2, WIDTH) @ turn, units(2, 2, WIDTH) @ turn), LANGUAGES)


@pytest.fixture
def kept(space: TokenSpace) -> list[Tokens]:
    """Passages of seven, one, thirty and twice six hundred tokens, which are more than are compared at once."""
    return [space.read(space.compress(units(4 + n, n, WIDTH), "en")) for n in (7, 1, 30, 600, 600)]


def exact(query: NDArray[np.float32], passage: NDArray[np.float32]) -> float:
    """Return MaxSim as its definition here reads."""
    return float(np.sqrt(np.mean([max(0.0, *(float(q @ p) for p in passage)) ** 2 for q in query])))


def rounded(query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the query's numbers in 255 steps of each token's own, as MaxSim compares them."""
    step = np.abs(query).max(axis=1, keepdims=True) / 127
    coarse: NDArray[np.float32] = np.rint(query / step) * step
    return coarse


def test_maxsim_is_the_root_mean_square_of_each_tokens_best(space: TokenSpace, kept: list[Tokens]) -> None:
    """For each token of the question, its nearest in the passage, or nothing where all are opposed."""
    query = units(3, 5, WIDTH)

    found = maxsim(query, kept)

    np.testing.assert_allclose(found, [exact(rounded(query), space.restore(each)) for each in kept], atol=1e-6)
    np.testing.assert_allclose(found, [exact(query, space.restore(each)) for each in kept], atol=1e-3)


def test_a_passage_has_the_same_score_whatever_it_comes_with(kept: list[Tokens]) -> None:
    """Comparing many at once changes nothing, so that pages and single looks agree."""
    query = units(3, 5, WIDTH)

    alone = [maxsim(query, [each])[0] for each in kept]

    np.testing.assert_array_equal(maxsim(query, kept), alone)


def test_a_passage_without_tokens_has_no_score(space: TokenSpace, kept: list[Tokens]) -> None:
    """What was added without token vectors is told apart from what does not match."""
    none, query = space.read(b""), units(3, 5, WIDTH)

    assert np.isnan(maxsim(query, [none, kept[0], none, kept[4]])).tolist() == [True, False, True, False]
    assert np.isnan(maxsim(query, [none])).all()
    assert np.isnan(maxsim(query[:0], kept)).all()
    assert nearest_within(query, [], []).shape == (0, 5)


def test_the_nearest_within_a_stretch_is_of_its_tokens_alone(space: TokenSpace, kept: list[Tokens]) -> None:
    """Whatever comes before, between and behind; the same to the last bit whatever passages come together."""
    query = units(3, 21, WIDTH)
    passages = [each for each in kept if len(each) > 4] * AT_ONCE
    ends = [len(each) for each in passages]
    stretches = [np.array([[0, 1], [1, 3], [4, end - place % 2]]) for place, end in enumerate(ends)]

    near = nearest_within(query, passages, stretches)

    assert len(passages) > AT_ONCE
    for place, (each, own) in enumerate(zip(passages, stretches, strict=True)):
        parts = [Tokens(each.steps[start:end], each.lengths[start:end]) for start, end in own.tolist()]
        np.testing.assert_array_equal(near[3 * place :][:3], nearest(query, parts))


def test_a_stack_of_passages_has_the_scores_of_each(space: TokenSpace, kept: list[Tokens]) -> None:
    """Restored once, and held against several questions; without tokens on either side there is no score."""
    none = space.read(b"")
    stack = Stack([none, *kept, none])
    for seed in (1, 2):
        query = units(seed, 5, space.width)
        np.testing.assert_allclose(together(stack.nearest(query)), maxsim(query, [none, *kept, none]), atol=1e-6)
    assert np.isnan(together(stack.nearest(np.zeros((0, space.width), np.float32)))).all()
    assert Stack([]).nearest(query).shape == (0, len(query))


def test_a_token_of_nothing_finds_nothing(kept: list[Tokens]) -> None:
    """A token of the question that is like any other of its language says nothing, and does no harm."""
    query = np.vstack([units(3, 1, WIDTH), np.zeros((1, WIDTH), np.float32)])

    np.testing.assert_allclose(maxsim(query, kept), maxsim(query[:1], kept) / np.sqrt(2), rtol=1e-6)


def test_tokens_are_kept_in_two_bits_a_number(space: TokenSpace) -> None:
    """A token takes a quarter of a byte a number, and comes back near to where it was, at length 1."""
    tokens = units(7, 200, WIDTH)

    code = space.compress(tokens, "xx")
    restored = space.restore(space.read(code))

    assert len(code) == 200 * WIDTH // 4
    assert space.sound(code)
    assert not space.sound(code[:-1])
    np.testing.assert_allclose(np.linalg.norm(restored, axis=1), 1, atol=1e-5)
    centred = tokens @ space._projection - space._passages[-1]
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    assert (restored * centred).sum(axis=1).mean() > 0.93
    np.testing.assert_allclose(space.passage(tokens, "xx"), centred, atol=1e-6)


def test_what_languages_have_of_their_own_is_gone(space: TokenSpace) -> None:
    """The same meanings, moved by each language's mean, meet as if the languages were one."""
    meanings = units(8, 6, WIDTH)
    turn = space._projection.T
    bengali = meanings + space._passages[0] @ turn
    english = meanings + space._queries[1] @ turn

    query, passage = space.query(english, {"en": 1.0}), space.read(space.compress(bengali, "bn"))

    assert (query @ space.restore(passage).T).argmax(axis=1).tolist() == [0, 1, 2, 3, 4, 5]
    assert maxsim(query, [passage])[0] > 0.9
    unknown = space.query(english, {})
    assert maxsim(unknown, [passage])[0] < maxsim(query, [passage])[0]


def test_a_token_counts_by_its_weight(space: TokenSpace) -> None:
    """The score is the root of the weighted mean square of the best cosines, of which none is negative."""
    best = np.array([[0.8, 0.1, -0.4], [0.2, 0.5, 0.6]], np.float32)

    np.testing.assert_allclose(together(best), np.sqrt([0.65 / 3, 0.65 / 3]), rtol=1e-6)
    np.testing.assert_allclose(
        together(best, np.array([4, 0, 1], np.float32)), np.sqrt([2.56 / 5, 0.52 / 5]), rtol=1e-6
    )
    there = space.read(space.compress(units(9, 5, WIDTH), "bn"))
    query = space.query(units(8, 3, WIDTH), {"en": 1.0})
    np.testing.assert_allclose(nearest(query, [there])[0], (space.restore(there) @ query.T).max(axis=0), atol=0.005)


def test_other_means_are_another_space(space: TokenSpace) -> None:
    """A library that was made with other means is told from one that was made with these."""
    other = TokenSpace(TokenPriors(space._projection, units(9, 2, WIDTH), units(2, 2, WIDTH)), LANGUAGES)

    assert other.identity != space.identity


def test_sentences_are_kept_behind_the_tokens(space: TokenSpace) -> None:
    """What is compared is the same with them; a text of no tokens may have some, and nothing else may come behind."""
    tokens, sentences = units(7, 30, WIDTH), np.array([(0, 90, 0, 12), (91, 65535, 12, 30)])

    code = space.compress(tokens, "en", sentences)
    read = space.read(code)

    assert read.sentences is not None
    np.testing.assert_array_equal(read.sentences, sentences)
    np.testing.assert_array_equal(read.steps, space.read(space.compress(tokens, "en")).steps)
    assert space.sound(code)
    assert not space.sound(code[:-1])
    assert not space.sound(code + b"\x01")
    none = space.read(space.compress(units(7, 1, WIDTH)[:0], "en", sentences[:0]))
    assert none.sentences is not None
    assert (len(none), none.sentences.shape) == (0, (0, 4))


def test_sentences_of_a_text_that_is_too_long_are_not_kept(space: TokenSpace) -> None:
    """Nor are they known where nobody told them."""
    tokens = units(7, 3, WIDTH)
    plain = space.compress(tokens, "en")

    assert space.compress(tokens, "en", np.array([(0, 65536, 0, 3)])) == plain
    assert space.read(plain).sentences is None
