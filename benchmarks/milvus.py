"""Hold a library in Milvus against the exact one on disk: what it finds, how fast, and how it ranks.

    python -m benchmarks.milvus recall [--passages 100000] [--questions 200] [--bench ../shared/bench/xquad]
    python -m benchmarks.milvus ranking [--bench ../shared/bench/xquad] [--queries-per-language 100]
    both: [--address http://host:19530], else a standalone server is started here, of the package `milvus`

`recall` makes a library on disk as `benchmarks.search` does, without token vectors, moves it to Milvus, asks both,
for all passages and under a filter that keeps one in a hundred; recall@10 is the share of the exact ten that Milvus
finds. `ranking` evaluates both on judgments, and prints each measure and the difference.
"""

import argparse
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search import fill
from embed import DEFAULT_MODEL, load_encoder
from embed.encoder import Encoder
from index import AnyLibrary, Library, MilvusLibrary, MilvusPlace, parse_filter
from index.milvus.server import Server
from service.engine import Engine
from service.evaluation import evaluate
from service.exchange import move
from tests.milvus import Milvus, lacking

SHOWN = ("cross", "mono", "pooled")


@contextmanager
def server(address: str | None) -> Iterator[str]:
    """Give the address of a server, started here where none is named."""
    if address:
        yield address
        return
    if (why := lacking()) is not None:
        raise SystemExit(f"No server can be started here ({why}): name one with --address.")
    with tempfile.TemporaryDirectory() as scratch, Milvus(Path(scratch)) as started:
        yield started.address


def built(place: MilvusPlace) -> None:
    """Wait until the index of the vectors is built: until then Milvus looks at every one."""
    reached = Server(place.address, prefix=place.prefix)
    try:
        for name in ("passages", "raw"):
            full = f"{place.prefix}_{name}"
            reached._client.flush(full)
            while reached._client.describe_index(full, "vector")["pending_index_rows"]:
                time.sleep(1)
    finally:
        reached.close()


def recall(given: argparse.Namespace, encoder: Encoder) -> None:
    """Print recall@10 against exact search, and what a search takes."""
    corpus = [json.loads(line) for line in (given.bench / "corpus.jsonl").open(encoding="utf-8")]
    asked = [json.loads(line)["text"] for line in (given.bench / "queries.jsonl").open(encoding="utf-8")]
    asked = asked[:: max(1, len(asked) // given.questions)][: given.questions]
    named: dict[str, Any] = {"model": encoder.name, "fingerprint": encoder.fingerprint, "dim": encoder.dim}
    with server(given.address) as address, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "exact"
        place = MilvusPlace(address, prefix=f"recall_{uuid.uuid4().hex[:8]}")
        with Library.open(folder, **named, late_interaction=False) as library:
            fill(library, encoder, corpus, [each["metadata"]["language"] for each in corpus], given.passages)
        started = time.perf_counter()
        moved = move(folder, lambda _: MilvusLibrary.open(place, **named, late_interaction=False))
        print(f"{moved}: moved and compared in {time.perf_counter() - started:.0f} s")
        started = time.perf_counter()
        built(place)
        print(f"index built after {time.perf_counter() - started:.0f} s more")
        with Library.open(folder, **named) as exact, MilvusLibrary.open(place, **named) as other:
            questions = Engine(encoder, exact).questions(asked)
            for name, where in (("all", None), ("1 %", parse_filter({"source": "7"}))):
                found, took = zip(*(first(each, questions, where) for each in (exact, other)), strict=True)
                shares = [len(one & two) / len(one) for one, two in zip(*found, strict=True)]
                told = ", ".join(f"{kind} {ms:.1f} ms" for kind, ms in zip(("on disk", "in Milvus"), took, strict=True))
                print(f"{name}: recall@10 {np.mean(shares):.4f} over {len(shares)} questions; dense, median: {told}")
            for mode in ("dense", "hybrid"):
                for kind, each in (("on disk", exact), ("in Milvus", other)):
                    print(f"{mode}, {kind}: {whole(each, questions, mode):.1f} ms a search, median")
            other.drop()


def first(library: AnyLibrary, questions: Any, where: Any) -> tuple[list[set[str]], float]:
    """Return the ids of the first ten articles for each question, and the median time in ms."""
    found, times = [], []
    for vector, language in zip(questions.vectors, questions.languages, strict=True):
        started = time.perf_counter()
        (rows,) = library.rank(vector[None], [language], 10, [where], "dense")
        times.append((time.perf_counter() - started) * 1000)
        found.append(set(library.article_ids(rows[0][rows[0] >= 0]).values()))
    return found, statistics.median(times[2:])


def whole(library: AnyLibrary, questions: Any, mode: Any) -> float:
    """Return the median time of a search with its hits read, in ms."""
    times = []
    for vector, language, text in zip(questions.vectors, questions.languages, questions.texts, strict=True):
        started = time.perf_counter()
        library.search(vector, language, mode=mode, text=text)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times[2:])


def ranking(given: argparse.Namespace, encoder: Encoder) -> None:
    """Print the measures of both, and by how much they differ."""
    named: dict[str, Any] = {"model": encoder.name, "fingerprint": encoder.fingerprint, "dim": encoder.dim}
    with server(given.address) as address:
        place = MilvusPlace(address, prefix=f"ranking_{uuid.uuid4().hex[:8]}")
        opened: list[tuple[str, Callable[[Path], Engine]]] = [
            ("on disk", lambda folder: Engine(encoder, Library.open(folder, **named))),
            ("in Milvus", lambda _: Engine(encoder, MilvusLibrary.open(place, **named))),
        ]
        reports = []
        for name, opener in opened:
            started = time.perf_counter()
            reports.append(
                evaluate(
                    given.bench, opener, queries_per_language=given.queries_per_language, calibration=given.calibration
                )
            )
            print(f"{name}: {time.perf_counter() - started:.0f} s")
        one, other = (figures(each) for each in reports)
        for name, value in one.items():
            print(f"{name:40s} {value:8.4f} {other[name]:8.4f} {other[name] - value:+8.4f}")
        print(f"largest difference {max(abs(other[name] - value) for name, value in one.items()):.4f}")


def figures(report: Any, before: str = "") -> dict[str, float]:
    """Return the measures of a report by name: all numbers between 0 and 1 that are no counts."""
    found: dict[str, float] = {}
    for name, value in report.items() if isinstance(report, dict) else ():
        if isinstance(value, dict):
            found |= figures(value, f"{before}{name} ")
        elif isinstance(value, float) and 0 <= value <= 1:
            found[f"{before}{name}"] = value
    return found


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("recall", "ranking"))
    parser.add_argument("--address", help="of a Milvus server; else one is started here")
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/xquad"), help="a folder in BEIR layout")
    parser.add_argument("--passages", type=int, default=100_000, help="recall: how many the library has")
    parser.add_argument("--questions", type=int, default=200, help="recall: how many are asked")
    parser.add_argument("--queries-per-language", type=int, default=100, help="ranking: how many of each language")
    parser.add_argument("--calibration", action="store_true", help="ranking: relevance too")
    given = parser.parse_args()
    encoder = load_encoder(DEFAULT_MODEL)
    {"recall": recall, "ranking": ranking}[given.what](given, encoder)


if __name__ == "__main__":
    main()
