from dataclasses import replace

import pytest

from embed import Guess
from index import Article, Count, Hit, Passage
from service.engine import Answer
from service.reranking import Reranked
from service.web.shapes import answer_json
from service.why import Explanation, Met, Share
from service.wire import SearchAnswer

ARTICLE = Article(
    "a", 'ঢাকায় "বন্যা"\n', "Flood", "bn", "https://example.org/a", "example", "2023-05-06", {"of": [1, 2.5, None]}
)
HIT = Hit(1, Passage("p", "a", 0, 0, 5, "ঢাকায়"), ARTICLE, 0.123456789, 1.0, 0.98765, 1)
BARE = replace(HIT, article=Article("b", "text"), relevance=None, row=2)
WHY = Explanation([Share(0, 5, 0.1)], 1e-9, [Share(0, 2, 0.2)], -0.25, [Met((0, 2), (0, 5), 0.77777)])
PLAIN = Answer(Guess("en", 0.98765), [HIT, BARE], [(0, 5), None], {}, [WHY, None], "next", 1.234, 0.98765, True)
GROUPED = replace(HIT, passages=(replace(BARE, row=3),), sources=(replace(BARE, passages=(replace(BARE, row=4),)),))


@pytest.mark.parametrize(
    "answer",
    [
        PLAIN,
        Answer(Guess("und", 0.0), [], [], {}, [], None, 0.0, None, None),
        replace(PLAIN, facets={"language": [Count("bn", 2, 1)]}),
        replace(PLAIN, reranked=Reranked([HIT, BARE], [0.55555, None], "cross")),
        replace(
            PLAIN,
            group="story",
            hits=[GROUPED],
            sentences=[None],
            inner_sentences={2: (0, 5), 3: None, 4: None},
            explanations=[None],
        ),
    ],
)
def test_an_answer_has_the_shape_that_is_promised(answer: Answer) -> None:
    """To the last byte what the shape writes: plain, of nothing, with facets, re-ranked, and grouped."""
    told = answer_json(answer)

    assert SearchAnswer.model_validate_json(told).model_dump_json().encode() == told
