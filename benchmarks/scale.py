"""Work out what 10 million, 100 million and a billion passages take, from what was measured with fewer.

    python -m benchmarks.scale

Prints the tables of `docs/scale.md`. Every input is named with its source; what is published or assumed says so.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SIZES = (10_000_000, 100_000_000, 1_000_000_000)


@dataclass(frozen=True, slots=True)
class Input:
    """A figure, its unit, and where it is from."""

    value: float
    unit: str
    source: str


INPUTS = {
    "disk": Input(
        27_079, "bytes a passage", "20,000 passages of fanout's library, `du`: SQLite with token vectors, indexes"
    ),
    "disk, no tokens": Input(5_000, "bytes a passage", "benchmarks/search.py, a million"),
    "memory": Input(127, "bytes a passage", "results.md, recall that is that of questions: anonymous, a million"),
    "pages": Input(1_533, "bytes a passage", "the same: of the snapshot, which the system may take back"),
    "Milvus": Input(3_560, "bytes a passage", "Milvus 2.3.5, HNSW, 100,000 x 384: 574 MB loaded less 218 at rest"),
    "words": Input(1_052, "bytes a passage", "the same library as for disk: its folder of words and sounds"),
    "adding": Input(84.4, "passages a second", "results.md, adding: 2 cores"),
    "encoding": Input(10.21e9, "operations a passage", "results.md, encoding"),
    "efficiency": Input(0.23, "of the ceiling", "results.md, encoding: bf16 on a CPU"),
    "question": Input(7.3, "ms", "results.md, hybrid at a million: encoding a question, CPU time"),
    "hybrid": Input(16.4, "ms", "the same: a search of a million, CPU time, without tokens"),
    "H100": Input(989e12, "operations a second", "published by NVIDIA: SXM, bf16, dense"),
    "L4": Input(121e12, "operations a second", "published by NVIDIA: bf16, dense"),
    "load": Input(0.3, "of a core's time", "assumed"),
    "RAM": Input(64e9 * 0.7, "bytes a machine", "assumed: 64 GB, seven tenths of it for the index"),
    "shard": Input(1_000_000, "passages", "assumed: the largest that was measured"),
}


def value(name: str) -> float:
    """Return an input."""
    return INPUTS[name].value


def slowest(shards: int) -> float:
    """Return how many times its median the slowest of so many searches takes, in the median.

    The median of the largest of n is the quantile 0.5^(1/n) of one; beyond the last quantile that is kept it is that.
    """
    seconds = np.array(json.loads(Path(__file__).with_name("fanout.json").read_text())["hybrid"])
    return float(np.quantile(seconds, 0.5 ** (1 / shards)) / np.median(seconds))


def gigabytes(name: str) -> Callable[[int], str]:
    """Return what tells so many bytes a passage in GB."""
    return lambda passages: f"{passages * value(name) / 1e9:,.0f}"


def shards(passages: int) -> int:
    """Return how many shards hold the passages."""
    return -(-passages // int(value("shard")))


ROWS: dict[str, tuple[str, Callable[[int], str]]] = {
    "disk, GB": ("passages x disk", gigabytes("disk")),
    "without token vectors, GB": ("passages x disk, no tokens", gigabytes("disk, no tokens")),
    "memory of our own index, GB": ("passages x memory", gigabytes("memory")),
    "pages it would like besides, GB": ("passages x pages", gigabytes("pages")),
    "memory of Milvus with HNSW, GB": ("passages x Milvus", gigabytes("Milvus")),
    "machines of 64 GB for that": (
        "that / RAM, rounded up, one copy",
        lambda passages: f"{-(-passages * value('Milvus') // value('RAM')):,.0f}",
    ),
    "words and sounds, over Milvus in every server, GB": ("passages x words", gigabytes("words")),
    "encoding and adding, core hours": (
        "passages x 2 / adding / 3,600",
        lambda passages: f"{passages * 2 / value('adding') / 3600:,.0f}",
    ),
    "H100 hours, an estimate": (
        "passages x encoding / (H100 x efficiency) / 3,600",
        lambda passages: f"{passages * value('encoding') / (value('H100') * value('efficiency')) / 3600:,.2f}",
    ),
    "L4 hours, an estimate": (
        "passages x encoding / (L4 x efficiency) / 3,600",
        lambda passages: f"{passages * value('encoding') / (value('L4') * value('efficiency')) / 3600:,.1f}",
    ),
    "shards of a million": ("passages / shard", lambda passages: f"{shards(passages):,}"),
    "core seconds a search": (
        "shards x hybrid + question",
        lambda passages: f"{(shards(passages) * value('hybrid') + value('question')) / 1000:,.2f}",
    ),
    "searches a second, a core a shard": ("load / hybrid", lambda _: f"{value('load') / value('hybrid') * 1000:.0f}"),
    "median of a search, ms": (
        "question + hybrid x slowest(shards)",
        lambda passages: f"{value('question') + value('hybrid') * slowest(shards(passages)):.0f}",
    ),
}


def tables() -> str:
    """Return the two tables of `docs/scale.md`."""
    lines = ["| input | value | | from |", "|---|---|---|---|"]
    lines += [f"| {name} | {each.value:,g} | {each.unit} | {each.source} |" for name, each in INPUTS.items()]
    lines += ["", "| | " + " | ".join(f"{size:,}" for size in SIZES) + " | how |", "|---|" + "---|" * (len(SIZES) + 1)]
    for name, (how, tell) in ROWS.items():
        lines.append(f"| {name} | {' | '.join(tell(size) for size in SIZES)} | {how} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the tables."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(tables(), end="")


if __name__ == "__main__":
    main()
