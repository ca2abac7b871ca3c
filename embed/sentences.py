"""Where the sentences of a text begin and end.

`sentencex` (Wikimedia) knows the full stops and abbreviations of some 300 languages; here its answer is
turned into exact spans that lose nothing, and what it misses is put right: shads and khans, decimals,
abbreviations in danda scripts. Thai puts no mark after a sentence and stays whole, but for its paragraphs.
"""

from __future__ import annotations

import re
from itertools import pairwise

import sentencex

_SURROGATES = re.compile("[\ud800-\udfff]")  # cannot be written as UTF-8, which sentencex does

# Ends of sentences that sentencex (1.0) leaves uncut: Khmer khan and bariyoosan, Tibetan shad and nyis shad.
_MISSED = re.compile('[\u17d4\u17d5\u0f0d\u0f0e]+[\u201d\u2019\u00bb")\\]]*')
_DANDA = re.compile("[\u0964\u0965]")
_SHORT = 4  # code points of an abbreviated title before its stop: the longest common one is প্রো
_SHORT_WORD = re.compile(rf"(?<!\S)\S{{1,{_SHORT}}}\.\s*\Z")


def sentences(text: str, language: str) -> list[tuple[int, int]]:
    """Spans `(start, end)` of the sentences in order, in code points, without the white space around them.

    Every character that is not white space is in exactly one span, whatever the text holds. `language` is a
    code as `embed.language.normalise` gives it; an unknown one is cut by the marks common to all.
    """
    readable = _SURROGATES.sub("\ufffd", text)
    cuts = {0, len(text)}
    has_danda = _DANDA.search(text) is not None
    for boundary in sentencex.get_sentence_boundaries(language, readable):
        end = boundary["end_index"]
        if 0 < end < len(text) and not _inside(text, end, has_danda):
            cuts.add(end)
    cuts.update(mark.end() for mark in _MISSED.finditer(text))
    trimmed = (trim(text, start, end) for start, end in pairwise(sorted(cuts)))
    return [(start, end) for start, end in trimmed if start < end]


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space at either side; empty (`start == end`) where it holds nothing else."""
    part = text[start:end]
    inner = part.strip()
    if not inner:
        return start, start
    start += len(part) - len(part.lstrip())
    return start, start + len(inner)


def _inside(text: str, end: int, has_danda: bool) -> bool:
    """Whether a boundary that sentencex sees at `end` falls inside a sentence."""
    if text[end - 1] == "." and text[end].isalnum():
        return True  # a decimal (১.৫ লাখ) or a name with a stop in it
    # Where dandas end the sentences, a stop after a short word marks a title: ড. ইউনূস, मो. रफ़ी.
    return has_danda and _SHORT_WORD.search(text, max(0, end - 2 * _SHORT - 8), end) is not None
