"""Fit the weights by which meaning, tokens, words and sounds become one score, and add them to a model's priors.

    python -m benchmarks.fusion [--bench ../shared/bench/flores] [--model NAME] [--concepts 80]

Every question is asked over the passages of all languages, over those of its own, and over those of three others by
chance, and the nearest of each are looked at. The weights are those under which an answer most likely comes before
what is none (pairwise logistic loss: Burges et al. 2005, "Learning to rank using gradient descent"). What a passage in
the question's own language gains is then taken back as far as its answers would score more than the same answers in
other languages do: we rank by meaning, not by language, and on flores that costs nothing. A logistic regression makes
the score the log odds of answering, each question counting the same. Nothing here reads `xquad`, on which the ranking
is reported.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from embed import DEFAULT_MODEL, load_encoder
from index import Library, parse_filter
from index.fusion import Evidence, Fusion
from index.neutral import PRIORS, Priors
from service.engine import Engine
from service.reading import Draft

NEAREST = 20
OTHERS = 3
SAME = 6  # the column of `design` that tells the question's own language
Matrix = NDArray[np.float64]


def read(folder: Path, concepts: int) -> tuple[list[Draft], list[tuple[str, str, str]]]:
    """Return the articles, and (text, language, concept) of the questions of so many concepts by chance."""
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
    asked = [json.loads(line) for line in (folder / "queries.jsonl").open(encoding="utf-8")]
    answers = {}
    for line in (folder / "qrels" / "test.tsv").open(encoding="utf-8"):
        query, passage, _ = line.split("\t")
        answers[query] = passage.partition(":")[2]
    chosen = set(random.Random(0).sample(sorted({answers[each["_id"]] for each in asked}), concepts))
    drafts = [Draft(id=each["_id"], text=each["text"], language=each["metadata"]["language"]) for each in corpus]
    questions = [(each["text"], each["metadata"]["language"], answers[each["_id"]]) for each in asked]
    return drafts, [question for question in questions if question[2] in chosen]


def gather(engine: Engine, questions: list[tuple[str, str, str]]) -> Iterator[tuple[Evidence, NDArray[np.bool_]]]:
    """Yield for each question what speaks for the nearest passages, and whether they answer."""
    languages = sorted({language for _, language, _ in questions})
    chance = random.Random(1)
    for text, language, concept in track(questions, "evidence"):
        asked = engine.questions([text])
        evidence, rows = engine.library.evidence(
            asked.vectors[0],
            asked.languages[0],
            [None, *(parse_filter(None, [each]) for each in (language, *chance.sample(languages, OTHERS)))],
            NEAREST,
            text=text,
            tokens=asked.tokens[0] if asked.tokens else None,
        )
        ids = engine.library.article_ids(rows)
        yield evidence, np.array([ids[row].partition(":")[2] == concept for row in rows.tolist()])


def design(evidence: Evidence) -> Matrix:
    """Return what the logit is linear in: (n, 8)."""
    same = evidence.same
    columns = [evidence.meaning, evidence.late, evidence.sounds, evidence.sounds * same, evidence.words]
    return np.stack([*columns, evidence.words * same, same, np.ones_like(same)], axis=1).astype(np.float64)


def logistic(x: Matrix, y: Matrix, weight: Matrix, ridge: float = 1.0) -> Matrix:
    """Return the weights of the most likely logistic regression, a little held back (Newton)."""
    found = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ found))
        slope = x.T @ (weight * (y - p)) - ridge * found
        bend = x.T @ (x * (weight * p * (1 - p))[:, None]) + ridge * np.eye(len(found))
        found += np.linalg.solve(bend, slope)
    return found


def differences(x: Matrix, y: Matrix, number: Matrix, each: int = 60) -> Matrix:
    """Return what answers have more than other passages of the same question, `each` pairs of it by chance."""
    chance = np.random.default_rng(0)
    bounds = np.flatnonzero(np.diff(number, prepend=-1, append=-1))
    found = []
    for start, end in pairwise(bounds.tolist()):
        right, wrong = start + np.flatnonzero(y[start:end] > 0), start + np.flatnonzero(y[start:end] == 0)
        if len(right) and len(wrong):
            found.append(x[chance.choice(right, each)] - x[chance.choice(wrong, each)])
    return np.concatenate(found)


def own_language(score: Matrix, same: Matrix, y: Matrix, number: Matrix) -> float:
    """Return how much more answers in the question's own language score than its answers in others, on average."""
    own, others = (y > 0) & (same > 0.5), (y > 0) & (same <= 0.5)
    questions = np.intersect1d(number[own], number[others])
    gaps = [score[own & (number == each)].mean() - score[others & (number == each)].mean() for each in questions]
    return float(np.mean(gaps))


def fusion_of(x: Matrix, y: Matrix, number: Matrix) -> Fusion:
    """Return the weights, and what MaxSim to expect by meaning where it is not known (least squares)."""
    more = differences(x[:, :-1], y, number)
    ranking = logistic(more, np.ones(len(more)), np.ones(len(more)))
    ranking[SAME] -= own_language(x[:, :-1] @ ranking, x[:, SAME], y, number)
    weight = 1 / np.bincount(number.astype(np.int64))[number.astype(np.int64)]
    score = np.stack([x[:, :-1] @ ranking, np.ones(len(x))], axis=1)
    scale, intercept = logistic(score, y, weight * len(y) / weight.sum()).tolist()
    meaning, late, sounds, sounds_same, words, words_same, same = (scale * ranking).tolist()
    slope, base = np.linalg.lstsq(x[:, [0, 7]], x[:, 1], rcond=None)[0].tolist()
    # Where MaxSim is not known, the own language must be no nearer and no farther for it.
    expected = x[:, :-1].copy()
    expected[:, 1] = base + slope * x[:, 0]
    late_same = -own_language(scale * expected @ ranking, x[:, SAME], y, number) / late
    return Fusion(
        meaning=meaning,
        late=late,
        late_base=base,
        late_slope=slope,
        late_same=late_same,
        sounds=sounds,
        sounds_same=sounds_same,
        words=words,
        words_same=words_same,
        same=same,
        intercept=intercept,
    )


def main() -> None:
    """Fit on flores, and write the weights into the priors file of the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/flores"), help="a folder in BEIR layout")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a sentence-transformers model, by name or path")
    parser.add_argument("--concepts", type=int, default=80, help="passages that are asked for, in every language")
    parser.add_argument(
        "--evidence", type=Path, help="a file (.npz) to keep the evidence in, and to fit on if it is there"
    )
    given = parser.parse_args()
    path = PRIORS / f"{given.model.replace('/', '--')}.npz"
    if given.evidence and given.evidence.exists():
        kept = np.load(given.evidence)
        x, y, number = kept["x"], kept["y"], kept["number"]
    else:
        x, y, number = gathered(given.bench, given.model, given.concepts)
        if given.evidence:
            np.savez(given.evidence, x=x, y=y, number=number)
    fusion = fusion_of(x, y, number)
    for name in Fusion.__dataclass_fields__:
        print(f"{name:12s} {getattr(fusion, name):8.3f}")
    replace(Priors.load(path), fusion=fusion.array()).save(path)


def gathered(bench: Path, model: str, concepts: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return of every pair what speaks for it (n, 8), whether it is an answer (n,), and its question's number (n,)."""
    drafts, questions = read(bench, concepts)
    encoder = load_encoder(model)
    with tempfile.TemporaryDirectory() as scratch:
        library = Library.open(Path(scratch), model=encoder.name, fingerprint=encoder.fingerprint, dim=encoder.dim)
        with Engine(encoder, library) as engine:
            for _ in track(engine.add(drafts), "adding", total=len(drafts)):
                pass
            found: list[Any] = list(gather(engine, questions))
    return (
        np.concatenate([design(evidence) for evidence, _ in found]),
        np.concatenate([answers for _, answers in found]).astype(np.float64),
        np.concatenate([np.full(len(answers), place) for place, (_, answers) in enumerate(found)]),
    )


if __name__ == "__main__":
    main()
