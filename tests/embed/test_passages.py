from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed.passages import CountTokens, paragraphs, split
from tests.embed.test_sentences import ANY_TEXT, LANGUAGES, PROSE


def words(texts: Sequence[str]) -> list[int]:
    """A counter whose wholes are the sums of their parts: one for the prompt, one a word."""
    return [1 + len(text.split()) for text in texts]


def characters(texts: Sequence[str]) -> list[int]:
    """A counter to which white space matters too, so that wholes take more than their parts."""
    return [3 + len(text) for text in texts]


def subwords(texts: Sequence[str]) -> list[int]:
    """As an embedding model's tokenizer counts: four characters a token, no token across a space."""
    return [4 + sum(-(-len(word) // 4) for word in text.split()) for text in texts]


def test_a_blank_line_ends_a_paragraph() -> None:
    """Lines that follow each other are one paragraph; a line of white space is blank, however lines end."""
    text = "\n\nOne\nstill one\r\n  \t\r\nTwo\n\n\nThree \n"
    assert [text[start:end] for start, end in paragraphs(text)] == ["One\nstill one", "Two", "Three"]


def test_without_blank_lines_each_line_is_a_paragraph() -> None:
    """Blank lines before the first line and after the last do not count."""
    text = "\n Title\nFirst.\r\nSecond.\n\n"
    assert [text[start:end] for start, end in paragraphs(text)] == ["Title", "First.", "Second."]
    assert paragraphs(" \n\t\n") == []


def test_a_paragraph_within_the_budget_is_a_passage() -> None:
    """Short paragraphs are neither cut nor joined."""
    text = "One two. Three.\n\nFour."
    assert [text[start:end] for start, end in split(text, "en", words, 10)] == ["One two. Three.", "Four."]


def test_a_long_paragraph_is_cut_between_sentences_into_even_pieces() -> None:
    """Six sentences of four words in a budget of 16 become three and three, not four and two."""
    text = " ".join(["Alpha beta gamma delta."] * 6)
    pieces = [text[start:end] for start, end in split(text, "en", words, 17)]
    assert pieces == [" ".join(["Alpha beta gamma delta."] * 3)] * 2


def test_a_long_sentence_is_cut_between_words() -> None:
    """Ten words under a budget of four a piece become three pieces of even size."""
    text = "a b c d e f g h i j"
    assert [text[start:end] for start, end in split(text, "en", words, 5)] == ["a b c", "d e f g", "h i j"]


def test_a_long_word_is_cut_between_characters_with_their_signs() -> None:
    """Bengali vowel signs and conjuncts stay with their consonants."""
    text = "ক্ষিপ্তকারী" * 4
    pieces = [text[start:end] for start, end in split(text, "bn", characters, 14)]
    assert "".join(pieces) == text
    assert all(len(piece) <= 11 for piece in pieces)
    assert all(piece[0] in "কপতর" and piece[-1] != "্" for piece in pieces)


def test_a_budget_that_the_prompt_uses_up_is_refused() -> None:
    """The message says what the prompt takes."""
    with pytest.raises(ValueError, match="the prompt alone takes 3"):
        split("word", "en", characters, 3)
    assert split("   ", "en", characters, 3) == []


@given(
    st.one_of(ANY_TEXT, PROSE, st.lists(PROSE, max_size=6).map("\n\n".join)),
    LANGUAGES,
    st.sampled_from([words, characters, subwords]),
    st.integers(5, 24),
)
def test_passages_hold_everything_once_and_keep_to_the_budget(
    text: str, language: str, count: CountTokens, budget: int
) -> None:
    """Ordered, apart, trimmed, nothing between them but white space, none over the budget: any text."""
    position = 0
    for start, end in split(text, language, count, budget):
        assert position <= start < end <= len(text)
        assert text[position:start].strip() == ""
        assert text[start:end] == text[start:end].strip()
        assert count([text[start:end]]) <= [budget]
        position = end
    assert text[position:].strip() == ""


def test_counting_is_done_in_few_calls_however_long_the_text() -> None:
    """20,000 sentences, some of them far too long, cost a handful of calls and a few times their length."""
    calls: list[int] = []

    def counted(texts: Sequence[str]) -> list[int]:
        calls.append(sum(map(len, texts)))
        return subwords(texts)

    text = " ".join(["A short sentence here."] * 20_000 + ["word " * 5_000 + "."] + ["x" * 50_000])
    spans = split(text, "en", counted, 204)
    assert len(spans) <= 1.05 * subwords([text])[0] / 200 + 2
    assert len(calls) < 12
    assert sum(calls) < 6 * len(text)
