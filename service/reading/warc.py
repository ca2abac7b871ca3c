"""Web archives (WARC, ISO 28500), through warcio: the pages in them, a record at a time."""

import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from warcio.archiveiterator import ArchiveIterator

from service.errors import ExtraMissing, TooLarge, UnreadableInput
from service.reading.draft import Draft, Refusal
from service.reading.formats import articles, name_of
from service.reading.source import Source, too_large

# What is worth reading of what a crawl takes along; pictures, styles and scripts are passed over in silence.
_READ = ("text/html", "application/xhtml+xml", "text/plain", "application/pdf")


def read(source: Source) -> Iterator[Draft | Refusal]:
    """Yield the article of each page that was answered with status 200; the address of a page is its own."""
    with source.opened() as stream:
        for record in ArchiveIterator(stream):
            if record.rec_type not in ("response", "resource"):
                continue
            address = record.rec_headers.get_header("WARC-Target-URI") or ""
            headers = record.http_headers or record.rec_headers
            media_type, _, parameters = (headers.get_header("Content-Type") or "").partition(";")
            if record.http_headers is not None and record.http_headers.get_statuscode() != "200":
                continue
            if media_type.strip().lower() not in _READ:
                continue
            where = f"{source.where}: {address}"
            try:
                data = record.content_stream().read(source.limit + 1)
                if len(data) > source.limit:
                    raise TooLarge(too_large(len(data), source.limit))
                yield from _page(data, address, media_type.strip().lower(), parameters, source, where)
            except (UnreadableInput, ExtraMissing) as error:
                yield Refusal(where, str(error))


def _page(
    data: bytes, address: str, media_type: str, parameters: str, source: Source, where: str
) -> Iterator[Draft | Refusal]:
    charset = parameters.lower().partition("charset=")[2].strip("\"' ;") or None
    page = Source(
        *(name_of(address, media_type), where, source.limit, partial(io.BytesIO, data)),
        charset=charset,
        address=address or None,
        packed=True,
    )
    for found in articles(page):
        yield replace(found, url=address or None) if isinstance(found, Draft) else found
