"""An export taken in: into a library of the same model with all that was encoded, or as articles to be encoded anew."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import numpy as np

from index import AnyLibrary, Article, Holding, InvalidArticle, Passage, cut
from index import take as take_in
from service.errors import ExchangeFailed
from service.exchange import tables
from service.exchange.manifest import Advance, Manifest
from service.reading import Draft


@dataclass(frozen=True, slots=True)
class Taken:
    """How many articles were added, put in place of others, and there already."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0


def take(
    source: Path, manifest: Manifest, open_library: Callable[[], AnyLibrary], progress: Advance | None = None
) -> Taken:
    """Take an export into a library of the same model; nothing is encoded.

    The files are compared with their checksums first; only then is the library opened. What is there already is left as
    it is, so the same again goes on after an interruption. Into a library that has never held anything else it comes
    with its rows and means, and answers the same. Raises ExchangeFailed, which names the line that is damaged,
    ModelMismatch, and what the library raises.
    """
    _whole(source, manifest, progress)
    counts = {"added": 0, "replaced": 0, "unchanged": 0}
    with open_library() as library:
        told = take_in(library, manifest.origin, manifest.mark, holdings(source, manifest))
        for number, (_, action) in enumerate(told, 1):
            counts[action] += 1
            if progress:
                progress("importing", number / max(manifest.origin.articles, 1))
    return Taken(**counts)


def articles(source: Path, manifest: Manifest, progress: Advance | None = None) -> Iterator[Draft]:
    """Yield the articles of an export, to be encoded anew. Raises as `take`."""
    _whole(source, manifest, progress)
    for number, (_, row) in enumerate(tables.read(source, "articles", manifest.format), 1):
        yield Draft(**{name: row[name] for name in tables.ARTICLES})
        if progress:
            progress("encoding anew", number / max(manifest.origin.articles, 1))


def holdings(source: Path, manifest: Manifest) -> Iterator[Holding]:
    """Yield what an export holds, article by article; raises ExchangeFailed, which names the line that is wrong."""
    found = [0, 0]
    passages = chain(tables.read(source, "passages", manifest.format), repeat(("", None)))
    where, row = next(passages)
    for line, told in tables.read(source, "articles", manifest.format):
        own = []
        while row is not None and row["article_id"] == told["id"]:
            own.append((where, row))
            where, row = next(passages)
        yield _holding(line, told, own)
        found = [found[0] + 1, found[1] + len(own)]
    if row is not None:
        raise ExchangeFailed(f"{where}: the passage is of {row['article_id']!r}, which is not the article at its place")
    if found != (wanted := [manifest.origin.articles, manifest.origin.passages]):
        told_counts = "{} articles and {} passages"
        raise ExchangeFailed(f"it holds {told_counts.format(*found)}, and should {told_counts.format(*wanted)}")


def _holding(line: str, told: tables.Row, own: list[tuple[str, tables.Row]]) -> Holding:
    try:
        article = Article(**{name: told[name] for name in tables.ARTICLES})
        passages = cut(article, [(row["start"], row["end"]) for _, row in own])
    except (TypeError, ValueError) as error:
        raise ExchangeFailed(f"{line}: {error}") from None
    for passage, (where, row) in zip(passages, own, strict=True):
        if (passage.id, passage.position, passage.text) != (row["id"], row["position"], row["text"]):
            raise ExchangeFailed(f"{where}: passage {row['id']!r} is not what {line} says from {row['start']} on")
    return _held(article, passages, own)


def _held(article: Article, passages: list[Passage], own: list[tuple[str, tables.Row]]) -> Holding:
    vectors = np.zeros((len(own), len(own[0][1]["vector"]) if own else 0), np.float32)
    for place, (where, row) in enumerate(own):
        if row["vector"].shape != vectors[place].shape or not abs(float(np.linalg.norm(row["vector"])) - 1) < 1e-3:
            raise ExchangeFailed(f"{where}: the vector is not of length 1, or not of {vectors.shape[1]} numbers")
        vectors[place] = row["vector"]
    return Holding(article, passages, [row["row"] for _, row in own], vectors, [row["tokens"] for _, row in own])


def _whole(source: Path, manifest: Manifest, progress: Advance | None) -> None:
    """Raise ExchangeFailed where an export is not what was written, with the line where that can be told."""
    tables.check(manifest.format)
    differing = manifest.differing(source, progress)
    if not differing:
        return
    said = f"{source / differing[0]} is not what was exported (its checksum is another), and nothing was imported"
    try:
        for _ in holdings(source, manifest):
            pass
    except (ExchangeFailed, InvalidArticle) as error:
        raise ExchangeFailed(f"{said}: {error}. Export again.") from None
    raise ExchangeFailed(f"{said}. Export again; to add articles that were edited: dragoman add articles.jsonl.")
