"""How much each token of a question weighs."""

import numpy as np

from service.wording import weights, words


def test_a_word_weighs_by_the_root_of_what_its_tokens_tell() -> None:
    """All tokens of a word weigh alike, the more the rarer they are and the more of them it takes."""
    spans, ids = [(0, 3), (4, 7), (7, 10)], [9, 99, 999]

    found = weights("the dragon", spans, ids)

    told = np.log([10, 100, 1000])
    np.testing.assert_allclose(found, np.sqrt([told[0], told[1] + told[2], told[1] + told[2]]), rtol=1e-6)


def test_what_is_no_word_weighs_nothing() -> None:
    """Neither a closing question mark nor the mark that begins a word by itself; without any word all weigh alike."""
    found = weights("why ?", [(0, 0), (0, 3), (4, 5)], [5, 50, 7])

    np.testing.assert_allclose(found, [0, np.sqrt(np.log(51)), 0], rtol=1e-6)
    assert weights("?!", [(0, 1), (1, 2)], [7, 8]).tolist() == [1, 1]
    assert weights("", [], []).tolist() == []


def test_each_token_is_a_word_where_none_are_marked() -> None:
    """In a script without spaces: a long run of it weighs no more than what is written with spaces."""
    text = "東京都"

    assert words(text, [(0, 2), (2, 3)]) == [((0, 2), [0]), ((2, 3), [1])]
    np.testing.assert_allclose(weights(text, [(0, 2), (2, 3)], [9, 99]), np.sqrt(np.log([10, 100])), rtol=1e-6)
