"""Time the modes of search on a library of so many passages, the encoding of the question apart.

    python -m benchmarks.search [--bench ../shared/bench/xquad] [--passages 100000] [--questions 60] [--data FOLDER]
        [--no-tokens]

The passages are real ones and mixtures: their sentences are drawn from the corpus, their vectors are means of two real
ones with noise, their token vectors those of one real passage, so that words, meaning and tokens are distributed as in
a real library. `--data` keeps the library, which takes minutes to make, for the next time; without tokens a million
passages take 5 GB. Every question is put once
in each mode, by turns; told are medians, and their ratios.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from embed import DEFAULT_MODEL, load_encoder
from embed.encoder import Encoder
from index import Addition, Article, Library, cut
from service.engine import Engine

# Passages that are written in one transaction.
TOGETHER = 2_000


def fill(library: Library, encoder: Encoder, corpus: list[dict[str, str]], languages: list[str], count: int) -> None:
    """Add `count` passages, one an article."""
    chance = np.random.default_rng(0)
    texts = [each["text"] for each in corpus]
    tokens: dict[int, bytes] = {}
    space = library.token_space

    def keep(place: int, vectors: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
        if space:
            tokens[place] = space.compress(vectors, languages[place])

    vectors = encoder.encode_passages(texts, keep=keep if space else None)
    by_language = {code: np.flatnonzero(np.array(languages) == code) for code in set(languages)}
    split = [text.split() for text in texts]

    def made(number: int) -> Addition:
        first = int(chance.integers(len(texts)))
        second = int(chance.choice(by_language[languages[first]]))
        share = chance.uniform(0.3, 0.7)
        vector = share * vectors[first] + (1 - share) * vectors[second]
        vector = vector + chance.normal(0, 0.01, len(vector)).astype(np.float32)
        text = " ".join(split[first][: len(split[first]) // 2] + split[second][::2])
        article = Article(id=str(number), text=text, language=languages[first], source=str(number % 100))
        own = {0: tokens[first]} if first in tokens else {}
        unit = (vector / np.linalg.norm(vector)).astype(np.float32)
        return Addition(article, cut(article, [(0, len(text))]), {0: unit}, own)

    for start in track(range(0, count, TOGETHER), "adding"):
        library.add_all([made(number) for number in range(start, min(start + TOGETHER, count))])
    library.load()
    library.settle()


def main() -> None:
    """Make the library, ask in every mode, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/xquad"), help="a folder in BEIR layout")
    parser.add_argument("--passages", type=int, default=100_000, help="how many the library has")
    parser.add_argument("--questions", type=int, default=60, help="how many are asked")
    parser.add_argument("--data", type=Path, help="where to keep the library, or where it is")
    parser.add_argument("--no-tokens", action="store_true", help="keep no token vectors: nothing is re-ranked")
    given = parser.parse_args()
    corpus = [json.loads(line) for line in (given.bench / "corpus.jsonl").open(encoding="utf-8")]
    asked = [json.loads(line) for line in (given.bench / "queries.jsonl").open(encoding="utf-8")]
    asked = asked[:: max(1, len(asked) // given.questions)][: given.questions]
    encoder = load_encoder(DEFAULT_MODEL)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.data or Path(scratch)
        named: dict[str, Any] = {"model": encoder.name, "fingerprint": encoder.fingerprint, "dim": encoder.dim}
        library = Library.open(folder, **named, late_interaction=not given.no_tokens)
        with Engine(encoder, library) as engine:
            if not library.status().passages:
                fill(library, encoder, corpus, [each["metadata"]["language"] for each in corpus], given.passages)
            library.load()
            measure(engine, [each["text"] for each in asked])


def measure(engine: Engine, texts: list[str]) -> None:
    """Print what each mode takes, by turns over the questions."""
    library = engine.library
    took: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        started = time.perf_counter()
        work()
        took.setdefault(name, []).append((time.perf_counter() - started) * 1000)

    for text in texts:
        timed("encoding the question", lambda text=text: engine.questions([text]))  # type: ignore[misc]
        question = engine.questions([text])
        vector, language = question.vectors[0], question.languages[0]
        tokens = question.tokens[0] if question.tokens else None
        timed("dense", lambda: library.search(vector, language, mode="dense"))  # noqa: B023 - called at once
        # Without token vectors of the question nothing is re-ranked. Other words, for what is usual is remembered.
        timed("hybrid, not re-ranked", lambda: library.search(vector, language, mode="hybrid", text=text))  # noqa: B023
        other = text + " "
        timed("hybrid", lambda: library.search(vector, language, mode="hybrid", text=other, tokens=tokens))  # noqa: B023
    print(f"{library.status().passages} passages, {len(texts)} questions, medians in ms")
    medians = {name: statistics.median(times[2:]) for name, times in took.items()}
    for name, median in medians.items():
        print(f"{name:24s} {median:8.2f}")
    print(f"hybrid without re-ranking to dense: {medians['hybrid, not re-ranked'] / medians['dense']:.2f}")
    rerank = medians["hybrid"] - medians["hybrid, not re-ranked"]
    print(f"re-ranking to the encoding of the question: {rerank / medians['encoding the question']:.2f}")


if __name__ == "__main__":
    main()
