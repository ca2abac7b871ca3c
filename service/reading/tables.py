"""Rows of a table to articles: columns that are called as an article's members are these, the rest is metadata."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from pydantic import ValidationError

from service.errors import UnreadableInput
from service.reading.draft import Draft
from service.reading.jsonlines import draft, told
from service.wire import ArticleIn, moment

# What each member may be called, the best name first.
NAMES = {
    "text": ("text", "body", "content", "article", "passage"),
    "id": ("id", "_id"),
    "title": ("title", "headline", "name"),
    "language": ("language", "lang"),
    "url": ("url", "link", "address"),
    "source": ("source", "publisher"),
    "published_at": ("published_at", "published", "date"),
}


def members(columns: Iterable[str]) -> dict[str, str]:
    """Return which column holds which member; raises UnreadableInput where none holds the text."""
    given = {column.strip().lower(): column for column in reversed(list(columns))}
    found = {
        member: next(given[name] for name in names if name in given)
        for member, names in NAMES.items()
        if any(name in given for name in names)
    }
    if "text" not in found:
        raise UnreadableInput(
            f"the table has no column {' or '.join(NAMES['text'])}; it has {', '.join(list(given.values())[::-1][:20])}"
        )
    return found


def article(row: Mapping[str, Any], found: Mapping[str, str]) -> Draft:
    """Return the article in a row; `found` is what `members` returned. Raises UnreadableInput."""
    values = {member: _plain(row.get(column)) for member, column in found.items()}
    given = {member: str(value) for member, value in values.items() if value not in (None, "")}
    rest = {
        column: plain
        for column, value in row.items()
        if column and column not in found.values() and (plain := _plain(value)) not in (None, "")
    }
    if "published_at" in given:
        try:
            moment(given["published_at"])
        except ValueError:
            rest[found["published_at"]] = given.pop("published_at")
    try:
        return draft(ArticleIn.model_validate({"text": "", **given, "metadata": rest}))
    except ValidationError as error:
        raise UnreadableInput(told(error)) from None


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, None for what it has not: bytes, and vectors."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list):
        return None if value and isinstance(value[0], float) else [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if value is None or isinstance(value, bool | int | float):
        return value
    return None if isinstance(value, bytes) else str(value)
