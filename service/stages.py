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
Taken = TypeVar("Taken", contravariant=True)


class Threads(Protocol):
    """Threads that work is given to, as an executor of `concurrent.futures` is."""

    def submit(self, work: Callable[[], None], /) -> object:
        """Have the work done on one of them."""
        ...


# It yields a future, to be given what that tells, or threads, to go on there; what it returns is its result.
Stages = Generator["Future[Any] | Threads", Any, Result]


class Told(Protocol[Taken]):
    """Where the result goes, or what is raised instead: a future of `concurrent.futures`, or of an event loop."""

    def set_result(self, result: Taken, /) -> object:
        """Take the result."""
        ...

    def set_exception(self, exception: BaseException, /) -> object:
        """Take what was raised."""
        ...


def begin(stages: Stages[Result], result: Told[Result]) -> None:
    """Begin the stages here, and have `result` told what they come to, from whichever thread that is.

    Behind a future they go on wherever that is told, so they ask for threads next; all see the context of the caller,
    which holds the time for the request. Once begun they are not cancelled.
    """
    context = copy_context()

    def go_on(step: Callable[..., Any], *given: object) -> None:
        try:
            coming = context.run(step, *given)
            if isinstance(coming, Future):
                coming.add_done_callback(told)
            else:
                coming.submit(following)
        except StopIteration as end:
            result.set_result(end.value)
        except BaseException as error:
            result.set_exception(error)

    def following() -> None:
        go_on(next, stages)

    def told(future: "Future[Any]") -> None:
        if (error := future.exception()) is not None:
            go_on(stages.throw, error)
        else:
            go_on(stages.send, future.result())

    go_on(next, stages)


def waited(stages: Callable[Given, Stages[Result]]) -> Callable[Given, Result]:
    """Return what begins the stages and waits for their result; raises what they raise, and Overdue."""

    @wraps(stages)
    def waiting(*given: Given.args, **named: Given.kwargs) -> Result:
        result: Future[Result] = Future()
        begin(stages(*given, **named), result)
        try:
            return result.result(deadline.left())
        except TimeoutError:
            raise Overdue("It was not done in the time for this request.") from None

    return waiting
