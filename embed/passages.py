"""Articles cut into passages: paragraphs, and balanced runs of sentences where a paragraph is too long.

The cuts go from coarse to fine, and each step asks for the token counts of all its candidates in one call:
paragraphs, the sentences of those over the budget, the words of sentences over it, the parts of words over
it. Then neighbours are joined again into as few pieces as the budget allows, as even in size as that number
allows.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise

from embed.sentences import sentences, trim

Span = tuple[int, int]
CountTokens = Callable[[Sequence[str]], list[int]]

# With more characters than these for each token of the budget a paragraph is taken to be over it without being
# measured: few texts have as many a token. Where it is not over, its sentences are joined again.
LETTERS = 5

# Tokens a passage may take, with prompt and special tokens. Chosen by measurement: see benchmarks/results.md.
BUDGET = 192

_WORD = re.compile(r"\S+")
_JOINERS = "\u200c\u200d\ufe0e\ufe0f"
_LOOK_BACK = 16  # characters a cut inside a word moves to keep a cluster whole; longer ones are not writing


@dataclass(frozen=True, slots=True)
class _Unit:
    """A part that is not cut further, and the tokens it takes alone."""

    paragraph: int
    start: int
    end: int
    tokens: int


def paragraphs(text: str) -> list[Span]:
    """Spans of the paragraphs in order, trimmed.

    A blank line ends one; a text with no blank lines has one a line.
    """
    lines: list[Span] = []
    start = 0
    for line in text.splitlines(keepends=True):
        lines.append(trim(text, start, start + len(line)))
        start += len(line)
    filled = [i for i, (start, end) in enumerate(lines) if start < end]
    if not filled or filled[-1] - filled[0] == len(filled) - 1:
        return [lines[i] for i in filled]
    found = [lines[filled[0]]]
    for before, i in pairwise(filled):
        if i == before + 1:
            found[-1] = (found[-1][0], lines[i][1])
        else:
            found.append(lines[i])
    return found


def split(text: str, language: str, count_tokens: CountTokens, budget: int = BUDGET) -> list[Span]:
    """Spans of the passages of a text, in order; every character that is not white space is in exactly one.

    `count_tokens` gives each text's tokens with prompt and special tokens, not cut short at the window. No
    passage is over `budget`, unless a single character is. Time is near linear in the text. Raises ValueError
    for a budget that the prompt and special tokens alone use up.
    """

    def count(spans: Sequence[Span]) -> list[int]:
        return count_tokens([text[start:end] for start, end in spans]) if spans else []

    def finer(units: list[_Unit], cut: Callable[[_Unit], list[Span]]) -> list[_Unit]:
        """The units with those over the budget cut, all measured in one call."""
        parts = {i: cut(unit) for i, unit in enumerate(units) if unit.tokens > budget}
        counts = iter(count([span for spans in parts.values() for span in spans]))
        cut_up: list[_Unit] = []
        for i, unit in enumerate(units):
            if i in parts:
                cut_up.extend(_Unit(unit.paragraph, start, end, next(counts)) for start, end in parts[i])
            else:
                cut_up.append(unit)
        return cut_up

    spans = paragraphs(text)
    if not spans:
        return []
    measured = [(start, end) for start, end in spans if end - start <= LETTERS * budget]
    overhead, *counts = count_tokens(["", *(text[start:end] for start, end in measured)])
    if budget <= overhead:
        raise ValueError(f"A passage budget of {budget} tokens is too small: the prompt alone takes {overhead}.")
    known = dict(zip(measured, counts, strict=True))
    units = [_Unit(i, *span, known.get(span, budget + 1)) for i, span in enumerate(spans)]
    units = finer(units, lambda unit: _shifted(sentences(text[unit.start : unit.end], language), unit.start))
    units = finer(units, lambda unit: [match.span() for match in _WORD.finditer(text, unit.start, unit.end)])
    while any(unit.tokens > budget and unit.end - unit.start > 1 for unit in units):
        units = finer(units, lambda unit: _parts(text, unit, budget - overhead))

    done: list[Span] = []
    pieces: list[list[_Unit]] = []
    for _, paragraph in groupby(units, key=lambda unit: unit.paragraph):
        pieces.extend(_joined(list(paragraph), overhead, budget))
    # The tokens of a whole are not exactly the sum of its parts': a piece that measures too much is halved.
    while pieces:
        whole = [(piece[0].start, piece[-1].end) for piece in pieces]
        sizes = iter(count([span for span, piece in zip(whole, pieces, strict=True) if len(piece) > 1]))
        halves: list[list[_Unit]] = []
        for span, piece in zip(whole, pieces, strict=True):
            if len(piece) == 1 or next(sizes) <= budget:
                done.append(span)
            else:
                halves += [piece[: len(piece) // 2], piece[len(piece) // 2 :]]
        pieces = halves
    return sorted(done)


def _joined(units: list[_Unit], overhead: int, budget: int) -> list[list[_Unit]]:
    """Neighbours joined into the fewest pieces within the budget, of sizes as even as that number allows."""
    sizes = [unit.tokens - overhead for unit in units]
    room = max(budget - overhead, *sizes)
    fewest = len(_filled(sizes, room)) + 1
    cuts = _even(sizes, fewest)
    if any(sum(sizes[start:end]) > room for start, end in pairwise([0, *cuts, len(sizes)])):
        low, high = max(sizes), room  # the least room that still makes no more pieces
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if len(_filled(sizes, middle)) < fewest else (middle + 1, high)
        cuts = _filled(sizes, low)
    return [units[start:end] for start, end in pairwise([0, *cuts, len(units)])]


def _filled(sizes: list[int], room: int) -> list[int]:
    """Where pieces begin, but for the first, when each takes all that fits."""
    cuts: list[int] = []
    taken = 0
    for i, size in enumerate(sizes):
        if taken + size > room and i:
            cuts.append(i)
            taken = 0
        taken += size
    return cuts


def _even(sizes: list[int], pieces: int) -> list[int]:
    """Where pieces begin, but for the first, when each cut is the one nearest to equal shares."""
    sums = [0, *accumulate(sizes)]
    cuts: list[int] = []
    for j in range(1, pieces):
        share = sums[-1] * j / pieces
        at = bisect_left(sums, share)
        at -= at > 0 and share - sums[at - 1] <= sums[at] - share
        cuts.append(min(max(at, (cuts[-1] if cuts else 0) + 1), len(sizes) - pieces + j))
    return cuts


def _parts(text: str, unit: _Unit, room: int) -> list[Span]:
    """A run without spaces cut into equal parts that should fit, between clusters of characters."""
    length = unit.end - unit.start
    if length <= 1:
        return [(unit.start, unit.end)]
    parts = min(length, max(2, -(-unit.tokens // room)))
    cuts = {_cluster_start(text, unit.start + length * j // parts, unit.start) for j in range(1, parts)}
    if cuts == {unit.start}:  # one cluster, over the budget by itself
        cuts = {unit.start + length // 2}
    return list(pairwise(sorted({unit.start, *cuts, unit.end})))


def _cluster_start(text: str, at: int, start: int) -> int:
    """The last position up to `at` that parts no vowel sign, accent or joined emoji from its base."""
    for position in range(at, max(start, at - _LOOK_BACK), -1):
        here, before = text[position], text[position - 1]
        joined = unicodedata.category(here)[0] == "M" or here in _JOINERS or "\U0001f3fb" <= here <= "\U0001f3ff"
        # A virama binds the next consonant to the one before it (Unicode 15, chapter 12).
        if not joined and before != "\u200d" and unicodedata.combining(before) != 9:
            return position
    return start if at - start < _LOOK_BACK else at


def _shifted(spans: list[Span], by: int) -> list[Span]:
    return [(start + by, end + by) for start, end in spans]
