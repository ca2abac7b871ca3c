import subprocess
import sys
from typing import Any

import pytest

from service.client import SearchResult

HIT: dict[str, Any] = {
    "rank": 1,
    "passage_id": "p",
    "article_id": "a",
    "title": "<b>عنوان</b>",
    "text": "Первое. <script>alert(1)</script> فيضان. Третье.",
    "language": "ar",
    "relevance": 0.914,
    "similarity": 0.6,
    "raw_similarity": 0.8,
    "start": 10,
    "end": 58,
    "best_sentence": {"start": 18, "end": 43},
    "explanation": None,
    "url": "https://example.org/?a=1&b=2",
    "source": "daily & co",
    "published_at": "2023-05-06",
    "metadata": {"desk": "weather"},
}


def result(*hits: dict[str, Any], found: bool | None = True) -> SearchResult:
    """Return an answer of these hits."""
    return SearchResult.model_validate(
        {
            "query_language": {"code": "en", "confidence": 1.0},
            "answer": {"found": found, "relevance": None},
            "hits": list(hits),
            "next_cursor": None,
            "took_ms": 1.0,
        }
    )


def test_a_notebook_shows_hits_in_their_own_direction_and_runs_nothing() -> None:
    """What articles say is text, whatever they say; the best sentence is marked; only web addresses are links."""
    html = result(HIT, {**HIT, "url": "javascript:alert(1)", "language": "hi", "best_sentence": None})._repr_html_()

    assert '<td lang="ar" dir="rtl"' in html
    assert '<td lang="hi" dir="ltr"' in html
    assert "<script" not in html
    assert "<mark>&lt;script&gt;alert(1)&lt;/script&gt;</mark> فيضان." in html
    assert html.count("<mark>") == 1
    assert '<a href="https://example.org/?a=1&amp;b=2">&lt;b&gt;عنوان&lt;/b&gt;</a>' in html
    assert "javascript" not in html
    assert "daily &amp; co · 2023-05-06" in html
    assert "Nothing here answers" not in html


def test_a_notebook_says_when_nothing_answers() -> None:
    """As the page and the terminal do."""
    assert result(HIT, found=False)._repr_html_().startswith("<p>Nothing here answers this")


def test_rows_are_flat() -> None:
    """Metadata has columns of its own."""
    [row] = result(HIT).to_rows()
    assert (row["rank"], row["language"], row["text"][:7], row["metadata.desk"]) == (1, "ar", "Первое.", "weather")
    assert not any(isinstance(value, dict | list) for value in row.values())


def test_data_frames() -> None:
    """A row a hit, with all columns where there are no hits too."""
    pytest.importorskip("pandas")
    frame = result(HIT, {**HIT, "rank": 2, "metadata": {"page": 3}}).to_pandas()
    assert frame["rank"].tolist() == [1, 2]
    assert frame["metadata.desk"].tolist()[0] == "weather"
    assert frame["metadata.page"].tolist()[1] == 3
    assert "similarity" in result().to_pandas().columns


def test_data_frames_need_pandas() -> None:
    """Where it is missing, the error says what to install."""
    told = """
import sys
sys.modules["pandas"] = None
from service.errors import ExtraMissing
from tests.service.test_results import HIT, result
try:
    result(HIT).to_pandas()
except ExtraMissing as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert "pip install pandas" in done.stdout
