"""Where the next page begins: a place in one ranking, as text that a caller hands back."""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index.dense import Place
from index.errors import InvalidCursor
from index.filters import Filter

WRONG = (
    "This cursor was not given for this query, filter and mode, or the library's language means have moved since (see"
    " DRAGOMAN_WARMING): leave it out to begin with the first page."
)
LONGEST = 8000

COMPACT = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of the last hit that was given and its rank; `search` tells one search from another.

    Of a ranking that begins with a window it holds the window's rows in their order, so that they are neither repeated
    nor skipped whatever is added; where they are grouped, `groups` tells the group of each. `best` is the relevance of
    the ranking's first passage, the same on every page.
    """

    place: Place
    rank: int
    search: str
    window: tuple[int, ...] = ()
    best: float | None = None
    groups: tuple[int, ...] = ()

    def encode(self) -> str:
        """Return the cursor as text: base64url of JSON, the score to its last bit."""
        members = [self.place.score.hex(), self.place.row, self.rank, self.search, self.window, self.best, self.groups]
        told = COMPACT.encode(members)
        return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, search: str) -> Self:
        """Read a cursor; raises InvalidCursor for anything but one that `search` gave."""
        if len(text) > LONGEST:
            raise InvalidCursor(WRONG)
        try:
            told = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            score, row, rank, given, window, best, groups = json.loads(told)
            cursor = cls(Place(float.fromhex(score), row), rank, given, tuple(window), best, tuple(groups))
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise InvalidCursor(WRONG) from None
        numbers = all(type(number) is int and 0 < number < 2**63 for number in (row, rank, *window))
        numbers &= all(type(group) is int for group in groups) and len(groups) in (0, len(window))
        likely = best is None or (type(best) is float and 0 <= best <= 1)
        if given != search or not numbers or not likely or not math.isfinite(cursor.place.score):
            raise InvalidCursor(WRONG)
        return cursor


def fingerprint(
    query: NDArray[np.float32], language: Mapping[str, float], where: Filter, *others: str | Sequence[str]
) -> str:
    """Return what tells one search from another (16 hex digits): two with the same have the same ranking."""
    told = json.dumps([sorted(language.items()), *where.sql(), *others])
    return hashlib.blake2b(query.tobytes() + told.encode(), digest_size=8).hexdigest()
