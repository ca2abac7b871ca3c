"""Which articles a search looks at: read from JSON, checked, and turned into SQL over the articles table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from index.dates import interval
from index.errors import InvalidFilter

Parameter = str | int | float

# Columns that are compared with strings as they stand.
NAMES = {
    "language": "articles.language",
    "source": "articles.source",
    "article_id": "articles.id",
    "url": "articles.url",
}
PUBLISHED = "articles.published"
FIELDS = "language, source, article_id, url, published_at and metadata.KEY"

# Bounds that keep one statement within SQLite's own limits (32,766 parameters, expressions 1,000 deep).
MAX_CONDITIONS = 50
MAX_VALUES = 500

# For a moment `column` and the interval [begin, end) of what was asked: `lte` a day means until that day is
# over.
MOMENTS = {"gte": (">=", 0), "gt": (">=", 1), "lte": ("<", 1), "lt": ("<", 0)}
COMPARISONS = {"gte": ">=", "gt": ">", "lte": "<=", "lt": "<"}


@dataclass(frozen=True, slots=True)
class Filter:
    """A checked filter, a value: two filters that are equal let the same articles through."""

    clauses: tuple[tuple[str, tuple[Parameter, ...]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.clauses)

    def sql(self) -> tuple[str, tuple[Parameter, ...]]:
        """Return a condition over the table `articles` and its parameters."""
        where = " AND ".join(f"({clause})" for clause, _ in self.clauses) or "1"
        return where, tuple(parameter for _, parameters in self.clauses for parameter in parameters)

    def without(self, name: str) -> "Filter":
        """Return the filter without its conditions on one of `NAMES`, or on the date, by `year`."""
        column = PUBLISHED if name == "year" else NAMES[name]
        return Filter(tuple(clause for clause in self.clauses if not clause[0].startswith(f"{column} ")))

    def outside(self, language: str) -> "Filter":
        """Return the filter that also asks for articles in any other language."""
        return Filter((*self.clauses, (f"{NAMES['language']} <> ?", (language,))))


def parse(given: Mapping[str, Any] | None, languages: Sequence[str] = ()) -> Filter:
    """Read a filter from JSON: `{field: value | [values] | {"gte" | "gt" | "lte" | "lt": value}}`, all of
    which must hold.

    `languages` is one more condition: the article is in one of them. Raises InvalidFilter.
    """
    if given is not None and not isinstance(given, Mapping):
        raise InvalidFilter(f"A filter is a JSON object with fields among {FIELDS}.")
    conditions = list((given or {}).items())
    if len(conditions) > MAX_CONDITIONS:
        raise InvalidFilter(f"A filter has at most {MAX_CONDITIONS} conditions, not {len(conditions)}.")
    clauses = [clause for field, value in conditions for clause in _clauses(field, value)]
    if languages:
        clauses.append(_among("language", NAMES["language"], list(languages)))
    return Filter(tuple(sorted(set(clauses), key=repr)))


def _clauses(field: object, value: object) -> list[tuple[str, tuple[Parameter, ...]]]:
    """Return the conditions for one field."""
    if isinstance(field, str) and field in NAMES:
        return [_among(field, NAMES[field], value)]
    if field == "published_at":
        return _published(value)
    if isinstance(field, str) and field.startswith("metadata."):
        return _metadata(field, value)
    raise InvalidFilter(f"There is no field {field!r} to filter by; the fields are {FIELDS}.")


def _among(field: str, column: str, value: object) -> tuple[str, tuple[Parameter, ...]]:
    """Return the condition that a column holds one of some strings."""
    values = _several(field, value)
    if not all(isinstance(each, str) for each in values):
        raise InvalidFilter(f"The filter on {field} takes a string or a list of strings, not {value!r}.")
    texts = sorted({_text(field, each) for each in values})
    return f"{column} IN ({_marks(texts)})", tuple(texts)


def _published(value: object) -> list[tuple[str, tuple[Parameter, ...]]]:
    """Return the conditions on the date: a range, or one date that the article must fall into."""
    bounds = _range("published_at", value) if isinstance(value, Mapping) else {"gte": value, "lte": value}
    clauses: list[tuple[str, tuple[Parameter, ...]]] = []
    for operator, bound in bounds.items():
        try:
            ends = interval(bound if isinstance(bound, str) else "")
        except (ValueError, OverflowError):
            raise InvalidFilter(
                f"The filter on published_at takes ISO 8601 dates such as 2023-01-31, not {bound!r}."
            ) from None
        comparison, which = MOMENTS[operator]
        clauses.append((f"{PUBLISHED} {comparison} ?", (ends[which],)))
    return clauses


def _metadata(field: str, value: object) -> list[tuple[str, tuple[Parameter, ...]]]:
    """Return the conditions on a key of the metadata; where it holds a list, one of its elements must do."""
    paths = _paths(field)
    if not isinstance(value, Mapping):
        return [_any_element(paths, *_equal(field, _several(field, value)))]
    clauses = []
    for operator, bound in _range(field, value).items():
        if isinstance(bound, bool) or not isinstance(bound, str | int | float):
            raise InvalidFilter(f"The filter on {field} compares with a string or a number, not {bound!r}.")
        types = "'text'" if isinstance(bound, str) else "'integer', 'real'"
        condition = f"element.type IN ({types}) AND element.value {COMPARISONS[operator]} ?"
        clauses.append(_any_element(paths, condition, [_scalar(field, bound)]))
    return clauses


def _paths(field: str) -> list[str]:
    """Return the JSON paths that a key with dots may mean: a value inside objects, or a dotted key."""
    keys = field.removeprefix("metadata.").split(".")
    if not all(keys) or any(character in '"\\' or ord(character) < 32 for key in keys for character in key):
        raise InvalidFilter(f"{field!r} names no key of the metadata: keys are joined by single dots, without quotes.")
    nested = "$" + "".join(f'."{key}"' for key in keys)
    return list(dict.fromkeys([_text(field, nested), '$."' + ".".join(keys) + '"']))


def _equal(field: str, values: list[object]) -> tuple[str, list[Parameter]]:
    """Return the condition that an element equals one of the values, types kept apart (`true` is not 1)."""
    texts = sorted({_text(field, value) for value in values if isinstance(value, str)})
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    booleans = sorted({value for value in values if isinstance(value, bool)})
    if any(not isinstance(value, str | int | float) for value in values):
        raise InvalidFilter(f"The filter on {field} takes strings, numbers, true or false, or a list of them.")
    parts: list[str] = [f"element.type = '{str(value).lower()}'" for value in booleans]
    if texts:
        parts.append(f"element.type = 'text' AND element.value IN ({_marks(texts)})")
    scalars = sorted({_scalar(field, number) for number in numbers})
    if scalars:
        parts.append(f"element.type IN ('integer', 'real') AND element.value IN ({_marks(scalars)})")
    return " OR ".join(f"({part})" for part in parts), [*texts, *scalars]


def _any_element(paths: list[str], condition: str, values: Sequence[Parameter]) -> tuple[str, tuple[Parameter, ...]]:
    """Return the condition that the value at one of the paths, or an element of a list there, meets
    `condition`.
    """
    # json_each walks the members of an object too; those have text keys, elements of a list numbers.
    each = (
        "EXISTS (SELECT 1 FROM json_each(articles.metadata, ?) AS element"
        f" WHERE typeof(element.key) <> 'text' AND ({condition}))"
    )
    return " OR ".join([each] * len(paths)), tuple(value for path in paths for value in [path, *values])


def _several(field: str, value: object) -> list[object]:
    values = value if isinstance(value, list | tuple) else [value]
    if not 1 <= len(values) <= MAX_VALUES:
        raise InvalidFilter(f"The filter on {field} takes one to {MAX_VALUES} values, not {len(values)}.")
    return list(values)


def _range(field: str, value: Mapping[str, Any]) -> dict[str, object]:
    if not value or any(operator not in COMPARISONS for operator in value):
        raise InvalidFilter(
            f"A range of {field} is made of gte, gt, lte and lt,"
            f" not of {', '.join(map(str, value))[:100] or 'nothing'}."
        )
    return dict(value)


def _scalar(field: str, value: str | int | float) -> Parameter:
    if isinstance(value, str):
        return _text(field, value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidFilter(f"The filter on {field} compares with {value}, which is no number.")
    try:
        # SQLite holds integers of 64 bits; its JSON reads larger ones as floating point, so they are compared
        # so.
        return value if -(2**63) <= value < 2**63 else float(value)
    except OverflowError:
        raise InvalidFilter(f"The filter on {field} compares with a number that is too large.") from None


def _text(field: str, value: object) -> str:
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidFilter(f"The filter on {field} holds half a character (a lone surrogate).") from None
    return text


def _marks(values: Sequence[Parameter]) -> str:
    return ", ".join("?" * len(values))
