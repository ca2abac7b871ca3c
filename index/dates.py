"""Dates and times as intervals: `2023-05` is a whole month, `2023-05-01T12:00Z` a moment."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def interval(text: str) -> tuple[int, int]:
    """Return when a date begins and when it is over, in microseconds since 1970 UTC: `[begin, end)`.

    Reads ISO 8601: a year, a year and month, a date, or a date and time; without a zone, UTC is meant. Raises
    ValueError for anything else.
    """
    digits = text.split("-")
    if len(text) == 4 and text.isascii() and text.isdigit():
        begin, end = datetime(int(text), 1, 1, tzinfo=UTC), _following_year(int(text))
    elif len(text) == 7 and len(digits) == 2 and all(part.isascii() and part.isdigit() for part in digits):
        year, month = int(digits[0]), int(digits[1])
        begin = datetime(year, month, 1, tzinfo=UTC)
        end = datetime(year, month + 1, 1, tzinfo=UTC) if month < 12 else _following_year(year)
    else:
        begin = datetime.fromisoformat(text)
        zoned = begin if begin.tzinfo else begin.replace(tzinfo=UTC)
        # A date alone has no hour in it, whatever form of ISO 8601 it is written in (2023-05-01, 20230501).
        whole_day = ":" not in text and "T" not in text.upper() and " " not in text.strip()
        moment = (zoned - EPOCH) // MICROSECOND
        return moment, moment + (24 * 3600 * 1_000_000 if whole_day else 1)
    return (begin - EPOCH) // MICROSECOND, (end - EPOCH) // MICROSECOND


def _following_year(year: int) -> datetime:
    return datetime(year + 1, 1, 1, tzinfo=UTC) if year < 9999 else datetime.max.replace(tzinfo=UTC)
