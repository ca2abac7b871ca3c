"""Filters as Milvus' boolean expressions, and the fields that these are over."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from index.dates import interval
from index.filters import Condition, Filter, Member, Moment, Named, Parameter
from index.records import Article

# The date of an article without one: before all others, and out of every range.
NEVER = -(2**62)

ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r"})

FIELDS = {"language": "language", "source": "source", "article_id": "article", "url": "url"}


def columns(article: Article) -> dict[str, Any]:
    """Return what filters ask of an article, as fields of Milvus.

    Milvus 2.3 has no nulls, so what may be lacking is written with "=" before it, and as "" where it is. Of the
    metadata `facts` holds by path its values as strings that begin with their type, and the least and the largest of
    the numbers (`n`) and of the strings (`s`): of a list, one element of which is to be in a range, these tell whether
    one is.
    """
    return {
        "article": article.id,
        "language": article.language,
        "source": present(article.source),
        "url": present(article.url),
        "published": NEVER if article.published_at is None else interval(article.published_at)[0],
        "facts": facts(article.metadata),
    }


def present(value: str | None) -> str:
    """Return a string that may be lacking as it is written."""
    return "" if value is None else f"={value}"


def facts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked of metadata, by path."""
    elements: dict[str, list[object]] = {}
    waiting: list[tuple[tuple[str, ...], object]] = [((str(key),), value) for key, value in metadata.items()]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting.extend(((*path, str(key)), each) for key, each in value.items())
            continue
        # A name with a dot in it is only asked for where it stands alone.
        if len(path) > 1 and any("." in key for key in path):
            continue
        elements.setdefault(".".join(path), []).extend(value if isinstance(value, list | tuple) else [value])
    return {name: told for name, own in elements.items() if (told := _told(own))}


def _told(elements: list[object]) -> dict[str, Any]:
    """Return what is kept of the values at one path; nothing where none can be asked for."""
    tags = sorted({_tagged(each) for each in elements if isinstance(each, str | int | float)})
    if not tags:
        return {}
    told: dict[str, Any] = {"is": tags}
    texts = [each for each in elements if isinstance(each, str)]
    numbers = [each for each in elements if isinstance(each, int | float) and not isinstance(each, bool)]
    # Milvus holds integers of 64 bits.
    held = [each if -(2**63) <= each < 2**63 else float(each) for each in numbers]
    for kind, values in (("s", texts), ("n", held)):
        if values:
            told[f"{kind}min"], told[f"{kind}max"] = min(values), max(values)
    return told


def expression(where: Filter | None) -> str:
    """Return a filter as an expression; "" where it lets everything through."""
    return both(*(_condition(each) for each in where.conditions)) if where else ""


def both(*expressions: str) -> str:
    """Return the expression that all of some hold; those that are empty ask nothing."""
    asked = [each for each in expressions if each]
    return asked[0] if len(asked) == 1 else " and ".join(f"({each})" for each in asked)


def among(field: str, values: Iterable[int | str]) -> str:
    """Return the expression that a field holds one of some values."""
    return f"{field} in [{', '.join(map(quoted, values))}]"


def quoted(value: Parameter) -> str:
    """Return a value as Milvus reads it: no more is escaped than must be, for servers differ there."""
    if not isinstance(value, str):
        return json.dumps(value)
    return f'"{value.translate(ESCAPED)}"'


def _condition(condition: Condition) -> str:
    match condition:
        case Named(field, values, negated):
            told = [value if field in ("language", "article_id") else present(value) for value in values]
            return ("not " if negated else "") + f"({among(FIELDS[field], told)})"
        case Moment(comparison, moment):
            return f"published > {NEVER} and published {comparison} {moment}"
        case Member():
            return _member(condition)


def _member(condition: Member) -> str:
    # Both ways to a dotted key have one name here.
    at = f"facts[{quoted(condition.key)}]"
    if condition.comparison == "=":
        told = [_tagged(value) for value in (*condition.flags, *condition.values)]
        return f'json_contains_any({at}["is"], [{", ".join(map(quoted, told))}])'
    (bound,) = condition.values
    kind = "s" if isinstance(bound, str) else "n"
    end = "max" if condition.comparison.startswith(">") else "min"
    return f"{at}[{quoted(kind + end)}] {condition.comparison} {quoted(bound)}"


def _tagged(value: object) -> str:
    """Return a value as a string that tells its type; 1 and 1.0 are one number."""
    if isinstance(value, bool):
        return f"b{str(value).lower()}"
    if isinstance(value, str):
        return f"s{value}"
    assert isinstance(value, int | float)
    whole = isinstance(value, int) or (math.isfinite(value) and value.is_integer())
    return f"n{int(value)}" if whole else f"n{value!r}"
