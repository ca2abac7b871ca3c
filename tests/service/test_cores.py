import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.cores import Cores


@contextmanager
def searched(cores: Cores, count: int = 1) -> Iterator[threading.Event]:
    """Have so many searches ranked, or wait for that, until the event of the block is set, or the block ends."""
    end = threading.Event()
    for _ in range(count):
        cores.submit(lambda: assert_set(end))
    yield end
    end.set()


def assert_set(event: threading.Event) -> None:
    """Wait for an event."""
    assert event.wait(20)


def test_searches_are_ranked_one_after_the_other_on_one_core() -> None:
    """In the order that they came in, though the first takes longer than all others."""
    cores, begun, go = Cores(1), [], threading.Event()

    def first() -> None:
        assert go.wait(20)
        begun.append(0)

    cores.submit(first)
    for number in (1, 2, 3):
        cores.submit(lambda number=number: begun.append(number))  # type: ignore[misc]
    go.set()
    cores.close()
    assert begun == [0, 1, 2, 3]


def test_as_many_searches_are_ranked_at_once_as_there_are_cores() -> None:
    """Each of two waits for the other, so both go on only where both have begun."""
    cores, meeting = Cores(2), threading.Barrier(2)
    for _ in range(2):
        cores.submit(lambda: assert_met(meeting))
    cores.close()
    assert not meeting.broken


def test_there_is_room_while_no_more_are_searched_than_are_to_be_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has the only core, and one that waits for it, let two be encoded at once, and none before they end."""
    monkeypatch.setattr("service.cores.PATIENCE", 20)
    cores, done = Cores(1), threading.Event()
    cores.wait_for_room(lambda: 0)
    with searched(cores, 2) as end:
        cores.wait_for_room(lambda: 2)
        room = waiting(cores, done)
        assert not done.wait(0.05)
        end.set()
        room.join(10)
    assert done.is_set()
    cores.close()


def test_there_is_room_while_a_core_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are searched: what is encoded does not wait for a core then."""
    monkeypatch.setattr("service.cores.PATIENCE", 20)
    cores, done = Cores(3), threading.Event()
    with searched(cores, 2):
        waiting(cores, done).join(10)
        assert done.is_set()
        done.clear()
        with searched(cores):
            room = waiting(cores, done)
            assert not done.wait(0.05)
        room.join(10)
    assert done.is_set()
    cores.close()


def test_nobody_waits_for_room_for_long() -> None:
    """Searches whose questions are known may come without end; a new one has its turn all the same."""
    cores = Cores(1)
    with searched(cores, 2) as end:
        cores.wait_for_room(lambda: 0)
        assert not end.is_set()
    cores.close()


def assert_met(meeting: threading.Barrier) -> None:
    """Wait for the others."""
    assert meeting.wait(20) >= 0


def waiting(cores: Cores, done: threading.Event) -> threading.Thread:
    """Wait for room in a thread, and say when there is."""

    def wait() -> None:
        cores.wait_for_room(lambda: 0)
        done.set()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread
