"""Hold a library in Milvus against the exact one on disk: what it finds, how fast, and how it ranks.

    python -m benchmarks.milvus recall [--passages 100000] [--questions 200] [--bench ../shared/bench/xquad]
    python -m benchmarks.milvus ranking [--bench ../shared/bench/xquad] [--queries-per-language 100]
    both: [--address http://host:19530], else a standalone server is started here, of the package `milvus`
    python -m benchmarks.milvus words [--bench ../shared/bench/flores] [--queries-per-language 50] [--pairs en:bn,bn:bn]

`recall` makes a library on disk as `benchmarks.search` does, without token vectors, moves it to Milvus, asks both,
for all passages and under a filter that keeps one in a hundred; recall@10 is the share of the exact ten that Milvus
finds. `ranking` evaluates both on judgments, and prints the means of each measure, the difference, and where a measure
of one pair of languages or a mean differs most. `words` does so where Milvus ranks by words, on `milvus-lite` unless an
address is given: all is moved there, and evaluated in two modes.
"""

import argparse
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import search
from embed import DEFAULT_MODEL, load_encoder
from embed.encoder import Encoder
from index import AnyLibrary, Library, MilvusLibrary, MilvusPlace, Mode, parse_filter
from index.milvus.server import Server
from service.engine import Engine
from service.evaluation import Judgments, evaluate, fill, measures, parse_pairs
from service.exchange import move
from tests.milvus import Milvus, lacking

# What words and sounds have a part in.
MODES: tuple[Mode, ...] = ("hybrid", "lexical")


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
            search.fill(library, encoder, corpus, [each["metadata"]["language"] for each in corpus], given.passages)
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
            if name.startswith(("cross", "mono", "pooled")):
                print(f"{name:40s} {value:8.4f} {other[name]:8.4f} {other[name] - value:+8.4f}")
        apart = {name: abs(other[name] - value) for name, value in one.items()}
        furthest = max(apart, key=lambda name: apart[name])
        print(f"largest difference {apart[furthest]:.4f} ({furthest})")


def words(given: argparse.Namespace, encoder: Encoder) -> None:
    """Print the measures of both where Milvus ranks by words, and by how much they differ."""
    named: dict[str, Any] = {"model": encoder.name, "fingerprint": encoder.fingerprint, "dim": encoder.dim}
    judged = Judgments.read(given.bench).sampled(given.queries_per_language, 0)
    pairs = parse_pairs(given.pairs) if given.pairs else ()
    kept = {code for pair in pairs for code in pair}
    if kept:
        drafts = [draft for draft in judged.drafts if draft.language in kept]
        ids = {draft.id for draft in drafts}
        graded = {
            asked: here
            for asked, grades in judged.qrels.items()
            if judged.languages[asked] in kept and (here := {id: grade for id, grade in grades.items() if id in ids})
        }
        judged = replace(judged, drafts=drafts, qrels=graded)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "exact"
        place = MilvusPlace(given.address or f"{scratch}/milvus.db", prefix=f"words_{uuid.uuid4().hex[:8]}")
        with Library.open(folder, **named) as exact:
            languages = fill(Engine(encoder, exact), judged.drafts, None)
        move(folder, lambda _: MilvusLibrary.open(place, **named))
        with Library.open(folder, **named) as exact, MilvusLibrary.open(place, **named) as other:
            print(f"{len(judged.qrels)} questions, {other.status().passages} passages, {other.status().backend}")
            # What the double has not written out it indexes at every search.
            other._server._client.flush(other._server._full("passages"))
            engines = Engine(encoder, exact), Engine(encoder, other)
            for mode in MODES:
                one, two = (figures(measures(each, judged, languages, mode=mode, pairs=pairs)) for each in engines)
                for name, value in one.items():
                    print(f"{mode:8s} {name:32s} {value:8.4f} {two[name]:8.4f} {two[name] - value:+8.4f}")


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
    parser.add_argument("what", choices=("recall", "ranking", "words"))
    parser.add_argument("--address", help="of a Milvus server; else one is started here")
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/xquad"), help="a folder in BEIR layout")
    parser.add_argument("--passages", type=int, default=100_000, help="recall: how many the library has")
    parser.add_argument("--questions", type=int, default=200, help="recall: how many are asked")
    parser.add_argument("--queries-per-language", type=int, default=100, help="ranking: how many of each language")
    parser.add_argument("--pairs", default="", help="words: of these languages alone, as en:bn,bn:bn")
    parser.add_argument("--calibration", action="store_true", help="ranking: relevance too")
    given = parser.parse_args()
    encoder = load_encoder(DEFAULT_MODEL)
    {"recall": recall, "ranking": ranking, "words": words}[given.what](given, encoder)


if __name__ == "__main__":
    main()
