"""Compute the means that make the space language-neutral, and the calibration of relevance, and write them down.

    python -m benchmarks.priors [--bench ../shared/bench] [--model NAME]

Means come from `calibration` (400 sentences in each of 209 varieties): joined by fours for the passages, whole and
halved by turns for the queries. The shares `a` and `b` and the logistic curve from similarity to relevance are fitted
on `flores`. Nothing here reads `xquad`, on which the ranking is reported.
"""

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import langcodes
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from embed import DEFAULT_MODEL, Encoder, load_encoder, normalise
from index.neutral import PRIORS, Neutral, Priors

SENTENCES = 400
WITHOUT_SPACES = {"Hans", "Hant", "Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"}
SHARES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def sentences_by_language(path: Path) -> dict[str, list[str]]:
    """Read the calibration sentences, keeping the varieties written in their language's usual script.

    Romanised Arabic says nothing about the Arabic that people write; Chinese is kept in both its scripts, and Korean,
    whose script has two names.
    """
    varieties: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            tag = record["code"].replace("_", "-")
            language = normalise(tag)
            script = langcodes.Language.get(tag).script
            usual = langcodes.Language.get(language).maximize().script
            if script in (None, usual) or language in ("zh", "ko"):
                varieties[language][record["code"]].append(record["text"])
    return {
        language: [sentence for sentences in of.values() for sentence in sentences[: SENTENCES // len(of) or 1]]
        for language, of in varieties.items()
    }


def paragraphs(sentences: Sequence[str], language: str) -> list[str]:
    """Join consecutive sentences by fours: a library holds paragraphs, and their mean is not that of sentences."""
    script = langcodes.Language.get(language).maximize().script
    space = "" if script in WITHOUT_SPACES else " "
    return [space.join(sentences[start : start + 4]) for start in range(0, len(sentences), 4)]


def questions(sentences: Sequence[str]) -> list[str]:
    """Take sentences whole and halved by turns: what people ask is shorter than what they write."""
    return [half(sentence) if number % 2 else sentence for number, sentence in enumerate(sentences)]


def half(sentence: str) -> str:
    """Return the first half of a sentence: of its words, or of its characters where words are not spaced."""
    words = sentence.split()
    return " ".join(words[: len(words) // 2]) if len(words) > 3 else sentence[: len(sentence) // 2]


def means(
    encoder: Encoder, texts: dict[str, list[str]]
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """Return the mean passage and the mean query of each language, (languages, dim) each, and all its passages."""
    passages, queries = {}, []
    for language, sentences in track(texts.items(), "means"):
        joined = paragraphs(sentences, language)
        counts = encoder.count_tokens(joined)
        fitting = [text for text, tokens in zip(joined, counts, strict=True) if tokens <= encoder.window]
        passages[language] = encoder.encode_passages(fitting or sentences)
        queries.append(encoder.encode_queries(questions(sentences)).mean(axis=0))
    return np.stack([vectors.mean(axis=0) for vectors in passages.values()]), np.stack(queries), passages


def background(priors: Priors, passages: dict[str, NDArray[np.float32]]) -> Priors:
    """Take the mean and the covariance of the calibration passages in the neutral space."""
    neutral = Neutral(priors)
    ordinary = np.concatenate([neutral.passages(own, [language] * len(own)) for language, own in passages.items()])
    return replace(priors, centre=ordinary.mean(axis=0), spread=np.cov(ordinary, rowvar=False).astype(np.float32))


@dataclass(frozen=True)
class Fitting:
    """The flores passages and queries as raw vectors; every query is answered by one passage in each language.

    `concepts` number what a passage says, the same in all languages; `answers` name the concept that answers.
    """

    passages: NDArray[np.float32]
    passage_languages: NDArray[np.str_]
    concepts: NDArray[np.str_]
    queries: NDArray[np.float32]
    query_languages: NDArray[np.str_]
    answers: NDArray[np.str_]

    @classmethod
    def read(cls, folder: Path, encoder: Encoder) -> "Fitting":
        """Read a BEIR folder in which `<language>:<concept>` is the id of a passage, and encode it."""
        corpus = [json.loads(line) for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
        queries = [json.loads(line) for line in (folder / "queries.jsonl").open(encoding="utf-8")]
        answers = {}
        for line in (folder / "qrels" / "test.tsv").open(encoding="utf-8"):
            query, passage, _ = line.rstrip().split("\t")
            answers[query] = passage.partition(":")[2]
        return cls(
            encoder.encode_passages([record["text"] for record in corpus]),
            np.array([record["metadata"]["language"] for record in corpus]),
            np.array([record["_id"].partition(":")[2] for record in corpus]),
            encoder.encode_queries([record["text"] for record in queries]),
            np.array([record["metadata"]["language"] for record in queries]),
            np.array([answers[record["_id"]] for record in queries]),
        )

    def cosines(self, neutral: Neutral) -> NDArray[np.float32]:
        """Return the similarity of every query to every passage in the neutral space."""
        certain = [{language: 1.0} for language in self.query_languages.tolist()]
        passages = neutral.passages(self.passages, self.passage_languages.tolist())
        return neutral.queries(self.queries, certain) @ passages.T


def cross_ndcg(fitting: Fitting, cosines: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return nDCG@10 of each query, averaged over the languages that are not its own."""
    gains, counts = np.zeros(len(cosines)), np.zeros(len(cosines))
    for language in np.unique(fitting.passage_languages):
        here = fitting.passage_languages == language
        foreign = fitting.query_languages != language
        scores = cosines[np.ix_(foreign, here)]
        right = fitting.concepts[here][None, :] == fitting.answers[foreign][:, None]
        better = (scores > scores[right][:, None]).sum(axis=1)
        gains[foreign] += np.where(better < 10, 1 / np.log2(better + 2), 0)
        counts[foreign] += 1
    return gains / counts


def pooled_ap(fitting: Fitting, cosines: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the average precision of each query over the passages of all languages together."""
    order = np.argsort(-cosines, axis=1, kind="stable")
    right = fitting.concepts[order] == fitting.answers[:, None]
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    return (precision * right).sum(axis=1) / right.sum(axis=1)


def fit_shares(fitting: Fitting, priors: Priors) -> Priors:
    """Choose the shares a and b on the mean of cross-lingual nDCG@10 and pooled average precision.

    What languages have of their own is what we mean to remove, so a is taken at its best. What the means have in
    common depends on the kind of text, and here the calibration sentences and flores are of one kind, so the best b
    is too strong for any other: take the smallest within one standard error of the best (the one-standard-error rule;
    Hastie et al., The Elements of Statistical Learning, 7.10). The error is that of the mean over the concepts asked
    for, as the queries of one concept in thirty languages are not independent.
    """
    found: dict[tuple[float, float], tuple[float, float]] = {}
    for own, common in track([(own, common) for own in SHARES for common in SHARES], "shares"):
        cosines = fitting.cosines(Neutral(replace(priors, own=own, common=common)))
        measure = (cross_ndcg(fitting, cosines) + pooled_ap(fitting, cosines)) / 2
        of_concept = [measure[fitting.answers == concept].mean() for concept in np.unique(fitting.answers)]
        found[common, own] = (
            float(np.mean(of_concept)),
            float(np.std(of_concept, ddof=1) / len(of_concept) ** 0.5),
        )
        print(f"  a {own:.1f}  b {common:.1f}  {found[common, own][0]:.4f}")
    best, error = max(found.values())
    common = min(common for (common, _), (score, _) in found.items() if score >= best - error)
    own = max(SHARES, key=lambda own: found[common, own])
    print(f"best {best:.4f}, standard error {error:.4f}: taken a {own}, b {common}")
    return replace(priors, own=own, common=common)


def fit_relevance(fitting: Fitting, priors: Priors) -> Priors:
    """Fit the logistic curve from standardised similarity to "this passage answers" (maximum likelihood, Newton).

    The pairs are each query and its nearest passage in each language: what a reader looks at first, and wants to be
    told of whether it answers.
    """
    neutral = Neutral(priors)
    asking = neutral.queries(fitting.queries, [{language: 1.0} for language in fitting.query_languages.tolist()])
    cosines = fitting.cosines(neutral)
    similarities, answers = [], []
    for language in np.unique(fitting.passage_languages):
        here = np.flatnonzero(fitting.passage_languages == language)
        nearest = here[cosines[:, here].argmax(axis=1)]
        similarities.append(cosines[np.arange(len(cosines)), nearest])
        answers.append(fitting.concepts[nearest] == fitting.answers)
    standing = neutral.standing(np.stack(similarities, axis=1), asking)
    x, y = standing.T.ravel(), np.concatenate(answers).astype(np.float64)
    design = np.stack([x, np.ones_like(x)], axis=1)
    weights = np.zeros(2)
    for _ in range(30):
        p = 1 / (1 + np.exp(-design @ weights))
        weights += np.linalg.solve(design.T @ (design * (p * (1 - p))[:, None]), design.T @ (y - p))
    print(f"relevance: slope {weights[0]:.3f}, intercept {weights[1]:.3f} over {len(x)} pairs")
    return replace(priors, slope=float(weights[0]), intercept=float(weights[1]))


def main() -> None:
    """Fit on calibration and flores, and write the priors file of the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench"), help="the folder of evaluation sets")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a sentence-transformers model, by name or path")
    asked = parser.parse_args()

    encoder = load_encoder(asked.model)
    texts = sentences_by_language(asked.bench / "calibration" / "flores200-sentences.jsonl.gz")
    passages, queries, all_passages = means(encoder, texts)
    unknown = np.zeros(encoder.dim, np.float32), np.eye(encoder.dim, dtype=np.float32)
    priors = Priors(asked.model, tuple(texts), passages, queries, 1.0, 1.0, *unknown, slope=1.0, intercept=0.0)
    fitting = Fitting.read(asked.bench / "flores", encoder)
    priors = fit_relevance(fitting, background(fit_shares(fitting, priors), all_passages))
    PRIORS.mkdir(exist_ok=True)
    priors.save(PRIORS / f"{asked.model.replace('/', '--')}.npz")


if __name__ == "__main__":
    main()
