import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from index import LibraryBusy
from index.lock import HOLDER, WriterLock
from tests.index.samples import article, open_library, put

HOLD = """
import sys, time
from pathlib import Path
from index.lock import WriterLock
with WriterLock(Path(sys.argv[1])).held(10):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> "subprocess.Popen[str]":
    """Start a process that holds the lock, and wait until it does."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_names_the_holder(folder: Path) -> None:
    """A writer that finds another one is told who it is; searching goes on, and a killed writer holds
    nothing.
    """
    with open_library(folder) as library:
        put(library, article("a"))
        process = hold(folder)
        with process:
            told = f"process {process.pid} on .* \\(-c .*since 20"
            with pytest.raises(LibraryBusy, match=told), library.writing(timeout=0.1):
                pass
            assert library.get("a").id == "a"
            process.send_signal(signal.SIGKILL)
        # The note of the killed process is still there, and is wrong.
        assert json.loads((folder / HOLDER).read_text())["pid"] == process.pid
        assert put(library, article("b")) == "added"
        assert not (folder / HOLDER).exists()


def test_again_by_the_same_thread(folder: Path) -> None:
    """A thread that writes may begin to write again inside."""
    with open_library(folder) as library, library.writing(), library.writing():
        assert put(library, article("a")) == "added"


def test_other_thread_waits(tmp_path: Path) -> None:
    """Another thread of the same process waits, and gives up when its time is over."""
    lock, errors = WriterLock(tmp_path), list[str]()

    def take() -> None:
        try:
            with lock.held(0.05):
                errors.append("held")
        except LibraryBusy as error:
            errors.append(str(error))

    with lock.held(1):
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()

    assert f"process {os.getpid()}" in errors[0]


@pytest.mark.parametrize("note", ["", "{", "[]", "{}", '{"pid": 1}', "null"])
def test_any_note_is_survived(tmp_path: Path, note: str) -> None:
    """A note that is torn or empty only means that the holder is not named."""
    with WriterLock(tmp_path).held(1):
        (tmp_path / HOLDER).write_text(note)
        with pytest.raises(LibraryBusy, match="by another process"), WriterLock(tmp_path).held(0):
            pass
