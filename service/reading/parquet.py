"""Parquet, through pyarrow: an article a row, a few rows in memory at a time."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import IO

import pyarrow.parquet

from service.errors import UnreadableInput
from service.reading.draft import Draft, Refusal
from service.reading.source import Source
from service.reading.tables import article, members

ROWS = 256


def read(source: Source) -> Iterator[Draft | Refusal]:
    """Yield the article of each row, or why it has none."""
    with _seekable(source) as stream, pyarrow.parquet.ParquetFile(stream, memory_map=False, pre_buffer=False) as table:
        schema = table.schema_arrow
        # Vectors and pictures are not read at all.
        columns = [field.name for field in schema if not _bulky(field.type)]
        found = members(columns)
        number = 0
        for batch in table.iter_batches(batch_size=ROWS, columns=columns):
            for row in batch.to_pylist():
                number += 1
                where = f"{source.where}, row {number}"
                try:
                    yield replace(article(row, found), where=where)
                except UnreadableInput as error:
                    yield Refusal(where, str(error))


def _seekable(source: Source) -> IO[bytes]:
    """Return a stream in which pyarrow can go to and fro; that of an archive is held in memory, within the limit."""
    stream = source.open()
    if stream.seekable():
        return stream
    stream.close()
    return io.BytesIO(source.data())


def _bulky(kind: pyarrow.DataType) -> bool:
    types = pyarrow.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return bool(types.is_floating(kind.value_type) or _bulky(kind.value_type))
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))
