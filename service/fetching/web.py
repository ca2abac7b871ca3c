"""Addresses to articles: a page or a file, or all pages that a feed or a sitemap points to."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import urldefrag

import httpx2

from service.errors import ExtraMissing, UnreadableInput
from service.fetching.feeds import listing
from service.fetching.fetcher import Fetched, Fetcher
from service.fetching.visits import Visits
from service.reading import Draft, Refusal, Skipped, identity, name_of, read_bytes

MAX_DEPTH = 3  # sitemaps within sitemaps

Found = Draft | Refusal | Skipped


@dataclass(slots=True)
class Web:
    """Reads addresses through a fetcher, and remembers in `visits` what it found. Limits as in `service.reading`."""

    fetcher: Fetcher
    visits: Visits
    limit: int
    _seen: set[str] = field(default_factory=set)

    def read(self, address: str, pages: int) -> Iterator[Found]:
        """Yield the article at an address; of a feed or a sitemap those of its first `pages` pages.

        What cannot be had is yielded as a refusal, what is there already as skipped, and the rest goes on.
        """
        self._seen = set()
        yield from self._read(address, [pages], MAX_DEPTH)

    def _read(self, address: str, left: list[int], depth: int) -> Iterator[Found]:
        """Yield what is found at an address; `left` holds how many pages may still be asked for."""
        address = urldefrag(address)[0]
        if address in self._seen:
            return
        self._seen.add(address)
        visit = self.visits.of(address)
        try:
            marks = {} if visit is None else {"etag": visit.etag, "modified": visit.modified}
            fetched = self.fetcher.get(address, **marks)
            if fetched.data is None:
                yield Skipped(address, "it has not changed since it was added")
                return
            listed = listing(fetched.data, self.limit) if depth else None
            if listed is None:
                yield from self._articles(address, fetched)
                return
        except (UnreadableInput, ExtraMissing) as error:
            yield Refusal(address, str(error))
            return
        complete = True
        for found in self._listed(address, listed.pages, listed.sitemaps, left, depth):
            complete = complete and not isinstance(found, Refusal)
            yield found
        if complete:
            self.visits.note(address, None, None, fetched.etag, fetched.modified)

    def _listed(
        self, address: str, pages: list[str], sitemaps: list[str], left: list[int], depth: int
    ) -> Iterator[Found]:
        base = httpx2.URL(address)
        for deeper, links in ((depth - 1, sitemaps), (0, pages)):
            if deeper == 0 and sitemaps and links is sitemaps:
                yield Refusal(address, f"sitemaps are followed {MAX_DEPTH} deep, and not further")
                continue
            for number, link in enumerate(links):
                if left[0] <= 0:
                    yield Skipped(address, f"{len(links) - number:,} more that it lists are beyond the limit of pages")
                    break
                if links is pages:
                    left[0] -= 1
                try:
                    yield from self._read(str(base.join(link)), left, deeper)
                except httpx2.InvalidURL as error:
                    yield Refusal(link, f"this is not an address: {error}")

    def _articles(self, address: str, fetched: Fetched) -> Iterator[Found]:
        """Yield the articles of a page or a file, with the address they are known by."""
        assert fetched.data is not None
        found = list(
            read_bytes(
                fetched.data,
                name_of(fetched.url, fetched.media_type),
                self.limit,
                charset=fetched.charset,
                address=fetched.url,
            )
        )
        for each in found:
            if not isinstance(each, Draft):
                yield replace(each, where=address)
                continue
            url = _canonical(each.url, fetched.url) if len(found) == 1 else each.url
            draft = replace(each, url=url, where=address, source=each.source or httpx2.URL(fetched.url).host)
            article = draft.id or identity(draft)
            if other := self.visits.same(draft.text, article):
                yield Skipped(address, f"it says the same as {other}")
                continue
            if len(found) == 1:
                self.visits.note(address, article, draft.text, fetched.etag, fetched.modified)
            yield draft


def _canonical(told: str | None, url: str) -> str:
    """Return the address that a page says it is at, as long as that is on its own site; else where it was found.

    Otherwise any page could put itself in the place of another's article.
    """
    if told:
        try:
            claimed = httpx2.URL(told)
        except httpx2.InvalidURL:
            return url
        own, other = f".{httpx2.URL(url).host}", f".{claimed.host}"
        if claimed.scheme in ("http", "https") and (own.endswith(other) or other.endswith(own)):
            return str(claimed.copy_with(fragment=None))
    return url
