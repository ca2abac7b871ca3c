"""JSON lines to articles: one article a line, in the form that goes over HTTP or in BEIR's (`_id`)."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import IO, Any

from pydantic import ValidationError

from service.errors import UnreadableInput
from service.reading.draft import Draft, Refusal
from service.reading.encodings import decode
from service.reading.source import Source
from service.settings import MIB
from service.wire import ArticleIn

_MEMBERS = frozenset(ArticleIn.model_fields)


def read(source: Source) -> Iterator[Draft | Refusal]:
    """Yield the articles in a file of JSON lines."""
    with source.opened() as stream:
        yield from read_stream(stream, source.where, source.limit)


def read_stream(stream: IO[bytes], where: str, limit: int) -> Iterator[Draft | Refusal]:
    """Yield the articles of a stream, each as soon as its line is there."""
    yield from read_jsonlines(_lines(stream, limit), where, limit)


def _lines(stream: IO[bytes], limit: int) -> Iterator[bytes | None]:
    """Yield the lines of a stream; one over the limit is not held in memory, and given as `None`."""
    while line := stream.readline(limit + 2):
        if len(line.rstrip(b"\r\n")) <= limit:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(MIB)
        yield None


def read_jsonlines(lines: Iterable[bytes | None], where: str, limit: int) -> Iterator[Draft | Refusal]:
    """Yield the article of each line, or why it has none, so that one bad line does not end the rest.

    A line that is `None` was over the `limit` in bytes and was not read.
    """
    for number, line in enumerate(lines, start=1):
        if line is None:
            reason = f"the line is over {limit:,} bytes; DRAGOMAN_MAX_ARTICLE_BYTES raises the limit"
            yield Refusal(f"{where}, line {number}", reason)
        elif line.strip():
            try:
                yield replace(read_article(line), where=f"{where}, line {number}")
            except UnreadableInput as error:
                yield Refusal(f"{where}, line {number}", str(error))


def read_article(line: bytes) -> Draft:
    """Return the article in one JSON object; raises UnreadableInput."""
    try:
        given = json.loads(decode(line))
    except (ValueError, RecursionError) as error:
        raise UnreadableInput(f"not JSON: {error}") from None
    if not isinstance(given, dict):
        raise UnreadableInput("a line holds one JSON object, an article")
    try:
        return draft(ArticleIn.model_validate(_from_beir(given)))
    except ValidationError as error:
        raise UnreadableInput(told(error)) from None


def draft(article: ArticleIn) -> Draft:
    """Return the draft of an article that came over the wire."""
    return Draft(
        article.body,
        id=article.id,
        title=article.title,
        language=article.language,
        url=article.url,
        source=article.source,
        published_at=article.published_at,
        metadata=article.metadata,
    )


def told(error: ValidationError) -> str:
    """Return what is wrong with an article in one line."""
    faults = error.errors(include_url=False, include_input=False)
    parts = [
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" if fault["loc"] else fault["msg"] for fault in faults[:3]
    ]
    rest = [f"and {len(faults) - 3} more"] if len(faults) > 3 else []
    return "; ".join(parts + rest).replace("Value error, ", "")


def _from_beir(given: dict[str, Any]) -> dict[str, Any]:
    """Return BEIR's form in ours: `_id` is the id; `metadata` may hold language, url, source and date."""
    if "_id" not in given or "id" in given:
        return given
    metadata = given.get("metadata")
    if not isinstance(metadata, dict | None):
        return given
    # Corpora have members of their own beside those of the layout: these are kept as metadata.
    own = {key: value for key, value in given.items() if key not in _MEMBERS and key != "_id"}
    article = {key: value for key, value in given.items() if key in _MEMBERS}
    article |= {"id": given["_id"], "metadata": {**own, **(metadata or {})}}
    for key in ("language", "url", "source", "published_at"):
        if key not in article and isinstance(article["metadata"].get(key), str):
            article[key] = article["metadata"].pop(key)
    return article
