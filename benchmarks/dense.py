"""Sweep the kinds of dense index over a million vectors that are spread as real ones are.

    python -m benchmarks.dense --cache FOLDER [--bench ../shared/bench] [--passages 1000000] [--kinds NAME ...]

The passages and some questions of xquad and flores are encoded and made neutral once, and kept in `--cache` with all
that is made of them. Further passages are spread between them: of each, a real passage is drawn and one of its 16
nearest; the new vector lies between the two, nearer to the first, with noise of the covariance of those 16 at a third
of their deviation, and is of unit length. The questions are the real ones, none was spread.

Of each kind of index (a FAISS factory string) and effort (lists that are looked at, or of a graph its efSearch; and
candidates that are scored again) is told: recall@10 against exact search, how many times faster than exact flat (one
question at a time, the same threads, in the same run, medians), and bytes a passage in memory. `--own` measures the
library's own index instead: built, searched with and without a filter that keeps one passage in a hundred; and, by a
process that does nothing else, opened, searched, and what is resident then.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from embed import DEFAULT_MODEL, load_encoder
from index import snapshots
from index.backends.faiss import FaissIndex
from index.backends.quantised import QuantisedIndex
from index.neutral import Neutral, unit

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

NEIGHBOURS, NOISE = 16, 1 / 3
KINDS = (
    "IVF2048,RaBitQfs",
    "IVF2048,PQ96x4fs",
    "IVF2048,PQ192x4fs",
    "IVF2048,SQ4",
    "IVF2048_HNSW32,PQ192x4fs",
    "HNSW32,SQ8",
)
PROBES, CANDIDATES = (16, 32, 64, 128, 256), (100, 300, 1000)

# A graph finds no more than it looks at.
GRAPH = [(looked, found) for looked in (64, 128, 256, 512, 1024) for found in (64, 128, 256) if found <= looked]
QUESTIONS = 100

# Passages that are taken of a library.
MOST = 30_000


def real(bench: Path, cache: Path, data: Path | None = None) -> tuple[Vectors, Vectors]:
    """Return neutral vectors of passages, those of the library `data` if there is one, and of some questions, encoded
    where they are not kept.
    """
    kept = cache / "real.npz"
    if not kept.exists():
        encoder = load_encoder(DEFAULT_MODEL)
        neutral = Neutral.for_model(encoder.name)
        texts, languages = _read([bench / name / "corpus.jsonl" for name in ("xquad", "flores")])
        asked, codes = _read([bench / "xquad" / "queries.jsonl"])
        some = slice(None, None, len(asked) // QUESTIONS)
        if data:
            held = FaissIndex(encoder.dim)
            snapshots.read(data, lambda header: header.backend == held.name, held.load)
            passages = held.vectors(np.sort(np.random.default_rng(2).choice(held.rows(), MOST, replace=False)))
        else:
            passages = neutral.passages(encoder.encode_passages(texts), languages)
        questions = neutral.queries(encoder.encode_queries(asked[some]), [{code: 1.0} for code in codes[some]])
        np.savez(kept, passages=passages, questions=questions[:QUESTIONS])
    with np.load(kept) as read:
        return read["passages"], read["questions"]


def _read(files: list[Path]) -> tuple[list[str], list[str]]:
    told = [json.loads(line) for file in files for line in file.open(encoding="utf-8")]
    return [each["text"] for each in told], [each["metadata"]["language"] for each in told]


def spread(passages: Vectors, count: int, cache: Path) -> Vectors:
    """Return so many vectors spread between real ones (count, dim), read through mmap."""
    kept = cache / f"spread-{count}.npy"
    if not kept.exists():
        chance = np.random.default_rng(0)
        _, near = faiss.knn(passages, passages, NEIGHBOURS + 1, metric=faiss.METRIC_INNER_PRODUCT)
        made = np.lib.format.open_memmap(kept, "w+", np.float32, (count, passages.shape[1]))
        for start in track(range(0, count, 5_000), "spreading"):
            size = min(5_000, count - start)
            first = chance.integers(len(passages), size=size)
            others = near[first, 1:]
            second = others[np.arange(size), chance.integers(NEIGHBOURS, size=size)]
            share = chance.uniform(0, 0.5, (size, 1)).astype(np.float32)
            around = passages[others] - passages[others].mean(axis=1, keepdims=True)
            weights = chance.standard_normal((size, 1, NEIGHBOURS)).astype(np.float32) / np.sqrt(NEIGHBOURS)
            noise = (weights @ around)[:, 0]
            between = (1 - share) * passages[first] + share * passages[second]
            made[start : start + size] = unit(between + NOISE * noise)
        made.flush()
    vectors: Vectors = np.load(kept, mmap_mode="r")
    return vectors


def timed(ask: Callable[[Vectors], object], questions: Vectors) -> float:
    """Return the median seconds of a question, each put by itself."""
    took = []
    for number in range(len(questions)):
        started = time.perf_counter()
        ask(questions[number : number + 1])
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def recall(found: Rows, truth: Rows) -> float:
    """Return the mean share of the truth (q, 10) that was found."""
    return float(np.mean([len(np.intersect1d(a, b)) / truth.shape[1] for a, b in zip(found, truth, strict=True)]))


def exact(vectors: Vectors, questions: Vectors) -> tuple[Rows, float]:
    """Return the ten best of each question and the median seconds that exact flat search takes."""
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(np.asarray(vectors))
    took = timed(lambda question: flat.search(question, 10), questions[:15])
    return flat.search(questions, 10)[1], took


def sweep(kind: str, vectors: Vectors, questions: Vectors, truth: Rows, flat: float) -> None:
    """Build one kind and print its curve."""
    started = time.perf_counter()
    index = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    graph = kind.startswith("HNSW")
    if not graph:
        faiss.extract_index_ivf(index).cp.niter = 8
    some = np.random.default_rng(1).choice(len(vectors), min(len(vectors), 80_000), replace=False)
    index.train(np.asarray(vectors[np.sort(some)]))
    for start in range(0, len(vectors), 50_000):
        index.add(np.asarray(vectors[start : start + 50_000]))
    size = len(faiss.serialize_index(index)) / len(vectors)
    print(f"{kind}: built in {time.perf_counter() - started:.0f} s, {size:.0f} bytes a passage", flush=True)
    efforts = GRAPH if graph else [(probes, candidates) for probes in PROBES for candidates in CANDIDATES]
    for looked, candidates in efforts:
        faiss.ParameterSpace().set_index_parameter(index, "efSearch" if graph else "nprobe", looked)

        def ask(question: Vectors, candidates: int = candidates) -> Rows:
            near = np.sort(index.search(question, candidates)[1][0])
            near = near[near >= 0]
            scores = vectors[near] @ question[0]
            best: Rows = near[np.argsort(-scores)[:10]]
            return best

        found = np.stack([np.resize(ask(q[None]), 10) for q in questions])
        speed = flat / timed(ask, questions[:60])
        told = f"{recall(found, truth):.4f} | {speed:.1f} | {size:.0f}"
        print(f"| {kind} | {looked} | {candidates} | {told} |", flush=True)


def resident() -> dict[str, int]:
    """Return what of this process is resident in bytes: anonymous, and of files."""
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(told[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile")}


def own(vectors: Vectors, questions: Vectors, truth: Rows, flat: float, cache: Path) -> None:
    """Measure the library's own index: built, written, searched, filtered, opened."""
    rows = np.arange(len(vectors))
    started = time.perf_counter()
    built = QuantisedIndex(vectors.shape[1])
    built.build(rows, vectors, 0.99)
    print(f"built in {time.perf_counter() - started:.0f} s: {built.effort}", flush=True)
    header = snapshots.Header(0, "", "", "", built.name, built.dim, len(rows))
    snapshots.write(cache, header, built.save)
    found = built.search(questions, 10)[1]
    speed = flat / timed(lambda question: built.search(question, 10), questions)
    print(f"recall@10 {recall(found, truth):.4f}, {speed:.1f} times faster than exact flat", flush=True)
    kept = np.sort(np.random.default_rng(3).choice(rows, len(rows) // 100, replace=False))
    best = kept[np.argsort(-(questions @ vectors[kept].T), axis=1)[:, :10]]
    found = built.search(questions, 10, kept)[1]
    took = timed(lambda question: built.search(question, 10, kept), questions[:30])
    print(f"filter of 1 in 100: recall@10 {recall(found, best):.4f}, {1000 * took:.1f} ms", flush=True)
    subprocess.run([sys.executable, "-m", "benchmarks.dense", "--cache", str(cache), "--opened"], check=True)


def opened(cache: Path, questions: Vectors) -> None:
    """Open the index that `own` has written, search it, and tell what is resident."""
    size = (cache / snapshots.SNAPSHOT).stat().st_size
    before, started = resident(), time.perf_counter()
    index = QuantisedIndex(questions.shape[1])
    snapshots.read(cache, lambda _: True, index.load)
    took = time.perf_counter() - started
    print(f"opened {size / 1e9:.2f} GB in {took:.1f} s, {took / size * 1e9:.1f} s per GB", flush=True)
    for when in ("opened", "searched"):
        gc.collect()
        after = resident()
        told = (f"{name} {(after[name] - before[name]) / len(index):.0f}" for name in before)
        print(f"{when}: {', '.join(told)} bytes a passage more than before", flush=True)
        index.search(questions, 10)
    print(
        f"{len(questions)} questions were searched in between; RssFile is pages of the snapshot, which can be dropped"
    )


def main() -> None:
    """Make the vectors, sweep, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench"), help="the folder of xquad and flores")
    parser.add_argument("--cache", type=Path, required=True, help="where vectors are kept")
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="*", default=KINDS, help="FAISS factory strings")
    parser.add_argument("--data", type=Path, help="a library whose passages are taken instead")
    parser.add_argument("--own", action="store_true", help="measure the library's own index instead")
    parser.add_argument("--opened", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    passages, questions = real(given.bench, given.cache, given.data)
    if given.opened:
        opened(given.cache, questions)
        return
    vectors = spread(passages, given.passages, given.cache)
    truth, flat = exact(vectors, questions)
    print(f"{len(vectors)} passages, {faiss.omp_get_max_threads()} threads, exact flat {1000 * flat:.1f} ms")
    if given.own:
        own(vectors, questions, truth, flat, given.cache)
        return
    for kind in given.kinds:
        sweep(kind, vectors, questions, truth, flat)


if __name__ == "__main__":
    main()
