"""Fit, or measure, by what passages are put together as tellings of one story.

    python -m benchmarks.stories [--bench ../shared/bench] [--fit]

The passages of a folder in BEIR layout go into one library, all languages together, and are grouped; two belong
together where their ids, `language:concept`, name the same concept. `--fit` fits on every second concept of flores in
the twenty languages that are not reported: what numbers tell, by logistic regression over all true pairs and the 15 of
each passage that look most alike; then the highest threshold at which nine true pairs of ten are still found, for what
that costs in recall buys precision where stories are nearer to each other than there. `SLACK` is then the least with
which articles of two passages, the second the sentence that was taken out of the first, lose no more than 0.005 of
their recall by it.

Without `--fit`, precision and recall over pairs are told for the other half, for all of flores, and for XQuAD, of which
nothing was fitted. Its passages are paragraphs of 48 articles, five of each, which are about the same thing and say
another; as articles they are also joined, whole or in two parts that are to be told apart.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.fusion import logistic
from embed import Encoder, load_encoder
from index import Library
from index.stories import SLACK, Likeness, stories
from service.engine import Engine
from service.reading import Draft

REPORTED = ("ar", "bn", "en", "es", "hi", "ja", "ru", "ta", "ur", "zh")
OTHERS = ("de", "el", "fa", "fr", "id", "ko", "sw", "te", "tr", "vi")
XQUAD = ("ar", "de", "el", "en", "es", "hi", "ru", "tr", "vi", "zh")
HARDEST, RECALL = 15, 0.9
Matrix = NDArray[np.float64]


Texts = dict[tuple[str, str], str]


@contextmanager
def library(encoder: Encoder, articles: Texts) -> Iterator[Library]:
    """Give a library of articles, by language and concept."""
    drafts = [Draft(id=f"{each[0]}:{each[1]}", text=text, language=each[0]) for each, text in articles.items()]
    with tempfile.TemporaryDirectory() as scratch:
        made = Library.open(Path(scratch), model=encoder.name, fingerprint=encoder.fingerprint, dim=encoder.dim)
        with Engine(encoder, made) as engine:
            for _ in engine.add(drafts):
                pass
            yield made


def read(file: Path, languages: Collection[str], concepts: Collection[str] | None = None) -> Texts:
    """Return the texts of a file in some languages, of some concepts or all."""
    found = {}
    for line in file.open(encoding="utf-8"):
        each = json.loads(line)
        language, _, concept = each["_id"].partition(":")
        concept = concept.removeprefix("q") if file.name == "queries.jsonl" else concept
        if language in languages and (concepts is None or concept in concepts):
            found[language, concept] = " ".join(each["text"].split())
    return found


def joined(texts: Texts, parts: Mapping[str, str]) -> Texts:
    """Return articles of the paragraphs of XQuAD, `article:number`, by the part of the article that a number is of."""
    found: Texts = {}
    for (language, concept), text in texts.items():
        article, _, number = concept.partition(":")
        key = language, f"{article} {parts[number]}"
        found[key] = f"{found[key]}\n\n{text}" if key in found else text
    return found


def known(folder: Path) -> tuple[list[str], list[str]]:
    """Return the languages and the concepts of a folder."""
    ids = [json.loads(line)["_id"].partition(":") for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
    return sorted({language for language, _, _ in ids}), sorted({concept for _, _, concept in ids})


def pairs(labels: Sequence[object]) -> int:
    """Return how many pairs have the same label."""
    return sum(count * (count - 1) // 2 for count in Counter(labels).values())


def measured(found: Sequence[int], concepts: Sequence[str]) -> tuple[float, float, int]:
    """Return precision and recall over pairs, and how many true pairs there are."""
    right, true = pairs(list(zip(found, concepts, strict=True))), pairs(concepts)
    return right / max(1, pairs(found)), right / true, true


def concepts_of(ids: Sequence[str]) -> list[str]:
    """Return the concepts that ids name."""
    return [id.partition(":")[2] for id in ids]


def fit(ids: Sequence[str], alike: Likeness) -> None:
    """Print the weights of numbers, in deviations, and the threshold."""
    concepts = np.array(concepts_of(ids))
    same = concepts[:, None] == concepts[None]
    wrong = np.where(same, -np.inf, alike.meaning)
    looked_at = same.copy()
    np.put_along_axis(looked_at, np.argsort(-wrong, axis=1)[:, :HARDEST], True, axis=1)
    one, other = np.nonzero(np.triu(looked_at | looked_at.T, 1))
    columns = [alike.meaning, alike.agreeing, alike.conflicting, np.ones_like(alike.meaning)]
    x = np.stack([column[one, other] for column in columns], axis=1)
    weights = logistic(x, same[one, other].astype(np.float64), np.ones(len(x)))
    agreeing, conflicting = (weights[1:3] / weights[0]).tolist()
    print(f"AGREEING {agreeing:.2f}, CONFLICTING {conflicting:.2f}, {len(x)} pairs")
    numbers = agreeing * alike.agreeing + conflicting * alike.conflicting
    for least in np.arange(6.0, 3.0, -0.1).tolist():
        total = alike.meaning - least + numbers
        precision, recall, _ = measured(stories(total), concepts.tolist())
        print(f"LEAST {least:.1f}: precision {precision:.4f}, recall {recall:.4f}", flush=True)
        if recall >= RECALL:
            return


def fit_beside(ids: Sequence[str], alike: Likeness) -> None:
    """Print recall by how much nearer than to those beside them passages may be to passages of their own article."""
    for slack in (0.0, 0.5, 1.0, 1.5, 2.0, 100.0):
        total = replace(alike, beside=alike.beside + SLACK - slack).total()
        precision, recall, _ = measured(stories(total), concepts_of(ids))
        print(f"SLACK {slack:.1f}: precision {precision:.4f}, recall {recall:.4f}", flush=True)


def main() -> None:
    """Print the constants, or a row for each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench"), help="the folder of flores and xquad")
    parser.add_argument("--fit", action="store_true", help="fit the constants, and report nothing")
    given = parser.parse_args()
    encoder = load_encoder()
    flores, xquad = given.bench / "flores", given.bench / "xquad"
    languages, concepts = known(flores)
    fitted = set(concepts[::2])
    if given.fit:
        others = set(languages) - set(REPORTED)
        passages = read(flores / "corpus.jsonl", others, fitted)
        with library(encoder, passages) as made:
            fit(*made.likeness())
        sentences = read(flores / "queries.jsonl", others, fitted)
        whole = {each: f"{passages[each]}\n\n{sentence}" for each, sentence in sentences.items()}
        with library(encoder, whole) as made:
            fit_beside(*made.likeness())
        return
    print("| | articles | true pairs | precision | recall |\n|---|---|---|---|---|")
    held = set(concepts) - fitted
    ten = read(flores / "corpus.jsonl", REPORTED)
    paragraphs = read(xquad / "corpus.jsonl", XQUAD)
    sets = {
        "flores, the half that was not fitted, ten languages": {k: v for k, v in ten.items() if k[1] in held},
        "flores, all, the same ten languages": ten,
        "flores, the half that was not fitted, ten others": read(flores / "corpus.jsonl", OTHERS, held),
        "flores, eleven concepts in ten languages": {k: v for k, v in ten.items() if k[1] in concepts[1::28]},
        "XQuAD, every paragraph": paragraphs,
        "XQuAD, one paragraph of each article": {k: v for k, v in paragraphs.items() if k[1].endswith(":0")},
        "XQuAD, articles": joined(paragraphs, dict.fromkeys("01234", "whole")),
        "XQuAD, halves of articles": joined(paragraphs, dict(zip("01234", "aabbb", strict=True))),
    }
    for name, articles in sets.items():
        with library(encoder, articles) as made:
            ids, alike = made.likeness()
        precision, recall, true = measured(stories(alike.total()), concepts_of(ids))
        print(f"| {name} | {len(ids)} | {true} | {precision:.4f} | {recall:.4f} |", flush=True)


if __name__ == "__main__":
    main()
