"""How fast passages are indexed for words and sounds, and how fast they are found: `python -m benchmarks.lexical`."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tantivy

from index.lexicon import TantivyLexicon, document, schema
from index.sounds import terms

CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"


def vocabulary(count: int, random: np.random.Generator) -> list[str]:
    """Return made-up words of two to four syllables."""
    return [
        "".join(random.choice(list(CONSONANTS)) + random.choice(list(VOWELS)) for _ in range(random.integers(2, 5)))
        for _ in range(count)
    ]


def milliseconds(ask: Callable[[list[str]], object], questions: list[list[str]]) -> float:
    """Return the median time of a question."""
    taken = []
    for question in questions:
        started = time.perf_counter()
        ask(question)
        taken.append(time.perf_counter() - started)
    return 1000 * statistics.median(taken)


def main() -> None:
    """Index synthetic passages, ask them, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=100)
    given = parser.parse_args()
    random = np.random.default_rng(0)
    known = vocabulary(30_000, random)
    # Frequencies as in a language: Zipf's law.
    shares = 1 / np.arange(1, len(known) + 1)
    shares /= shares.sum()
    reached = np.cumsum(shares)[:-1]
    with tempfile.TemporaryDirectory() as folder:
        index = tantivy.Index(schema(), folder)
        writer = index.writer(50_000_000, 1)
        started = time.perf_counter()
        for row in range(given.passages):
            said = np.searchsorted(reached, random.random(given.words))
            writer.add_document(document(row, " ".join(known[place] for place in said)))
        writer.commit()
        writer.wait_merging_threads()
        print(f"indexed: {given.passages / (time.perf_counter() - started):.0f} passages a second")
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        print(f"size: {size / given.passages:.0f} bytes a passage")
        index.reload()
        searcher = index.searcher()
        lexicon = TantivyLexicon(searcher)
        questions = [[known[place] for place in random.choice(len(known), 10, p=shares)] for _ in range(50)]
        sounds = [list(terms(" ".join(question))) for question in questions]
        print(f"segments: {searcher.num_segments}; keys a question: {statistics.mean(map(len, sounds)):.0f}")
        counts = (50, 200, 2_000, 20_000)
        rows = {count: np.sort(random.choice(given.passages, count, replace=False)) for count in counts}
        asked: dict[str, Callable[[list[str]], object]] = {
            "candidates of sounds, 200": lambda keys: lexicon.candidates("sounds", keys, 200),
            "candidates of sounds, 200 of 2,000": lambda keys: lexicon.candidates("sounds", keys, 200, rows[2_000]),
            "candidates of sounds, 200 of 20,000": lambda keys: lexicon.candidates("sounds", keys, 200, rows[20_000]),
            "scores of sounds, 50": lambda keys: lexicon.scores("sounds", keys, rows[50]),
            "scores of sounds, 200": lambda keys: lexicon.scores("sounds", keys, rows[200]),
            "ceiling of sounds": lambda keys: lexicon.ceiling("sounds", keys),
        }
        for name, ask in asked.items():
            print(f"{name}: {milliseconds(ask, sounds):.2f} ms")
        spoken: dict[str, Callable[[list[str]], object]] = {
            "candidates of words, 200": lambda said: lexicon.candidates("words", said, 200),
            "scores of words, 200": lambda said: lexicon.scores("words", said, rows[200]),
        }
        for name, ask in spoken.items():
            print(f"{name}: {milliseconds(ask, questions):.2f} ms")


if __name__ == "__main__":
    main()
