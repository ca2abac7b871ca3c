"""Tables of comma- or tab-separated values, an article a row, read as they stream."""

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import replace

from service.errors import UnreadableInput
from service.reading.draft import Draft, Refusal
from service.reading.encodings import SAMPLE, encoding_of
from service.reading.source import Source, too_large
from service.reading.tables import article, members

_DELIMITERS = ",;\t|"


def read(source: Source) -> Iterator[Draft | Refusal]:
    """Yield the article of each row, or why it has none; the first row names the columns."""
    head = source.head(SAMPLE)
    encoding = encoding_of(head, source.charset)
    with source.opened() as stream:
        # Not as its own errors: a letter that is none, in the middle of a million rows, is no reason to stop.
        text = io.TextIOWrapper(stream, encoding, errors="replace", newline="")
        csv.field_size_limit(max(source.limit, csv.field_size_limit()))
        first = codecs.decode(head, encoding, "replace").lstrip().split("\n", 1)[0]
        delimiter = max(_DELIMITERS, key=first.count)
        rows = csv.DictReader(_lines(text, source.limit), delimiter=delimiter, restkey="", strict=False)
        found = members(rows.fieldnames or [])
        while True:
            where = f"{source.where}, line {rows.line_num + 1}"
            try:
                row = next(rows)
                row.pop("", None)
                yield replace(article(row, found), where=where)
            except StopIteration:
                return
            except csv.Error as error:
                raise UnreadableInput(f"the table cannot be read on from line {rows.line_num}: {error}") from None
            except UnreadableInput as error:
                yield Refusal(where, str(error))


def _lines(text: io.TextIOWrapper, limit: int) -> Iterator[str]:
    """Yield lines; raises UnreadableInput for one over the limit, of which nothing more can be made."""
    while line := text.readline(limit + 1):
        if len(line) > limit:
            raise TableTooWide(f"a line is longer: {too_large(len(line), limit)}")
        yield line.replace("\0", " ")


class TableTooWide(csv.Error):
    """A line is over the limit."""
