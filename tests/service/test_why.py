import numpy as np

from service.why import best_sentence

EYE = np.eye(4, dtype=np.float32)
SENTENCES = [(0, 10), (11, 20)]
SPANS = [(0, 4), (5, 10), (11, 15), (16, 20)]


def test_the_sentence_that_the_question_meets_is_chosen() -> None:
    """Tokens of the question are those of the second sentence, and of the first."""
    assert best_sentence(SENTENCES, SPANS, EYE[2:], EYE) == (11, 20)
    assert best_sentence(SENTENCES, SPANS, EYE[:1], EYE) == (0, 10)


def test_where_nothing_can_be_told_nothing_is() -> None:
    """Without tokens, or with tokens of another text, there is no best sentence."""
    assert best_sentence(SENTENCES, SPANS, EYE[:0], EYE) is None
    assert best_sentence(SENTENCES, SPANS, EYE, EYE[:3]) is None
    assert best_sentence([], SPANS, EYE, EYE) is None
