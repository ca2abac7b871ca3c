"""What all adapters share: how they reach the service, what they tell of a passage, and what an extra brings."""

import weakref
from collections.abc import Mapping
from typing import Any

from service.client import AsyncClient, Client
from service.client.connections import ADDRESS
from service.errors import ExtraMissing
from service.wire import ArticleKept, HitOut

__all__ = ["ADDRESS", "Connection", "article", "cited", "kept", "missing", "score"]


class Connection:
    """A client of the service at an address, closed when nobody holds this any more."""

    def __init__(self, base_url: str = ADDRESS, key: str | None = None) -> None:
        self.base_url = base_url
        self._key = key
        self.client = Client(base_url, key=key)
        weakref.finalize(self, self.client.close)

    def asynchronous(self) -> AsyncClient:
        """Return a client for one `async with`: an event loop's connections are of no use to another."""
        return AsyncClient(self.base_url, key=self._key)


def cited(hit: HitOut) -> dict[str, Any]:
    """Return the metadata of a passage as an answer: its article's, and where it stands and how well it answers.

    `start` and `end` are characters of the article's text.
    """
    names = ("article_id", "passage_id", "start", "end", "language", "title", "url", "source", "published_at")
    return {**hit.metadata, **{name: getattr(hit, name) for name in (*names, "relevance", "similarity")}}


def kept(article: ArticleKept | HitOut) -> dict[str, Any]:
    """Return the metadata of a document that an adapter keeps as an article, and what the article has besides."""
    told = {name: getattr(article, name) for name in ("title", "url", "source", "published_at")}
    return {**{name: value for name, value in told.items() if value}, **article.metadata}


def score(hit: HitOut) -> float:
    """Return how well a hit answers, 0..1: its relevance; its similarity, at least 0, for an uncalibrated model."""
    return max(0.0, hit.similarity) if hit.relevance is None else hit.relevance


def article(id: str, text: str | None, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of an adapter as an article to be added; raises ValueError where it has no text.

    Title, address, source and date are the article's where the metadata tells them in text; what it tells stays there.
    """
    if not text or not text.strip():
        raise ValueError(f"Document {id!r} has no text; Dragoman keeps texts.")
    told = {
        name: value
        for name in ("title", "url", "source", "published_at")
        if isinstance(value := metadata.get(name), str) and value
    }
    return {"id": id, "text": text, "metadata": dict(metadata), **told}


def missing(library: str, extra: str, error: ImportError) -> ExtraMissing:
    """Return the error that says which extra brings a library."""
    return ExtraMissing(f"{library} is not installed ({error}): pip install 'dragoman[{extra}]'")
