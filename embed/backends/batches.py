"""How texts come to a model: like lengths in one batch, to spend little on padding; long ones in parts. And which of
its tokens are the text's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["query", "passage"]

KeepTokens = Callable[[int, NDArray[np.float32]], None]
"""Given the position of a text and its token vectors (t, token_dim)."""


def by_length(lengths: Sequence[int], tokens: int, most: int, batch: int | None = None) -> list[list[int]]:
    """Return batches of positions, longest texts first.

    A batch takes at most `tokens` tokens, padding included, and at most `most` texts, but always one. It ends sooner
    where the padding of the rest would be more than `batch`, the tokens that another batch costs. The
    longest come first so that the batches that end the work, when some cores have run dry, are the quick
    ones.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batches = []
    while order:
        longest = max(lengths[order[0]], 1)
        size = min(max(1, min(most, tokens // longest)), len(order))
        if batch is not None:
            ends = (at for at in range(1, size) if (longest - lengths[order[at]]) * (size - at) > batch)
            size = next(ends, size)
        batches.append(order[:size])
        order = order[size:]
    return batches


def encodable(text: str) -> str:
    """Return `text` with each lone surrogate, which no tokenizer takes, replaced by a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def parts(text: str, count_tokens: Callable[[Sequence[str]], list[int]], window: int) -> list[str]:
    """Cut a text into parts that fit into the window: in halves, at a space where one is near by."""
    if len(text) < 2 or count_tokens([text])[0] <= window:
        return [text]
    middle = len(text) // 2
    space = text.rfind(" ", middle // 2, middle) + 1
    at = space or middle
    return parts(text[:at], count_tokens, window) + parts(text[at:], count_tokens, window)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors (n, dim) at length 1; a vector of zeros stays."""
    scaled: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled


def unit_mean(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the rows at unit length: (n, dim) to (dim,)."""
    mean: NDArray[np.float32] = unit(vectors.mean(axis=0, keepdims=True))[0]
    return mean


def edges(tokenizer: Any, prompt: str) -> tuple[int, int]:
    """Return how many tokens of a text with this prompt come before the text's own, and how many after them."""
    encoding = tokenizer.encode(prompt + "a")
    own = [place for place, (_, end) in enumerate(encoding.offsets) if end > len(prompt)]
    return own[0], len(encoding.ids) - own[-1] - 1


def ids(tokenizer: Any, prompt: str, edges: tuple[int, int], text: str) -> list[int]:
    """Return the number in the vocabulary of each token of the text's own; `edges` are those of the prompt."""
    every: list[int] = tokenizer.encode(prompt + encodable(text)).ids
    return every[edges[0] : len(every) - edges[1]]


def spans(tokenizer: Any, prompt: str, edges: tuple[int, int], text: str) -> list[tuple[int, int]]:
    """Return the characters `[start, end)` of each token of the text's own, without white space around them.

    `edges` are those of the prompt.
    """
    offsets = tokenizer.encode(prompt + encodable(text)).offsets
    before, after = edges
    own = [(max(start - len(prompt), 0), max(end - len(prompt), 0)) for start, end in offsets]
    return [trimmed(text, *span) for span in own[before : len(own) - after]]


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the characters `[start, end)` of a text without white space around them."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end
