"""Articles and vectors made of numbers: no model, the same each time."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index import Article, Library, Passage, cut
from index.milvus import MilvusLibrary

DIM = 16
Vectors = NDArray[np.float32]


def units(seed: int, count: int, dim: int = DIM) -> Vectors:
    """Return random unit vectors (count, dim)."""
    vectors = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def vector_of(text: str) -> Vectors:
    """Return the vector of a text: random, and always the same one (dim,)."""
    vector: Vectors = units(int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little"), 1)[0]
    return vector


def open_library(folder: Path, **options: Any) -> Library:
    """Open a library for vectors of `vector_of`."""
    given: dict[str, Any] = {"model": "numbers", "fingerprint": "numbers-1", "dim": DIM, **options}
    return Library.open(folder, **given)


def article(id: str, *paragraphs: str, **fields: Any) -> Article:
    """Return an article of these paragraphs, or of two of its own."""
    return Article(id, "\n\n".join(paragraphs or (f"{id} begins.", f"{id} ends.")), **fields)


def passages(written: Article) -> list[Passage]:
    """Cut an article into its paragraphs."""
    spans, start = [], 0
    for paragraph in written.text.split("\n\n"):
        spans.append((start, start + len(paragraph)))
        start += len(paragraph) + 2
    return cut(written, spans)


def put(library: Library | MilvusLibrary, written: Article) -> str:
    """Add an article with the vectors of its paragraphs, only those that are missing."""
    cuts = passages(written)
    vectors: Mapping[int, Vectors] = {place: vector_of(cuts[place].text) for place in library.missing(cuts)}
    return library.add(written, cuts, vectors)


def found(library: Library | MilvusLibrary, text: str, limit: int = 10, **options: Any) -> list[str]:
    """Return the texts that are found for the vector of a text."""
    return [hit.passage.text for hit in library.search(vector_of(text), {}, limit=limit, **options).hits]
