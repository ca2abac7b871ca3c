import threading
import time
from collections.abc import Callable

import anyio
import pytest

from service import deadline
from service.errors import Overdue
from service.web.lines import Coming, Crowded, Line
from tests.service.conftest import wait_until


def test_a_line_that_is_full_says_so_at_once_and_goes_on_when_there_is_room() -> None:
    """Of two places one is at work and one waits; the third is sent away with 503, and comes in later."""
    gate = threading.Event()
    begun: list[str] = []
    done: list[str] = []

    def work(name: str) -> str:
        begun.append(name)
        assert gate.wait(20)
        return name

    async def main() -> None:
        line = Line("searches", 2, 1)

        async def one(name: str) -> None:
            done.append(await line.run(work, name))

        async with anyio.create_task_group() as group:
            group.start_soon(one, "first")
            group.start_soon(one, "second")
            await anyio.to_thread.run_sync(lambda: wait_until(lambda: begun == ["first"] and line.length == 2))
            with pytest.raises(Crowded) as told:
                await line.run(work, "third")
            assert (told.value.status, told.value.headers) == (503, {"Retry-After": "1"})
            assert "2 searches" in told.value.detail
            gate.set()
        assert await line.run(work, "third") == "third"
        assert line.length == 0

    anyio.run(main)
    assert sorted(done) == ["first", "second"]
    assert begun[-1] == "third"


def test_work_that_fails_leaves_the_line() -> None:
    """Its error is raised, and its place is free again."""

    def broken() -> None:
        raise KeyError("broken")

    async def main() -> None:
        line = Line("searches", 1, 1)
        for _ in range(2):
            with pytest.raises(KeyError, match="broken"):
                await line.run(broken)

    anyio.run(main)


def test_whoever_waits_for_longer_than_there_is_time_leaves_and_is_never_at_work() -> None:
    """One place is taken; the second waits for a tenth of a second, is told, and its work is not begun afterwards."""
    gate = threading.Event()
    begun: list[str] = []

    def work(name: str) -> str:
        begun.append(name)
        assert gate.wait(20)
        return name

    async def main() -> None:
        line = Line("writes", 2, 1)
        async with anyio.create_task_group() as group:
            group.start_soon(line.run, work, "first")
            await anyio.to_thread.run_sync(lambda: wait_until(lambda: begun == ["first"]))
            with deadline.within(0.1), pytest.raises(Overdue):
                await line.run(work, "second")
            assert line.length == 1
            gate.set()
        assert line.length == 0

    anyio.run(main)
    assert begun == ["first"]


def test_what_reads_is_left_when_the_time_is_over_and_keeps_its_place_until_it_ends() -> None:
    """The request is told in time; the line is full until the thread is done with it."""
    gate = threading.Event()

    async def main() -> None:
        line = Line("searches", 1, 1, leaving=True)
        with deadline.within(0.1), pytest.raises(Overdue):
            await line.run(gate.wait, 20)
        with pytest.raises(Crowded):
            await line.run(gate.wait, 20)
        gate.set()
        await anyio.to_thread.run_sync(lambda: wait_until(lambda: line.length == 0))
        assert await line.run(gate.wait, 20)

    anyio.run(main)


def test_what_writes_is_waited_for_once_it_has_begun() -> None:
    """Its answer is given however late it comes: it is done."""

    def late() -> str:
        time.sleep(0.3)
        return "done"

    async def main() -> None:
        line = Line("writes", 1, 1)
        with deadline.within(0.1):
            assert await line.run(late) == "done"

    anyio.run(main)


def test_what_no_thread_waits_for_keeps_its_place_until_it_is_told() -> None:
    """Whoever asks is told in time; the line is full until the answer is there, though nobody waits for it then."""

    async def main() -> None:
        line = Line("searches", 1, 1)
        begun: list[Coming[str]] = []
        with deadline.within(0.1), pytest.raises(Overdue):
            await line.answer(begun.append)
        with pytest.raises(Crowded):
            await line.answer(begun.append)
        begun[0].set_result("late")
        assert line.length == 0

        def at_once(coming: Coming[str]) -> None:
            coming.set_result("at once")

        assert await line.answer(at_once) == "at once"

    anyio.run(main)


def test_what_another_thread_tells_is_answered_and_what_it_raises_is_raised() -> None:
    """An answer, and an error, each from a thread a moment later; then the place is free."""

    async def main() -> None:
        line = Line("searches", 1, 1)

        def later(told: Callable[[], None]) -> None:
            threading.Timer(0.02, told).start()

        def found(coming: Coming[str]) -> None:
            later(lambda: coming.set_result("found"))

        def failed(coming: Coming[str]) -> None:
            later(lambda: coming.set_exception(KeyError("broken")))

        assert await line.answer(found) == "found"
        with pytest.raises(KeyError, match="broken"):
            await line.answer(failed)
        assert line.length == 0

    anyio.run(main)


def test_what_is_told_after_the_loop_has_ended_hinders_nothing() -> None:
    """The service is stopped while a search still runs."""
    begun: list[Coming[str]] = []

    async def main() -> None:
        with deadline.within(0.05), pytest.raises(Overdue):
            await Line("searches", 1, 1).answer(begun.append)

    anyio.run(main)
    begun[0].set_result("late")
