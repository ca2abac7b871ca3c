"""Time a cold `dragoman search` over the seed articles against the bare import of torch and sentence-transformers.

    python -m benchmarks.startup [--rounds 5]

Both are whole processes, by turns; medians and their ratio are printed.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEEDS = Path(__file__).parent.parent / "seeds"
QUESTION = "By how much did trade between Russia and Belarus grow?"


def seconds(*command: str) -> float:
    """Return the wall time of a Python process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Index the seeds, then run both by turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as data:
        seconds("-m", "service.cli", "add", "--data", data, *map(str, sorted(SEEDS.glob("*.txt"))))
        search, imports = [], []
        for _ in range(rounds):
            search.append(seconds("-m", "service.cli", "search", QUESTION, "--data", data))
            imports.append(seconds("-c", "import torch, sentence_transformers"))
    ours, theirs = statistics.median(search), statistics.median(imports)
    print(f"dragoman search, cold                  {ours:.2f} s")
    print(f"import torch, sentence_transformers    {theirs:.2f} s")
    print(f"ratio                                  {theirs / ours:.2f}")


if __name__ == "__main__":
    main()
