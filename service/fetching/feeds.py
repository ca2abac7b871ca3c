"""What an RSS or Atom feed, a JSON feed or a sitemap (sitemaps.org) points to."""

import zlib
from dataclasses import dataclass
from typing import Any

from lxml import etree

from service.errors import ExtraMissing, TooLarge, UnreadableInput

GZIP = b"\x1f\x8b"
_FEEDS = {"rss", "RDF", "feed"}


@dataclass(frozen=True, slots=True)
class Listing:
    """Addresses in the order in which they are told; those of further `sitemaps` are listings themselves."""

    pages: list[str]
    sitemaps: list[str]


def listing(data: bytes, limit: int) -> Listing | None:
    """Return what a feed or a sitemap points to; None for what is neither.

    A sitemap may be packed with gzip, into at most `limit` bytes. Raises UnreadableInput for a feed that cannot be
    read, ExtraMissing where the reader of feeds is not installed.
    """
    if data.startswith(GZIP):
        data = _unpacked(data, limit)
    root = _root(data)
    if root in _FEEDS or (data.lstrip()[:1] == b"{" and b"jsonfeed.org/version" in data[:1000]):
        return Listing(_feed(data), [])
    if root == "urlset":
        return Listing(_locations(data), [])
    if root == "sitemapindex":
        return Listing([], _locations(data))
    return None


def _root(data: bytes) -> str | None:
    """Return the name of the first element of XML, None for what is not XML."""
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return None
    try:
        # Only the start is looked at: what follows may be as large or as broken as it likes.
        parser = etree.XMLPullParser(events=("start",), resolve_entities=False, no_network=True, recover=True)
        parser.feed(data[:65_536])
        _, element = next(iter(parser.read_events()), (None, None))
    except etree.XMLSyntaxError:
        return None
    return None if element is None else str(etree.QName(element).localname)


def _feed(data: bytes) -> list[str]:
    """Return the pages of a feed's entries."""
    try:
        import fastfeedparser
    except ImportError:
        raise ExtraMissing("feeds need the extra feeds: pip install 'dragoman[feeds]'") from None
    try:
        # Bytes are parsed; a string could be taken for an address, and be fetched past our guard.
        found: Any = fastfeedparser.parse(
            data, include_content=False, include_tags=False, include_media=False, include_enclosures=False
        )
    except Exception as error:
        raise UnreadableInput(f"the feed cannot be read: {error}") from None
    return [str(entry["link"]) for entry in found.get("entries", []) if entry.get("link")]


def _locations(data: bytes) -> list[str]:
    """Return the locations of a sitemap."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    root = etree.fromstring(data, parser)
    if root is None:
        raise UnreadableInput("the sitemap cannot be read: it is not XML")
    found = (
        root.iterfind("{*}url/{*}loc")
        if etree.QName(root).localname == "urlset"
        else root.iterfind("{*}sitemap/{*}loc")
    )
    return [element.text.strip() for element in found if element.text and element.text.strip()]


def _unpacked(data: bytes, limit: int) -> bytes:
    unpack = zlib.decompressobj(wbits=31)
    try:
        found = unpack.decompress(data, limit + 1)
    except zlib.error:
        raise UnreadableInput("it is damaged: it cannot be unpacked") from None
    if len(found) > limit:
        raise TooLarge(f"it is over the limit of {limit:,} bytes once unpacked")
    return found
