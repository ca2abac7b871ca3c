"""What can go wrong at the edges of the service. Every message says what to do next.

ServiceError
    InvalidSetting        a setting in the environment or on the command line has no sense  (a ValueError too)
    InvalidRequest        a request that is well formed but asks for what cannot be         (a ValueError too)
    UnreadableInput       a file or a body from which no article can be had
        TooLarge          the same, because it is over a limit
        FetchRefused      the same, because its address is not fetched from, or does not answer
    InvalidJudgments      a folder in BEIR layout that cannot be evaluated
    ReembeddingFailed     a library cannot be encoded anew, or the switch cannot be made
    ExchangeFailed        a library cannot be exported there, or an export is none, or not whole
    QuestionUnknown       there is no standing question of this id              (a LookupError too)
    BookUnreadable        the file of standing questions cannot be read or written
    ClusterFailed         a cluster cannot be reached, or stopped working
    ExtraMissing          what is asked for needs a library that is not installed
    UnwritablePicture     the file of a picture cannot be written
    InvalidKeys           the file of API keys cannot be read, or a key cannot be made or found
    Overdue               the time for a request is over, and what it asked is not done
    Unreachable           the client found no server
    Refused               the server answered the client with a problem
        NotFound          ... that there is no such article or passage
"""

from collections.abc import Sequence


class ServiceError(Exception):
    """The root of everything that the service package raises on purpose."""


class InvalidSetting(ServiceError, ValueError):
    """A setting has a value that has no sense; the message names the setting and what it may be."""


class InvalidRequest(ServiceError, ValueError):
    """A request asks for what cannot be; `pointer` is the JSON pointer (RFC 6901) to the member that does."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class UnreadableInput(ServiceError):
    """No article can be had from these bytes; the message is the reason."""


class TooLarge(UnreadableInput):
    """The input is over a limit; the message names the limit and the setting that raises it."""


class FetchRefused(UnreadableInput):
    """Nothing is had from an address: it is not public, the site does not allow it, or there is no good answer."""


class InvalidJudgments(ServiceError):
    """A folder of judgments is incomplete or malformed; the message names the file and the line."""


class ReembeddingFailed(ServiceError):
    """A library cannot be encoded anew as asked, or there is nothing to switch to."""


class ExchangeFailed(ServiceError):
    """A library cannot be exported there, or what is to be imported is no export, or not whole."""


class QuestionUnknown(ServiceError, LookupError):
    """There is no standing question of this id."""


class BookUnreadable(ServiceError):
    """The file of standing questions cannot be read or written, or another process holds it for too long."""


class ClusterFailed(ServiceError):
    """A cluster that encodes cannot be reached, or stopped working; the message says what is kept."""


class ExtraMissing(ServiceError):
    """What is asked for needs a library that is not installed; the message names the extra that brings it."""


class UnwritablePicture(ServiceError):
    """A picture cannot be written; the message names the file and the reason."""


class InvalidKeys(ServiceError):
    """The file of API keys cannot be read, or a key cannot be made or found; the message says what to do."""


class Overdue(ServiceError):
    """The time for a request is over before what it asked was done."""


class Unreachable(ServiceError):
    """No server answered at the address."""


class Refused(ServiceError):
    """The server answered with a problem (RFC 9457): its HTTP `status`, short `title` and `detail`.

    `faults` tells what is wrong with the request: JSON pointers (RFC 6901), each with a sentence.
    """

    def __init__(self, status: int, title: str, detail: str, faults: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.status = status
        self.title = title
        self.detail = detail
        self.faults = faults


class NotFound(Refused):
    """The server has no such article or passage."""
