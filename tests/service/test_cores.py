import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service import deadline
from service.cores import Cores
from service.errors import Overdue
from tests.service.conftest import wait_until


def test_a_search_that_gets_no_core_in_time_is_told() -> None:
    """The only core is held by another; once that gives it back, it is lent again."""
    cores = Cores(1)
    with cores.one(), deadline.within(0.05), pytest.raises(Overdue, match="No core was free"), cores.one():
        pass
    with deadline.within(20), cores.one():
        pass


def test_a_core_that_is_left_meanwhile_is_had_by_another() -> None:
    """Whoever leaves it has it back at the end."""
    cores = Cores(1)
    with ThreadPoolExecutor(1) as pool, cores.one():
        with cores.lent():
            assert pool.submit(held, cores).result(20)
        waiting = pool.submit(held, cores)
        wait_until(lambda: cores._waiting == 1)
        assert not waiting.done()


def test_there_is_room_while_no_more_are_searched_than_are_to_be_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has the only core, and one that waits for it, let two be encoded at once, and none before they end."""
    monkeypatch.setattr("service.cores.PATIENCE", 20)
    cores = Cores(1)
    cores.wait_for_room(lambda: 0)
    done = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        with cores.one():
            cores.wait_for_room(lambda: 1)
            waiting = pool.submit(held, cores)
            wait_until(lambda: cores._waiting == 1)
            cores.wait_for_room(lambda: 2)
            room = pool.submit(wait, cores, done)
            assert not done.wait(0.05)
        assert waiting.result(20)
        room.result(20)


def test_there_is_room_while_a_core_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are searched: what is encoded does not wait for a core then."""
    monkeypatch.setattr("service.cores.PATIENCE", 20)
    cores, done = Cores(3), threading.Event()
    with ThreadPoolExecutor(1) as pool, cores.one(), cores.one():
        pool.submit(wait, cores, done).result(10)
        with cores.one():
            room = pool.submit(wait, cores, done)
            done.clear()
            assert not done.wait(0.05)
        room.result(10)


def test_nobody_waits_for_room_for_long() -> None:
    """Searches whose questions are known may come without end; a new one has its turn all the same."""
    cores = Cores(1)
    with ThreadPoolExecutor(1) as pool, cores.one():
        pool.submit(held, cores)
        wait_until(lambda: cores._waiting == 1)
        cores.wait_for_room(lambda: 0)
        assert cores._waiting == 1


def wait(cores: Cores, done: threading.Event) -> None:
    """Wait for room, and say that there is."""
    cores.wait_for_room(lambda: 0)
    done.set()


def held(cores: Cores) -> bool:
    """Hold a core for a moment."""
    with cores.one():
        return True
