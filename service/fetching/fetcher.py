"""Fetch an address: guarded, polite, and within limits of size and time on every hop of a redirect."""

import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpcore2
import httpx2

from service.errors import FetchRefused, TooLarge
from service.fetching.addresses import SCHEMES, Resolve, parse, system_resolve
from service.fetching.robots import Politeness
from service.fetching.transport import Pinned, remaining
from service.settings import MIB

MAX_HOPS = 5
MAX_ROBOTS_BYTES = MIB // 2  # RFC 9309 asks for at least 500 KiB
SECONDS = 30.0
DELAY = 1.0
# The name that the rules of robots.txt are kept by; the other tells more.
PRODUCT = "Dragoman"
AGENT = f"{PRODUCT} (cross-lingual search; adds pages on request)"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an address answered: from which address in the end, and the headers that are of use.

    `data` is None where the server says that nothing has changed since (304).
    """

    url: str
    data: bytes | None
    media_type: str = ""
    charset: str | None = None
    etag: str | None = None
    modified: str | None = None


class Fetcher:
    """Fetches from public addresses; may be used by several threads.

    `resolve` gives the addresses of a host; `private_hosts` are fetched from although they are not public, on any
    port. `delay` is the least pause between two requests to a host, `seconds` the most that one fetch may take beside
    waiting for its turn, `limit` the most bytes that are taken, unpacked.
    """

    def __init__(
        self,
        *,
        limit: int = 64 * MIB,
        seconds: float = SECONDS,
        delay: float = DELAY,
        private_hosts: frozenset[str] = frozenset(),
        resolve: Resolve = system_resolve,
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self._private_hosts = private_hosts
        self._resolve = resolve
        self._politeness = Politeness(PRODUCT, delay)
        self._ssl = httpx2.create_ssl_context()

    def get(self, address: str, *, etag: str | None = None, modified: str | None = None) -> Fetched:
        """Return what an address answers; with `etag` or `modified`, only where that has changed since.

        Raises FetchRefused: a host that is not public, what robots.txt disallows, a status that is no success, too
        many redirects, too much time. Raises TooLarge for a body over the limit.
        """
        conditions = {"If-None-Match": etag, "If-Modified-Since": modified}
        given = {name: value for name, value in conditions.items() if value}
        return self._follow(address, self._limit, given, polite=True)

    def _follow(self, address: str, limit: int, headers: Mapping[str, str], *, polite: bool) -> Fetched:
        """Follow redirects, and check each address on the way as if it had been asked for.

        `polite` is for all but robots.txt itself, of which what is beyond the limit is not looked at.
        """
        url = parse(address, self._private_hosts)
        for _ in range(MAX_HOPS + 1):
            if polite:
                self._wait(url)
            found = self._once(url, limit, headers, cut=not polite)
            if isinstance(found, Fetched):
                return found
            url = parse(str(found), self._private_hosts)
        raise FetchRefused(f"more than {MAX_HOPS} redirects")

    def _wait(self, url: httpx2.URL) -> None:
        """Wait for a turn at the host; raises FetchRefused for what its robots.txt disallows."""
        site = f"{url.scheme}://{url.netloc.decode('ascii')}"
        rules = self._politeness.rules(site, self._robots)
        if rules.parsed is None:
            raise FetchRefused(f"{site}/robots.txt cannot be had, so it is not known what may be fetched")
        if not rules.allows(str(url), PRODUCT):
            raise FetchRefused(f"{site}/robots.txt does not allow it")
        time.sleep(self._politeness.turn(url.host, rules.delay(PRODUCT)))

    def _robots(self, address: str) -> str | None:
        """Return a site's robots.txt; "" where there is none; None where the site fails to say (RFC 9309, 2.3.1)."""
        try:
            fetched = self._follow(address, MAX_ROBOTS_BYTES, {}, polite=False)
        except Unsuccessful as error:
            return "" if 400 <= error.status < 500 and error.status != 429 else None
        except httpx2.InvalidURL:
            return None
        return (fetched.data or b"").decode(errors="replace")

    def _once(self, url: httpx2.URL, limit: int, conditions: Mapping[str, str], *, cut: bool) -> Fetched | httpx2.URL:
        """Ask one address; return what it answers, or the address that it redirects to.

        Of a body over the limit the first part is returned where it may be `cut`.
        """
        deadline = time.monotonic() + self._seconds
        backend = Pinned(self._resolve, self._private_hosts, deadline)
        target = httpcore2.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port or SCHEMES[url.scheme], target=url.raw_path
        )
        host = url.netloc.decode("ascii")
        headers = {"Host": host, "User-Agent": AGENT, "Accept": "*/*", "Accept-Encoding": "gzip", "Connection": "close"}
        sent = [(name.encode(), value.encode("latin-1", "ignore")) for name, value in {**headers, **conditions}.items()]
        try:
            with (
                httpcore2.ConnectionPool(ssl_context=self._ssl, network_backend=backend) as pool,
                pool.stream("GET", target, headers=sent) as answer,
            ):
                told = httpx2.Headers(answer.headers)
                if answer.status in (301, 302, 303, 307, 308) and "location" in told:
                    return url.join(told["location"])
                if answer.status == 304 and conditions:
                    return Fetched(str(url), None)
                if answer.status != 200:
                    raise Unsuccessful(answer.status)
                length = told.get("content-length", "")
                if length.isdecimal() and int(length) > limit and not cut:
                    raise _too_large(limit)
                chunks = unpacked(answer.iter_stream(), told.get("content-encoding", "identity"), limit)
                data = _joined(chunks, limit, deadline, cut)
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise FetchRefused(f"no answer from {host}: {str(error) or type(error).__name__}") from None
        except httpcore2.TimeoutException:
            raise FetchRefused("the server took too long") from None
        except (httpx2.InvalidURL, UnicodeError):
            raise FetchRefused("the server redirects to what is no address") from None
        media_type, charset = _content_type(told.get("content-type", ""))
        return Fetched(str(url), data, media_type, charset, told.get("etag"), told.get("last-modified"))


class Unsuccessful(FetchRefused):
    """The server answered with a `status` that is no success."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the server answered with status {status}")
        self.status = status


def unpacked(chunks: Iterator[bytes], encoding: str, limit: int) -> Iterator[bytes]:
    """Yield a body as it was before it was packed, in pieces of `limit` bytes and one at most.

    Raises FetchRefused for another encoding than gzip, and for what is none.
    """
    kind = encoding.strip().lower()
    if kind in ("", "identity"):
        yield from chunks
        return
    if kind not in ("gzip", "x-gzip", "deflate"):
        raise FetchRefused(f"the server packs its answer as {encoding}, which was not asked for")
    unpack = zlib.decompressobj(wbits=47)  # gzip or zlib, whichever the header says
    try:
        for chunk in chunks:
            while chunk:
                yield unpack.decompress(chunk, limit + 1)
                chunk = unpack.unconsumed_tail
    except zlib.error:
        raise FetchRefused("the server's answer is damaged: it cannot be unpacked") from None


def _joined(chunks: Iterator[bytes], limit: int, deadline: float, cut: bool) -> bytes:
    body = bytearray()
    for chunk in chunks:
        remaining(deadline)
        body += chunk
        if len(body) > limit:
            if not cut:
                raise _too_large(limit)
            break
    return bytes(body[:limit])


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the answer is over the limit of {limit:,} bytes; DRAGOMAN_MAX_ARTICLE_BYTES raises it")


def _content_type(header: str) -> tuple[str, str | None]:
    """Return the media type, and the charset where one is told."""
    media_type, *parameters = header.split(";")
    told = dict(parameter.strip().lower().partition("=")[::2] for parameter in parameters)
    return media_type.strip().lower(), told.get("charset", "").strip("\"' ") or None
