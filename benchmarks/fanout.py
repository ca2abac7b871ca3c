"""Simulate searches that are shared out among shards and replicas, and hold the small case against what is measured.

    python -m benchmarks.fanout [--mode hybrid] [--shards 1 8 32 128] [--load 0.3] [--requests 4000] [--seed 0]
        [--scale 1.0] [--slow 0.02 --factor 4]
    python -m benchmarks.fanout --measure --data FOLDER [--bench ../shared/bench/xquad] [--passages 20000]

A request goes to one replica of every shard, that with the fewest requests, and is answered when the last shard is. A
server has one core and takes its requests one after the other; how long each takes is drawn from what real ones took
(`benchmarks/fanout.json`), times `--scale`. With a second request (hedging) a shard that has not answered by the 95th
percentile of one server's time is asked at another replica too; the first answer counts, and the other is taken out of
its line if it is still in it. `--slow` is the share of the servers that take `--factor` times as long. Without
`--measure` a table of times by shards is printed: the network, and putting answers together, are not in it.

`--measure` makes libraries of so many passages in one piece, in halves and in quarters (as `benchmarks.search` makes
them), opens each part in a process of its own on one core, and measures: what a search takes by itself, in one process
and over the parts, and at two rates with one server and with two. Beside each stands the same simulated with the times
that the servers told in that very run (at a rate in their order, for a busy machine has bad moments), and the ratio.
"""

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

Seconds = NDArray[np.float64]
Steps = Generator[simpy.Event, Any, None]

KEPT = Path(__file__).with_suffix(".json")
MODES = ("dense", "hybrid")
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Plan:
    """What serves: `shards`, each held by `replicas` servers; a core for each, or `cores` that all share by turns.

    `rate` is in requests a second, at random (Poisson); 0 for one request after the other. After `hedge` seconds a
    shard is asked a second time; 0 for never. The share `slow` of the servers takes `factor` times as long.
    """

    shards: int = 1
    replicas: int = 1
    cores: int = 0
    rate: float = 0.0
    hedge: float = 0.0
    slow: float = 0.0
    factor: float = 1.0


def simulate(plan: Plan, draw: Callable[[np.random.Generator], float], requests: int, seed: int = 0) -> Seconds:
    """Return the seconds from arrival to answer of each request (requests,); `draw` gives a server's seconds."""
    chance = np.random.default_rng(seed)
    world = simpy.Environment()
    count = plan.shards * plan.replicas
    own = [simpy.Resource(world) for _ in range(plan.cores or count)]
    waiting = [0] * count
    factors = np.where(np.arange(count) < round(plan.slow * count), plan.factor, 1.0)
    chance.shuffle(factors)
    took = np.zeros(requests)

    def attempt(server: int, answered: simpy.Event) -> Steps:
        waiting[server] += 1
        with own[server % len(own)].request() as turn:
            yield turn | answered
            if not answered.triggered:
                yield world.timeout(draw(chance) * factors[server])
                if not answered.triggered:
                    answered.succeed()
        waiting[server] -= 1

    def part(shard: int) -> Steps:
        answered = world.event()
        servers = range(shard, count, plan.shards)
        first, *others = sorted(servers, key=lambda server: (waiting[server], chance.random()))
        world.process(attempt(first, answered))
        if plan.hedge and others:
            yield answered | world.timeout(plan.hedge)
            if not answered.triggered:
                world.process(attempt(others[0], answered))
        yield answered

    def request(number: int) -> Steps:
        arrived = world.now
        yield world.all_of([world.process(part(shard)) for shard in range(plan.shards)])
        took[number] = world.now - arrived

    def arrivals() -> Steps:
        for number in range(requests):
            if plan.rate:
                yield world.timeout(chance.exponential(1 / plan.rate))
                world.process(request(number))
            else:
                yield world.process(request(number))

    world.process(arrivals())
    world.run()
    return took


def drawn_from(seconds: Seconds, scale: float = 1.0) -> Callable[[np.random.Generator], float]:
    """Return what draws one of the seconds that were measured, each as likely as the other."""
    return lambda chance: scale * float(seconds[chance.integers(len(seconds))])


def in_order(seconds: Seconds) -> Callable[[np.random.Generator], float]:
    """Return what gives the seconds as they followed each other, from a random one on: bad moments stay together."""
    place = -1

    def draw(chance: np.random.Generator) -> float:
        nonlocal place
        place = (int(chance.integers(len(seconds))) if place < 0 else place + 1) % len(seconds)
        return float(seconds[place])

    return draw


def told(seconds: Seconds) -> str:
    """Return the percentiles in milliseconds, as cells of a table."""
    return " | ".join(f"{1000 * each:.1f}" for each in np.percentile(seconds, PERCENTILES))


def extrapolate(given: argparse.Namespace) -> None:
    """Print times by shards: one replica, two, and two with second requests."""
    seconds = np.array(json.loads(KEPT.read_text())[given.mode])
    draw = drawn_from(seconds, given.scale)
    mean, late = given.scale * seconds.mean(), given.scale * float(np.percentile(seconds, 95))
    print(
        f"{given.mode}, one server by itself, ms: mean {1000 * mean:.1f}, p50, p95, p99 {told(given.scale * seconds)}"
    )
    print(f"load of a server {given.load}, slow servers {given.slow} by {given.factor}; p50, p95 and p99 in ms\n")
    print("| shards | 1 replica | | | 2 replicas | | | 2, asked again | | | 3, asked again | | |")
    print("|" + "---|" * 13)
    for shards in given.shards:
        cells = []
        for replicas, hedge in ((1, 0.0), (2, 0.0), (2, late), (3, late)):
            plan = Plan(shards, replicas, 0, given.load * replicas / mean, hedge, given.slow, given.factor)
            cells.append(told(simulate(plan, draw, given.requests, given.seed)))
        print(f"| {shards} | {' | '.join(cells)} |", flush=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as a shard is given it: text, vector, language mixture, token vectors."""

    text: str
    vector: Any
    language: Any
    tokens: Any


def _serve(folder: Path, named: dict[str, Any], core: int, asked: Sequence[Asked], pipe: Connection) -> None:
    """Be a server: open the library on one core, and answer numbers of questions with the seconds that they took."""
    os.sched_setaffinity(0, {core})
    from index import Library

    library = Library.open(folder, **named)
    library.load()
    for number in range(20):
        _search(library, asked[-1 - number], "hybrid", "")
    pipe.send(0.0)
    while (job := pipe.recv()) is not None:
        number, mode, other = job
        started = time.perf_counter()
        _search(library, asked[number], mode, other)
        pipe.send(time.perf_counter() - started)
    library.close()


def _search(library: Any, asked: Asked, mode: str, other: str) -> None:
    words = {"text": asked.text + other, "tokens": asked.tokens} if mode == "hybrid" else {}
    library.search(asked.vector, asked.language, mode=mode, **words)


@contextmanager
def _servers(parts: Sequence[Path], named: dict[str, Any], asked: Sequence[Asked]) -> Iterator[list[Connection]]:
    """Start a server for each part, on the cores by turns, and give a pipe to each once all are open."""
    context = multiprocessing.get_context("spawn")
    cores = sorted(os.sched_getaffinity(0))
    pipes, processes = [], []
    for place, part in enumerate(parts):
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(part, named, cores[place % len(cores)], asked, theirs))
        process.start()
        pipes.append(ours)
        processes.append(process)
    for pipe in pipes:
        pipe.recv()
    try:
        yield pipes
    finally:
        for pipe, process in zip(pipes, processes, strict=True):
            pipe.send(None)
            process.join()


def _by_itself(pipes: Sequence[Connection], mode: str, requests: int) -> tuple[Seconds, Seconds]:
    """Put one question after the other to all parts; return its seconds (requests,), and each part's beside."""
    whole, parts = np.zeros(requests), np.zeros((requests, len(pipes)))
    for number in range(requests):
        started = time.perf_counter()
        for pipe in pipes:
            pipe.send((number, mode, " " * len(pipes)))
        parts[number] = [pipe.recv() for pipe in pipes]
        whole[number] = time.perf_counter() - started
    return whole, parts


def _at_a_rate(
    pipes: Sequence[Connection], mode: str, requests: int, rate: float, turn: str
) -> tuple[Seconds, Seconds]:
    """Put questions at random times, each to the server with the fewest; return seconds till answered, and served."""
    chance = np.random.default_rng(1)
    arrivals = np.cumsum(chance.exponential(1 / rate, requests))
    lines: list[list[int]] = [[] for _ in pipes]
    took, served = np.zeros(requests), np.zeros(requests)
    began, sent, done = time.perf_counter(), 0, 0
    while done < requests:
        now = time.perf_counter() - began
        while sent < requests and arrivals[sent] <= now:
            line = min(range(len(pipes)), key=lambda place: (len(lines[place]), chance.random()))
            pipes[line].send((sent, mode, turn))
            lines[line].append(sent)
            sent += 1
        patience = max(0.0, arrivals[sent] - now) if sent < requests else None
        ready = wait(list(pipes), patience)
        for line, pipe in enumerate(pipes):
            if pipe not in ready:
                continue
            number = lines[line].pop(0)
            served[number] = pipe.recv()
            took[number] = time.perf_counter() - began - arrivals[number]
            done += 1
    return took, served


def measure(given: argparse.Namespace) -> None:
    """Measure the small case, simulate it, print both, and keep the times of one server."""
    named, asked = _prepared(given)
    kept: dict[str, Any] = {"passages": given.passages}
    print(f"{given.passages} passages, {given.requests} requests a row, load {os.getloadavg()[0]:.1f}")
    print("p50, p95 and p99 in ms\n")
    print("| mode | parts | a part by itself, p50 | measured | | | simulated | | | ratio | | |\n|" + "---|" * 12)
    for count in (1, 2, 4):
        parts = [given.data / f"{count}-{place}" for place in range(count)]
        with _servers(parts, named, asked) as pipes:
            for mode in MODES:
                whole, each = _by_itself(pipes, mode, given.requests)
                if count == 1:
                    kept[mode] = [round(float(second), 6) for second in np.percentile(each, np.arange(0.25, 100, 0.5))]
                cores = min(count, len(os.sched_getaffinity(0)))
                alone = each / (count / cores)  # those that share a core share its time too
                made = simulate(Plan(shards=count, cores=cores), drawn_from(alone.ravel()), 4 * given.requests)
                print(f"| {mode} | {count} | {1000 * np.median(alone):.1f} | {_compared(whole, made)} |", flush=True)
    print(
        "\n| mode | servers | requests/s | load of a server | measured | | | simulated | | | ratio | | |\n|"
        + "---|" * 13
    )
    for count in (1, 2):
        with _servers([given.data / "1-0"] * count, named, asked) as pipes:
            for mode in MODES:
                for turn, load in enumerate((0.3, 0.6)):
                    pace = _by_itself(pipes[:1], mode, given.requests // 4)[1].mean()
                    took, served = _at_a_rate(pipes, mode, given.requests, load * count / pace, " " * (turn + 9))
                    plan = Plan(replicas=count, rate=load * count / pace)
                    runs = [simulate(plan, in_order(served), given.requests, seed) for seed in range(20)]
                    real = plan.rate * served.mean() / count
                    print(
                        f"| {mode} | {count} | {plan.rate:.0f} | {real:.2f} | {_compared(took, np.concatenate(runs))} |"
                    )
    KEPT.write_text(json.dumps(kept, indent=None) + "\n", encoding="utf-8")


def _compared(measured: Seconds, made: Seconds) -> str:
    ratios = np.percentile(made, PERCENTILES) / np.percentile(measured, PERCENTILES)
    return f"{told(measured)} | {told(made)} | {' | '.join(f'{each:.2f}' for each in ratios)}"


def _prepared(given: argparse.Namespace) -> tuple[dict[str, Any], list[Asked]]:
    """Make the libraries that are not there, and return what opens them, and the questions as they are encoded."""
    from benchmarks.search import fill
    from embed import DEFAULT_MODEL, load_encoder
    from index import Library
    from service.engine import Engine

    corpus = [json.loads(line) for line in (given.bench / "corpus.jsonl").open(encoding="utf-8")]
    texts = [json.loads(line)["text"] for line in (given.bench / "queries.jsonl").open(encoding="utf-8")]
    texts = texts[:: max(1, len(texts) // given.requests)][: given.requests]
    encoder = load_encoder(DEFAULT_MODEL)
    named: dict[str, Any] = {"model": encoder.name, "fingerprint": encoder.fingerprint, "dim": encoder.dim}
    for count in (1, 2, 4):
        for place in range(count):
            with Library.open(given.data / f"{count}-{place}", **named) as library:
                if not library.status().passages:
                    own = corpus[place::count]
                    fill(library, encoder, own, [each["metadata"]["language"] for each in own], given.passages // count)
    with Library.open(given.data / "1-0", **named) as library, Engine(encoder, library) as engine:
        found = engine.questions(texts)
        tokens: Sequence[Any] = found.tokens or [None] * len(texts)
        together = zip(texts, found.vectors, map(dict, found.languages), tokens, strict=True)
        return named, [Asked(*each) for each in together]


def main() -> None:
    """Simulate, or measure and simulate the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=MODES, default="hybrid")
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 8, 16, 32, 64, 128])
    parser.add_argument("--load", type=float, default=0.3, help="the share of its time in which a server is at work")
    parser.add_argument("--scale", type=float, default=1.0, help="how many times as long a search takes as measured")
    parser.add_argument("--slow", type=float, default=0.0, help="the share of the servers that are slow")
    parser.add_argument("--factor", type=float, default=4.0, help="how many times as long these take")
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--data", type=Path, help="where the libraries that are measured are kept")
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/xquad"), help="a folder in BEIR layout")
    parser.add_argument("--passages", type=int, default=20_000, help="how many there are in all")
    given = parser.parse_args()
    if not given.measure:
        extrapolate(given)
    elif given.data:
        measure(given)
    else:
        parser.error("--measure needs --data FOLDER")


if __name__ == "__main__":
    main()
