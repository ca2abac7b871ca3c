"""Measure whether a passage finds its translations, by passage vectors alone and with tokens compared for the first.

    python -m benchmarks.similar [--bench ../shared/bench/xquad] [--languages en,hi,th] [--passages 20]

A sample of articles of each language is asked for by the first passage of each. Relevant are the articles with the same
key, the same text in other languages: in each other language by itself, and in all others together.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from embed import load_encoder
from index import Hit, Library, parse_filter
from service.engine import Engine
from service.evaluation import Judgments, fill

NDCG_DEPTH, DEPTH = 10, 20


def measured(hits: list[Hit], key: str, relevant: int) -> tuple[float, float]:
    """Return recall@1 and nDCG@10 of the articles of the hits, of which so many have the key."""
    ranked = list(dict.fromkeys(hit.article.id for hit in hits))
    right = [id.partition(":")[2] == key for id in ranked[:NDCG_DEPTH]]
    gain = sum(1 / np.log2(place + 2) for place, is_so in enumerate(right) if is_so)
    return float(right[0]), gain / sum(1 / np.log2(place + 2) for place in range(min(NDCG_DEPTH, relevant)))


def find(library: Library, passages: Mapping[str, str], languages: list[str]) -> dict[str, list[tuple[float, float]]]:
    """Return the measures of each passage, by id of its article, in each other language and in all."""
    found: dict[str, list[tuple[float, float]]] = {"one other language": [], "all others together": []}
    for article, passage in passages.items():
        own, _, key = article.partition(":")
        for code in languages:
            if code != own:
                hits = library.similar(passage, limit=DEPTH, where=parse_filter(None, [code]))
                found["one other language"].append(measured(hits, key, 1))
        found["all others together"].append(measured(library.similar(passage, limit=DEPTH), key, len(languages) - 1))
    return found


def main() -> None:
    """Print a row for each way of ranking."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/xquad"), help="a folder in BEIR layout")
    parser.add_argument("--languages", default="", help="only these; all where absent")
    parser.add_argument("--passages", type=int, default=20, help="how many of each language are asked for")
    asked = parser.parse_args()
    drafts = Judgments.read(asked.bench).drafts
    languages = [code for code in asked.languages.split(",") if code] or sorted({str(each.language) for each in drafts})
    encoder = load_encoder()
    with tempfile.TemporaryDirectory() as scratch:
        library = Library.open(Path(scratch), model=encoder.name, fingerprint=encoder.fingerprint, dim=encoder.dim)
        with Engine(encoder, library) as engine:
            fill(engine, [draft for draft in drafts if draft.language in languages], None)
            keys = sorted({str(draft.id).partition(":")[2] for draft in drafts})
            keys = np.random.default_rng(0).permutation(keys)[: asked.passages].tolist()
            passages = {f"{code}:{key}": library.passages(f"{code}:{key}")[0].id for code in languages for key in keys}
            by_both = find(library, passages, languages)
            # Places come by meaning, and stay so.
            library.hybrid.closest = lambda _, places, *__: list(places)  # type: ignore[method-assign]
            by_vectors = find(library, passages, languages)
    print(f"{asked.bench.name}, {len(passages)} passages in {len(languages)} languages")
    print("| searched | ranked by | recall@1 | nDCG@10 |")
    print("|---|---|---|---|")
    for where in by_both:
        for name, found in (("passage vectors", by_vectors), ("and tokens of the first 50", by_both)):
            recall, ndcg = np.mean(found[where], axis=0)
            print(f"| {where} | {name} | {recall:.4f} | {ndcg:.4f} |")


if __name__ == "__main__":
    main()
