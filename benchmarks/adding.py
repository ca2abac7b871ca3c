"""Time `dragoman add`, as a whole process, against plain sentence-transformers on the same texts in the same run.

    python -m benchmarks.adding [--bench ../shared/bench/xquad] [--count 1000] [--rounds 1] [--peer-python PYTHON]

The peer is what most people write: `SentenceTransformer(folder).encode(texts)`, float32, default batch size. Both are
timed from the start of the process to its end; Dragoman's time holds reading, language identification, encoding and
the durable library, the peer's holds start-up and encoding. Beside it stands the ratio to the peer's encoding alone.
`--peer-python` is an interpreter that has txtai, which then indexes the same texts with the same model folder in the
same run: vectors in FAISS and texts in SQLite, saved. `bare` is our encoder alone, token vectors too, in this process.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import platformdirs

from benchmarks.encoding import matmul, seconds
from embed import DEFAULT_MODEL, load_encoder
from embed.sources import find, ready

PEER = """
import json, sys, time
from sentence_transformers import SentenceTransformer
texts = ["passage: " + json.loads(line)["text"] for line in open(sys.argv[2], encoding="utf-8")]
model = SentenceTransformer(sys.argv[1], device="cpu")
model.encode(texts[:8])
started = time.perf_counter()
model.encode(texts, normalize_embeddings=True)
print(time.perf_counter() - started)
"""

TXTAI = """
import json, sys
from txtai import Embeddings
lines = [json.loads(line) for line in open(sys.argv[2], encoding="utf-8")]
instructions = {"query": "query: ", "data": "passage: "}
embeddings = Embeddings(path=sys.argv[1], instructions=instructions, content=True, gpu=False)
embeddings.index((line["id"], line["text"], None) for line in lines)
embeddings.save(sys.argv[3])
"""


def sample(folder: Path, count: int, into: Path) -> None:
    """Write `count` passages, spread evenly over the languages, as JSON lines without their language."""
    lines = (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = [lines[position * len(lines) // count] for position in range(count)]
    with into.open("w", encoding="utf-8") as out:
        for line in chosen:
            record = json.loads(line)
            out.write(json.dumps({"id": record["_id"], "text": record["text"]}, ensure_ascii=False) + "\n")


def seconds_of_add(texts: Path, data: Path) -> float:
    """Return the wall time of one `dragoman add` into a new library."""
    command = [sys.executable, "-m", "service.cli", "add", str(texts), "--data", str(data), "--json"]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def seconds_of_peer(model: str, texts: Path) -> tuple[float, float]:
    """Return the wall time of plain sentence-transformers, whole and for encoding alone."""
    command = [sys.executable, "-c", PEER, model, str(texts)]
    started = time.perf_counter()
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - started, float(told.split()[-1])


def seconds_of_txtai(python: Path, model: str, texts: Path, data: Path) -> float:
    """Return the wall time of txtai indexing the texts, as a whole process."""
    started = time.perf_counter()
    subprocess.run([str(python), "-c", TXTAI, model, str(texts), str(data)], check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Run both by turns and print passages per second and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/xquad"), help="a folder in BEIR layout")
    parser.add_argument("--count", type=int, default=1000, help="passages")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each; medians are printed")
    parser.add_argument("--peer-python", type=Path, help="an interpreter that has txtai")
    asked = parser.parse_args()
    encoder = load_encoder()  # built and converted once for all; what is timed is what is repeated
    folder = ready(find(DEFAULT_MODEL, platformdirs.user_cache_path("dragoman")))
    print(f"{asked.count} passages of {asked.bench.name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    rounds: list[tuple[float, float, float]] = []
    bare: list[float] = []
    txtai: list[float] = []
    ceiling = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        texts = Path(scratch) / "articles.jsonl"
        sample(asked.bench, asked.count, texts)
        passages = [json.loads(line)["text"] for line in texts.read_text(encoding="utf-8").splitlines()]
        encoder.encode_passages(passages[:16])
        for number in range(asked.rounds):
            # Token vectors are made as `add` has them made, and left where they are.
            bare.append(seconds(lambda: encoder.encode_passages(passages, keep=lambda *_: None)))
            add = seconds_of_add(texts, Path(scratch) / f"data-{number}")
            rounds.append((add, *seconds_of_peer(str(folder), texts)))
            if asked.peer_python:
                data = Path(scratch) / f"txtai-{number}"
                txtai.append(seconds_of_txtai(asked.peer_python, str(folder), texts, data))
                print(f"txtai {txtai[-1]:.1f} s")
            ceiling = max(ceiling, matmul((2048, 2048, 2048)))
            print(
                "round {}: add {:.1f} s, sentence-transformers {:.1f} s, its encoding {:.1f} s; bare {:.1f} s".format(
                    number + 1, *rounds[-1], bare[-1]
                ),
                flush=True,
            )
    add, peer, encoding = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"dragoman add           {asked.count / add:7.1f} passages/s")
    print(
        f"sentence-transformers  {asked.count / peer:7.1f} passages/s (float32),"
        f" {asked.count / encoding:.1f} without start-up"
    )
    print(f"ratio                  {peer / add:7.2f}, to its encoding alone {encoding / add:.2f}")
    alone = statistics.median(bare)
    print(f"the encoder bare       {asked.count / alone:7.1f} passages/s; add reaches {alone / add:.2f} of it")
    if txtai:
        other = statistics.median(txtai)
        print(f"txtai                  {asked.count / other:7.1f} passages/s, ratio {other / add:.2f}")
    print(f"machine's bf16 matrix products, 2048 x 2048: {ceiling / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
