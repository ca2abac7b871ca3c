"""Language-neutral vectors: what is compared is what a text says, not which language says it.

Multilingual encoders put each language in a corner of its own, and all of them in one narrow cone. Subtracting most
of what a language's mean vector has of its own, and some of what all the means have in common, brings the corners
together and opens the cone (docs/ranking.md has the figures). With m(l) the mean passage of language l, n(l) its mean
query, and M, N the means of those over all languages:

    p' = unit(p - a (m(l) - M) - b M)        q' = unit(q - a (n(l) - N) - b N)

The means ship as numbers for the models named in `priors/`; `benchmarks/priors.py` computes them and fits a and b.
The library's own may take their place, and are all there is for any other model (`index.warmth`); until there are some,
its space is left as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index.fusion import Fusion, Odds, Relevance

Vectors = NDArray[np.float32]

PRIORS = Path(__file__).parent / "priors"

# The shares a and b where the library's own means are all there is. More of what they have in common can go than of
# means that were taken from another kind of text (fitted on flores; benchmarks/results.md).
OWN, COMMON = 1.0, 0.8


@dataclass(frozen=True, slots=True)
class Means:
    """The mean raw vectors of passages and of queries by language, (languages, dim) each, float32."""

    languages: tuple[str, ...]
    passages: Vectors
    queries: Vectors


@dataclass(frozen=True, slots=True)
class TokenPriors:
    """What is known of a model's token vectors: where they differ most, `projection` (token_dim, width), and the mean
    token of passages and of queries by language, projected: (languages, width) each.
    """

    projection: Vectors
    passages: Vectors
    queries: Vectors


@dataclass(frozen=True, slots=True)
class Priors:
    """What is known of a model before it reads the library.

    `passages` and `queries` are mean vectors (languages, dim), float32; `own` and `common` are the shares a and b
    of them that are subtracted. `centre` (dim,) and `spread` (dim, dim) are the mean and the covariance of ordinary
    passages in the neutral space; `slope` and `intercept` turn a cosine, standardised against those, into a probability
    (logistic calibration: Platt 1999, "Probabilistic outputs for support vector machines"); `fusion` and `answering`
    weigh all evidence together.
    """

    model: str
    languages: tuple[str, ...]
    passages: Vectors
    queries: Vectors
    own: float
    common: float
    centre: Vectors
    spread: Vectors
    slope: float
    intercept: float
    tokens: "TokenPriors | None" = None
    fusion: Fusion | None = None
    answering: Relevance | None = None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read priors that `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(
                str(stored["model"]),
                tuple(stored["languages"].tolist()),
                stored["passages"].astype(np.float32),
                stored["queries"].astype(np.float32),
                float(stored["own"]),
                float(stored["common"]),
                stored["centre"].astype(np.float32),
                stored["spread"].astype(np.float32),
                float(stored["slope"]),
                float(stored["intercept"]),
                TokenPriors(
                    stored["token_projection"].astype(np.float32),
                    stored["token_passages"].astype(np.float32),
                    stored["token_queries"].astype(np.float32),
                )
                if "token_projection" in stored
                else None,
                Fusion.of(stored["fusion"]) if "fusion" in stored else None,
                Relevance(*map(Odds.of, stored["answering"])) if "answering" in stored else None,
            )

    def save(self, path: Path) -> None:
        """Write the priors, means in half precision, for `load`."""
        known = {
            "model": np.array(self.model),
            "languages": np.array(self.languages),
            "passages": self.passages.astype(np.float16),
            "queries": self.queries.astype(np.float16),
            "own": np.array(self.own),
            "common": np.array(self.common),
            "centre": self.centre.astype(np.float32),
            "spread": self.spread.astype(np.float16),
            "slope": np.array(self.slope),
            "intercept": np.array(self.intercept),
        }
        if self.tokens is not None:
            known["token_projection"] = self.tokens.projection.astype(np.float16)
            known["token_passages"] = self.tokens.passages.astype(np.float16)
            known["token_queries"] = self.tokens.queries.astype(np.float16)
        if self.fusion is not None:
            known["fusion"] = self.fusion.array()
        if self.answering is not None:
            known["answering"] = np.stack([self.answering.whole.array(), self.answering.bare.array()])
        np.savez_compressed(path, allow_pickle=False, **known)


class Neutral:
    """The map from a model's vectors to the language-neutral space, and from similarity there to relevance."""

    def __init__(self, priors: Priors | None, means: Means | None = None) -> None:
        """Make the map by `means`; by those of the priors where there are none."""
        self.priors = priors
        self.fusion = (priors.fusion if priors else None) or Fusion()
        self.answering = priors.answering if priors else None
        if means is None and priors is not None:
            means = Means(priors.languages, priors.passages, priors.queries)
        self.means = means
        if means is None:
            self.identity = "none"
            return
        shares = (priors.own, priors.common) if priors else (OWN, COMMON)
        self._number = {code: number for number, code in enumerate(means.languages)}
        self._passages = offsets(means.passages, *shares)
        self._queries = offsets(means.queries, *shares)
        told = repr((priors.model if priors else "", means.languages)).encode()
        digest = sha256(told + self._passages.tobytes() + self._queries.tobytes())
        self.identity = digest.hexdigest()[:16]

    @classmethod
    def for_model(cls, name: str) -> Self:
        """Return the map for the model called `name`: its shipped priors, or else the identity."""
        path = PRIORS / f"{name.replace('/', '--')}.npz"
        return cls(Priors.load(path) if path.is_file() else None)

    def passages(self, vectors: Vectors, languages: Sequence[str]) -> Vectors:
        """Return the passages' vectors (n, dim), unit length, in the neutral space; one language code for each."""
        if self.means is None:
            return vectors
        return unit(vectors - self.passage_offsets(languages))

    def passage_offsets(self, languages: Sequence[str]) -> Vectors:
        """Return what is subtracted of passages in these languages (n, dim); not where there are no means."""
        return self._passages[[self._number.get(code, -1) for code in languages]]

    def queries(self, vectors: Vectors, languages: Sequence[Mapping[str, float]]) -> Vectors:
        """Return the queries' vectors (n, dim), unit length, in the neutral space.

        `languages` holds for each query the probabilities of its languages; the mean that is subtracted is the
        mixture by those probabilities, what they leave open going to the mean of all languages.
        """
        if self.means is None:
            return vectors
        return unit(vectors - self.query_offsets(languages))

    def query_offsets(self, languages: Sequence[Mapping[str, float]]) -> Vectors:
        """Return what is subtracted of queries of these languages (n, dim); not where there are no means."""
        return mixtures(languages, self._number) @ self._queries

    @property
    def calibrated(self) -> bool:
        """Tell whether relevance is known. Means that move leave it as it is: what is ordinary was measured on passages
        that are centred by their own.
        """
        return self.priors is not None

    def usual(self, query: Vectors, similarities: NDArray[np.float32]) -> tuple[float, float]:
        """Return mean and deviation of the similarities that ordinary passages have with a query (dim,).

        Of a model nobody has looked at, those of the passages at hand.
        """
        if self.priors is None:
            known = len(similarities) > 1
            return (float(similarities.mean()), float(similarities.std()) + 1e-3) if known else (0.0, 0.1)
        variance = float(query @ self.priors.spread @ query)
        return float(query @ self.priors.centre), max(variance, 1e-12) ** 0.5

    def standing(self, similarities: NDArray[np.float32], queries: Vectors) -> NDArray[np.float64]:
        """Return how far similarities (q, k) stand out for their queries, neutral vectors (q, dim), in deviations.

        Some questions are near to everything and others to nothing, so a similarity counts by how far it stands out of
        those that ordinary passages would have, of which the mean is q.centre and the variance q.spread.q. Only for a
        model that is `calibrated`.
        """
        if self.priors is None:
            raise ValueError("There is no calibration for this model.")
        mean = queries @ self.priors.centre
        variance = ((queries @ self.priors.spread) * queries).sum(axis=1)
        deviation = np.sqrt(np.maximum(variance.astype(np.float64), 1e-12))
        standing: NDArray[np.float64] = (similarities - mean.astype(np.float64)[:, None]) / deviation[:, None]
        return standing

    def relevance(self, similarities: NDArray[np.float32], query: Vectors) -> NDArray[np.float64]:
        """Return the calibrated probabilities (0..1) that passages of these similarities (k,) answer the query (dim,).

        The logistic curve of how far they stand out. Only for a model that is `calibrated`.
        """
        standing = self.standing(similarities[None], query[None])[0]
        assert self.priors is not None
        chances: NDArray[np.float64] = 1 / (1 + np.exp(-(self.priors.slope * standing + self.priors.intercept)))
        return chances


def mixtures(languages: Sequence[Mapping[str, float]], number: Mapping[str, int]) -> Vectors:
    """Return the weights of the rows of `offsets` for each query (q, languages + 1), from its language probabilities.

    `number` tells the row of a language; what the probabilities leave open goes to the last row.
    """
    weights = np.zeros((len(languages), len(number) + 1), dtype=np.float32)
    for query, probabilities in enumerate(languages):
        for code, probability in probabilities.items():
            if code in number:
                weights[query, number[code]] = probability
    weights[:, -1] = np.clip(1 - weights.sum(axis=1), 0, None)
    return weights


def offsets(means: Vectors, own: float, common: float) -> Vectors:
    """Return what is subtracted for each language (languages + 1, dim); the last row is for an unknown language."""
    shared = means.mean(axis=0)
    rows = np.vstack([own * (means - shared) + common * shared, common * shared])
    return rows.astype(np.float32)


def unit(vectors: Vectors) -> Vectors:
    """Return the vectors (n, dim) at length 1; a vector of zeros stays."""
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32, copy=False)
