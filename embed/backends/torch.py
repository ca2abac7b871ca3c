"""The torch backend: any model that sentence-transformers can load, as its own configuration says.

Prompts, pooling and window are the model's; on a CUDA device the model runs in half precision, on a CPU in
float32.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embed.backends.batches import KeepTokens, Role, by_length, edges, encodable, ids, parts, spans, unit, unit_mean
from embed.errors import BackendUnavailable, ModelUnavailable
from embed.explain import Pooled

# Tokens of one batch, padding included. On a CPU what counts is that a layer's activations stay in the cache;
# a GPU wants work for all its cores at once.
TOKENS = {"cpu": 4096, "cuda": 65536}
MOST = {"cpu": 64, "cuda": 1024}

# For a model that reads texts of any length (a bag of words, say) and so tells no window.
ENDLESS = 512


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
        # Without offsets nobody could tell which tokens are the prompt's.
        self._tokenizer = free_tokenizer(model)
        self._edges: dict[Role, tuple[int, int]] = (
            {role: edges(self._tokenizer, prompt) for role, prompt in self.prompts.items()} if self._tokenizer else {}
        )
        self.token_dim = self._token_dim()

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

    def encode_queries(self, texts: Sequence[str], keep: KeepTokens | None = None) -> NDArray[np.float32]:
        """Encode questions: (n, dim), unit length."""
        return self._encode(texts, "query", None, keep)

    def encode_passages(
        self,
        texts: Sequence[str],
        advance: Callable[[int], None] | None = None,
        keep: KeepTokens | None = None,
    ) -> NDArray[np.float32]:
        """Encode passages: (n, dim), unit length; `advance(k)` is called as k more are done."""
        return self._encode(texts, "passage", advance, keep)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Return for each token of a text its characters `[start, end)`, white space apart."""
        if not self.token_dim:
            return []
        return spans(self._tokenizer, self.prompts["passage"], self._edges["passage"], text)

    def token_ids(self, text: str) -> list[int]:
        """Return the number of each token of a text in the vocabulary."""
        if not self.token_dim:
            return []
        return ids(self._tokenizer, self.prompts["passage"], self._edges["passage"], text)

    def pooled(self, texts: Sequence[str], role: Role) -> list[Pooled | None]:
        """Return of each text all token vectors of which its vector is the mean; None where it is not."""
        found: list[Pooled | None] = [None] * len(texts)
        if not self.token_dim:
            return found
        lengths = self._lengths(texts, role)
        whole = [i for i, length in enumerate(lengths) if role == "query" or length <= self.window]
        before, after = self._edges[role]
        for batch in self._batches([lengths[i] for i in whole]):
            some = [whole[place] for place in batch]
            vectors, tokens = self._both([texts[i] for i in some], role, (0, 0))
            for i, vector, each in zip(some, vectors, tokens, strict=True):
                pooled = Pooled(each, before, self.token_spans(texts[i])[: len(each) - before - after])
                found[i] = pooled if pooled.makes(vector) else None
        return found

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens that each text takes as a passage, prompt and special tokens included."""
        return self._lengths(texts, "passage")

    def _encode(
        self,
        texts: Sequence[str],
        role: Role,
        advance: Callable[[int], None] | None,
        keep: KeepTokens | None,
    ) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        lengths = self._lengths(texts, role)
        wanted = keep if self.token_dim else None
        for batch in self._batches(lengths):
            some = [texts[i] for i in batch]
            vectors[batch], tokens = (
                self._both(some, role, self._edges[role]) if wanted else (self._batch(some, role), [])
            )
            for place, i in enumerate(batch):
                if role == "passage" and lengths[i] > self.window:
                    vectors[i], long = self._long(texts[i])
                    tokens[place : place + 1] = [long] if wanted else []
            if wanted:
                for i, each in zip(batch, tokens, strict=True):
                    wanted(i, each)
            if advance:
                advance(len(batch))
        return vectors

    def _batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Return batches of positions of texts of so many tokens."""
        device = self.model.device.type
        within = [min(length, self.window) for length in lengths]
        return by_length(within, TOKENS.get(device, TOKENS["cuda"]), MOST.get(device, MOST["cuda"]))

    def _long(self, text: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the vector of a passage over the window and its token vectors, both made of its parts'."""
        own = self._edges.get("passage", (0, 0))
        both = [self._both([part], "passage", own) for part in parts(text, self.count_tokens, self.window)]
        return unit_mean(np.concatenate([each for each, _ in both])), np.concatenate([tokens[0] for _, tokens in both])

    def _batch(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Return the vectors of texts (n, dim)."""
        # At unit length again: one that was normalised in half precision is not so in float32.
        return unit(np.asarray(self._run(texts, role, "sentence_embedding"), np.float32))

    def _both(
        self, texts: Sequence[str], role: Role, edges: tuple[int, int]
    ) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Return the vectors of texts (n, dim), and of each the token vectors (t, token_dim) but those at its edges."""
        if not self.token_dim:
            return self._batch(texts, role), [np.zeros((0, 0), np.float32)] * len(texts)
        outputs = self._run(texts, role, None)
        vectors = np.stack([each["sentence_embedding"].float().cpu().numpy() for each in outputs])
        before, after = edges
        tokens = []
        for each in outputs:
            own = each["token_embeddings"][each["attention_mask"].bool()].float().cpu().numpy()
            tokens.append(own[before : len(own) - after])
        return unit(vectors), tokens

    def _run(self, texts: Sequence[str], role: Role, output: str | None) -> Any:
        encode = self.model.encode_query if role == "query" else self.model.encode_document
        with self._turn:
            return encode(
                [encodable(text) for text in texts],
                prompt=self.prompts[role],
                batch_size=len(texts),
                show_progress_bar=False,
                output_value=output,
                normalize_embeddings=True,
                convert_to_numpy=output is not None,
            )

    def _token_dim(self) -> int:
        """Return the length of a token vector; 0 where the model gives none, or none that can be told apart."""
        if not self._edges:
            return 0
        (output,) = self._run(["a"], "query", None)
        tokens = output.get("token_embeddings")
        return 0 if tokens is None else int(tokens.shape[-1])

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


def free_tokenizer(model: Any) -> Any:
    """Return a copy of the model's fast tokenizer that neither truncates nor pads; None where it has none."""
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    tokenizer = type(backend).from_str(backend.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
