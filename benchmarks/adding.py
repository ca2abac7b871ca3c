"""Time `dragoman add`, as a whole process, against plain sentence-transformers on the same texts in the same run.

    python -m benchmarks.adding [--bench ../shared/bench/xquad] [--count 1000] [--rounds 1]

The peer is what most people write: `SentenceTransformer(folder).encode(texts)`, float32, default batch size, and only
its encoding is timed; Dragoman is timed from the start of the process to its end: start-up, reading, language
identification, encoding, the durable library.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from embed import load_encoder

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


def seconds_of_peer(model: str, texts: Path) -> float:
    """Return the encoding time of plain sentence-transformers."""
    command = [sys.executable, "-c", PEER, model, str(texts)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    """Run both by turns and print passages per second and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/xquad"), help="a folder in BEIR layout")
    parser.add_argument("--count", type=int, default=1000, help="passages")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each; medians are printed")
    asked = parser.parse_args()
    folder = load_encoder(backend="torch").folder
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as scratch:
        texts = Path(scratch) / "articles.jsonl"
        sample(asked.bench, asked.count, texts)
        for round_ in range(asked.rounds):
            ours.append(seconds_of_add(texts, Path(scratch) / f"data-{round_}"))
            theirs.append(seconds_of_peer(str(folder), texts))
            print(
                f"round {round_ + 1}: add {ours[-1]:.1f} s, sentence-transformers {theirs[-1]:.1f} s",
                flush=True,
            )
    add, peer = statistics.median(ours), statistics.median(theirs)
    print(f"dragoman add           {asked.count / add:7.1f} passages/s")
    print(f"sentence-transformers  {asked.count / peer:7.1f} passages/s (float32, encoding only)")
    print(f"ratio                  {peer / add:7.2f}")


if __name__ == "__main__":
    main()
