"""Whether token shares sum to the similarity: `python -m benchmarks.explaining [FOLDER] [--backend NAME]`.

FOLDER holds `flores200-sentences.jsonl.gz` (`code`, `text` a line), by default ../shared/bench/calibration. Of 1,000
random pairs of its sentences in 30 languages, one taken as a question and one as a passage, the largest difference
between their similarity in the neutral space and the sum of all shares, prompt and special tokens included, where the
vectors come from one forward pass and the shares from another. What an explanation's `rest` takes up is in that.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from pathlib import Path

import numpy as np

from benchmarks.language import LANGUAGES, VARIETIES
from embed import load_encoder, normalise, shares
from index import Neutral

SENTENCES, PAIRS = 200, 1000


def main() -> None:
    """Print the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("../shared/bench/calibration"))
    parser.add_argument("--backend", choices=["openvino", "torch"], default="openvino")
    asked = parser.parse_args()
    encoder = load_encoder(backend=asked.backend)
    neutral = Neutral.for_model(encoder.name)
    chance = random.Random(0)
    every = read(asked.folder / "flores200-sentences.jsonl.gz")
    questions, passages = chance.sample(every, SENTENCES), chance.sample(every, SENTENCES)
    spoken, written = [{code: 1.0} for code, _ in questions], [code for code, _ in passages]
    texts, others = [text for _, text in questions], [text for _, text in passages]
    queries = neutral.queries(encoder.encode_queries(texts), spoken)
    vectors = neutral.passages(encoder.encode_passages(others), written)
    query_offsets, offsets = neutral.query_offsets(spoken), neutral.passage_offsets(written)
    pooled_queries, pooled = encoder.pooled(texts, "query"), encoder.pooled(others, "passage")

    worst = np.zeros(2)
    for _ in range(PAIRS):
        i, j = chance.randrange(SENTENCES), chance.randrange(SENTENCES)
        query, passage = pooled_queries[i], pooled[j]
        assert query is not None
        assert passage is not None
        similarity = float(queries[i].astype(np.float64) @ vectors[j])
        of_passage = shares(passage, offsets[j], queries[i].astype(np.float64)).sum()
        of_query = shares(query, query_offsets[i], vectors[j].astype(np.float64)).sum()
        worst = np.maximum(worst, np.abs([of_passage - similarity, of_query - similarity]))
    print(f"{asked.backend}: largest difference {worst[0]:.1e} (passage), {worst[1]:.1e} (question)")


def read(path: Path) -> list[tuple[str, str]]:
    """Return the sentences in `LANGUAGES`, with the code of their language."""
    found = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for each in map(json.loads, lines):
            code = normalise(each["code"].split("_")[0])
            if code in LANGUAGES and VARIETIES.get(code, each["code"]) == each["code"]:
                found.append((code, each["text"]))
    return found


if __name__ == "__main__":
    main()
