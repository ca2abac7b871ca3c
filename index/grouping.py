"""Hits put together: the passages of one article, or the articles that tell one story, as one answer.

The first `GROUPED` hits of a ranking are grouped when a question is first asked, and the cursor carries which is in
which group: whatever is added until the next page, no group comes twice, and none that was there is left out. Behind
them articles follow one by one in the order of their nearest passages, which needs nothing to be remembered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from index import stories
from index.background import Sample
from index.dense import Place
from index.hybrid import Source
from index.neutral import Neutral
from index.records import Group, Hit

# Hits that are grouped, the first of the ranking. A cursor holds the row and the group of each.
GROUPED = 150

# Further passages of an article that are told with its best one.
FURTHER = 3


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that was found: its place, its relevance, None where it is not known, and its article's number."""

    place: Place
    relevance: float | None
    article: int


def groups(source: Source, rows: Sequence[int], group: Group, sample: Sample, neutral: Neutral) -> tuple[int, ...]:
    """Return the number of the group of each row; groups count from 0 in the order of their first rows.

    `sample` and `neutral` tell what is usual among the vectors of the source's index.
    """
    of = source.catalogue.numbers(list(rows))
    articles = list(dict.fromkeys(of[row] for row in rows))
    if group == "story":
        told = stories.read(source.catalogue.told(articles), source.index, articles)
        alike = stories.likeness(told, sample, source.index.vectors(sample.rows), neutral)
        numbers = dict(zip(articles, stories.stories(alike.total()), strict=True))
    else:
        numbers = {article: number for number, article in enumerate(articles)}
    return tuple(numbers[of[row]] for row in rows)


def gathered(found: Sequence[Found], group: dict[int, int]) -> list[list[Found]]:
    """Return what was found by group, which is told by row; groups, and what is in them, keep the order."""
    together: dict[int, list[Found]] = {}
    for each in found:
        together.setdefault(group[each.place.row], []).append(each)
    return list(together.values())


def told(found: Sequence[Found], hits: dict[int, Hit]) -> Hit:
    """Return a group as one hit: its first, with the articles of the others by their first."""
    articles: dict[int, list[Hit]] = {}
    for each in found:
        articles.setdefault(each.article, []).append(hits[each.place.row])
    lead, *others = (replace(first, passages=tuple(more[:FURTHER])) for first, *more in articles.values())
    return replace(lead, sources=tuple(others))
