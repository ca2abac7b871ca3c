import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import pytest

from service import deadline
from service.errors import Overdue
from service.stages import Stages, begin, waited

Result = TypeVar("Result")


def test_each_stage_is_done_on_its_threads_and_given_what_it_waited_for() -> None:
    """What a future tells comes back into the stages, and the threads that they ask for are those they go on in."""
    asked: Future[int] = Future()
    first, second = (ThreadPoolExecutor(1, name) for name in ("first", "second"))

    def stages() -> Stages[list[object]]:
        found: list[object] = [threading.current_thread().name]
        found.append((yield asked))
        for threads in (first, second):
            yield threads
            found.append(threading.current_thread().name)
        return found

    coming = begun(stages())
    assert not coming.done()
    asked.set_result(7)
    assert coming.result(20) == [threading.current_thread().name, 7, "first_0", "second_0"]
    for threads in (first, second):
        threads.shutdown()


def test_what_a_stage_raises_is_told_and_what_it_waits_for_may_fail() -> None:
    """An error of the future is raised in the stages, which may go on; their own is that of the result."""
    failed: Future[int] = Future()
    failed.set_exception(KeyError("not there"))

    def stages() -> Stages[None]:
        with pytest.raises(KeyError, match="not there"):
            yield failed
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        begun(stages()).result(20)


def test_threads_that_have_ended_are_told_as_an_error() -> None:
    """Whoever waits does not wait for what no thread will do."""
    threads = ThreadPoolExecutor(1)
    threads.shutdown()

    def stages() -> Stages[None]:
        yield threads

    with pytest.raises(RuntimeError, match="shutdown"):
        begun(stages()).result(20)


def test_all_stages_see_the_time_of_the_request_that_began_them() -> None:
    """On other threads too, where the time of another request is none of theirs."""
    with ThreadPoolExecutor(1) as threads:

        def stages() -> Stages[float | None]:
            yield threads
            return deadline.left()

        with deadline.within(20):
            timed = begun(stages())
        left = timed.result(20)
        assert left is not None
        assert 0 < left <= 20
        assert begun(stages()).result(20) is None


def test_who_waits_for_stages_is_told_when_the_time_is_over() -> None:
    """They go on for all that; without a time they are waited for."""
    asked: Future[str] = Future()

    @waited
    def answered(question: str) -> Stages[str]:
        """Answer it."""
        told: str = yield asked
        return question + told

    with deadline.within(0.05), pytest.raises(Overdue, match="not done in the time"):
        answered("why? ")
    threading.Timer(0.05, asked.set_result, ("so.",)).start()
    assert answered("why? ") == "why? so."
    assert answered.__doc__ == "Answer it."


def begun(stages: Stages[Result]) -> "Future[Result]":
    """Begin stages, and return what will tell their result."""
    future: Future[Result] = Future()
    begin(stages, future)
    return future
