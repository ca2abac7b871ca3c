"""The values that the library keeps and gives: articles, passages, hits. No behaviour beyond their own identity."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Article:
    """What a publisher wrote.

    `text` holds the paragraphs, one blank line between two of them. `language` is an ISO 639 code (`bn`) or `und`.
    `published_at` is an ISO 8601 date or date and time. `metadata` is any JSON object.
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
        fields = [self.text, self.title, self.language, self.url, self.source, self.published_at, dict(self.metadata)]
        canonical = json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Passage:
    """What is embedded and found: the span `[start, end)` of its article's text, in characters (code points).

    `id` is derived from the article's id and the words, so that editing one paragraph leaves the ids of the others.
    `context` is what the encoder reads before the words (the article's title, or nothing).
    """

    id: str
    article_id: str
    position: int
    start: int
    end: int
    text: str
    context: str = ""


def cut(article: Article, spans: list[tuple[int, int]], context: str = "") -> list[Passage]:
    """Return the passages that `spans` cut out of the article, in order, each with its stable id."""
    occurrences: dict[str, int] = {}
    passages = []
    for position, (start, end) in enumerate(spans):
        text = article.text[start:end]
        occurrence = occurrences.get(text, 0)
        occurrences[text] = occurrence + 1
        key = json.dumps([article.id, context, text, occurrence], ensure_ascii=False)
        identity = hashlib.blake2b(key.encode(), digest_size=12).hexdigest()
        passages.append(Passage(identity, article.id, position, start, end, text, context))
    return passages


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage as an answer.

    `rank` counts from 1 over all pages. `similarity` is the cosine of query and passage in the language-neutral
    space (-1..1). `relevance` is the calibrated probability that the passage answers (0..1), `None` where the
    model has no calibration. `row` is the library's own number of the passage, the tie-breaker of equal scores.
    """

    rank: int
    passage: Passage
    article: Article
    similarity: float
    relevance: float | None
    row: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that `Library.verify` found wrong: where, what, and whether it is repaired by opening the library."""

    where: str
    what: str
    repairable: bool
