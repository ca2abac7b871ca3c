from datetime import UTC, datetime

import pytest

from index.dates import interval


def micro(*when: int) -> int:
    """Return microseconds since 1970 of a moment in UTC."""
    return round(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2023", micro(2023, 1, 1), micro(2024, 1, 1)),
        ("2023-12", micro(2023, 12, 1), micro(2024, 1, 1)),
        ("2024-02", micro(2024, 2, 1), micro(2024, 3, 1)),
        ("2024-02-29", micro(2024, 2, 29), micro(2024, 3, 1)),
        ("20240229", micro(2024, 2, 29), micro(2024, 3, 1)),
        ("1969-12-31", micro(1969, 12, 31), 0),
        ("2023-05-01T12:00:00Z", micro(2023, 5, 1, 12), micro(2023, 5, 1, 12) + 1),
        ("2023-05-01T12:00", micro(2023, 5, 1, 12), micro(2023, 5, 1, 12) + 1),
        ("2023-05-01 18:00:00+06:00", micro(2023, 5, 1, 12), micro(2023, 5, 1, 12) + 1),
    ],
)
def test_interval(text: str, begin: int, end: int) -> None:
    """A year, a month and a day last as long as they do; a time is a moment, in UTC if it names no zone."""
    assert interval(text) == (begin, end)


@pytest.mark.parametrize("text", ["9999", "9999-12", "9999-12-31", "9999-12-31T23:59:59Z", "0001-01-01"])
def test_the_ends_of_the_calendar(text: str) -> None:
    """The first and the last dates that there are can be read too."""
    begin, end = interval(text)

    assert begin < end


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2023-13", "2023-02-30", "23", "२०२३", "0000", "2023-5-1", "1-1-1-1"]
)
def test_no_date(text: str) -> None:
    """What is no date of ISO 8601 is refused."""
    with pytest.raises(ValueError, match=r".+"):
        interval(text)
