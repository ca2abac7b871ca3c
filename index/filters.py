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
class Named:
    """The field, one of `NAMES`, holds one of the values; or, `negated`, none of them."""

    field: str
    values: tuple[str, ...]
    negated: bool = False

    def sql(self) -> tuple[str, tuple[Parameter, ...]]:
        """Return a condition over the table `articles` and its parameters."""
        marks = _marks(self.values)
        return f"{NAMES[self.field]} {'NOT ' * self.negated}IN ({marks})", self.values


@dataclass(frozen=True, slots=True)
class Moment:
    """The article's date begins before or after a moment, in microseconds since 1970 UTC."""

    comparison: str
    moment: int

    def sql(self) -> tuple[str, tuple[Parameter, ...]]:
        """Return a condition over the table `articles` and its parameters."""
        return f"{PUBLISHED} {self.comparison} ?", (self.moment,)


@dataclass(frozen=True, slots=True)
class Member:
    """A value of the metadata, or an element of a list there, compares so with one of the values, types kept apart.

    `key` is its name, in which a dot may part an object from its member. `flags` are true and false, apart from the
    other values, for to Python true is 1.
    """

    key: str
    comparison: str
    values: tuple[Parameter, ...]
    flags: tuple[bool, ...] = ()

    @property
    def paths(self) -> list[tuple[str, ...]]:
        """Return the ways to what the key may mean: a value inside objects, or one of a dotted name."""
        return list(dict.fromkeys([tuple(self.key.split(".")), (self.key,)]))

    def sql(self) -> tuple[str, tuple[Parameter, ...]]:
        """Return a condition over the table `articles` and its parameters."""
        condition, values = self._equal() if self.comparison == "=" else self._bound()
        # json_each walks the members of an object too; those have text keys, elements of a list numbers.
        each = (
            "EXISTS (SELECT 1 FROM json_each(articles.metadata, ?) AS element"
            f" WHERE typeof(element.key) <> 'text' AND ({condition}))"
        )
        paths = ["$" + "".join(f'."{key}"' for key in path) for path in self.paths]
        return " OR ".join([each] * len(paths)), tuple(value for path in paths for value in [path, *values])

    def _equal(self) -> tuple[str, list[Parameter]]:
        parts = [f"element.type = '{str(value).lower()}'" for value in self.flags]
        texts = [value for value in self.values if isinstance(value, str)]
        numbers = [value for value in self.values if not isinstance(value, str)]
        if texts:
            parts.append(f"element.type = 'text' AND element.value IN ({_marks(texts)})")
        if numbers:
            parts.append(f"element.type IN ('integer', 'real') AND element.value IN ({_marks(numbers)})")
        return " OR ".join(f"({part})" for part in parts), [*texts, *numbers]

    def _bound(self) -> tuple[str, list[Parameter]]:
        (bound,) = self.values
        types = "'text'" if isinstance(bound, str) else "'integer', 'real'"
        return f"element.type IN ({types}) AND element.value {self.comparison} ?", [bound]


Condition = Named | Moment | Member


@dataclass(frozen=True, slots=True)
class Filter:
    """A checked filter, a value, of conditions that must all hold: two that are equal let the same articles through."""

    conditions: tuple[Condition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.conditions)

    def sql(self) -> tuple[str, tuple[Parameter, ...]]:
        """Return a condition over the table `articles` and its parameters."""
        told = [condition.sql() for condition in self.conditions]
        where = " AND ".join(f"({clause})" for clause, _ in told) or "1"
        return where, tuple(parameter for _, parameters in told for parameter in parameters)

    def without(self, name: str) -> "Filter":
        """Return the filter without its conditions on one of `NAMES`, or on the date, by `year`."""
        return Filter(
            tuple(
                each
                for each in self.conditions
                if not (isinstance(each, Moment) if name == "year" else isinstance(each, Named) and each.field == name)
            )
        )

    def outside(self, language: str) -> "Filter":
        """Return the filter that also asks for articles in any other language."""
        return Filter((*self.conditions, Named("language", (language,), negated=True)))


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
    read = [each for field, value in conditions for each in _conditions(field, value)]
    if languages:
        read.append(_among("language", list(languages)))
    return Filter(tuple(sorted(set(read), key=repr)))


def _conditions(field: object, value: object) -> list[Condition]:
    """Return the conditions for one field."""
    if isinstance(field, str) and field in NAMES:
        return [_among(field, value)]
    if field == "published_at":
        return _published(value)
    if isinstance(field, str) and field.startswith("metadata."):
        return _metadata(field, value)
    raise InvalidFilter(f"There is no field {field!r} to filter by; the fields are {FIELDS}.")


def _among(field: str, value: object) -> Condition:
    """Return the condition that a field holds one of some strings."""
    values = _several(field, value)
    if not all(isinstance(each, str) for each in values):
        raise InvalidFilter(f"The filter on {field} takes a string or a list of strings, not {value!r}.")
    return Named(field, tuple(sorted({_text(field, each) for each in values})))


def _published(value: object) -> list[Condition]:
    """Return the conditions on the date: a range, or one date that the article must fall into."""
    bounds = _range("published_at", value) if isinstance(value, Mapping) else {"gte": value, "lte": value}
    conditions: list[Condition] = []
    for operator, bound in bounds.items():
        try:
            ends = interval(bound if isinstance(bound, str) else "")
        except (ValueError, OverflowError):
            raise InvalidFilter(
                f"The filter on published_at takes ISO 8601 dates such as 2023-01-31, not {bound!r}."
            ) from None
        comparison, which = MOMENTS[operator]
        conditions.append(Moment(comparison, ends[which]))
    return conditions


def _metadata(field: str, value: object) -> list[Condition]:
    """Return the conditions on a key of the metadata; where it holds a list, one of its elements must do."""
    key = field.removeprefix("metadata.")
    keys = key.split(".")
    if not all(keys) or any(character in '"\\' or ord(character) < 32 for character in key):
        raise InvalidFilter(f"{field!r} names no key of the metadata: keys are joined by single dots, without quotes.")
    _text(field, key)
    if not isinstance(value, Mapping):
        return [_equal(field, key, _several(field, value))]
    conditions: list[Condition] = []
    for operator, bound in _range(field, value).items():
        if isinstance(bound, bool) or not isinstance(bound, str | int | float):
            raise InvalidFilter(f"The filter on {field} compares with a string or a number, not {bound!r}.")
        conditions.append(Member(key, COMPARISONS[operator], (_scalar(field, bound),)))
    return conditions


def _equal(field: str, key: str, values: list[object]) -> Condition:
    """Return the condition that an element equals one of the values."""
    if any(not isinstance(value, str | int | float) for value in values):
        raise InvalidFilter(f"The filter on {field} takes strings, numbers, true or false, or a list of them.")
    booleans = sorted({value for value in values if isinstance(value, bool)})
    texts = sorted({_text(field, value) for value in values if isinstance(value, str)})
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    scalars = sorted({_scalar(field, number) for number in numbers})
    return Member(key, "=", (*texts, *scalars), tuple(booleans))


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
