import math

import pytest

from index import InvalidCursor
from index.cursor import Cursor
from index.dense import Place


def test_a_cursor_comes_back_to_its_last_bit() -> None:
    """Place, rank, window and the first passage's relevance, known or not."""
    for best in (0.1 + 0.2, 1.0, 0.0, None):
        cursor = Cursor(Place(1 / 3, 7), 10, "mark", (7, 3, 9), best)
        assert Cursor.decode(cursor.encode(), "mark") == cursor


@pytest.mark.parametrize("best", [1.5, -0.1, math.nan, True, "0.5"])
def test_a_relevance_that_is_none_is_refused(best: float) -> None:
    """A cursor is what a caller hands back; it may have been changed on the way."""
    with pytest.raises(InvalidCursor, match="leave it out"):
        Cursor.decode(Cursor(Place(0.5, 7), 10, "mark", (), best).encode(), "mark")
