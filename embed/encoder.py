"""The encoder: what the rest of Dragoman knows of a model, and how to get one by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import platformdirs
from numpy.typing import NDArray

from embed import default_model, sources
from embed.backends import conversion
from embed.backends.batches import KeepTokens, Role
from embed.backends.openvino import Disagreement, Form, OpenVinoEncoder
from embed.backends.torch import TorchEncoder
from embed.cache import Progress
from embed.errors import BackendUnavailable, EmbedError
from embed.explain import Pooled
from embed.sources import Source

__all__ = ["DEFAULT_MODEL", "BackendName", "Encoder", "KeepTokens", "Progress", "Role", "Vectors", "load_encoder"]

Vectors = NDArray[np.float32]
BackendName = Literal["auto", "openvino", "torch"]

DEFAULT_MODEL = default_model.NAME
"""The embedded default: multilingual-e5-small, which needs no download."""


class Encoder(Protocol):
    """A model that turns texts into vectors: float32, unit length, shape (n, dim); n may be 0.

    `name` is the name asked for; `fingerprint` stands for all that determines the vectors, the same for each
    backend. `window` is in tokens. Queries over it are truncated; of a passage
    over it, the vector is the mean of its parts', so that nothing in it is lost.

    The model's token vectors come out of the same forward pass: `keep(i, tokens)` is given those of text i, float32
    (t, token_dim), without the prompt and the special tokens, from any thread and in any order. Those of passages are
    overwritten once `keep` returns: what is to stay must be copied. `token_dim` is 0
    for a model that has none to give; `keep` is then not called.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - told above, as are the three below
    @property
    def dim(self) -> int: ...  # noqa: D102
    @property
    def window(self) -> int: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    @property
    def token_dim(self) -> int: ...  # noqa: D102

    def encode_queries(self, texts: Sequence[str], keep: KeepTokens | None = None) -> Vectors:
        """Encode questions, with the model's prompt for them."""
        ...

    def encode_passages(
        self, texts: Sequence[str], advance: Callable[[int], None] | None = None, keep: KeepTokens | None = None
    ) -> Vectors:
        """Encode passages, with the model's prompt for them; `advance(k)` is called as k more are done."""
        ...

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Return for each token vector of a text the characters that its token is, `[start, end)`, white space apart.

        The same as a question or as a passage; a question over the window has vectors for the first of them only.
        """
        ...

    def token_ids(self, text: str) -> list[int]:
        """Return of each token of `token_spans` its number in the model's vocabulary."""
        ...

    def pooled(self, texts: Sequence[str], role: Role) -> list[Pooled | None]:
        """Return of each text all token vectors of which its vector is the mean, for `embed.explain`.

        None where the vector is something else: the first token's, say, or one that a further layer made, or of a
        passage over the window.
        """
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens that each text takes as a passage, prompt and special tokens included."""
        ...


def load_encoder(
    name: str = DEFAULT_MODEL,
    backend: BackendName = "auto",
    *,
    cache: Path | None = None,
    first: Role = "query",
    report: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Encoder:
    """Load the model `name`: the default, a local sentence-transformers folder, or a name on the hub.

    `auto` takes OpenVINO, converting the model once, and torch where that cannot be: `report` is then told
    why. `cache` is where built and converted models are kept; the user's cache folder unless given. What is to be
    encoded `first` is made ready for at once, the other when it comes.

    Raises `ModelUnavailable` where the model cannot be had, `BackendUnavailable` where `backend` names one
    that cannot run it.
    """
    folder = cache or platformdirs.user_cache_path("dragoman")
    source = sources.find(name, folder, progress)
    if backend == "torch":
        return _torch(source, progress)
    try:
        encoder = _converted(source, folder, first)
    except BackendUnavailable as reason:
        if backend == "openvino":
            raise
        return _instead(_torch(source, progress), reason, report)
    if encoder:
        return encoder
    original = _torch(source, progress)
    try:
        return conversion.convert(original, _place(source, folder), progress)
    except EmbedError as reason:
        if backend == "openvino":
            raise
        return _instead(original, reason, report)


def _torch(source: Source, progress: Progress | None) -> TorchEncoder:
    folder = sources.ready(source, progress)
    return TorchEncoder.load(folder, name=source.name, fingerprint=source.fingerprint)


def _converted(source: Source, folder: Path, first: Role) -> Encoder | None:
    """Return the encoder of a model that was converted before; None where none is, or none that agrees."""
    name, fingerprint = source.name, source.fingerprint
    form: Form = "passage" if first == "passage" else "one"
    try:
        return OpenVinoEncoder.load(_place(source, folder), name=name, fingerprint=fingerprint, first=form)
    except Disagreement:
        return None


def _place(source: Source, folder: Path) -> Path:
    return folder / "openvino" / f"{sources.slug(source.name)}-{source.fingerprint[:12]}"


def _instead(encoder: TorchEncoder, reason: EmbedError, report: Callable[[str], None] | None) -> TorchEncoder:
    if report:
        report(f"Encoding in torch, which is slower: {reason}")
    return encoder
