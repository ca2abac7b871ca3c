"""What words sound like, written so that a name has the same keys in every script: Putin, Путин and পুতিন are `ptn`.

A word is written in ASCII letters (`anyascii`), its look-alike sounds are folded, and its vowels are dropped: what is
left is its skeleton. Its keys are the skeleton's first 3, 4 and 5 letters, so that a name with an ending ("Putins",
"Путиным", "পুতিনের") shares most of them. Of a script without spaces, whose words nobody marked, they are all pieces
of 3 to 5 letters, with the beginning of the run marked.

Foldings, in this order:

| written | folded | why |
|---|---|---|
| nasal sign of Indic scripts | n | "ं" is the nasal of whatever comes next; ASCII has m for it: स्वतंत्र, svatantra |
| m before t d k g s c j, where vowels are written | n | the same where a reader romanised it: svatamtra |
| c of Indic scripts | ch | चीन is "cin" in ASCII, and China |
| c before e i y | s | Cyprus, Сирия and Syria: in most languages of Europe |
| ch | C | one sound, and neither c nor h: China, चीन, Чили |
| x | ks | Mexico, मैक्सिको |
| ph | f | Philip, فيليب, Филипп |
| bh | v | প্রভু; Bengali writes v so |
| sh | s | many scripts have one of the two |
| c, ck, q | k | Iraq, Ирак; Cuba, Куба |
| w | v | Washington, Вашингтон |
| y | i, a vowel | Yemen, Йемен |
| z | j | আজাদ, आज़ाद: Indic scripts write z as j |
| doubled letters | one | Muhammad, Мухамед |

Some words have keys of a second and third reading too, which mends what a script leaves open without folding the same
sounds everywhere: in an Arabic or Hebrew word و and ו may be long vowels, Arabic writes p with b (بوتين) and Hebrew a p
that begins a word with the letter of f (פוטין); Greek writes b, d and g as μπ, ντ and γκ (Ομπάμα); Japanese has one
sound for l and r, and writes foreign names in katakana (クリントン).

The order, the choice of foldings, of lengths 3 to 5, and of what has no key (a skeleton of one letter) were measured
on FLORES-200 with BM25 over these keys alone: 113 pairs of languages, 30 languages within themselves, and romanised
questions in 7 languages. Folding voiced into unvoiced, l into r, n into m, f into p, b into v, or dropping h, each
lost between languages that mark their words and within languages. "x" made no difference there; it is for names.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import regex
from anyascii import anyascii

from index.words import Kind, Token, tokens

# Raised when keys of the same text become others: an index with older ones is built anew.
VERSION = 1

SHORTEST, LONGEST = 3, 5

# A run of a script without spaces may be a whole paragraph; its pieces are remembered by runs that come again.
_REMEMBERED = 1 << 16

_NASALS = dict.fromkeys(map(ord, "ँंঁংਁਂઁંଁଂஂఁంಁಂഁംඁං"), "n")
_GREEK = regex.compile(r"\p{Greek}")
_INDIC = regex.compile(r"[\u0900-\u0dff]")
_CONSONANTAL = regex.compile(r"[\u0590-\u07ff\u0870-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_ALEF = regex.compile(r"[\u0621-\u0623\u0625\u0627\u05d0]")
_KANA = regex.compile(r"\p{Katakana}")
_NO_LETTERS = re.compile(r"[^a-z]+")
_NASAL_M = re.compile(r"m(?=[tdkgscj])")
_FIRST_F = re.compile(r"^f")
_INDIC_C = re.compile(r"c(?!h)")
_DOUBLED = re.compile(r"(.)\1+")

# What is folded, in order; the last step folds single letters and drops the vowels.
_FOLDINGS = (
    ("ce", "se"),
    ("ci", "si"),
    ("cy", "sy"),
    ("ch", "C"),
    ("x", "ks"),
    ("ph", "f"),
    ("bh", "v"),
    ("sh", "s"),
    ("ck", "k"),
)
_SINGLE = str.maketrans("cqwz", "kkvj", "aeiouy")


class _Ascii(dict[int, str]):
    """The small ASCII letters that each character is written in, by its code point; a word's are those of each."""

    def __missing__(self, code: int) -> str:
        letters = self[code] = anyascii(chr(code)).lower()
        return letters


_ASCII = _Ascii()


@dataclass(frozen=True, slots=True)
class Key:
    """A sound key, and the span `[start, end)` in code points of the word that it is of."""

    start: int
    end: int
    term: str


def keys(text: str) -> list[Key]:
    """Return the sound keys of all words of a text, in the words' order.

    A number's key is the number itself, whole, in ASCII digits: numbers that begin alike are not alike.
    """
    return [Key(token.start, token.end, term) for token in tokens(text) for term in _keys(token.term, token.kind)]


def terms(text: str) -> Iterator[str]:
    """Yield the terms of the keys of a text: what `keys` returns, without the spans."""
    return terms_of(tokens(text))


def terms_of(pieces: Iterable[Token]) -> Iterator[str]:
    """Yield the terms of the keys of a text whose pieces are known."""
    for kind, _, _, term in pieces:
        yield from _keys(term, kind)


def skeleton(word: str) -> str:
    """Return what is left of a word when sounds are folded and vowels dropped: letters a-z, and C for "ch"."""
    if word.isascii():
        return _folded(_NASAL_M.sub("n", _letters(word)))
    letters = _letters(word.translate(_NASALS))
    if _INDIC.search(word):
        return _folded(_INDIC_C.sub("ch", letters))
    # Where vowels are written: without them any m could come before one of these.
    return _folded(letters if _CONSONANTAL.match(word) else _NASAL_M.sub("n", letters))


@lru_cache(maxsize=_REMEMBERED)
def _keys(term: str, kind: Kind) -> tuple[str, ...]:
    if kind == "number":
        return (term,)
    whole = skeleton(term)
    if kind == "run":
        found = _pieces(whole)
        if _KANA.search(term) and "r" in whole:
            found += _pieces(whole.replace("r", "l"))
    else:
        found = _beginnings(whole)
        if not term.isascii() and (_CONSONANTAL.match(term) or _GREEK.match(term)):
            for reading in _readings(term):
                found += _beginnings(reading)
    # A long run repeats its pieces, and how often is told; what two readings of a word share counts once.
    return tuple(found if kind == "run" else dict.fromkeys(found))


def _readings(word: str) -> Iterator[str]:
    """Yield skeletons of an Arabic, Hebrew or Greek word read otherwise; see the module."""
    letters = _letters(word)
    if _GREEK.match(word):
        yield _folded(letters.replace("mp", "b").replace("nt", "d").replace("gk", "g"))
        return
    hebrew = "\u0590" <= word[0] <= "\u05ff"
    first = 0 if _ALEF.match(word) else 1
    letters = letters[:first] + letters[first:].replace("v" if hebrew else "w", "")
    yield _folded(letters)
    yield _folded(_FIRST_F.sub("p", letters) if hebrew else letters.replace("b", "p"))


def _letters(word: str) -> str:
    letters = word.lower() if word.isascii() else word.translate(_ASCII)
    return letters if letters.isalpha() else _NO_LETTERS.sub("", letters)


def _folded(letters: str) -> str:
    for written, folded in _FOLDINGS:
        if written in letters:
            letters = letters.replace(written, folded)
    return _DOUBLED.sub(r"\1", letters.translate(_SINGLE))


def _beginnings(whole: str) -> list[str]:
    if len(whole) < SHORTEST:
        return [whole] if len(whole) == SHORTEST - 1 else []
    return [whole[:length] for length in range(SHORTEST, min(LONGEST, len(whole)) + 1)]


def _pieces(whole: str) -> list[str]:
    if len(whole) <= SHORTEST:
        return _beginnings(whole)
    marked = "^" + whole
    return [
        marked[start : start + length]
        for length in range(SHORTEST, LONGEST + 1)
        for start in range(len(marked) - length + 1)
    ]
