"""Add so many passages by two workers of a Ray cluster on this machine, one of which is killed on the way, and by one
process as usual, and compare the libraries.

    python -m benchmarks.cluster [--bench ../shared/bench/flores] [--passages 20000] [--workers 2] [--questions 200]
        [--sentences ../shared/bench/calibration/flores200-sentences.jsonl.gz]

Where the corpus has fewer passages, the rest are made of four sentences each, in languages of all kinds.

The same are to be: articles, passages and their spans, what `verify` says, and the passages that answer. Vectors may
differ in their last bits, for a worker has other cores than the whole process; told is by how much at most. Both ways
share the machine's cores, so the ratio of their times tells what the cluster costs here, not what it gives elsewhere.
"""

import argparse
import gzip
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from index import AnyLibrary, Library
from service import cluster
from service.engine import Engine
from service.reading import Draft

# Sentences that are made one passage.
TOGETHER = 4


def drafts(folder: Path, sentences: Path, count: int) -> Iterator[Draft]:
    """Yield articles of one passage each, spread evenly over the corpus, and where it ends of sentences."""
    lines = (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    for place in range(min(count, len(lines))):
        record = json.loads(lines[place * len(lines) // min(count, len(lines))])
        yield Draft(id=record["_id"], text=record["text"], language=record["metadata"]["language"])
    if count <= len(lines):
        return
    with gzip.open(sentences, "rt", encoding="utf-8") as stream:
        told = (json.loads(line)["text"] for line in stream)
        for number, some in enumerate(iter(lambda: list(islice(told, TOGETHER)), [])):
            if number == count - len(lines):
                return
            yield Draft(id=f"sentences {number}", text=" ".join(some))


def encoding(pid: int) -> list[int]:
    """Return the processes below one that are a cluster's workers with a model."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            told = (entry / "cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid:
            found += [int(entry.name)] if b"MapWorker" in told else encoding(int(entry.name))
    return found


def kill_one(done: Path, pools: int, killed: list[int], over: threading.Event) -> None:
    """Kill one worker when so many pools are encoded."""
    while not over.wait(0.05):
        if len(list(done.glob("*.parquet"))) >= pools and (workers := encoding(os.getpid())):
            os.kill(workers[0], signal.SIGKILL)
            killed.append(workers[0])
            return


def vectors(library: AnyLibrary) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Return by passage the vector that is stored."""
    from index import tables

    assert isinstance(library, Library)
    found = {}
    with library._store.reading() as connection:
        for (id,) in connection.execute("SELECT id FROM articles"):
            number = tables.find_article(connection, id)
            assert number is not None
            for stored in tables.passages_of(connection, number[0]):
                found[stored.id] = np.frombuffer(stored.vector, "<f4")
    return found


def main() -> None:
    """Add both ways, and print what is the same and what took how long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/flores"), help="a folder in BEIR layout")
    parser.add_argument(
        "--sentences",
        type=Path,
        default=Path("../shared/bench/calibration/flores200-sentences.jsonl.gz"),
        help="a file of JSON lines with a text each, compressed",
    )
    parser.add_argument("--passages", type=int, default=20_000, help="how many are added")
    parser.add_argument("--workers", type=int, default=2, help="how many encode")
    parser.add_argument("--questions", type=int, default=200, help="how many are asked of both")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with Engine.open(folder / "plain") as plain, Engine.open(folder / "clustered") as clustered:
            started = time.perf_counter()
            expected = [
                (each.article_id, each.action, each.passages)
                for each in plain.add(drafts(given.bench, given.sentences, given.passages))
            ]
            usual = time.perf_counter() - started
            killed: list[int] = []
            over = threading.Event()
            watch = threading.Thread(target=kill_one, args=(folder / "pools" / "done", 10, killed, over))
            watch.start()
            started = time.perf_counter()
            added = cluster.add(
                clustered,
                drafts(given.bench, given.sentences, given.passages),
                cluster.LOCAL,
                folder / "pools",
                workers=given.workers,
            )
            found = [(each.article_id, each.action, each.passages) for each in added]
            took = time.perf_counter() - started
            over.set()
            watch.join()
            print(f"{len(found)} articles, {given.workers} workers, {len(killed)} of them killed on the way")
            print(f"outcomes the same: {found == expected}; contents the same: {same_contents(plain, clustered)}")
            print(f"verify: {plain.library.verify() + clustered.library.verify() or 'clean'}")
            ours, theirs = vectors(clustered.library), vectors(plain.library)
            apart = max(float(1 - ours[id] @ theirs[id]) for id in theirs)
            exact = sum(bool((ours[id] == theirs[id]).all()) for id in theirs)
            print(f"vectors the same to the last bit: {exact} of {len(theirs)}; cosine at least {1 - apart:.6f}")
            print(f"first ten passages the same: {agreeing(plain, clustered, given)} of {given.questions} questions")
            print(f"one process {usual:.0f} s, cluster {took:.0f} s: {took / usual:.2f} times as long")


def same_contents(one: Engine, other: Engine) -> bool:
    """Tell whether two libraries hold the same articles and passages."""
    if one.library.contents() != other.library.contents():
        return False
    return all(one.library.passages(id) == other.library.passages(id) for id in one.library.contents())


def agreeing(one: Engine, other: Engine, given: argparse.Namespace) -> int:
    """Return to how many questions both answer with the same passages in the same order."""
    asked = [json.loads(line)["text"] for line in (given.bench / "queries.jsonl").open(encoding="utf-8")]
    asked = asked[:: max(1, len(asked) // given.questions)][: given.questions]
    ids = [[[hit.passage.id for hit in engine.search(text).hits] for text in asked] for engine in (one, other)]
    return sum(a == b for a, b in zip(*ids, strict=True))


if __name__ == "__main__":
    main()
