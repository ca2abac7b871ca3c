"""The words of a text in any script, as terms to search for, each with the span that it came from.

Python's `\\w` knows no vowel signs, and cuts Bengali and Hindi words at every one of them; what a word is made of is
told here by Unicode's general categories (https://www.unicode.org/reports/tr44/#General_Category_Values).
"""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

import regex

Kind = Literal["word", "number", "run"]

# Raised when words of the same text become others: an index with older ones is built anew.
VERSION = 1

# What is longer is no word; its first characters will do.
LONGEST = 64

# Scripts written without spaces. Chinese and Japanese mix theirs within a word, the others do not.
_EAST = r"\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}"
_SOUTH = [rf"\p{{sc={script}}}" for script in ("Thai", "Lao", "Khmer", "Myanmar")]
_RUNS = "|".join(rf"[[{script}]&&[\p{{L}}\p{{M}}\p{{Nl}}]]++" for script in (_EAST, *_SOUTH))
_UNSPACED = "[" + _EAST + "".join(_SOUTH) + "]"

# Characters that say how letters are joined, or where a line may break, and are no part of how a word is spelt.
_JOINERS = r"\u00ad\u200c\u200d\u2060"

# What parts groups of digits, and decimals. A plain space parts numbers: "in 2010 500 came".
_SEPARATORS = r".,'’٫٬\u00a0\u202f\u2009"

_KINDS = {
    "number": rf"\p{{Nd}}++ (?: [{_SEPARATORS}] \p{{Nd}}++ )*+",
    "sign": r"\p{No}",
    "run": _RUNS,
    "word": rf"""[[\p{{L}}\p{{Nl}}]--{_UNSPACED}]
        (?: [[\p{{L}}\p{{M}}\p{{Nl}}]--{_UNSPACED}]++ | [{_JOINERS}]++ (?= [[\p{{L}}\p{{M}}]--{_UNSPACED}] ) )*+""",
}
_TOKENS = regex.compile("(?V1)" + "|".join(f"(?P<{kind}> {form} )" for kind, form in _KINDS.items()), regex.VERBOSE)
_WRITTEN = regex.compile("(?V1)" + "|".join(_KINDS.values()), regex.VERBOSE)
_DIGITS = regex.compile(r"\p{Nd}+")
_CLUSTERS = regex.compile(r"\X")

# Arabic and Hebrew vowel points and the stroke that stretches a word, which most writers leave out, and the joiners.
_LEFT_OUT = regex.compile(rf"[{_JOINERS}\u0640\u064b-\u0652\u0670\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]+")
_NOT_SPELT = regex.compile(r"[^\p{L}\p{M}\p{N}]+")


class Token(NamedTuple):
    """A piece of a text: a word, a number, or a run of a script without spaces, whose words nobody marked.

    `start` and `end` are code points of the text; `term` is the piece normalised.
    """

    kind: Kind
    start: int
    end: int
    term: str


class Word(NamedTuple):
    """A word of a text: the span `[start, end)` in code points, and the term that stands for it."""

    start: int
    end: int
    term: str


def words(text: str) -> list[Word]:
    """Return the words of a text in order.

    Spelling is normalised (NFKC, case folded, without Arabic and Hebrew vowel points), digits of any script are
    ASCII digits, and a number is one term however it is grouped: "4,500", "४,५००" and "4500" are the same. Of a
    script without spaces, each pair of neighbouring characters (grapheme clusters) is a term, so they overlap.
    """
    return words_of(text, tokens(text))


def words_of(text: str, pieces: Iterable[Token]) -> list[Word]:
    """Return the words of a text whose pieces are known."""
    found: list[Word] = []
    for kind, start, end, term in pieces:
        if kind == "run":
            found.extend(_pairs(text, start, end))
        else:
            found.append(Word(start, end, term))
    return found


def written(text: str) -> list[str]:
    """Return what `tokens` cuts a text into, as it is written: each has the same tokens by itself."""
    found: list[str] = _WRITTEN.findall(text)
    return found


def tokens(text: str) -> Iterator[Token]:
    """Yield the pieces of a text in order, none of which overlap; see `words`."""
    for match in _TOKENS.finditer(text):
        start, end = match.span()
        if match.lastgroup == "number":
            for first, last, value in numbers(match[0]):
                yield Token("number", start + first, start + last, value)
        elif match.lastgroup == "sign":
            # One of ①, ², ፲ and the like; a fraction (½) is no number that anybody searches for.
            if "⁄" not in (value := unicodedata.normalize("NFKC", match[0])):
                yield Token("number", start, end, _NOT_SPELT.sub("", value))
        elif match.lastgroup == "run":
            yield Token("run", start, end, unicodedata.normalize("NFKC", match[0]))
        elif term := spelling(match[0]):
            yield Token("word", start, end, term)


@lru_cache(maxsize=1 << 16)
def spelling(word: str) -> str:
    """Return a word as it is compared: NFKC, case folded, without joiners and vowel points; "" where nothing is left.

    Folding case can undo a composition, so it is composed once more
    (https://www.unicode.org/reports/tr15/, section 1.1; Unicode Standard, section 3.13).
    """
    return _spelt(word)[:LONGEST]


def _spelt(word: str) -> str:
    if word.isascii():
        return word.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())
    if folded.isalpha() and "\u0640" not in folded:  # nothing that is left out, and sooner told
        return folded
    # The dotted capital I of Turkish leaves its dot behind where case is folded.
    spelt: str = _NOT_SPELT.sub("", _LEFT_OUT.sub("", folded).replace("i̇", "i"))
    return spelt


def numbers(written: str) -> list[tuple[int, int, str]]:
    """Return the numbers in digits with separators between them: start, end, and value in ASCII digits.

    A separator before exactly three digits groups them (and before two in the Indian way: 12,34,567), and the
    last one, where it is another, parts the decimals. What cannot be read so, a date or a time, is several
    numbers. Equal values are equal terms: without zeros in front, or behind decimals.
    """
    spans = [match.span() for match in _DIGITS.finditer(written)]
    digits = [_ascii(written[start:end]) for start, end in spans]
    marks = [written[end] for _, end in spans[:-1]]
    if value := _whole(digits, marks):
        return [(spans[0][0], spans[-1][1], value)]
    return [(start, end, _plain(value)) for (start, end), value in zip(spans, digits, strict=True)]


def _whole(digits: list[str], marks: list[str]) -> str | None:
    """Return the value of a number in groups; None where the groups are no number."""
    if not marks:
        return _plain(digits[0]) if digits else None
    decimals = ""
    parted = marks[-1] in ".,٫" and marks[-1] not in marks[:-1]
    grouped = len(digits[-1]) == 3 and 1 <= len(digits[0]) <= 3 and digits[0].strip("0") != ""
    if parted and (marks[-1] == "٫" or len(marks) > 1 or not grouped):
        *digits, decimals = digits
        marks = marks[:-1]
    if marks and not _groups(digits, marks):
        return None
    value, decimals = _plain("".join(digits)), decimals.rstrip("0")[:LONGEST]
    return f"{value}.{decimals}" if decimals else value


def _groups(digits: list[str], marks: list[str]) -> bool:
    first, *middle, last = digits
    same = len(set(marks)) == 1 and marks[0] != "٫"
    sizes = {len(group) for group in middle}
    return same and len(last) == 3 and 1 <= len(first) <= 3 and (sizes <= {3} or (sizes == {2} and len(first) < 3))


def _plain(digits: str) -> str:
    return (digits.lstrip("0") or "0")[:LONGEST]


def _ascii(digits: str) -> str:
    # A digit that is newer than Python's tables stays as it is.
    return digits if digits.isascii() else "".join(str(unicodedata.decimal(digit, digit)) for digit in digits)


def _pairs(text: str, start: int, end: int) -> Iterator[Word]:
    """Yield the overlapping pairs of characters of a run, or the one character that it has."""
    plain = _spelt(text[start:end]) == text[start:end]  # and so is every part of it
    ends = [match.end() for match in _CLUSTERS.finditer(text, start, end)]
    starts = [start, *ends[:-1]]
    step = min(2, len(ends))
    for first, last in zip(starts, ends[step - 1 :], strict=False):
        if term := text[first:last][:LONGEST] if plain else spelling(text[first:last]):
            yield Word(first, last, term)
