"""A library as two tables that other programs read: written aside, and named when all is there."""

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

from index import Holding, MilvusPlace, backups, giving
from index.store import sync_folder
from service.errors import ExchangeFailed
from service.exchange import tables
from service.exchange.manifest import PIECE, VERSION, Advance, Format, Manifest


def export(
    folder: Path | MilvusPlace, destination: Path, format: Format = "jsonl", progress: Advance | None = None
) -> Manifest:
    """Write the library in a folder, or in Milvus, to the new folder `destination`, as it is at this moment, whoever
    writes meanwhile.

    An article at a time is in memory, of Parquet some thousand rows. Raises ExchangeFailed where it cannot be
    written or there is something already; ExtraMissing, LibraryAbsent; DamagedLibrary, and then nothing is left.
    """
    if os.path.lexists(destination):
        raise ExchangeFailed(f"{destination} exists: an export is not written over anything; name a new folder.")
    tables.check(format)
    with giving(folder) as (origin, holdings), backups.aside(destination, ExchangeFailed) as unfinished:
        with (
            tables.writer(unfinished, "articles", origin, format) as articles,
            tables.writer(unfinished, "passages", origin, format) as passages,
        ):
            for number, each in enumerate(holdings, 1):
                articles.write(_article(each))
                for row in _passages(each):
                    passages.write(row)
                if progress:
                    progress("exporting", number / max(origin.articles, 1))
        files = {name: _digest(unfinished / name) for name in tables.names(format).values()}
        made = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = Manifest(VERSION, format, made, origin, files)
        manifest.write(unfinished)
        backups.sync(unfinished)
        unfinished.rename(destination)
    sync_folder(destination.absolute().parent)
    return manifest


def _article(holding: Holding) -> tables.Row:
    article = holding.article
    return {name: getattr(article, name) for name in tables.ARTICLES[:-1]} | {"metadata": dict(article.metadata)}


def _passages(holding: Holding) -> list[tables.Row]:
    return [
        {
            "id": passage.id,
            "article_id": passage.article_id,
            "position": passage.position,
            "start": passage.start,
            "end": passage.end,
            "text": passage.text,
            "language": holding.article.language,
            "row": row,
            "vector": vector,
            "tokens": tokens,
        }
        for passage, row, vector, tokens in zip(
            holding.passages, holding.rows, holding.vectors, holding.tokens, strict=True
        )
    ]


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
