"""The re-ranker: a cross-encoder, which reads a question and a passage together and says how well the one answers.

It knows more than two vectors can and takes a forward pass a pair, so it is for the first few passages alone
(Nogueira and Cho 2019, "Passage re-ranking with BERT").
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import platformdirs
from numpy.typing import NDArray

from embed import sources
from embed.errors import BackendUnavailable, ModelUnavailable


class Reranker(Protocol):
    """A model that scores passages for a question; `name` is the name asked for."""

    @property
    def name(self) -> str: ...  # noqa: D102 - told above

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return how well each text answers, (n,), 0..1: the higher the better, of one model comparable."""
        ...


class CrossEncoder:
    """A re-ranker that runs any sentence-transformers CrossEncoder of one label in torch. Threads take turns."""

    def __init__(self, model: Any, *, name: str) -> None:
        self.name = name
        self._model = model
        self._turn = threading.Lock()

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the logistic function of what the model says of each text, (n,)."""
        from torch.nn import Sigmoid

        if not texts:
            return np.zeros(0, np.float32)
        pairs = [(query, text) for text in texts]
        with self._turn:
            # Whatever the model's configuration makes of its logit: so that every model tells numbers from 0 to 1.
            told = self._model.predict(pairs, activation_fn=Sigmoid(), show_progress_bar=False)
        scores: NDArray[np.float32] = np.asarray(told, np.float32).reshape(len(texts))
        return scores


def load_reranker(name: str, *, cache: Path | None = None) -> CrossEncoder:
    """Load the cross-encoder `name`: a local folder, or a name on the Hugging Face hub.

    `cache` is as in `load_encoder`. Raises `ModelUnavailable` where it cannot be had, or is of several labels, which is
    no score; `BackendUnavailable` without sentence-transformers.
    """
    folder = sources.find(name, cache or platformdirs.user_cache_path("dragoman")).folder
    try:
        from sentence_transformers import CrossEncoder as Model
    except ImportError as error:
        raise BackendUnavailable("A re-ranker needs sentence-transformers: pip install that") from error
    try:
        model = Model(str(folder), local_files_only=True)
    except Exception as error:  # whatever the libraries below think fit to raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelUnavailable(f"{name} cannot be loaded as a CrossEncoder from {folder}: {reason}") from error
    if model.num_labels != 1:
        raise ModelUnavailable(
            f"{name} tells {model.num_labels} labels and no score; a re-ranker is a CrossEncoder of one label."
        )
    return CrossEncoder(model, name=name)
