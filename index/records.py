"""The values that the library keeps and gives: articles, passages, hits. No behaviour beyond their own
identity.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from index.errors import ModelMismatch

# How passages are ranked: by all evidence together, by their vectors in the language-neutral space, by the words and
# sounds that they share with the query, or by plain cosine.
Mode = Literal["hybrid", "dense", "lexical", "raw"]

# What is one answer: each passage, the passages of one article, or the articles that tell one story.
Group = Literal["none", "article", "story"]

# What becomes of an article that is added.
Action = Literal["added", "replaced", "unchanged"]

# JSON that is the same for the same values.
CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Article:
    """What a publisher wrote.

    `text` holds the paragraphs, one blank line between two of them. `language` is an ISO 639 code (`bn`) or
    `und`. `published_at` is an ISO 8601 date or date and time. `metadata` is any JSON object.
    """

    id: str
    text: str
    title: str = ""
    language: str = "und"
    url: str | None = None
    source: str | None = None
    published_at: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def content_hash(self) -> str:
        """Return the SHA-256 of everything but the id: two articles with the same hash say the same."""
        fields = [
            self.text,
            self.title,
            self.language,
            self.url,
            self.source,
            self.published_at,
            dict(self.metadata),
        ]
        canonical = CANONICAL.encode(fields)
        # Half characters (lone surrogates) cannot be stored, but saying so is not this method's business.
        return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Passage:
    """What is embedded and found: the span `[start, end)` of its article's text, in characters (code points).

    `id` is derived from the article's id and the words, so that editing one paragraph leaves the ids of the
    others.
    """

    id: str
    article_id: str
    position: int
    start: int
    end: int
    text: str


def cut(article: Article, spans: list[tuple[int, int]]) -> list[Passage]:
    """Return the passages that `spans` cut out of the article, in order, each with its stable id."""
    occurrences: dict[str, int] = {}
    passages = []
    for position, (start, end) in enumerate(spans):
        text = article.text[start:end]
        occurrence = occurrences.get(text, 0)
        occurrences[text] = occurrence + 1
        key = json.dumps([article.id, text, occurrence], ensure_ascii=False)
        identity = hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=12).hexdigest()
        passages.append(Passage(identity, article.id, position, start, end, text))
    return passages


@dataclass(frozen=True, slots=True)
class Addition:
    """An article to be added, and its passages.

    `vectors` holds, by position in `passages`, a unit vector (dim,) for each that `Library.missing` named; `tokens` its
    token vectors as `token_space.compress` makes them, where they are kept; `rows`, of every passage, those that it is
    to have, if any are chosen and as far as they are free.
    """

    article: Article
    passages: Sequence[Passage]
    vectors: Mapping[int, NDArray[np.float32]]
    tokens: Mapping[int, bytes]
    rows: Mapping[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """An article as it is kept with all that is of it: passages, and of each its row, its raw vector (n, dim), and its
    token vectors as `TokenSpace.compress` makes them, None where there are none.
    """

    article: Article
    passages: Sequence[Passage]
    rows: Sequence[int]
    vectors: NDArray[np.float32]
    tokens: Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage as an answer.

    `rank` counts from 1 over all pages. `similarity` is the cosine of query and passage in the
    language-neutral space (-1..1), `raw` that of the model's own vectors. `relevance` is the calibrated probability
    that the passage answers (0..1), `None` where the model has no calibration. `row` is the library's own number of
    the passage, the tie-breaker of equal scores.

    Where hits are grouped, `passages` are further ones of its article, and `sources` the other articles that tell the
    same story, by their best passages; all have the rank of the group.
    """

    rank: int
    passage: Passage
    article: Article
    similarity: float
    raw: float
    relevance: float | None
    row: int
    passages: tuple["Hit", ...] = ()
    sources: tuple["Hit", ...] = ()

    def inner(self) -> Iterator["Hit"]:
        """Yield the hits that are grouped under this one."""
        for hit in (*self.passages, *self.sources):
            yield hit
            yield from hit.inner()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that `Library.verify` found wrong: where, what, and whether it is repaired by opening the
    library.
    """

    where: str
    what: str
    repairable: bool


@dataclass(frozen=True, slots=True)
class Count:
    """How many passages, of how many articles, have one value of a facet."""

    value: str
    passages: int
    articles: int


@dataclass(frozen=True, slots=True)
class LibraryInfo:
    """What a library says of itself before its index is loaded: what it was built with, and how much is in
    it.
    """

    model: str
    fingerprint: str
    dim: int
    schema: int
    change: int
    articles: int
    passages: int
    tokens: str = ""
    warming: bool = False

    def check_model(self, name: str) -> None:
        """Raise ModelMismatch if the library was built with a model of another name."""
        if name != self.model:
            raise ModelMismatch(
                f"The library was built with the model {self.model!r} and cannot be searched with {name!r}:"
                f" open it with --model {self.model}, have it encoded anew (dragoman reembed --model {name}), or build"
                " a new library in another folder (--data)."
            )

    def check(self, name: str, fingerprint: str, dim: int) -> None:
        """Raise ModelMismatch if the library was built with another model, or another version of it."""
        self.check_model(name)
        if (fingerprint, dim) != (self.fingerprint, self.dim):
            raise ModelMismatch(
                f"The library was built with another version of {name!r} (fingerprint {self.fingerprint},"
                f" {self.dim} dimensions) than the one at hand ({fingerprint}, {dim}): put that version back,"
                f" or have it encoded anew (dragoman reembed --model {name})."
            )


@dataclass(frozen=True, slots=True)
class Warm:
    """How far the means of a language are the library's own: `share`, 0..1, from so many passages and questions."""

    passages: int
    queries: int
    share: float


@dataclass(frozen=True, slots=True)
class Status:
    """The library in figures; `languages` counts articles, `size_bytes` is everything in the folder.

    `late_interaction` tells whether token vectors are kept, `token_passages` of how many passages, and
    `token_bytes_per_passage` how many bytes of one. `warming` tells whether the means follow the questions,
    `warmth` how warm each language is. `dense_recall` is the recall@10 of the dense index against exact search,
    measured when it was built with questions made from the library's own vectors; 1 where it is exact.
    """

    articles: int
    passages: int
    languages: dict[str, int]
    model: str
    fingerprint: str
    dim: int
    schema: int
    change: int
    size_bytes: int
    backend: str
    read_only: bool
    late_interaction: bool
    token_passages: int
    token_bytes_per_passage: int
    warming: bool
    warmth: dict[str, Warm]
    dense_recall: float
