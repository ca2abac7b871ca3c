import threading

import anyio
import pytest

from service.web.lines import Crowded, Line
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
