import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from embed import Encoder, Pooled
from index import Article, Hit, Passage, Tokens
from service.why import Explanation, Sentences, SentencesKept, Side, best, explained
from tests.fakes import ToyEncoder

EYE = np.eye(4, dtype=np.float32)
SENTENCES = [(0, 10), (11, 20)]
SPANS = [(0, 4), (5, 10), (11, 15), (16, 20)]

# Sentences as they are kept: of each its characters and its tokens, and one that is all.
TWO = np.array([[0, 10, 0, 2], [11, 20, 2, 4]], np.uint16)
ONE = np.array([[0, 20, 0, 0]], np.uint16)


def met(cut: Sentences, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosines of the nearest tokens in each sentence, by those of all tokens (t, q)."""
    return np.stack([cosines[start:end].max(axis=0) for *_, start, end in cut.own.tolist()])


def test_the_sentence_that_the_question_meets_is_chosen() -> None:
    """Tokens of the question are those of the second sentence, and of the first."""
    cut = Sentences.of(SENTENCES, SPANS)
    assert best([cut], met(cut, EYE[:, 2:])) == [(11, 20)]
    assert best([cut], met(cut, EYE[:, :1])) == [(0, 10)]


def test_each_passage_is_told_the_same_whatever_others_are() -> None:
    """Passages of two to seven sentences, together and alone: by the mean of the others' nearest tokens, squared."""
    chance = np.random.default_rng(0)
    spans = [(number, number + 1) for number in range(14)]
    cut = [Sentences.of(spans[: 2 * count : 2], spans) for count in range(2, 8)]
    near = [chance.uniform(-0.2, 1, (len(each.own), 5)).astype(np.float32) for each in cut]

    together = best(cut, np.concatenate(near))

    assert together == [best([each], own)[0] for each, own in zip(cut, near, strict=True)]
    told = [np.maximum(own - (own.sum(axis=0) - own) / (len(own) - 1), 0) for own in near]
    assert [start // 2 for start, _ in together] == [int((each**2).sum(axis=1).argmax()) for each in told]


def test_tokens_between_and_behind_the_sentences_are_of_none() -> None:
    """A sentence without tokens is none, and what is between two sentences, or behind the last, is of neither."""
    cut = Sentences.of([(0, 4), (4, 5), (11, 15)], SPANS)
    assert cut.own.tolist() == [[0, 4, 0, 1], [11, 15, 2, 3]]


def hit(text: str, row: int, start: int = 0) -> Hit:
    """Return a passage of an article that is found."""
    passage = Passage(str(row), "a", 0, start, start + len(text), text)
    return Hit(1, passage, Article("a", " " * start + text, language="en"), 0.5, 0.5, None, row)


def test_where_nothing_can_be_told_nothing_is() -> None:
    """Without tokens, of the question or the passage, there is no best sentence; where there is only one, it is it."""
    kept = SentencesKept(ToyEncoder())
    told = {
        row: Tokens(np.ones((4, 8), np.int8), np.ones(4, np.float32), own)
        for row, own in enumerate((TWO, TWO[:0], ONE))
    }
    hits = [hit("A river rose. It fell.", row, 100) for row in told]
    query = np.eye(1, 8, dtype=np.float32)

    assert kept.best(query, hits, told)[1:] == [None, (100, 120)]
    assert kept.best(query[:0], hits, told) == [None, None, (100, 120)]
    assert kept.best(query, [], {}) == []


def test_sentences_that_were_kept_are_what_they_were() -> None:
    """None are kept with tokens of another text; of a passage that is one sentence, its characters alone."""
    cut = Sentences.of(SENTENCES, SPANS)
    assert cut.table(4).tolist() == [[0, 10, 0, 2], [11, 20, 2, 4]]
    assert cut.table(3).tolist() == []
    assert Sentences.of([(0, 20)], []).table(4).tolist() == ONE.tolist()
    assert Sentences(ONE, 4).only
    alone = Sentences.of([(0, 10), (4, 5)], SPANS)
    assert (alone.only, alone.table(4).tolist()) == (False, [[0, 10, 0, 2]])


def toy_side(text: str, offset: float = 0.0, at: int = 0) -> Side:
    """Return a text as the toy encoder sees it, which begins at character `at` of what a reader sees."""
    (pooled,) = ToyEncoder().pooled([text], "passage")
    assert pooled is not None
    return Side(text, pooled, np.full(32, offset, np.float32), pooled.own, range(at, at + len(text)))


def cosine(query: Side, passage: Side) -> float:
    """Return the cosine of two texts' vectors, less their offsets."""
    left, right = query.pooled.vector - query.offset, passage.pooled.vector - passage.offset
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


def test_shares_and_the_rest_sum_to_the_similarity_and_the_rest_is_the_special_tokens() -> None:
    """On both sides; without an offset, the rest is what the toy's special token adds, a 0.01 in each direction."""
    query, passage = toy_side("which aircraft"), toy_side("ব্যাংক, বিমান!", at=100)
    similarity = cosine(query, passage)

    why = explained(query, passage, similarity)

    assert [(each.start, each.end) for each in why.tokens] == [(100, 106), (108, 113)]
    assert [(each.start, each.end) for each in why.query_tokens] == [(0, 5), (6, 14)]
    assert why.tokens[1].share > 0.9 * similarity > 10 * why.tokens[0].share
    special = passage.pooled.tokens[0] / np.linalg.norm(passage.pooled.tokens.sum(axis=0))
    assert why.rest == pytest.approx(float(special @ query.pooled.vector))
    assert sum(each.share for each in why.query_tokens) + why.query_rest == pytest.approx(similarity)


def test_an_offset_is_subtracted_on_both_sides() -> None:
    """The rest, which is what is left of the similarity, is then the special token's share, less its part of it."""
    query, passage = toy_side("aircraft school", 0.02), toy_side("বিমান বাজার", 0.05)
    direction = (query.pooled.vector - 0.02) / np.linalg.norm(query.pooled.vector - 0.02)
    scale = np.linalg.norm(passage.pooled.tokens.sum(axis=0))
    special = (0.01 / scale - 0.05 / 3) * direction.sum() / np.linalg.norm(passage.pooled.vector - 0.05)

    why = explained(query, passage, cosine(query, passage))

    assert why.rest == pytest.approx(float(special), abs=1e-6)
    assert why.tokens[0].share > why.tokens[1].share


def test_each_word_of_the_question_meets_the_nearest_of_the_passage() -> None:
    """As characters of both; a word that has no like there meets another at a cosine of nothing."""
    why = explained(toy_side("which aircraft, doctor?"), toy_side("ডাক্তার বিমান", at=10), 0.0)

    assert [(met.query, met.passage, round(met.cosine, 3)) for met in why.words][1:] == [
        ((6, 14), (18, 23), 1.0),
        ((16, 22), (10, 17), 1.0),
    ]
    assert why.words[0].cosine == 0


def side(text: str, spans: list[tuple[int, int]], seed: int = 0) -> Side:
    """Return a text whose tokens have these characters and random vectors."""
    vectors = np.random.default_rng(seed).standard_normal((len(spans) + 2, 8)).astype(np.float32)
    pooled = Pooled(vectors, 1, spans)
    return Side(text, pooled, np.zeros(8, np.float32), pooled.own, range(len(text)))


def explained_by(query: Side, passage: Side) -> Explanation:
    """Return an explanation that sums as it must."""
    why = explained(query, passage, cosine(query, passage))
    for tokens, rest in ((why.tokens, why.rest), (why.query_tokens, why.query_rest)):
        assert sum(each.share for each in tokens) + rest == pytest.approx(cosine(query, passage))
    return why


def test_tokens_of_the_same_characters_are_one() -> None:
    """So are those of no character, with the next one; shares are not lost."""
    passage = side("½ cup", [(0, 1), (0, 1), (0, 1), (2, 2), (2, 5)])
    each = explained_by(side("a", [(0, 1)], 1), side("½ cup", [(0, 1), (2, 5)])).tokens

    why = explained_by(side("a", [(0, 1)], 1), passage)

    assert [(token.start, token.end) for token in why.tokens] == [(token.start, token.end) for token in each]


def test_in_a_script_without_spaces_each_token_is_a_word() -> None:
    """Nobody marked the words of Chinese; a token is cut where the script ends."""
    why = explained_by(side("飞机工厂", [(0, 2), (2, 4)], 1), side("in 北京市, yes", [(0, 2), (3, 5), (5, 7), (8, 11)]))

    assert [met.query for met in why.words] == [(0, 2), (2, 4)]
    assert {met.passage for met in why.words} <= {(0, 2), (3, 5), (5, 6), (8, 11)}


@pytest.mark.model
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60), st.text(st.sampled_from("aé½ক্িमกำ北京ﬁ①\u200d️👩🏽 \n.,１２"), max_size=40))
def test_spans_of_any_text_are_in_order_apart_and_within(model: Encoder, query: str, passage: str) -> None:
    """Tokens of the real tokenizer: none empty, none over another, none beyond the text; words likewise."""
    question = side(query, model.token_spans(query), 1)

    why = explained_by(question, side(passage, model.token_spans(passage)))

    for tokens, text in ((why.tokens, passage), (why.query_tokens, query)):
        at = 0
        for token in tokens:
            assert at <= token.start < token.end <= len(text)
            at = token.end
    asked = [met.query for met in why.words]
    assert asked == sorted(set(asked))
    for met in why.words:
        assert query[slice(*met.query)].strip()
        assert passage[slice(*met.passage)].strip()
        assert -1.001 <= met.cosine <= 1.001
