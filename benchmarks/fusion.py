"""Fit the weights by which meaning, tokens, words and sounds become one score, and those by which they tell whether a
passage answers, and add both to a model's priors.

    python -m benchmarks.fusion [--bench ../shared/bench/flores] [--model NAME] [--languages 12]

Half of the passages, by chance, are left out of the library in all languages, and all are asked for, each in twelve of
the languages by chance: half of the questions have no answer. Every question is asked over the passages of all
languages, over those of its own, and over those of eight others by chance, and the nearest of each are looked at.

The weights of the ranking are those under which an answer most likely comes before what is none (pairwise logistic
loss: Burges et al. 2005, "Learning to rank using gradient descent"). What a passage in the question's own language
gains is then taken back as far as its answers would score more than the same answers in other languages do: we rank by
meaning, not by language, and on flores that costs nothing. Relevance is a logistic regression on whether the first hit
of such a ranking among the passages of one language answers, so that it is one scale for all pairs of languages; a
second one serves passages without token vectors.
Nothing here reads `xquad`, on which the ranking is reported.
"""

import argparse
import json
import pickle
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from embed import DEFAULT_MODEL, load_encoder
from index import Library, parse_filter
from index.fusion import Evidence, Fusion, Odds, Relevance, evidence_of
from index.neutral import PRIORS, Priors
from service.engine import Engine
from service.reading import Draft

NEAREST = 20
OTHERS = 8
SAME = 6  # the column of `ranked_by` that tells the question's own language
# What relevance is told by, with tokens and without, and how much each weight is held back (benchmarks/results.md).
WHOLE = dict.fromkeys(("similarity", "beyond", "sounds", "words", "same"), 100.0)
BARE = dict.fromkeys(("similarity", "meaning", "sounds", "words", "same"), 1000.0)
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was found for one question: the evidence of passages (n,), their languages, whether they answer, and the
    languages that were searched one by one.
    """

    evidence: Evidence
    languages: NDArray[np.str_]
    answers: NDArray[np.bool_]
    searched: list[str]

    def first(self, score: Matrix) -> list[int]:
        """Return the place of the first passage by these scores (n,), in each of the languages that were searched."""
        found = [np.flatnonzero(self.languages == code) for code in self.searched]
        return [int(here[score[here].argmax()]) for here in found if len(here)]


def read(folder: Path, languages: int) -> tuple[list[Draft], list[tuple[str, str, str]]]:
    """Return the articles of half of the passages, by chance, and (text, language, concept) of the questions that ask
    for any, each passage in so many languages.
    """
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
    asked = [json.loads(line) for line in (folder / "queries.jsonl").open(encoding="utf-8")]
    answers = {}
    for line in (folder / "qrels" / "test.tsv").open(encoding="utf-8"):
        query, passage, _ = line.split("\t")
        answers[query] = passage.partition(":")[2]
    every = sorted({each["_id"].partition(":")[2] for each in corpus})
    chance = random.Random(0)
    there = set(chance.sample(every, len(every) // 2))
    drafts = [
        Draft(id=each["_id"], text=each["text"], language=each["metadata"]["language"])
        for each in corpus
        if each["_id"].partition(":")[2] in there
    ]
    by_concept: dict[str, list[tuple[str, str, str]]] = {}
    for each in asked:
        concept = answers[each["_id"]]
        by_concept.setdefault(concept, []).append((each["text"], each["metadata"]["language"], concept))
    return drafts, [one for own in by_concept.values() for one in chance.sample(own, min(languages, len(own)))]


def gather(engine: Engine, questions: list[tuple[str, str, str]]) -> Iterator[Asked]:
    """Yield for each question what speaks for the nearest passages, and whether they answer."""
    languages = sorted({language for _, language, _ in questions})
    chance = random.Random(1)
    for text, language, concept in track(questions, "evidence"):
        asked = engine.questions([text])
        searched = list(dict.fromkeys((language, *chance.sample(languages, OTHERS))))
        evidence, rows = engine.library.evidence(
            asked.vectors[0],
            asked.languages[0],
            [None, *(parse_filter(None, [each]) for each in searched)],
            NEAREST,
            text=text,
            tokens=asked.tokens[0] if asked.tokens else None,
        )
        articles = engine.library.article_ids(rows)
        ids = [articles[row].partition(":") for row in rows.tolist()]
        codes, concepts = np.array([code for code, _, _ in ids]), np.array([number for _, _, number in ids])
        yield Asked(evidence, codes, concepts == concept, searched)


def ranked_by(evidence: Evidence) -> Matrix:
    """Return what a score is linear in: (n, 7)."""
    same = evidence.same
    columns = [evidence.meaning, evidence.late, evidence.sounds, evidence.sounds * same, evidence.words]
    return np.stack([*columns, evidence.words * same, same], axis=1)


def logistic(x: Matrix, y: Matrix, ridge: float | Matrix = 1.0) -> Matrix:
    """Return the weights of the most likely logistic regression, a little held back, each by its `ridge` (Newton)."""
    found, back = np.zeros(x.shape[1]), np.broadcast_to(ridge, x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ found))
        bend = x.T @ (x * (p * (1 - p))[:, None]) + np.diag(back)
        found += np.linalg.solve(bend, x.T @ (y - p) - back * found)
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


def fusion_of(found: list[Asked]) -> Fusion:
    """Return the weights of the ranking, and what `late` to expect by meaning where it is not known (least squares)."""
    x = np.concatenate([ranked_by(each.evidence) for each in found])
    y = np.concatenate([each.answers for each in found]).astype(np.float64)
    number = np.concatenate([np.full(len(each.answers), place) for place, each in enumerate(found)])
    more = differences(x, y, number)
    ranking = logistic(more, np.ones(len(more)))
    ranking[SAME] -= own_language(x @ ranking, x[:, SAME], y, number)
    meaning, late, sounds, sounds_same, words, words_same, same = ranking.tolist()
    base, slope = expected(x[:, 0], x[:, 1])
    # Where MaxSim is not known, the own language must be no nearer and no farther for it.
    without = x.copy()
    without[:, 1] = base + slope * x[:, 0]
    return Fusion(
        meaning=meaning,
        late=late,
        late_base=base,
        late_slope=slope,
        late_same=-own_language(without @ ranking, x[:, SAME], y, number) / late,
        sounds=sounds,
        sounds_same=sounds_same,
        words=words,
        words_same=words_same,
        same=same,
    )


def relevance_of(found: list[Asked], fusion: Fusion) -> Relevance:
    """Return the weights that tell whether the first hits of a ranking by `fusion` answer, with tokens and without."""
    bare = [replace(each, evidence=without_tokens(each.evidence)) for each in found]
    return Relevance(whole=odds_of(found, fusion, WHOLE), bare=odds_of(bare, fusion, BARE))


def without_tokens(evidence: Evidence) -> Evidence:
    """Return the evidence as it is where no token vectors are kept."""
    nothing = np.full(len(evidence.same), np.nan)
    return replace(evidence, maxsim=nothing, late=nothing, beyond=nothing)


def odds_of(found: list[Asked], fusion: Fusion, kinds: dict[str, float]) -> Odds:
    """Return the logistic regression on whether first hits answer, by these kinds of evidence.

    They go together, and which of two tells more depends on what is asked; so they are brought to one scale and held
    back, by which they share (ridge regression). A second regression, on their sum, gives it its scale again.
    """
    rows, right = [], []
    for each in found:
        first = each.first(fusion.score(each.evidence))
        rows.append(evidence_of(each.evidence)[first])
        right.append(each.answers[first])
    x, y = np.concatenate(rows), np.concatenate(right).astype(np.float64)
    places = [place for place, each in enumerate(fields(Odds)) if each.name in kinds]
    held_back = [kinds[each.name] for each in fields(Odds) if each.name in kinds]
    mean, scale = x[:, places].mean(axis=0), x[:, places].std(axis=0)
    scaled = np.column_stack([(x[:, places] - mean) / scale, np.ones(len(x))])
    weights = logistic(scaled, y, np.array([*held_back, 0.0]))
    slope, intercept = logistic(np.column_stack([scaled @ weights, np.ones(len(x))]), y, 0.01).tolist()
    odds = np.zeros(x.shape[1])
    odds[places] = slope * weights[:-1] / scale
    odds[-1] = slope * weights[-1] + intercept - odds[places] @ mean
    return Odds.of(odds)


def expected(first: Matrix, second: Matrix) -> list[float]:
    """Return base and slope by which the second follows from the first (least squares)."""
    found: list[float] = np.linalg.lstsq(np.stack([np.ones_like(first), first], axis=1), second, rcond=None)[0].tolist()
    return found


def main() -> None:
    """Fit on flores, and write the weights into the priors file of the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/flores"), help="a folder in BEIR layout")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a sentence-transformers model, by name or path")
    parser.add_argument("--languages", type=int, default=12, help="languages in which each passage is asked for")
    parser.add_argument("--evidence", type=Path, help="a file to keep the evidence in, and to fit on if it is there")
    given = parser.parse_args()
    path = PRIORS / f"{given.model.replace('/', '--')}.npz"
    if given.evidence and given.evidence.exists():
        found: list[Asked] = pickle.loads(given.evidence.read_bytes())  # written by this script
    else:
        found = gathered(given.bench, given.model, given.languages)
        if given.evidence:
            given.evidence.write_bytes(pickle.dumps(found))
    fusion = fusion_of(found)
    relevance = relevance_of(found, fusion)
    for name, weights in (("ranking", fusion), ("relevance", relevance.whole), ("without tokens", relevance.bare)):
        print(name)
        for each in fields(weights):
            print(f"  {each.name:12s} {getattr(weights, each.name):8.3f}")
    replace(Priors.load(path), fusion=fusion, answering=relevance).save(path)


def gathered(bench: Path, model: str, languages: int) -> list[Asked]:
    """Return what was found for every question, in a library that is thrown away."""
    drafts, questions = read(bench, languages)
    encoder = load_encoder(model)
    with tempfile.TemporaryDirectory() as scratch:
        library = Library.open(Path(scratch), model=encoder.name, fingerprint=encoder.fingerprint, dim=encoder.dim)
        with Engine(encoder, library) as engine:
            for _ in track(engine.add(drafts), "adding", total=len(drafts)):
                pass
            return list(gather(engine, questions))


if __name__ == "__main__":
    main()
