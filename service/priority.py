"""Which work of this process goes first when there is more of it than cores."""

import os
import sys
import threading
from contextlib import suppress

# Beside threads that are not nice at all, one this nice gets about a tenth of a core (sched(7): each step is a factor
# of 1.25), and all of it when they rest.
NICE = 10


def yielding() -> None:
    """Let the thread that calls this, and those it starts, leave the cores to the others of the process.

    Linux alone has a priority for each thread; elsewhere nothing changes.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
