from typing import Any

import pytest
from pydantic import ValidationError

from service.wire import ArticleIn, SearchRequest


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "either `text` or `paragraphs`"),
        ({"text": "a", "paragraphs": ["b"]}, "either `text` or `paragraphs`"),
        ({"text": " \n"}, "no text"),
        ({"paragraphs": []}, "no text"),
        ({"text": 7}, "valid string"),
        ({"text": "a\0b"}, "NUL"),
        ({"text": "a\ud800b"}, "surrogate"),
        ({"text": "a", "titel": "b"}, "Extra inputs"),
        ({"text": "a", "id": ""}, "at least 1"),
        ({"text": "a", "id": "a\nb"}, "not an id"),
        ({"text": "a", "id": "a" * 513}, "at most 512"),
        ({"text": "a", "published_at": "yesterday"}, "ISO 8601"),
        ({"text": "a", "published_at": "2023-13-01"}, "ISO 8601"),
        ({"text": "a", "published_at": "0000"}, "ISO 8601"),
        ({"text": "a", "published_at": "2023-05-06\ud80010:00"}, "ISO 8601"),
        ({"text": "a", "metadata": [1]}, "valid dictionary"),
        ({"text": "a", "metadata": {"x": float("nan")}}, "NaN"),
        ({"text": "a", "metadata": {"x": "a" * 70_000}}, "the limit is 65536"),
        ({"text": "a", "metadata": {"x": 2**70}}, "64 bits"),
        ({"text": "a", "metadata": {"x\0": 1}}, "NUL"),
    ],
)
def test_a_malformed_article_is_refused(given: dict[str, Any], said: str) -> None:
    """Each fault of an article is told in words."""
    with pytest.raises(ValidationError, match=said):
        ArticleIn.model_validate(given)


def test_metadata_does_not_nest_without_end() -> None:
    """Metadata of 17 levels is refused, of 16 kept."""
    nested: Any = 1
    for _ in range(16):
        nested = {"x": nested}
    assert ArticleIn(text="a", metadata=nested).metadata == nested
    with pytest.raises(ValidationError, match="deeper than 16"):
        ArticleIn(text="a", metadata={"x": nested})


@pytest.mark.parametrize("date", ["2023", "2023-05", "2023-05-06", "2023-05-06T10:00:00Z", "2023-05-06T10:00+05:30"])
def test_dates_are_kept_as_they_came(date: str) -> None:
    """A year, a month, a day and a moment are all dates in ISO 8601."""
    assert ArticleIn(text="a", published_at=date).published_at == date


def test_paragraphs_become_one_text() -> None:
    """Between paragraphs there is one blank line, inside them none; blank ones are left out."""
    assert ArticleIn(paragraphs=["a\n\nb ", " ", "c"]).body == "a b\n\nc"


def test_line_ends_are_one_kind() -> None:
    """Spans count the same characters whatever system the text came from."""
    assert ArticleIn(text="a\r\nb\rc").body == "a\nb\nc"


def test_control_characters_in_a_question_are_spaces() -> None:
    """A question that was copied with its line break is understood."""
    assert SearchRequest(query=" what\x00is\r\nthis\x1b ").query == "what is this"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"query": ""}, "empty"),
        ({"query": " \n\u200b"}, "empty"),
        ({"query": None}, "valid string"),
        ({"query": 5}, "valid string"),
        ({"query": "a\udc00"}, "surrogate"),
        ({"query": "a", "limit": 0}, "greater than or equal to 1"),
        ({"query": "a", "limit": 101}, "less than or equal to 100"),
        ({"query": "a", "limit": "5"}, "valid integer"),
        ({"query": "a", "limit": True}, "valid integer"),
        ({"query": "a", "mode": "magic"}, "'hybrid', 'dense', 'lexical' or 'raw'"),
        ({"query": "a", "min_relevance": 1.5}, "less than or equal to 1"),
        ({"query": "a", "min_relevance": float("nan")}, "less than or equal to 1"),
        ({"query": "a", "languages": "bn"}, "valid list"),
        ({"query": "a", "filter": []}, "valid dictionary"),
        ({"query": "a", "language": "bn"}, "Extra inputs"),
    ],
)
def test_a_malformed_question_is_refused(given: dict[str, Any], said: str) -> None:
    """Each fault of a question is told in words."""
    with pytest.raises(ValidationError, match=said):
        SearchRequest.model_validate(given)
