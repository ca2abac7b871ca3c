"""Put questions to a running Dragoman from so many clients at once, beside txtai's own server in the same run.

    python3 -m venv PEER && PEER/bin/pip install torch==2.13.0 && PEER/bin/pip install 'txtai[api]'
    python -m benchmarks.serving --peer-python PEER/bin/python [--clients 1 8 32] [--seconds 15] [--workers 1]
        [--modes hybrid dense]

Both serve the same passages with the same model from one folder, Dragoman in each of the modes asked for: txtai
searches as `dense` does. Questions are distinct: none is put twice to one server. `CPU ms` is what the server's
processes took for a request, from /proc (Linux): on cores that others use too it tells more than the rate. Then a
writer adds 20 passages at a time all the while, the next as soon as the last is acknowledged and found by searches. All
are measured by turns. Without `--peer-python` Dragoman is measured alone. `--data` and `--peer-data` keep what was
indexed for the next time, without what the writer added.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import platformdirs

from embed import DEFAULT_MODEL, load_encoder
from embed.sources import find, ready

AT_ONCE = 20  # passages that the writer adds
HOST = "127.0.0.1"
Record = dict[str, str]


@dataclass
class Service:
    """A server under load: how it is asked, and how passages are added so that the next search finds them."""

    name: str
    port: int
    ask: Callable[[str], bytes]
    add: Callable[[Sequence[Record]], list[bytes]]
    questions: Iterator[str]
    process: int


@dataclass
class Measured:
    """What became of the requests of one phase: seconds of each that was answered, the failed, and the added; the
    seconds of the phase, and the CPU seconds that the server took.
    """

    took: list[float] = field(default_factory=list)
    errors: int = 0
    added: int = 0
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Return the requests that were answered in a second."""
        return len(self.took) / self.seconds

    def share(self, of: float) -> float:
        """Return the milliseconds within which this share of requests was answered."""
        took = sorted(self.took) or [float("nan")]
        return 1000 * took[min(len(took) - 1, int(of * len(took)))]


def cpu_seconds(process: int) -> float:
    """Return the CPU seconds of a process and of those that it started; 0 where there is no /proc."""
    total, ticks = 0.0, os.sysconf("SC_CLK_TCK")
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            own, told = path.parent.name, path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if str(process) in (own, told[1]):  # its own number, or its parent's
            total += (int(told[11]) + int(told[12])) / ticks
    return total


def request(method: str, path: str, body: object = None) -> bytes:
    """Return a request of HTTP/1.1 as it is sent."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(content)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n".encode() + content


class Connection:
    """A connection that is kept open. What a common client takes for a request would be a good part of what is measured
    on the same cores.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, told: bytes) -> int:
        """Send a request, read the whole answer, and return its status; 0 where the connection broke."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(HOST, self._port)
            reader, writer = self._streams
            writer.write(told)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
            return int(head.split(b" ", 2)[1])
        except (OSError, EOFError, ValueError):
            self.close()
            return 0

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def load(service: Service, clients: int, seconds: float, fresh: Iterator[list[Record]] | None) -> Measured:
    """Put questions for so many seconds, each client the next as soon as it is answered."""
    found = Measured()
    end = time.perf_counter() + seconds

    async def client() -> None:
        connection = Connection(service.port)
        while time.perf_counter() < end and (question := next(service.questions, None)) is not None:
            started = time.perf_counter()
            if await connection.send(service.ask(question)) == 200:
                found.took.append(time.perf_counter() - started)
            else:
                found.errors += 1
        connection.close()

    async def writer(fresh: Iterator[list[Record]]) -> None:
        connection = Connection(service.port)
        while time.perf_counter() < end:
            records = next(fresh)
            statuses = [await connection.send(each) for each in service.add(records)]
            found.errors += sum(status not in (200, 201) for status in statuses)
            found.added += len(records)
        connection.close()

    adding = asyncio.create_task(writer(fresh)) if fresh else None
    started, before = time.perf_counter(), cpu_seconds(service.process)
    await asyncio.gather(*(client() for _ in range(clients)))
    found.seconds, found.cpu = time.perf_counter() - started, cpu_seconds(service.process) - before
    if adding:
        await adding
    return found


def passages(corpus: Sequence[Record]) -> Iterator[list[Record]]:
    """Yield passages to add, none of which is there: a stored one with a number before it."""
    number = 0
    while True:
        some = []
        for _ in range(AT_ONCE):
            text = corpus[number * 7 % len(corpus)]["text"]
            some.append({"id": f"new-{os.getpid()}-{number}", "text": f"{number}. {text}"})
            number += 1
        yield some


@contextmanager
def running(command: Sequence[str], environment: dict[str, str], port: int, path: str, log: Path) -> Iterator[int]:
    """Run a server until the block ends; begin the block, with its process, when it answers at `path`."""
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=stream, stderr=stream)
        try:
            connection = Connection(port)
            while asyncio.run(once(connection, request("GET", path))) != 200:
                if process.poll() is not None:
                    raise SystemExit(f"{command[0]} ended:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.5)
            yield process.pid
        finally:
            process.terminate()
            process.wait(60)


async def once(connection: Connection, told: bytes) -> int:
    """Send one request over a connection of its own."""
    status = await connection.send(told)
    connection.close()
    return status


@contextmanager
def dragoman(
    folder: Path, corpus: Path, port: int, workers: int, questions: list[str], modes: Sequence[str] = ("hybrid",)
) -> Iterator[list[Service]]:
    """Serve the passages with Dragoman: one server, asked in each of these modes."""
    command = [sys.executable, "-m", "service.cli"]
    if not folder.exists():
        subprocess.run([*command, "add", str(corpus), "--data", str(folder)], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as scratch:
        served = Path(scratch) / "library"
        shutil.copytree(folder, served)
        serve = [*command, "serve", "--data", str(served), "--port", str(port), "--workers", str(workers)]
        with running(serve, {}, port, "/readyz", Path(scratch) / "log") as process:

            def asking(mode: str) -> Callable[[str], bytes]:
                return lambda question: request("POST", "/v1/search", {"query": question, "limit": 10, "mode": mode})

            def add(records: Sequence[Record]) -> list[bytes]:
                return [request("POST", "/v1/articles", records)]

            fresh = iter(questions)
            yield [Service(mode, port, asking(mode), add, fresh, process) for mode in modes]


@contextmanager
def txtai(
    folder: Path, corpus: Sequence[Record], port: int, python: str, model: str, questions: list[str]
) -> Iterator[Service]:
    """Serve the passages with txtai's own server, its content kept, as its documentation has it."""
    with tempfile.TemporaryDirectory() as scratch:
        served, config = Path(scratch) / "index", Path(scratch) / "config.yml"
        if folder.exists():
            shutil.copytree(folder, served)
        # JSON is YAML. The prompts are those that the model was trained with.
        prompts = {"query": "query: ", "data": "passage: "}
        embeddings = {"path": model, "content": True, "instructions": prompts}
        config.write_text(json.dumps({"writable": True, "path": str(served), "embeddings": embeddings}))
        command = [python, "-m", "uvicorn", "txtai.api:app", "--port", str(port), "--log-level", "warning"]
        with running(command, {"CONFIG": str(config)}, port, "/count", Path(scratch) / "log") as process:

            def add(records: Sequence[Record]) -> list[bytes]:
                return [request("POST", "/add", records), request("GET", "/upsert")]

            if not folder.exists():
                for told in (request("POST", "/add", corpus), request("GET", "/index")):
                    if (status := asyncio.run(once(Connection(port), told))) != 200:
                        raise SystemExit(f"txtai answered {status}: {(Path(scratch) / 'log').read_text()[-2000:]}")
                shutil.copytree(served, folder)
            yield Service(
                "txtai",
                port,
                lambda question: request("GET", f"/search?limit=10&query={quote(question, safe='')}"),
                add,
                iter(questions),
                process,
            )


def compare(services: Sequence[Service], corpus: Sequence[Record], clients: Sequence[int], seconds: float) -> None:
    """Measure the services by turns, and print a line for each number of clients."""
    fresh = passages(corpus)
    print("                      requests/s    p50 ms    p99 ms  p99/p50  errors   CPU ms  added/s")
    quiet: dict[tuple[str, int], Measured] = {}
    for writing in (False, True):
        for count in clients:
            rates = []
            for service in services:
                asyncio.run(load(service, count, 1.0, None))  # connections, threads and kernels of these shapes
                found = asyncio.run(load(service, count, seconds, fresh if writing else None))
                rates.append(found.rate)
                p50, p99 = found.share(0.5), found.share(0.99)
                print(
                    f"{service.name:9s} {count:3d} {'+ writer' if writing else '':8s}"
                    f"{found.rate:10.1f} {p50:9.1f} {p99:9.1f} {p99 / p50:8.1f} {found.errors:7d}"
                    f" {1000 * found.cpu / max(1, len(found.took)):8.1f} {found.added / found.seconds:8.1f}",
                    flush=True,
                )
                if writing:
                    print(f"          p99 to that without a writer: {p99 / quiet[service.name, count].share(0.99):.1f}")
                else:
                    quiet[service.name, count] = found
            for service, rate in zip(services[:-1], rates, strict=False):
                print(f"          {service.name} to {services[-1].name}: {rate / rates[-1]:.1f}", flush=True)


def main() -> None:
    """Index, serve, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/xquad"), help="a folder in BEIR layout")
    parser.add_argument("--peer-python", help="the Python of an environment with txtai[api]")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=15, help="how long each load lasts")
    parser.add_argument("--workers", type=int, default=1, help="processes of Dragoman")
    parser.add_argument("--modes", nargs="+", default=["hybrid"], help="in which Dragoman is asked, by turns")
    parser.add_argument("--port", type=int, default=8765, help="Dragoman's; the peer's is the next")
    parser.add_argument("--data", type=Path, help="where Dragoman's library is kept")
    parser.add_argument("--peer-data", type=Path, help="where the peer's index is kept")
    asked = parser.parse_args()
    lines = [json.loads(line) for line in (asked.bench / "corpus.jsonl").open(encoding="utf-8")]
    corpus = [{"id": each["_id"], "text": each["text"]} for each in lines]
    told = [json.loads(line)["text"] for line in (asked.bench / "queries.jsonl").open(encoding="utf-8")]
    questions = list(dict.fromkeys(told))
    random.Random(0).shuffle(questions)
    load_encoder()  # built and converted once for all
    model = str(ready(find(DEFAULT_MODEL, platformdirs.user_cache_path("dragoman"))))
    words = statistics.median(len(each.split()) for each in questions)
    print(
        f"{len(corpus)} passages, {len(questions)} questions ({words:.0f} words), {os.cpu_count()} cores,"
        f" load {os.getloadavg()[0]:.1f} before, {asked.workers} workers"
    )
    with tempfile.TemporaryDirectory() as scratch:
        articles = Path(scratch) / "articles.jsonl"
        articles.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in corpus), encoding="utf-8")
        data, peer = asked.data or Path(scratch) / "dragoman", asked.peer_data or Path(scratch) / "txtai"
        with dragoman(data, articles, asked.port, asked.workers, questions, asked.modes) as ours:
            if asked.peer_python:
                with txtai(peer, corpus, asked.port + 1, asked.peer_python, model, questions) as theirs:
                    compare([*ours, theirs], corpus, asked.clients, asked.seconds)
            else:
                compare(ours, corpus, asked.clients, asked.seconds)


if __name__ == "__main__":
    main()
