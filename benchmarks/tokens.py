"""Compute what late interaction needs to know of a model's token vectors, and add it to its priors.

    python -m benchmarks.tokens [--bench ../shared/bench] [--model NAME] [--width 384]

From `calibration` alone: in each language 25 paragraphs of four sentences and 50 questions give the mean token of
passages and of queries. With fewer numbers than the model's, the directions in which tokens differ most (principal
components of all paragraphs' tokens, centred by language and at unit length) are taken; they are turned at random so
that each holds as much as the other.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from benchmarks.priors import paragraphs, questions, sentences_by_language
from embed import DEFAULT_MODEL, Encoder, load_encoder
from index.neutral import PRIORS, Priors, TokenPriors

PARAGRAPHS, QUESTIONS = 25, 50
Vectors = NDArray[np.float32]


def tokens_of(encoder: Encoder, texts: list[str], *, asked: bool) -> Vectors:
    """Return the token vectors of all texts together (t, token_dim)."""
    kept: dict[int, Vectors] = {}
    if asked:
        encoder.encode_queries(texts, kept.__setitem__)
    else:
        encoder.encode_passages(texts, keep=lambda place, own: kept.__setitem__(place, own.copy()))
    return np.concatenate([kept[place] for place in sorted(kept)])


def principal(moment: NDArray[np.float64], width: int) -> Vectors:
    """Return the `width` leading directions of a second moment (dim, dim), turned: (dim, width), orthonormal."""
    values, directions = np.linalg.eigh(moment)
    print(f"{width} of {len(values)} directions hold {values[-width:].sum() / values.sum():.3f}")
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((width, width)))[0]
    return (directions[:, -width:] @ turn).astype(np.float32)


def main() -> None:
    """Add the token priors to the priors file of the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench"), help="the folder of evaluation sets")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a sentence-transformers model, by name or path")
    parser.add_argument("--width", type=int, default=384, help="numbers that are kept of a token")
    asked = parser.parse_args()
    path = PRIORS / f"{asked.model.replace('/', '--')}.npz"
    encoder = load_encoder(asked.model)
    priors = Priors.load(path)
    texts = sentences_by_language(asked.bench / "calibration" / "flores200-sentences.jsonl.gz")
    moment = np.zeros((encoder.token_dim, encoder.token_dim))
    passages, queries = [], []
    for language in track(priors.languages, "token means"):
        sentences = texts[language]
        own = tokens_of(encoder, paragraphs(sentences[: 4 * PARAGRAPHS], language), asked=False)
        passages.append(own.mean(axis=0))
        queries.append(tokens_of(encoder, questions(sentences[-QUESTIONS:]), asked=True).mean(axis=0))
        centred = own - passages[-1]
        centred /= np.linalg.norm(centred, axis=1, keepdims=True)
        moment += centred.T @ centred / len(centred)
    projection = principal(moment, asked.width)
    tokens = TokenPriors(projection, np.stack(passages) @ projection, np.stack(queries) @ projection)
    replace(priors, tokens=tokens).save(path)


if __name__ == "__main__":
    main()
