"""How the memory of a process that serves for long is shared out."""

import ctypes
import sys
from contextlib import suppress

# mallopt(3), in the GNU C library's malloc.h.
ARENA_MAX = -8


def limit_arenas(most: int) -> None:
    """Have the threads of this process take memory from at most so many arenas, counted from now on.

    The GNU C library else makes eight a core. What one thread gives back to one of them another does not find: memory
    grew by half within minutes (benchmarks/results.md). Elsewhere nothing changes.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(ARENA_MAX, most)
