"""The torch backend: any model that sentence-transformers can load, as its own configuration says.

Prompts, pooling and window are the model's; on a CUDA device the model runs in half precision, on a CPU in
float32.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from embed.backends.batches import by_length, encodable, parts, unit_mean
from embed.errors import BackendUnavailable, ModelUnavailable

# Tokens of one batch, padding included. On a CPU what counts is that a layer's activations stay in the cache;
# a GPU wants work for all its cores at once.
TOKENS = {"cpu": 4096, "cuda": 65536}
MOST = {"cpu": 64, "cuda": 1024}

# For a model that reads texts of any length (a bag of words, say) and so tells no window.
ENDLESS = 512

Role = Literal["query", "passage"]


class TorchEncoder:
    """An encoder that runs a sentence-transformers model in torch.

    One batch runs at a time, and threads take turns between batches, so a query waits for one batch of
    passages at most. Queries over the window are truncated; of a passage over it, the vector is the mean of
    its parts', so that nothing in it is lost.
    """

    def __init__(self, model: Any, *, name: str, fingerprint: str) -> None:
        self.model = model
        self.name = name
        self.fingerprint = fingerprint
        self.window = window_of(model)
        self.prompts = prompts_of(model)
        self._turn = threading.Lock()
        self.dim: int = self._batch([""], "query").shape[1]

    @classmethod
    def load(cls, folder: Path, *, name: str, fingerprint: str, device: str | None = None) -> TorchEncoder:
        """Load the model in `folder`; `device` is chosen by torch unless given.

        Raises `BackendUnavailable` without sentence-transformers, `ModelUnavailable` where the folder holds
        no model that it can load.
        """
        if not find_spec("sentence_transformers"):
            raise BackendUnavailable(
                "The torch backend needs sentence-transformers: pip install sentence-transformers torch."
            )
        import torch
        from sentence_transformers import SentenceTransformer

        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            model = SentenceTransformer(str(folder), device=device, local_files_only=True)
        except Exception as error:  # whatever five libraries below think fit to raise
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ModelUnavailable(
                f"{name} cannot be loaded by sentence-transformers from {folder}: {reason}"
            ) from error
        model = model.half() if device.startswith("cuda") else model.float()
        return cls(model.eval(), name=name, fingerprint=fingerprint)

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode questions: (n, dim), unit length."""
        return self._encode(texts, "query", None)

    def encode_passages(
        self, texts: Sequence[str], advance: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Encode passages: (n, dim), unit length; `advance(k)` is called as k more are done."""
        return self._encode(texts, "passage", advance)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens that each text takes as a passage, prompt and special tokens included."""
        return self._lengths(texts, "passage")

    def _encode(self, texts: Sequence[str], role: Role, advance: Callable[[int], None] | None) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        lengths = self._lengths(texts, role)
        device = self.model.device.type
        most = MOST.get(device, MOST["cuda"])
        within = [min(length, self.window) for length in lengths]
        for batch in by_length(within, TOKENS.get(device, TOKENS["cuda"]), most):
            vectors[batch] = self._batch([texts[i] for i in batch], role)
            for i in batch:
                if role == "passage" and lengths[i] > self.window:
                    vectors[i] = self._long(texts[i])
            if advance:
                advance(len(batch))
        return vectors

    def _long(self, text: str) -> NDArray[np.float32]:
        cut = parts(text, self.count_tokens, self.window)
        return unit_mean(np.concatenate([self._batch([part], "passage") for part in cut]))

    def _batch(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        encode = self.model.encode_query if role == "query" else self.model.encode_document
        with self._turn:
            vectors = encode(
                [encodable(text) for text in texts],
                prompt=self.prompts[role],
                batch_size=len(texts),
                show_progress_bar=False,
                normalize_embeddings=True,
                convert_to_numpy=True,
            )
        # Again, because a vector that was normalised in half precision is not of unit length in float32.
        found: NDArray[np.float32] = np.asarray(vectors, np.float32)
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return found

    def _lengths(self, texts: Sequence[str], role: Role) -> list[int]:
        if not texts:
            return []
        prompted = [self.prompts[role] + encodable(text) for text in texts]
        tokenizer = self.model.tokenizer
        with self._turn:
            if hasattr(tokenizer, "encode_batch"):  # a bare `tokenizers` one, as static models have
                return [len(encoding.ids) for encoding in tokenizer.encode_batch(prompted)]
            return [len(ids) for ids in tokenizer(prompted, truncation=False, verbose=False)["input_ids"]]


def window_of(model: Any) -> int:
    """Return how many tokens the model reads, special ones included."""
    window = model.max_seq_length
    return int(window) if window and window < 1_000_000 else ENDLESS


def prompts_of(model: Any) -> dict[Role, str]:
    """Return the texts that the model's configuration puts before queries and passages."""
    prompts = model.prompts or {}
    default = prompts.get(model.default_prompt_name) or ""

    def first(*names: str) -> str:
        return next((prompts[name] or "" for name in names if name in prompts), default)

    return {"query": first("query"), "passage": first("document", "passage", "corpus")}
