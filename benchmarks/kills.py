"""Kill processes that write to one library, at random moments, and look whether anything is lost.

`python -m benchmarks.kills --kills 100 [--serve]`

Two processes write at once, each with several threads that add, replace and delete articles, one by one and several in
one transaction, and search in between; vectors are numbers, so no model is needed. Each write is announced, made, and
told when it was acknowledged. One of the two is killed with SIGKILL, or both are, at a random moment. Then:

- what was acknowledged is there as it was written, and what was deleted is not;
- of the one write that each thread had under way, all or nothing is there, and nothing else differs;
- `verify` finds nothing wrong;
- the nearest passages of some questions are the ones that plain NumPy finds among those that must be there.

The next round goes on with the same library. Ends with 1 where anything is wrong. With `--serve` it is a server that is
killed, while clients write to it over HTTP (`benchmarks/served_kills.py`).
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index import Addition, Article, Library, LibraryBusy, Mode, cut, lexical, recovery

DIM = 16
WRITERS, THREADS = 2, 3
IDS = 40  # articles that a thread has to do with; more and more of them are replaced and deleted
TOGETHER = 4  # articles in one transaction, where there are several
SEARCHES = 20  # questions whose answers are compared after each kill
LONGEST = 0.8  # seconds from the first write to the kill, at most

Vectors = NDArray[np.float32]
State = dict[str, int | None]  # by article its version, None where there is none


@dataclass(frozen=True, slots=True)
class Round:
    """What a kill left: the writes that were acknowledged, those under way, and those that are there all the same."""

    acknowledged: int
    under_way: int
    kept: int
    killed: int


@dataclass(slots=True)
class Told:
    """What a process told: the state that was acknowledged, and the write under way of each thread."""

    acknowledged: int = 0
    state: State = field(default_factory=dict)
    under_way: dict[str, State] = field(default_factory=dict)


def vector_of(text: str) -> Vectors:
    """Return the vector of a text (DIM,): random, and always the same one."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
    unit: Vectors = vector / np.linalg.norm(vector)
    return unit


def written(id: str, version: int) -> Article:
    """Return a version of an article: of one to four paragraphs, the first of which stays the same."""
    paragraphs = [f"{id} begins.", *(f"{id} goes on, {version}, {number}." for number in range(version % 4))]
    return Article(id, "\n\n".join(paragraphs), language="bn" if version % 2 else "hi")


def addition(library: Library, article: Article) -> Addition:
    """Return an article with its passages, and the vectors of those that the library lacks."""
    spans, start = [], 0
    for paragraph in article.text.split("\n\n"):
        spans.append((start, start + len(paragraph)))
        start += len(paragraph) + 2
    passages = cut(article, spans)
    vectors = {place: vector_of(passages[place].text) for place in library.missing(passages)}
    return Addition(article, passages, vectors, {})


def open_library(folder: Path) -> Library:
    """Open the library that is written to."""
    return Library.open(folder, model="numbers", fingerprint="numbers-1", dim=DIM)


def write(folder: Path, name: str, seed: int, state: State) -> None:
    """Write until killed, or until standard input ends; tell each write before it is made, and after."""
    # Replays, snapshots and published indexes are to be under way too when it is killed.
    recovery.OPEN_ROWS, recovery.OPEN_SHARE = 40, 0.02
    lexical.OPEN_ROWS, lexical.OPEN_SHARE = 60, 0.03
    ended = threading.Event()

    def tell(kind: str, thread: str, changed: State) -> None:
        os.write(1, (json.dumps([kind, thread, changed]) + "\n").encode())

    def work(library: Library, thread: str) -> None:
        chance = random.Random(f"{seed} {thread}")
        mine: State = {id: version for id, version in state.items() if id.startswith(f"{thread}-")}
        while not ended.is_set():
            some = chance.sample(range(IDS), TOGETHER if chance.random() < 0.25 else 1)
            ids = [f"{thread}-{number}" for number in some]
            changed: State = {id: (mine.get(id) or 0) + chance.randrange(1, 9) for id in ids}
            if len(ids) == 1 and mine.get(ids[0]) is not None and chance.random() < 0.35:
                changed = {ids[0]: None}
            tell("begin", thread, changed)
            try:
                # Passages that stay are told from those that lack a vector while nobody else writes.
                with library.writing(0.2 if chance.random() < 0.1 else 30.0):
                    versions = {id: version for id, version in changed.items() if version is not None}
                    additions = [addition(library, written(id, version)) for id, version in versions.items()]
                    if not additions:
                        library.delete(ids[0])
                    elif len(additions) == 1:
                        [one] = additions
                        library.add(one.article, one.passages, one.vectors)
                    else:
                        library.add_all(additions)
            except LibraryBusy:
                tell("busy", thread, changed)
                continue
            tell("done", thread, changed)
            mine |= changed
            if chance.random() < 0.3:
                library.search(vector_of(f"{seed}"), {}, limit=5)

    while not ended.is_set():
        with open_library(folder) as library:  # closed and opened again, now and then
            threads = [
                threading.Thread(target=work, args=(library, f"{name}{number}"), daemon=True)
                for number in range(THREADS)
            ]
            for thread in threads:
                thread.start()
            sys.stdin.read()
            ended.set()
            for thread in threads:
                thread.join()


def read(lines: Iterator[str]) -> Told:
    """Read what a process told; a line that was cut short was not said."""
    told = Told()
    for line in lines:
        if not line.endswith("\n"):
            break
        kind, thread, changed = json.loads(line)
        if kind == "begin":
            told.under_way[thread] = changed
            continue
        del told.under_way[thread]
        if kind == "done":
            told.acknowledged += 1
            told.state |= changed
    return told


def once(folder: Path, state: State, chance: random.Random) -> Round:
    """Let processes write, kill one or all of them, check what they left, and bring `state` up to what is there."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kills", "--write", str(folder), name, str(chance.randrange(1 << 30))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for name in ("a", "b")[:WRITERS]
    ]
    lines: list[list[str]] = [[] for _ in processes]
    begun = [threading.Event() for _ in processes]

    def listen(number: int) -> None:
        stream = processes[number].stdout
        assert stream is not None
        for line in stream:
            lines[number].append(line)
            begun[number].set()
        begun[number].set()

    listeners = [threading.Thread(target=listen, args=(number,)) for number in range(len(processes))]
    killed = 0
    try:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(state) + "\n")
            process.stdin.flush()
        for listener in listeners:
            listener.start()
        for event in begun:
            assert event.wait(120), "a process did not begin to write"
        time.sleep(chance.uniform(0, LONGEST))
        survivor = chance.randrange(4)  # of four times two, one process is left to end by itself
        for number, process in enumerate(processes):
            if number != survivor:
                process.send_signal(signal.SIGKILL)
                killed += 1
        for number, process in enumerate(processes):
            if number == survivor and process.stdin is not None:
                time.sleep(chance.uniform(0, 0.2))  # it goes on, beside what the other left
                process.stdin.close()
    finally:
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            if process.poll() is None:
                process.kill()
        for listener in listeners:
            listener.join()
        for process in processes:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()
    told = [read(iter(each)) for each in lines]
    for each in told:
        state |= each.state
    under_way = [changed for each in told for changed in each.under_way.values()]
    with open_library(folder) as library:
        kept = check(library, state, under_way, chance)
    return Round(sum(each.acknowledged for each in told), len(under_way), kept, killed)


def check(library: Library, state: State, under_way: list[State], chance: random.Random) -> int:
    """Raise AssertionError where the library is not what it must be; return how many writes under way it has."""
    assert library.verify() == [], library.verify()
    kept = 0
    for changed in under_way:
        there = [version_of(library, id, version) for id, version in changed.items()]
        before = [version_of(library, id, state.get(id)) for id in changed]
        assert all(there) or all(before), f"half there: {changed}"
        if all(there):
            state |= changed
            kept += 1
    for id, version in state.items():
        assert version_of(library, id, version), f"{id} is not what was acknowledged, version {version}"
    articles = {id: written(id, version) for id, version in state.items() if version is not None}
    assert library.status().articles == len(articles), "there is what nobody wrote"
    compare(library, articles, chance)
    return kept


def version_of(library: Library, id: str, version: int | None) -> bool:
    """Tell whether the library has this version of an article, whole, or does not have the article at all (None)."""
    try:
        article = library.get(id)
    except LookupError:
        return version is None
    if version is None or article != written(id, version):
        return False
    return [passage.text for passage in library.passages(id)] == article.text.split("\n\n")


def compare(library: Library, articles: Mapping[str, Article], chance: random.Random) -> None:
    """Compare answers with those of plain NumPy over all passages that must be there."""
    pairs = [(text, article.language) for article in articles.values() for text in article.text.split("\n\n")]
    assert library.status().passages == len(pairs)
    if not pairs:
        return
    raw = np.stack([vector_of(text) for text, _ in pairs])
    exact = {"raw": raw, "dense": library._neutral.passages(raw, [language for _, language in pairs])}
    places = {text: place for place, (text, _) in enumerate(pairs)}
    modes: tuple[Mode, Mode] = ("raw", "dense")
    for number in range(SEARCHES):
        mode = modes[number % 2]
        asked = vector_of(chance.choice(pairs)[0] if number % 4 < 2 else f"question {chance.random()}")
        compared = asked if mode == "raw" else library._neutral.queries(asked[None], [{}])[0]
        similarity = exact[mode] @ compared
        hits = library.search(asked, {}, limit=10, mode=mode).hits
        found = np.array([hit.similarity for hit in hits])
        expected = np.sort(similarity)[::-1][:10]
        assert np.allclose(found, expected, atol=1e-5), f"{found} where {expected} is right"
        own = similarity[[places[hit.passage.text] for hit in hits]]
        assert np.allclose(found, own, atol=1e-5), "a passage is not what its score says"
        assert len({hit.passage.id for hit in hits}) == len(hits)


def rounds(folder: Path, kills: int, seed: int) -> Iterator[Round]:
    """Yield what each round left, until so many processes were killed."""
    chance, state, killed = random.Random(seed), State(), 0
    while killed < kills:
        found = once(folder, state, chance)
        killed += found.killed
        yield found


def main() -> None:
    """Run until enough were killed, and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=100, help="how many processes are killed")
    parser.add_argument("--seed", type=int, default=0, help="what the moments are drawn with")
    parser.add_argument("--serve", action="store_true", help="kill `dragoman serve`, while clients write over HTTP")
    parser.add_argument("--write", nargs=3, metavar=("FOLDER", "NAME", "SEED"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        folder, name, seed = asked.write
        write(Path(folder), name, int(seed), json.loads(sys.stdin.readline()))
        return
    from rich.progress import Progress

    from benchmarks import served_kills

    found: list[Round] = []
    with tempfile.TemporaryDirectory() as scratch, Progress(transient=True) as progress:
        bar = progress.add_task("killing", total=asked.kills)
        run = served_kills.rounds if asked.serve else rounds
        for each in run(Path(scratch) / "library", asked.kills, asked.seed):
            found.append(each)
            progress.update(bar, completed=sum(each.killed for each in found))
    killed = sum(each.killed for each in found)
    of = f"a server, {THREADS} clients" if asked.serve else f"{WRITERS} processes, {THREADS} threads each"
    print(f"{killed} kills in {len(found)} rounds of {of}")
    print(f"{sum(each.acknowledged for each in found)} writes acknowledged, none lost")
    under_way = sum(each.under_way for each in found)
    print(f"{under_way} under way when killed: {sum(each.kept for each in found)} there whole, the others not at all")
    print(f"verify clean and answers {'whole' if asked.serve else 'exact'} after each")


if __name__ == "__main__":
    main()
