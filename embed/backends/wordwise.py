"""The tokens of texts put together from those of their words, most of which have been in a text before.

That holds of a tokenizer that cuts at spaces before it does anything that reaches over one: a word then has the same
tokens wherever it stands. The default model's is of this kind; a text is read by it some ten times as fast a second
time as by the tokenizer itself (benchmarks/results.md).
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embed.backends.batches import trimmed

# Words that are remembered, and the characters of the longest: what is longer is a sentence of a script without spaces.
MOST, LONGEST = 1 << 17, 40

# So many characters of longer ones are remembered: most are asked for again soon, as passages that were counted.
LONG = 1 << 17

# The token ids of a word, and where in the word each token starts and ends, in numbers of 32 bits: bytes, of which
# Python's collector of garbage takes no notice.
Word = tuple[bytes, bytes]

# Steps of a normaliser that change each character, with the marks upon it, by itself.
_LOCAL = {"Nmt", "NFC", "NFD", "NFKC", "NFKD"}


class Wordwise:
    """A tokenizer that remembers words. Safe to use from many threads."""

    def __init__(self, tokenizer: Any) -> None:
        """Not for tokenizers of another kind: see `fits`."""
        self._tokenizer = tokenizer
        frame = tokenizer.encode("a")
        own = [place for place, special in enumerate(frame.special_tokens_mask) if not special]
        self._before: list[int] = frame.ids[: own[0]]
        self._after: list[int] = frame.ids[own[-1] + 1 :]
        self._known: dict[str, Word] = {}
        self._long: dict[str, Word] = {}
        self._letters = 0  # of long words

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, special tokens included: those that the tokenizer gives."""
        words = self._words([text.split(" ") for text in texts])
        return [[*self._before, *_numbers([ids for ids, _ in each]).tolist(), *self._after] for each in words]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the characters `[start, end)` of each token of a text, without white space around them; of no special
        tokens."""
        written = text.split(" ")
        [words] = self._words([written])
        inside = _numbers([spans for _, spans in words]).astype(np.int64)
        starts = [0, *accumulate([len(word) + 1 for word in written[:-1]])]
        inside += np.repeat(starts, [len(spans) // np.uintc().itemsize for _, spans in words])
        places = inside.tolist()
        return list(zip(places[::2], places[1::2], strict=True))

    def _words(self, texts: list[list[str]]) -> list[list[Word]]:
        """Return the words of texts."""
        if len(self._known) >= MOST:
            self._known = {}  # another thread goes on with the one it has
        if self._letters >= LONG:
            self._long, self._letters = {}, 0
        known, long = self._known, self._long
        new = list(set(chain.from_iterable(texts)).difference(known, long))
        for word, told in zip(new, self._read(new) if new else (), strict=True):
            if len(word) <= LONGEST:
                known[word] = told
            else:
                long[word] = told
                self._letters += len(word)
        return [[known[word] if word in known else long[word] for word in words] for words in texts]

    def _read(self, words: list[str]) -> Iterator[Word]:
        """Yield words as the tokenizer reads them: as one text, for to ask it for each takes longer than reading it."""
        found = self._tokenizer.encode(" ".join(words), add_special_tokens=False)
        spans = np.array(found.offsets, np.int64).reshape(-1, 2)
        starts = np.cumsum([0, *(len(word) + 1 for word in words)])
        ends = np.searchsorted(spans[:, 0], starts)
        spans -= np.repeat(starts[:-1], np.diff(ends))[:, None]
        ids, places, bounds = array("I", found.ids).tobytes(), spans.astype(np.uintc).tobytes(), ends.tolist()
        size = np.uintc().itemsize
        for word, (start, end) in zip(words, pairwise(bounds), strict=True):
            within = places[2 * size * start : 2 * size * end]
            if word.split() != [word]:  # white space of another kind
                own = [trimmed(word, *span) for span in spans[start:end].tolist()]
                within = array("I", chain.from_iterable(own)).tobytes()
            yield ids[size * start : size * end], within


def _numbers(parts: list[bytes]) -> NDArray[np.uintc]:
    return np.frombuffer(b"".join(parts), np.uintc)


def fits(tokenizer: Any) -> bool:
    """Tell whether a tokenizer gives a text the tokens of its words, one after another."""
    first = _steps(tokenizer.pre_tokenizer, "pretokenizers")[:1]
    added = tokenizer.get_added_tokens_decoder().values()
    return (
        [step["type"] for step in first] == ["WhitespaceSplit"]
        and all(map(_local, _steps(tokenizer.normalizer, "normalizers")))
        and not any(token.lstrip or token.rstrip or token.single_word or " " in token.content for token in added)
        and tokenizer.truncation is None
        and tokenizer.padding is None
    )


def _steps(component: Any, name: str) -> list[dict[str, Any]]:
    """Return the steps of a normaliser or pre-tokenizer; `name` is what a sequence of them calls its own."""
    if component is None:
        return []
    told: dict[str, Any] = json.loads(component.__getstate__())
    steps: list[dict[str, Any]] = told.get(name, [told])
    return steps


def _local(step: dict[str, Any]) -> bool:
    """Tell whether a step of a normaliser changes nothing at a space because of what is beyond it."""
    if step["type"] == "Replace":
        pattern = step["pattern"]
        return pattern == {"Regex": " {2,}"} or " " not in pattern.get("String", " ")
    return step["type"] in _LOCAL
