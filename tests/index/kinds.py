"""Libraries of every kind, for the tests that hold of all: on disk, in milvus-lite, and in a real Milvus server.

In milvus-lite there are two: the process ranks by words, which comes to what a library on disk does to the last bit, or
milvus-lite does ("words").
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from embed import Encoder
from index import Addition, Library
from index.milvus import MilvusLibrary, Place
from index.milvus.server import MOST
from service.engine import Engine
from service.reading import Draft, read_path
from tests.index.samples import DIM, article, passages, units, vector_of

AnyLibrary = Library | MilvusLibrary

EQUAL = ["lite", pytest.param("milvus", marks=pytest.mark.milvus)]
KINDS = ["disk", "words", *EQUAL]

# The default model: its means, its calibration and its token vectors are known, and need no encoder.
KNOWN: dict[str, Any] = {"model": "intfloat/multilingual-e5-small", "fingerprint": "f", "dim": 384}

# Token vectors of chance are made longer than the means that are subtracted from them.
FAR = 50


@dataclass(frozen=True, slots=True)
class Kind:
    """Where libraries of one kind are made: in a folder, a file, or a server, which is its `address`."""

    name: Literal["disk", "words", "lite", "milvus"]
    address: str

    def open(self, name: str = "library", **options: Any) -> AnyLibrary:
        """Open the library of this name as another process would, or make it."""
        given: dict[str, Any] = {"model": "numbers", "fingerprint": "numbers-1", "dim": DIM, **options}
        if self.name == "disk":
            return Library.open(Path(self.address) / name, **given)
        return MilvusLibrary.open(self.place(name), **given)

    def place(self, name: str) -> Place:
        """Return where the library of this name is in Milvus."""
        return Place(self.address, prefix=name, words="server" if self.name == "words" else "process")


def empty(library: AnyLibrary) -> None:
    """Delete all articles."""
    if isinstance(library, Library):
        for id in list(library.contents()):
            library.delete(id)
        return
    with library.writing():  # who may write sees all that others wrote
        editions = [each["edition"] for each in library._editions(list(library.contents())).values()]
        if editions:  # all in one step
            write = library._ledger.begin([], editions)
            library._ledger.commit(write)
            library._ledger.settle(write)


def additions(*written: Any) -> list[Addition]:
    """Return articles as they are added, with the vectors of their paragraphs (`samples.vector_of`)."""
    found = []
    for each in written:
        cuts = passages(each)
        found.append(Addition(each, cuts, {cut.position: vector_of(cut.text) for cut in cuts}, {}))
    return found


def known_additions(count: int, languages: Sequence[str] = ("bn", "en", "hi"), begin: int = 0) -> Iterator[Addition]:
    """Yield articles of one to three passages with vectors, token vectors and rows, for libraries of `KNOWN`."""
    from index import Neutral
    from index.tokens import TokenSpace

    space = TokenSpace.of(Neutral.for_model(KNOWN["model"]).priors)
    assert space is not None
    row = 1 + 3 * begin
    for number in range(begin, begin + count):
        size, code = 1 + number % 3, languages[number % len(languages)]
        texts = [f"water {number} river {number % 7}", f"Putin {number % 5} bank", f"पुतिन और नदी {number}"][:size]
        fields = {"language": code, "source": f"s{number % 4}", "published_at": f"20{number % 30:02d}-03-01"}
        written = article(f"a{number}", *texts, **fields, metadata={"n": number, "tags": [f"t{number % 3}"]})
        # Two by two nearly the same.
        vectors = units(number // 2 * 2, 4, KNOWN["dim"]) + 0.1 * units(5000 + number, 4, KNOWN["dim"])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        tokens = {
            place: space.compress(FAR * units(9000 + row + place, 6, KNOWN["dim"]), code) for place in range(size)
        }
        rows = {place: row + place for place in range(size)}
        yield Addition(written, passages(written), {place: vectors[place] for place in range(size)}, tokens, rows)
        row += size


def judged_seeds(model: Encoder, folder: Path) -> list[str]:
    """Make the library of the seed articles on disk in a folder, and return the questions that are judged."""
    seeds = Path(__file__).parent.parent.parent / "seeds"
    with Library.open(folder, model=model.name, fingerprint=model.fingerprint, dim=model.dim) as disk:
        drafts = [draft for path in sorted(seeds.glob("*.txt")) for draft in read_path(path)]
        list(Engine(model, disk).add(draft for draft in drafts if isinstance(draft, Draft)))
    lines = (seeds / "judgments/queries.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def by_rows(library: AnyLibrary, rows: np.ndarray[Any, Any]) -> list[str]:
    """Return the articles of rows."""
    found = library.article_ids(rows)
    return [found[row] for row in rows.tolist()]


__all__ = [
    "EQUAL",
    "FAR",
    "KINDS",
    "KNOWN",
    "MOST",
    "AnyLibrary",
    "Kind",
    "additions",
    "by_rows",
    "empty",
    "known_additions",
]
