import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

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


def acknowledged(folder: Path, after: int, pause: float) -> list[str]:
    """Let a process add articles, kill it `pause` seconds after it acknowledged so many, and return the ids that it had
    acknowledged.
    """
    with subprocess.Popen([sys.executable, "-c", ADDER, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        told = "".join(process.stdout.readline() for _ in range(after))
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read()
    # A line that was cut short was not said.
    return [line.strip() for line in told.splitlines(keepends=True) if line.endswith("\n")]


def moments(seed: int) -> Iterator[tuple[int, float]]:
    """Yield how many articles are acknowledged before a kill, spread over all of them, each somewhere at random in its
    own part, and how many seconds later it comes.
    """
    chance = np.random.default_rng(seed)
    for part in range(TIMES):
        yield int((part + chance.random()) / TIMES * 0.9 * ARTICLES), float(chance.uniform(0, 0.02))


def test_killed_while_adding(tmp_path: Path) -> None:
    """Killed at 20 moments while it adds: all that was acknowledged is found, nothing is half there."""
    cut_short = 0
    for number, (after, pause) in enumerate(moments(7)):
        folder = tmp_path / str(number)
        ids = acknowledged(folder, after, pause)
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
