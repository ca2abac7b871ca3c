import ctypes
import subprocess
import sys

import pytest

# Threads that hold some memory each at the same time, and the arenas that there are then (malloc_info(3)).
ARENAS = """
import ctypes, tempfile, threading
from service.memory import limit_arenas

{limit}
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = ctypes.c_int, ctypes.c_void_p
libc.fflush.argtypes = [ctypes.c_void_p]
meeting = threading.Barrier(8)

def hold():
    meeting.wait()
    held = bytearray(10_000)
    meeting.wait()

threads = [threading.Thread(target=hold) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
with tempfile.TemporaryFile() as told:
    stream = libc.fdopen(told.fileno(), b"w")
    libc.malloc_info(0, stream)
    libc.fflush(stream)
    told.seek(0)
    print(told.read().count(b"<heap nr="))
"""


def arenas(limit: str) -> int:
    """Return from how many arenas a fresh process of 8 threads takes memory."""
    script = ARENAS.format(limit=limit)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the GNU C library tells its arenas")
def test_threads_share_as_many_arenas_as_they_are_told() -> None:
    """What one thread gives back another finds, so that memory does not grow with the threads that there ever were."""
    assert arenas("limit_arenas(2)") == 2
    assert arenas("") > 2
