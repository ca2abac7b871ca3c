"""ZIM files (openzim.org), through libzim: the pages of an offline Wikipedia and its like, one at a time."""

from collections.abc import Iterator
from dataclasses import replace

from libzim.reader import Archive

from service.errors import TooLarge, UnreadableInput
from service.reading.draft import Draft, Refusal
from service.reading.html import read_html
from service.reading.source import Source, too_large


def read(source: Source) -> Iterator[Draft | Refusal]:
    """Yield the article of each page; its id is the name of the file and the page's path in it."""
    archive = Archive(source.file())
    publisher = _told(archive, "Publisher") or _told(archive, "Title")
    date = _told(archive, "Date")
    for number in range(archive.all_entry_count):
        entry = archive._get_entry_by_id(number)  # there is no other way to go through them
        if entry.is_redirect:
            continue
        item = entry.get_item()
        if item.mimetype.partition(";")[0] not in ("text/html", "application/xhtml+xml"):
            continue
        where = f"{source.where}: {entry.path}"
        try:
            if item.size > source.limit:
                raise TooLarge(too_large(item.size, source.limit))
            found = read_html(bytes(item.content), "utf-8")
        except UnreadableInput as error:
            yield Refusal(where, str(error))
            continue
        yield replace(
            found,
            id=f"{source.stem[:200]}/{entry.path}"[:512],
            title=entry.title or found.title,
            source=found.source or publisher,
            published_at=found.published_at or date,
            where=where,
        )


def _told(archive: Archive, name: str) -> str | None:
    return archive.get_metadata(name).decode(errors="replace") if name in archive.metadata_keys else None
