"""One question's ranking at one change of the library: the window that all evidence orders, pages, groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index import grouping
from index.cursor import Cursor
from index.dense import Place, best
from index.grouping import GROUPED, Found
from index.held import Held
from index.hybrid import NEAREST, WINDOW, Asked, Hybrid, Source, Window, similarity
from index.neutral import Neutral
from index.records import Group, Mode
from index.scope import Allowed, among

Rows = NDArray[np.int64]

# The modes whose ranking begins with a window of passages for which all evidence is gathered.
WINDOWED = ("hybrid", "lexical")

# Passages that mode `lexical` ranks.
MOST_LEXICAL = 200


@dataclass(frozen=True, slots=True)
class Opening:
    """The first places of a page, one more than asked for where there is one, and their relevance; the rows of the
    ranking's window, and the relevance of the ranking's first passage.
    """

    places: list[Place]
    relevance: list[float | None]
    window: tuple[int, ...]
    best: float | None


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a question is ranked by: the rows that are `allowed`, None for all, of one source."""

    asked: Asked
    mode: Mode
    source: Source
    allowed: Allowed | None
    hybrid: Hybrid
    neutral: Neutral
    held: Held

    def page(self, limit: int, after: Cursor | None, least: float | None) -> Opening:
        """Return the places of a page and one more where there is one.

        In a ranking with a window, what is under the `least` relevance is left out of it; behind the window the order
        is not that of relevance, and it ends where none of so many as a window holds is relevant enough.
        """
        if self.mode not in WINDOWED:
            place, seen = (after.place, after.rank) if after else (None, 0)
            places = best(self.source.index, self.asked.vector, limit + 1, self.allowed, place, seen)
            chances = self._chances(places)
            first = after.best if after else next(iter(chances), None)
            if least is not None:
                # Of one query, relevance falls as the score does: what is left out is the end.
                places = places[: sum(chance is not None and chance >= least for chance in chances)]
            return Opening(places, chances[: len(places)], (), first)
        if after:
            opened, window = None, after.window
            left = window[window.index(after.place.row) + 1 :] if after.place.row in window else ()
        else:
            opened = self._window()
            left = window = tuple(opened.rows.tolist())
        found, chances, nearest = self._relevant(self._present(left), least, limit + 1, opened)
        first = after.best if after else nearest
        place = after.place if after and after.place.row not in window else None
        while len(found) <= limit and self.mode == "hybrid":
            # Behind the window: by meaning, without the rows that were in it.
            behind = self._behind(place, len(window))
            rows = np.array([each.row for each in behind if each.row not in window], np.int64)
            more, likely, _ = self._relevant(rows, least, limit + 1 - len(found))
            found, chances = found + more, chances + likely
            if len(behind) < WINDOW + len(window) or not more:
                break
            place = behind[-1]
        return Opening(found, chances, window, first)

    def groups(
        self, limit: int, after: Cursor | None, least: float | None, group: Group
    ) -> tuple[list[list[Found]], Cursor]:
        """Return the groups of a page and one more where there is one, and the cursor that they began with.

        Behind the grouped rows an article stands where its nearest passage does, if that is relevant enough. Whether it
        was given before can be told from the place of that passage alone.
        """
        start = after or self._opened(group)
        begun = start.window.index(start.place.row) if start.place.row in start.window else len(start.window)
        rows = self._present(start.window)
        found = self._answering(rows, least)
        groups = grouping.gathered(found, dict(zip(start.window, start.groups, strict=True)))
        if after:
            groups = [each for each in groups if start.window.index(each[0].place.row) > begun]
        given = set(self.source.catalogue.numbers(rows.tolist()).values())
        place = after.place if after and after.place.row not in start.window else None
        while len(groups) <= limit and self.mode != "lexical":
            behind = self._behind(place, len(start.window))
            numbers = self.source.catalogue.numbers([each.row for each in behind])
            others = [each.row for each in behind if numbers[each.row] not in given]
            more = self._answering(np.array(others, np.int64), least)
            groups += [[each] for each in more if self._nearest(each)]
            if len(behind) < WINDOW + len(start.window) or (least is not None and others and not more):
                break
            place = behind[-1]
        return groups[: limit + 1], start

    def _opened(self, group: Group) -> Cursor:
        """Return the cursor before the first page: the first rows of the ranking, and their groups."""
        rows = self._window().rows.tolist() if self.mode in WINDOWED else []
        if self.mode != "lexical":
            rows += [each.row for each in best(self.source.index, self.asked.vector, GROUPED, self.allowed)]
        window = tuple(dict.fromkeys(rows))[:GROUPED]
        neutral = Neutral(None) if self.mode == "raw" else self.neutral
        groups = grouping.groups(self.source, window, group, self.hybrid.sample(self.source), neutral)
        first = self._answering(np.array(window[:1], np.int64), None)
        return Cursor(Place(0.0, 0), 0, "", window, first[0].relevance if first else None, groups)

    def _present(self, rows: Sequence[int]) -> Rows:
        """Return those of the rows that are still there: some may be gone since the window was opened."""
        before = np.array(rows, np.int64)
        return before[self.source.index.holds(before) if self.allowed is None else among(before, self.allowed)]

    def _behind(self, place: Place | None, window: int) -> list[Place]:
        """Return the places behind one in the order of meaning, a window more than those that may be left out."""
        return best(self.source.index, self.asked.vector, WINDOW + window, self.allowed, place)

    def _answering(self, rows: Rows, least: float | None) -> list[Found]:
        """Return the rows that are relevant enough, in the order that they came in."""
        if self.mode in WINDOWED:
            places, chances = self._judged(rows)
        else:
            scores = similarity(self.asked, rows, self.source).tolist()
            places = [Place(score, row) for score, row in zip(scores, rows.tolist(), strict=True)]
            chances = self._chances(places)
        numbers = self.source.catalogue.numbers(rows.tolist())
        return [
            Found(place, chance, numbers[place.row])
            for place, chance in zip(places, chances, strict=True)
            if least is None or (chance is not None and chance >= least)
        ]

    def _nearest(self, found: Found) -> bool:
        """Tell whether a passage is the nearest in meaning of those of its article that are searched."""
        rows = self.source.catalogue.rows_of(found.article)
        rows = rows if self.allowed is None else rows[among(rows, self.allowed)]
        return int(rows[np.argmax(similarity(self.asked, rows, self.source))]) == found.place.row

    def _window(self) -> Window:
        """Return the window."""
        self.hybrid.begin(self.asked, self.source)
        if self.mode == "lexical":
            return Window(self.hybrid.lexical(self.asked, self.source, self.allowed, MOST_LEXICAL, self.held), None)
        _, rows = self.source.index.search(self.asked.vector[None], NEAREST, self.allowed)
        near = rows[0][rows[0] >= 0]
        return self.hybrid.windows(self.asked, [near], [self.allowed], self.source, self.held)[0]

    def _relevant(
        self, rows: Rows, least: float | None, most: int, window: Window | None = None
    ) -> tuple[list[Place], list[float | None], float | None]:
        """Return the places of the first rows, at most `most`, that are relevant enough, their relevance, and that of
        the first of all.
        """
        places, chances = self._judged(rows if least is not None else rows[:most], window)
        first = chances[0] if chances else None
        if least is None:
            return places, chances, first
        kept = [number for number, chance in enumerate(chances) if chance is not None and chance >= least][:most]
        return [places[number] for number in kept], [chances[number] for number in kept], first

    def _judged(self, rows: Rows, window: Window | None = None) -> tuple[list[Place], list[float | None]]:
        """Return rows as places, by their similarity, and their relevance, in the order that they came in."""
        if not len(rows):
            return [], []
        similarity, known = self.hybrid.judge(self.asked, rows, self.source, self.held, window)
        places = [Place(score, row) for score, row in zip(similarity.tolist(), rows.tolist(), strict=True)]
        return places, [None] * len(rows) if known is None else known.tolist()

    def _chances(self, places: Sequence[Place]) -> list[float | None]:
        """Return the relevance of each place; None where it is not known."""
        if self.mode != "dense" or not self.neutral.calibrated:
            return [None] * len(places)
        scores = np.array([place.score for place in places], np.float32)
        chances: list[float | None] = self.neutral.relevance(scores, self.asked.vector).tolist()
        return chances
