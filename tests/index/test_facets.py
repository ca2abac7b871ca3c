from pathlib import Path

import pytest

from index import Count, Library, facets, parse_filter
from tests.index.samples import article, open_library, put


@pytest.fixture
def filled(numbers: Library) -> Library:
    """Four articles in three languages from two publishers, and one of which nobody says who published it."""
    put(numbers, article("a", "red river", "red bank", "blue sky", language="bn", source="daily"))
    put(numbers, article("b", "red river", language="bn", source="weekly"))
    put(numbers, article("c", "red bank", "green field", language="hi", source="daily"))
    put(numbers, article("d", "blue river", language="ru"))
    return numbers


def counted(library: Library, name: str, **options: object) -> list[tuple[str, int, int]]:
    """Return the counts of a facet as plain values."""
    return [(each.value, each.passages, each.articles) for each in library.facets(**options)[name]]  # type: ignore[arg-type]


def test_everything_is_counted_most_passages_first(filled: Library) -> None:
    """Passages and articles by language and by source; equals by name; what has no source is not among the sources."""
    assert filled.facets() == {
        "language": [Count("bn", 4, 2), Count("hi", 2, 1), Count("ru", 1, 1)],
        "source": [Count("daily", 5, 2), Count("weekly", 1, 1)],
        "year": [],
    }


def test_a_facet_is_counted_without_its_own_filter(filled: Library) -> None:
    """Who searches Bengali is told how much there is in Hindi, and which sources there are in Bengali."""
    bengali = parse_filter(None, ["bn"])
    assert counted(filled, "language", where=bengali) == [("bn", 4, 2), ("hi", 2, 1), ("ru", 1, 1)]
    assert counted(filled, "source", where=bengali) == [("daily", 3, 1), ("weekly", 1, 1)]
    daily = parse_filter({"source": "daily", "language": ["bn", "hi"]})
    assert counted(filled, "language", where=daily) == [("bn", 3, 1), ("hi", 2, 1)]
    assert counted(filled, "source", where=daily) == [("daily", 5, 2), ("weekly", 1, 1)]


def test_other_filters_phrases_and_exclusions_hold_for_every_facet(filled: Library) -> None:
    """Counted is what a search looks at, passage by passage."""
    assert counted(filled, "language", where=parse_filter({"article_id": ["a", "c"]})) == [("bn", 3, 1), ("hi", 2, 1)]
    assert counted(filled, "language", phrases=["river"]) == [("bn", 2, 2), ("ru", 1, 1)]
    assert counted(filled, "source", phrases=["red"], without=["river"]) == [("daily", 2, 2)]
    assert counted(filled, "language", where=parse_filter({"source": "weekly"}), phrases=["bank"]) == []
    assert counted(filled, "source", where=parse_filter({"source": "weekly"}), phrases=["bank"]) == [("daily", 2, 2)]


def test_counts_follow_every_change(filled: Library, folder: Path) -> None:
    """What is added, changed and deleted, here or by another process, is counted by the next search."""
    before = counted(filled, "language")
    with open_library(folder) as other:
        other.delete("d")
        put(other, article("b", "red river", language="hi", source="weekly"))
        put(other, article("e", "one", "two", language="ta"))

    assert before == [("bn", 4, 2), ("hi", 2, 1), ("ru", 1, 1)]
    assert counted(filled, "language") == [("bn", 3, 1), ("hi", 3, 2), ("ta", 2, 1)]


def test_an_empty_library_counts_nothing(numbers: Library) -> None:
    """There is no value to tell."""
    assert numbers.facets() == {"language": [], "source": [], "year": []}


def test_only_the_commonest_values_are_told(filled: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library of a thousand sources does not answer with all of them."""
    monkeypatch.setattr(facets, "MOST", 2)

    assert counted(filled, "language") == [("bn", 4, 2), ("hi", 2, 1)]


def test_years_are_those_that_a_filter_means(numbers: Library) -> None:
    """By the moment, in UTC; before 1970 too, to the last second of a year; without the filter's own dates."""
    dates = ["2023", "2023-12-31", "2023-12-31T23:30:00-05:00", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999999Z"]
    for place, date in enumerate([*dates, None]):
        put(numbers, article(f"a{place}", "one", published_at=date, source=date and "dated"))
    counts = [("1969", 2, 2), ("2023", 2, 2), ("2024", 1, 1)]
    within = parse_filter({"published_at": "2023"})

    assert counted(numbers, "year") == counts
    assert counted(numbers, "year", where=within) == counts
    assert counted(numbers, "source", where=within) == [("dated", 2, 2)]
    for year, passages, _ in counts:
        assert counted(numbers, "source", where=parse_filter({"published_at": year})) == [("dated", passages, passages)]
    assert counted(numbers, "year", where=parse_filter({"source": "nobody"})) == []
