"""Make a library with the code of an older version, to be opened with today's.

    git worktree add /tmp/older COMMIT
    PYTHONPATH=/tmp/older python tests/index/old/make.py tests/index/old/schema-N

The commits: schema 1 0c600be, schema 2 af88bd0, schema 3 5f20518, schema 4 d853513. Only what all versions have is
used here, but for what is asked after; the articles and vectors are the same in all, and `tests/index/test_old.py`
knows them from here.
"""

import hashlib
import inspect
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index import Article, Library, Passage, cut

MODEL, FINGERPRINT, DIM = "intfloat/multilingual-e5-small", "numbers-1", 384
TOKENS = 3  # of each passage

ARTICLES = [
    Article("flood", "বন্যা শুরু হয়েছে।\n\nপানি বাড়ছে।", title="বন্যা", language="bn", source="paper", metadata={"page": 1}),
    Article("trade", "व्यापार 36 प्रतिशत बढ़ा।\n\nदोनों नेता मिले।", language="hi", published_at="2023-09-13"),
    Article("army", "The army met.\n\nIt left.", language="en", url="http://example.org/army"),
    Article("school", "A school was built.", language="en", source="paper"),
]
REPLACED = Article("army", "The army met.\n\nIt stayed.", language="en", url="http://example.org/army")
DELETED = "school"
LEFT = [*ARTICLES[:2], REPLACED]


def vector_of(text: str, dim: int = DIM) -> NDArray[np.float32]:
    """Return the vector of a text (dim,): random, and always the same one."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).standard_normal(dim).astype(np.float32)
    unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
    return unit


def passages_of(article: Article) -> list[Passage]:
    """Cut an article into its paragraphs."""
    spans, start = [], 0
    for paragraph in article.text.split("\n\n"):
        spans.append((start, start + len(paragraph)))
        start += len(paragraph) + 2
    return cut(article, spans)


def put(library: Library, article: Article) -> str:
    """Add an article, with token vectors where the version keeps them."""
    passages = passages_of(article)
    missing = library.missing(passages)
    vectors = {place: vector_of(passages[place].text) for place in missing}
    space: Any = getattr(library, "token_space", None)
    if space is None:
        return library.add(article, passages, vectors)
    codes = {}
    for place in missing:
        tokens = [vector_of(f"{passages[place].text} {token}", space.depth) for token in range(TOKENS)]
        # Where the version keeps them: the one sentence of the passage, with all of its tokens.
        known = "sentences" in inspect.signature(space.compress).parameters
        told = [np.array([(0, len(passages[place].text), 0, TOKENS)])] if known else []
        codes[place] = space.compress(np.stack(tokens), article.language, *told)
    return library.add(article, passages, vectors, codes)


def open_library(folder: Path, **options: Any) -> Library:
    """Open the library, following questions where the version can."""
    if "warming" in inspect.signature(Library.open).parameters:
        options.setdefault("warming", True)
    return Library.open(folder, model=MODEL, fingerprint=FINGERPRINT, dim=DIM, **options)


def make(folder: Path) -> None:
    """Make the library: three articles are added, one replaced, one deleted; a snapshot is written by closing it."""
    with open_library(folder) as library:
        for article in ARTICLES:
            put(library, article)
        put(library, REPLACED)
        library.delete(DELETED)
        library.search(vector_of("any"), {})
        if hasattr(library, "warm"):
            library.warm()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    make(target)
    # The truth, and the snapshot; the lexical index is made of too many small files to keep here.
    for path in target.iterdir():
        if path.name not in ("library.sqlite", "dense.snapshot"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
