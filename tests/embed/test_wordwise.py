from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from embed import default_model
from embed.backends import wordwise
from embed.backends.batches import spans
from embed.backends.wordwise import Wordwise, fits

PIECES = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "▁",
    "▁the",
    "river",
    "▁river",
    "নদী",
    "▁নদী",
    "中",
    "国",
    "1",
    "▁1",
    "e",
    "é",
]


def tokenizer() -> Any:
    """Return a tokenizer as the default model has it, of few pieces."""
    scores = [0.0] * 4 + [-float(number) for number in range(1, len(PIECES) - 3)]
    few: Any = SimpleNamespace(pieces=PIECES, scores=scores, bos=0, pad=1, eos=2, unknown=3)
    return default_model.tokenizer(few)


WHOLE = tokenizer()
REMEMBERING = Wordwise(WHOLE)

# What might reach over a space: marks, what NFKC parts, white space of all kinds, the pieces of the tokenizer itself.
PARTS = [
    *PIECES,
    *" \u00a0\u3000\n\t\u200b\u0301\u0327´¨～①ﬁﷺ\u1100\u1161\u11a8ไำक़😀\u200d",
    "  ",
    "the river",
    "नदी " * 20,
]


@given(st.lists(st.lists(st.one_of(st.sampled_from(PARTS), st.characters(exclude_categories=["Cs"])))))
def test_a_text_has_the_tokens_of_its_words(written: list[list[str]]) -> None:
    """Whether a word is new, has been there before, or is too long to be remembered."""
    texts = ["".join(parts) for parts in written]
    assert fits(WHOLE)
    assert REMEMBERING.ids(texts) == [WHOLE.encode(text).ids for text in texts]
    assert REMEMBERING.ids(texts) == [WHOLE.encode(text).ids for text in texts]
    assert [REMEMBERING.spans(text) for text in texts] == [spans(WHOLE, "", (1, 1), text) for text in texts]
    # What was read together tells each word its own.
    backwards = " ".join(reversed(" ".join(texts).split(" ")))
    assert REMEMBERING.ids([backwards]) == [WHOLE.encode(backwards).ids]
    assert REMEMBERING.spans(backwards) == spans(WHOLE, "", (1, 1), backwards)


def test_so_many_words_are_remembered_and_no_long_one_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with what is read."""
    monkeypatch.setattr(wordwise, "MOST", 2)
    few = Wordwise(WHOLE)
    for text in ("the river", "the é", "中" * 50):
        assert few.ids([text]) == [WHOLE.encode(text).ids]
    assert few._known == {}


def test_long_words_are_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence without spaces is read once where it is asked for again at once, and is not kept for good."""
    read: list[str] = []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            return getattr(WHOLE, name)

        def encode(self, word: str, **how: Any) -> Any:
            read.append(word)
            return WHOLE.encode(word, **how)

    monkeypatch.setattr(wordwise, "LONG", 120)
    few = Wordwise(Noting())
    read.clear()
    first, second, third = "中" * 50, "国" * 50, "中国" * 50
    for text in (first, second, second, third, first):
        assert few.ids([text]) == [WHOLE.encode(text).ids]
    assert read == [first, second, third, first]


def test_tokenizers_that_reach_over_spaces_are_told() -> None:
    """Then a text is given to them whole."""
    over = tokenizer()
    over.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    lower = tokenizer()
    lower.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("a b", "c")])
    reaching = tokenizer()
    reaching.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    short = tokenizer()
    short.enable_truncation(8)
    plain = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    assert [fits(each) for each in (over, lower, reaching, short, plain)] == [False] * 5
