import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.index.samples import article, found, open_library, put, vector_of

TIMES = 20
ARTICLES = 500

# Adds articles and says each id when `add` has returned; searches and closes now and then, so that replays
# and snapshots are under way too when it is killed.
ADDER = f"""
import sys
from pathlib import Path
from index import recovery
from tests.index.samples import article, found, open_library, put
recovery.OPEN_ROWS, recovery.OPEN_SHARE = 50, 0.01
print("ready", flush=True)
for start in range(0, {ARTICLES}, 100):
    with open_library(Path(sys.argv[1])) as library:
        for number in range(start, start + 100):
            put(library, article(f"a{{number}}", language="bn" if number % 2 else "hi"))
            print(f"a{{number}}", flush=True)
            if number % 10 == 0:
                found(library, "any")
"""


def acknowledged(folder: Path, seconds: float) -> list[str]:
    """Let a process add articles, kill it after some seconds, and return the ids that it had acknowledged."""
    with subprocess.Popen([sys.executable, "-c", ADDER, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read()
    # A line that was cut short was not said.
    return [line.strip() for line in told.splitlines(keepends=True) if line.endswith("\n")]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long the adder takes when nobody kills it, in seconds."""
    folder = tmp_path_factory.mktemp("crash") / "library"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", ADDER, str(folder)], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == ARTICLES + 1
    return time.monotonic() - started


def moments(seed: int) -> Iterator[float]:
    """Yield shares of the whole run, spread over it, each somewhere at random in its own part."""
    for part, offset in enumerate(np.random.default_rng(seed).random(TIMES)):
        yield float((part + offset) / TIMES)


def test_killed_while_adding(whole_run: float, tmp_path: Path) -> None:
    """Killed at 20 moments while it adds: all that was acknowledged is found, nothing is half there."""
    cut_short = 0
    for number, moment in enumerate(moments(7)):
        folder = tmp_path / str(number)
        ids = acknowledged(folder, moment * whole_run * 0.8)
        cut_short += len(ids) < ARTICLES

        with open_library(folder) as library:
            assert library.verify() == []
            for id in ids:
                assert library.get(id).text == article(id).text
            if ids:
                questions = np.stack([vector_of(f"{id} ends.") for id in ids])
                (rows,) = library.rank(questions, [{}] * len(ids), 1)
                articles = library.article_ids(rows[:, 0])
                assert [articles[row] for row in rows[:, 0].tolist()] == ids
            # Besides them, the one that was under way may be there, and then it is there whole.
            count = library.status().articles
            assert count in (len(ids), len(ids) + 1)
            assert library.status().passages == 2 * count
            if count > len(ids):
                assert found(library, f"a{len(ids)} ends.", 1) == [f"a{len(ids)} ends."]
            # And the library goes on.
            assert put(library, article("afterwards")) == "added"
            assert found(library, "afterwards ends.", 1) == ["afterwards ends."]
            assert library.verify() == []

    assert cut_short >= TIMES * 3 // 4
