"""Search and write for so many minutes, and tell whether the server's memory stays where it is.

    python -m benchmarks.soak [--minutes 20] [--clients 8] [--bench ../shared/bench/xquad] [--data FOLDER]

A library of the passages is served; clients put questions all the while, and a writer puts the same 200 articles again
and again, 20 at a time with other words each time, so that the library does not grow. Resident memory is read from
/proc (Linux) ten times. What is remembered of questions fills first, so memory is held against what it was after a
third of the time. Exit code 1 where it grew by more than 5 in 100, or a request failed.
"""

import argparse
import asyncio
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

from benchmarks.serving import AT_ONCE, Record, dragoman, load

ARTICLES, READINGS = 200, 10


def rewritten(corpus: Sequence[Record]) -> Iterator[list[Record]]:
    """Yield the same articles again and again, each time with other words."""
    number = 0
    while True:
        some = []
        for _ in range(AT_ONCE):
            text = corpus[number % len(corpus)]["text"]
            some.append({"id": f"soak-{number % ARTICLES}", "text": f"{number}. {text}"})
            number += 1
        yield some


def resident(port: int) -> int:
    """Return the bytes of memory of the process that was told to listen on this port."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if b"serve" in command and str(port).encode() in command:
                status = (folder / "status").read_text()
                return 1024 * int(status.split("VmRSS:")[1].split()[0])
        except (OSError, IndexError):
            continue  # it ended meanwhile
    raise SystemExit(f"no server on port {port}")


def main() -> None:
    """Serve, load, read the memory, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/xquad"), help="a folder in BEIR layout")
    parser.add_argument("--port", type=int, default=8767)
    parser.add_argument("--data", type=Path, help="where the library is kept")
    asked = parser.parse_args()
    lines = [json.loads(line) for line in (asked.bench / "corpus.jsonl").open(encoding="utf-8")]
    corpus = [{"id": each["_id"], "text": each["text"]} for each in lines]
    questions = [json.loads(line)["text"] for line in (asked.bench / "queries.jsonl").open(encoding="utf-8")]
    random.Random(0).shuffle(questions)
    readings, errors = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        articles = Path(scratch) / "articles.jsonl"
        articles.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in corpus), encoding="utf-8")
        data = asked.data or Path(scratch) / "library"
        with dragoman(data, articles, asked.port, 1, questions) as [service]:
            service.questions = cycle(questions)
            fresh = rewritten(corpus)
            for number in range(READINGS):
                found = asyncio.run(load(service, asked.clients, 60 * asked.minutes / READINGS, fresh))
                errors += found.errors
                readings.append(resident(asked.port))
                print(
                    f"{(number + 1) * asked.minutes / READINGS:5.1f} min  {readings[-1] / 2**20:7.0f} MiB"
                    f"  {found.rate:6.1f} requests/s  {found.added / found.seconds:5.1f} added/s  {errors} errors",
                    flush=True,
                )
    growth = readings[-1] / readings[READINGS // 3] - 1
    print(f"memory after a third of the time to the end: {100 * growth:+.1f} %")
    raise SystemExit(1 if growth > 0.05 or errors else 0)


if __name__ == "__main__":
    main()
