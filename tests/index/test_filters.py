import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import Filter, InvalidFilter, Library, parse_filter
from tests.index.samples import article, found, put

ARTICLES: dict[str, dict[str, Any]] = {
    "a": {"language": "bn", "source": "ittefaq", "url": "https://a.example/1", "published_at": "2023-01-31"},
    "b": {"language": "hi", "source": "jagran", "published_at": "2023-02-01T00:30:00+06:00"},
    "c": {"language": "en", "published_at": "2024"},
    "d": {
        "language": "en",
        "metadata": {
            "section": "world",
            "year": 2023,
            "tags": ["war", "trade", 7],
            "checked": True,
            "geo": {"country": "BD", "city": {"name": "ঢাকা"}},
            "dc.title": "dotted",
            "nothing": None,
            "day": "2023-05-05",
        },
    },
    "e": {
        "language": "und",
        "metadata": {"section": ["world", "asia"], "year": 1.5, "checked": 1, "geo": "BD"},
    },
}


# What is asked, and the articles that come through.
LETS_THROUGH: list[tuple[dict[str, Any], str]] = [
    ({}, "abcde"),
    ({"language": "bn"}, "a"),
    ({"language": ["bn", "hi", "xx"]}, "ab"),
    ({"source": "jagran"}, "b"),
    ({"article_id": ["a", "e"]}, "ae"),
    ({"url": "https://a.example/1"}, "a"),
    ({"language": "en", "published_at": {"gte": "2024-01-01"}}, "c"),
    ({"published_at": {"lte": "2023-01-31"}}, "ab"),
    ({"published_at": {"lt": "2023-01-31"}}, ""),
    ({"published_at": {"gt": "2023-01-31"}}, "c"),
    ({"published_at": {"gt": "2023-01-31T00:00:00Z"}}, "bc"),
    ({"published_at": {"gte": "2023-01-01", "lt": "2024-01-01"}}, "ab"),
    ({"published_at": "2023"}, "ab"),
    ({"published_at": "2023-01-31"}, "ab"),
    ({"metadata.section": "world"}, "de"),
    ({"metadata.section": ["asia", "europe"]}, "e"),
    ({"metadata.tags": "trade"}, "d"),
    ({"metadata.tags": 7}, "d"),
    ({"metadata.tags": "7"}, ""),
    ({"metadata.year": {"gte": 1, "lt": 2023}}, "e"),
    ({"metadata.year": {"gt": 1.5}}, "d"),
    ({"metadata.year": 10**30}, ""),
    ({"metadata.day": {"gte": "2023-05-01", "lte": "2023-05-31"}}, "d"),
    ({"metadata.checked": True}, "d"),
    ({"metadata.checked": 1}, "e"),
    ({"metadata.checked": False}, ""),
    ({"metadata.checked": [False, True, 1]}, "de"),
    ({"metadata.geo.country": "BD"}, "d"),
    ({"metadata.geo": "BD"}, "e"),
    ({"metadata.geo.city.name": "ঢাকা"}, "d"),
    ({"metadata.dc.title": "dotted"}, "d"),
    ({"metadata.nothing": "null"}, ""),
    ({"metadata.absent": [1, "x"]}, ""),
    ({"metadata.a b-c[0]$": 1}, ""),
]


@pytest.fixture
def stocked(numbers: Library) -> Library:
    """A library of articles that differ in everything that can be filtered by."""
    for id, fields in ARTICLES.items():
        put(numbers, article(id, f"{id} alone", **fields))
    return numbers


@pytest.mark.parametrize(("given", "expected"), LETS_THROUGH)
def test_lets_through(stocked: Library, given: dict[str, Any], expected: str) -> None:
    """A filter lets through the articles that meet all its conditions, in types as in values."""
    assert sorted(found(stocked, "any", where=parse_filter(given))) == [f"{id} alone" for id in expected]


def test_languages_are_one_more_condition(stocked: Library) -> None:
    """The languages that a caller names must hold beside the filter."""
    assert found(stocked, "any", where=parse_filter({"source": ["ittefaq", "jagran"]}, ["bn", "en"])) == ["a alone"]
    assert found(stocked, "any", where=parse_filter({"language": "hi"}, ["bn"])) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"langauge": "bn"}, "langauge.*language, source, article_id, url, published_at and metadata.KEY"),
        ({"metadata": {"x": 1}}, "There is no field"),
        ({"metadata.": 1}, "names no key"),
        ({"metadata.a..b": 1}, "names no key"),
        ({'metadata.a"b': 1}, "without quotes"),
        ({"language": 3}, "a string or a list of strings"),
        ({"language": ["bn", None]}, "a string or a list of strings"),
        ({"language": []}, "one to 500 values"),
        ({"language": ["x"] * 501}, "one to 500 values"),
        ({"language": {"gte": "a"}}, "a string or a list of strings"),
        ({"source": "\ud800"}, "half a character"),
        ({"metadata.x": "\udfff"}, "half a character"),
        ({"metadata.\ud800": 1}, "half a character"),
        ({"published_at": "May"}, "ISO 8601"),
        ({"published_at": 2023}, "ISO 8601"),
        ({"published_at": {"after": "2023"}}, "gte, gt, lte and lt, not of after"),
        ({"published_at": {}}, "not of nothing"),
        ({"metadata.x": {"gte": True}}, "a string or a number"),
        ({"metadata.x": {"gte": None}}, "a string or a number"),
        ({"metadata.x": None}, "strings, numbers, true or false"),
        ({"metadata.x": [[1]]}, "strings, numbers, true or false"),
        ({"metadata.x": float("nan")}, "no number"),
        ({"metadata.x": {"lt": float("inf")}}, "no number"),
        ({"metadata.x": 10**400}, "too large"),
        ({f"metadata.k{number}": 1 for number in range(51)}, "at most 50"),
    ],
)
def test_refused(given: dict[str, Any], told: str) -> None:
    """A field, an operator or a value that makes no sense is refused, and the message says what would."""
    with pytest.raises(InvalidFilter, match=told):
        parse_filter(given)


def test_the_largest_filter(stocked: Library) -> None:
    """A filter as large as is allowed is within what SQLite takes."""
    large = {f"metadata.a.b{number}": [*range(250), *map(str, range(250))] for number in range(30)}

    assert found(stocked, "any", where=parse_filter(large)) == []


def test_a_value() -> None:
    """Filters that say the same are equal, in whatever order; an empty one is false."""
    one = parse_filter({"language": ["hi", "bn"], "source": "x"})

    assert one == parse_filter({"source": ["x"], "language": ["bn", "hi", "bn"]})
    assert hash(one) == hash(parse_filter({"source": "x", "language": ("bn", "hi")}))
    assert one
    assert not parse_filter(None)
    assert parse_filter({}) == Filter()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["gte", "lt", "k"]), inner, max_size=2),
    max_leaves=5,
)
fields = st.sampled_from(["language", "source", "url", "article_id", "published_at", "metadata.k"]) | st.text(
    max_size=4
).map("metadata.{}".format)


@pytest.fixture(scope="module")
def tables() -> Iterator[sqlite3.Connection]:
    """A table of articles outside any library, for many tries."""
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE TABLE articles (id, language, source, url, published, metadata, text)",
    )
    connection.execute('INSERT INTO articles (metadata) VALUES (\'{"k": [1, "x"]}\')')
    yield connection
    connection.close()


@settings(deadline=None, max_examples=300)
@given(given=st.dictionaries(fields, json_values, max_size=4))
def test_anything_is_parsed_or_refused(tables: sqlite3.Connection, given: dict[str, Any]) -> None:
    """Whatever JSON comes, it is refused as a filter or SQLite can run it."""
    try:
        where, parameters = parse_filter(given).sql()
    except InvalidFilter:
        return
    tables.execute(f"SELECT count(*) FROM articles WHERE {where}", parameters).fetchone()


def test_cannot_be_injected(stocked: Library) -> None:
    """SQL in a value is a value."""
    assert found(stocked, "any", where=parse_filter({"source": "x') OR 1 --"})) == []
    assert found(stocked, "any", where=parse_filter({"metadata.x') OR 1 --": 1})) == []


def test_conditions_on_one_field_are_left_out() -> None:
    """Those of the language, from the list and from the filter, or of the source; all others stay."""
    where = parse_filter({"language": "bn", "source": ["x", "y"], "metadata.language": "hi"}, ["bn", "hi"])

    assert where.without("language") == parse_filter({"source": ["x", "y"], "metadata.language": "hi"})
    assert where.without("source") == parse_filter({"language": "bn", "metadata.language": "hi"}, ["bn", "hi"])
    assert parse_filter({"url": "u"}).without("language") == parse_filter({"url": "u"})


def test_outside_a_language(stocked: Library) -> None:
    """Every other language, under the same filter; one that is not known is another one."""
    assert sorted(found(stocked, "any", where=Filter().outside("en"))) == ["a alone", "b alone", "e alone"]
    assert sorted(found(stocked, "any", where=parse_filter({"published_at": "2023"}).outside("hi"))) == ["a alone"]
