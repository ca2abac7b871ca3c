"""Work in stages, each on the threads that are for it, so that none is held while another stage is waited for."""

from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextvars import copy_context
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

from service import deadline
from service.errors import Overdue

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Threads(Protocol):
    """Threads that work is given to, as an executor of `concurrent.futures` is."""

    def submit(self, work: Callable[[], None], /) -> object:
        """Have the work done on one of them."""
        ...


# It yields a future, to be given what that tells, or threads, to go on there; what it returns is its result.
Stages = Generator["Future[Any] | Threads", Any, Result]


def begin(stages: Stages[Result]) -> "Future[Result]":
    """Begin the stages here, and return what will tell their result, or what they raise.

    Behind a future they go on wherever that is told, so they ask for threads next; all see the context of the caller,
    which holds the time for the request. Once begun they are not cancelled.
    """
    result: Future[Result] = Future()
    result.set_running_or_notify_cancel()
    context = copy_context()

    def go_on(step: Callable[..., Any], *given: object) -> None:
        try:
            coming = context.run(step, *given)
        except StopIteration as end:
            result.set_result(end.value)
        except BaseException as error:
            result.set_exception(error)
        else:
            if isinstance(coming, Future):
                coming.add_done_callback(told)
            else:
                coming.submit(following)

    def following() -> None:
        go_on(next, stages)

    def told(future: "Future[Any]") -> None:
        if (error := future.exception()) is not None:
            go_on(stages.throw, error)
        else:
            go_on(stages.send, future.result())

    go_on(next, stages)
    return result


def waited(stages: Callable[Given, Stages[Result]]) -> Callable[Given, Result]:
    """Return what begins the stages and waits for their result; raises what they raise, and Overdue."""

    @wraps(stages)
    def waiting(*given: Given.args, **named: Given.kwargs) -> Result:
        try:
            return begin(stages(*given, **named)).result(deadline.left())
        except TimeoutError:
            raise Overdue("It was not done in the time for this request.") from None

    return waiting
