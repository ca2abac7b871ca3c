"""Measure how long a passage should be: the budget in tokens over which a paragraph is cut between sentences.

    python -m benchmarks.budget [--bench ../shared/bench/flores] [--budgets 96,128,192,256,384,500]

Passages are cut as they are, and joined by fours into long paragraphs that change their subject, as an article without
paragraphs does, and cut again. A question (a sentence that was taken out of one of the passages) is answered by the
pieces that hold most of that passage, or lie mostly in it. Longer pieces are fewer and so are found more easily, but
make the reader read more: beside nDCG@10 stands how many characters are read down to the first answer.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from embed import load_encoder, split
from index import Neutral

LANGUAGES = ("en", "bn", "hi", "ar", "ru", "zh", "th", "de")


def main() -> None:
    """Print a row for each budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/flores"), help="a folder in BEIR layout")
    parser.add_argument("--budgets", default="96,128,192,256,384,500", help="tokens, with commas between")
    asked = parser.parse_args()
    encoder = load_encoder()
    neutral = Neutral.for_model(encoder.name)

    told: dict[str, list[tuple[str, str]]] = {language: [] for language in LANGUAGES}
    for line in (asked.bench / "corpus.jsonl").open(encoding="utf-8"):
        record = json.loads(line)
        language = record["metadata"]["language"]
        if language in told:
            told[language].append((record["_id"].partition(":")[2], record["text"]))
    queries = [json.loads(line) for line in (asked.bench / "queries.jsonl").open(encoding="utf-8")]
    queries = [query for query in queries if query["metadata"]["language"] in told]
    languages = [query["metadata"]["language"] for query in queries]
    answers = np.array([query["_id"].partition(":q")[2] for query in queries])
    asking = neutral.queries(
        encoder.encode_queries([query["text"] for query in queries]), [{language: 1.0} for language in languages]
    )

    print("| joined | budget | pieces a language | nDCG@10 within | nDCG@10 across | characters read, median |")
    print("|---|---|---|---|---|---|")
    for together, budget in [(t, int(b)) for t in (1, 4) for b in asked.budgets.split(",")]:
        within, across, read, count = [], [], [], 0
        for language in LANGUAGES:
            pieces: list[str] = []
            overlaps: list[dict[str, int]] = []
            space = "" if language in ("zh", "th") else " "
            for passages in (told[language][n : n + together] for n in range(0, len(told[language]), together)):
                text, spans = "", []
                for concept, words in passages:
                    text += space if text else ""
                    spans.append((concept, len(text), len(text) + len(words)))
                    text += words
                for start, end in split(text, language, encoder.count_tokens, budget):
                    pieces.append(text[start:end])
                    overlap = {concept: min(end, last) - max(start, first) for concept, first, last in spans}
                    overlaps.append({concept: most for concept, most in overlap.items() if most > 0})
            count += len(pieces)
            vectors = neutral.passages(encoder.encode_passages(pieces), [language] * len(pieces))
            order = np.argsort(-(asking @ vectors.T), axis=1)
            lengths = np.array([len(piece) for piece in pieces])
            whole = {concept: len(words) for concept, words in told[language]}
            most: dict[str, int] = {}
            for of in overlaps:
                for concept, shared in of.items():
                    most[concept] = max(shared, most.get(concept, 0))
            # A piece answers that holds half of the passage, lies half in it, or has more of it than any other.
            held = [
                {
                    concept
                    for concept, shared in of.items()
                    if shared >= min(whole[concept] / 2, length / 2, most[concept])
                }
                for of, length in zip(overlaps, lengths.tolist(), strict=True)
            ]
            for row, concept in enumerate(answers):
                right = np.array([concept in of for of in held])[order[row]]
                ideal = (1 / np.log2(np.arange(min(10, right.sum())) + 2)).sum()
                ndcg = (right[:10] / np.log2(np.arange(len(right[:10])) + 2)).sum() / ideal
                (within if languages[row] == language else across).append(ndcg)
                read.append(lengths[order[row]][: int(np.argmax(right)) + 1].sum())
        print(
            f"| {together} | {budget} | {count // len(LANGUAGES)} | {np.mean(within):.4f} | {np.mean(across):.4f}"
            f" | {int(np.median(read))} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
