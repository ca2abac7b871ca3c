import random
from pathlib import Path

import pytest

from benchmarks import kills
from benchmarks.kills import State


def test_nothing_is_lost_when_writers_are_killed(tmp_path: Path) -> None:
    """Ten kills of two processes that write to one library at once, threads in each: nothing acknowledged is lost,
    nothing is half there, verify is clean, and answers are those of plain NumPy.
    """
    found = list(kills.rounds(tmp_path / "library", 10, seed=5))

    assert sum(each.killed for each in found) >= 10
    assert sum(each.acknowledged for each in found) > 50


def test_the_proof_sees_what_is_lost(tmp_path: Path) -> None:
    """The check fails where an acknowledged write is gone, one is half there, or one is there that nobody made."""
    state: State = {"a0-1": 3, "a0-2": 5}
    with kills.open_library(tmp_path / "library") as library:
        for id, version in state.items():
            one = kills.addition(library, kills.written(id, version or 0))
            library.add(one.article, one.passages, one.vectors)
        assert kills.check(library, dict(state), [], random.Random(0)) == 0
        assert kills.check(library, dict(state), [{"a0-1": 3}], random.Random(0)) == 1
        wrongs: list[tuple[State, list[State]]] = [
            (state | {"a0-3": 1}, []),
            (state | {"a0-2": 4}, []),
            (state | {"a0-2": None}, []),
            ({"a0-1": 3}, []),
            (state | {"a0-2": 4}, [{"a0-1": 4, "a0-2": 5}]),
        ]
        for wrong, under_way in wrongs:
            with pytest.raises(AssertionError):
                kills.check(library, dict(wrong), under_way, random.Random(0))
