"""Measure how fast passages are encoded, beside plain sentence-transformers and the machine's ceiling.

    python -m benchmarks.encoding [--texts FILE_OR_FOLDER] [--count 400] [--peer-count N] [--rounds 3]

Plain sentence-transformers is `model.encode(texts, prompt=...)` in float32 with its default batch size, on
the same texts in the same run, turn by turn with ours; medians of the rounds. The ceiling is torch's matrix product,
in bfloat16 on large square matrices, and in bfloat16 and 8-bit integers on the model's shapes at our batch of tokens.
What is reached of it counts the texts' own tokens, without padding.
"""

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import platformdirs
import torch
from sentence_transformers import SentenceTransformer

from embed import DEFAULT_MODEL, Encoder, load_encoder
from embed.backends.openvino import TOKENS
from embed.sources import find, ready


def read(path: Path, count: int) -> list[str]:
    """Read `count` texts: a file with one a line, or the corpus of a BEIR folder; the same ones each time."""
    if path.is_dir():
        with (path / "corpus.jsonl").open(encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line in lines]
    else:
        texts = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    random.Random(0).shuffle(texts)
    return texts[:count]


def flops(lengths: Sequence[int], hidden: int, intermediate: int, layers: int) -> float:
    """Return the operations of a BERT encoder's matrix products over texts of these token counts."""
    dense = 2 * (4 * hidden * hidden + 2 * hidden * intermediate)  # a token: q, k, v, output; two of the wide layer
    attention = 4 * hidden  # a pair of tokens: scores, and the values weighted by them
    return float(layers * sum(length * dense + length * length * attention for length in lengths))


def matmul(*shapes: tuple[int, int, int], seconds: float = 1.0, integers: bool = False) -> float:
    """Return the operations a second of torch's products (m, k) @ (k, n), one after another, in bfloat16 or 8 bits."""
    kind, product = (torch.int8, torch._int_mm) if integers else (torch.bfloat16, torch.mm)
    pairs = [((30 * torch.randn(m, k)).to(kind), (30 * torch.randn(k, n)).to(kind)) for m, k, n in shapes]
    each = sum(2.0 * m * k * n for m, k, n in shapes)
    for left, right in pairs:
        product(left, right)  # the first call makes the kernel
    best = 0.0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        for left, right in pairs:
            product(left, right)
        best = max(best, each / (time.perf_counter() - started))
    return best


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(encoder: Encoder, plain: SentenceTransformer, texts: list[str], peers: list[str], rounds: int) -> None:
    """Print the speeds, the ratio, and the share of the machine's ceiling."""
    prompt = plain.prompts.get("passage", "")
    encoder.encode_passages(texts[:16])
    plain.encode(peers[:4], prompt=prompt, show_progress_bar=False)
    config: Any = plain[0].auto_model.config  # type: ignore[union-attr]
    hidden, wide = int(config.hidden_size), int(config.intermediate_size)
    layers = int(config.num_hidden_layers)
    ours, theirs, ratios = [], [], []
    shapes = [*[(TOKENS, hidden, hidden)] * 4, (TOKENS, hidden, wide), (TOKENS, wide, hidden)]
    square = own = integers = 0.0
    for number in range(rounds):
        fast = len(texts) / seconds(lambda: encoder.encode_passages(texts))
        slow = len(peers) / seconds(lambda: plain.encode(peers, prompt=prompt, show_progress_bar=False))
        print(f"round {number + 1}: {fast:.1f} and {slow:.1f} passages/s, ratio {fast / slow:.2f}", flush=True)
        ours.append(fast)
        theirs.append(slow)
        ratios.append(fast / slow)
        # The best of the rounds: what the machine can do, whoever else is using it.
        square = max(square, matmul((2048, 2048, 2048)))
        own = max(own, matmul(*shapes))
        integers = max(integers, matmul(*shapes, integers=True))

    lengths = [min(length, encoder.window) for length in encoder.count_tokens(texts)]
    work = flops(lengths, hidden, wide, layers) / len(texts)
    reached = statistics.median(ours) * work
    print(f"{type(encoder).__name__}: {statistics.median(ours):.1f} passages/s")
    print(f"sentence-transformers, float32, batch size 32: {statistics.median(theirs):.1f} passages/s")
    print(f"ratio: {statistics.median(ratios):.2f}")
    print(f"encoder: {reached / 1e9:.0f} GFLOP/s ({work / 1e9:.2f} GFLOP a passage)")
    print(f"bf16 matrix product, 2048 x 2048: {square / 1e9:.0f} GFLOP/s; reached {reached / square:.0%}")
    print(f"bf16 matrix product, the model's shapes: {own / 1e9:.0f} GFLOP/s; reached {reached / own:.0%}")
    print(f"8-bit matrix product, the model's shapes: {integers / 1e9:.0f} GOP/s; reached {reached / integers:.0%}")


def main() -> None:
    """Read the arguments, load both, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, default=Path("../shared/bench/xquad"))
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--peer-count", type=int, help="texts for sentence-transformers, all unless given")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    texts = read(arguments.texts, arguments.count)
    encoder = load_encoder(arguments.model, report=print)
    folder = ready(find(arguments.model, platformdirs.user_cache_path("dragoman")))
    plain = SentenceTransformer(str(folder), device="cpu")
    load = os.getloadavg()[0]
    print(f"{len(texts)} texts, {os.cpu_count()} cores, torch {torch.__version__}, load {load:.1f}")
    measure(encoder, plain, texts, texts[: arguments.peer_count], arguments.rounds)


if __name__ == "__main__":
    main()
