"""The two tables of an export, row by row: articles, and passages with their vectors; as JSON lines or as Parquet.

Both hold the same columns. A row is a dictionary; `vector` is an array of float32 and `tokens` are bytes, whatever the
file holds in their place. JSON lines write a vector as numbers of nine digits, which tell a float32 exactly, and
tokens in base64. Parquet, which is read and written by pyarrow (the extra `parquet`), holds `metadata` as JSON text,
for its columns have one type.
"""

import base64
import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from index import Origin
from service.errors import ExchangeFailed, ExtraMissing
from service.exchange.manifest import TABLES, Format

Row = dict[str, Any]

ARTICLES = ("id", "title", "text", "language", "url", "source", "published_at", "metadata")
PASSAGES = ("id", "article_id", "position", "start", "end", "text", "language", "row", "vector", "tokens")

# Rows that Parquet holds together, and that are in memory at once.
GROUP = 1024


class Writer(Protocol):
    """Writes one table."""

    def write(self, row: Row) -> None: ...  # noqa: D102
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


def check(format: Format) -> None:
    """Raise ExtraMissing where pyarrow is needed and not installed."""
    if format == "parquet" and find_spec("pyarrow") is None:
        raise ExtraMissing("Parquet needs pyarrow. Install it: pip install dragoman[parquet]")


def names(format: Format) -> dict[str, str]:
    """Return the names of the files of both tables."""
    return {table: f"{table}.{format}" for table in TABLES}


def writer(folder: Path, table: str, origin: Origin, format: Format) -> Writer:
    """Return what writes a table into a folder."""
    path = folder / names(format)[table]
    return LinesWriter(path) if format == "jsonl" else ParquetWriter(path, _schema(table, origin.dim))


def read(folder: Path, table: str, format: Format) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a table, each with where it is, for messages; raises ExchangeFailed for what is none."""
    path = folder / names(format)[table]
    yield from _lines(path, table) if format == "jsonl" else _parquet(path, table)


class LinesWriter:
    """Writes rows as JSON, a line each."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("w", encoding="utf-8", newline="\n")

    def write(self, row: Row) -> None:
        """Write a row."""
        vector = row.get("vector")
        told = {name: value for name, value in row.items() if name != "vector"}
        if isinstance(told.get("tokens"), bytes):
            told["tokens"] = base64.b64encode(told["tokens"]).decode()
        line = json.dumps(told, ensure_ascii=False)
        if vector is not None:
            line = f'{line[:-1]}, "vector": [{", ".join(map("{:.9g}".format, vector.tolist()))}]}}'
        self._stream.write(line + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stream.close()


class ParquetWriter:
    """Writes rows in groups."""

    def __init__(self, path: Path, schema: Any) -> None:
        from pyarrow import parquet

        self._schema = schema
        self._file = parquet.ParquetWriter(path, schema, compression="zstd")
        self._waiting: list[Row] = []

    def write(self, row: Row) -> None:
        """Write a row."""
        if "metadata" in row:
            row = {**row, "metadata": json.dumps(row["metadata"], ensure_ascii=False)}
        self._waiting.append(row)
        if len(self._waiting) == GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        if self._waiting:
            self._file.write_table(pyarrow.Table.from_pylist(self._waiting, self._schema))
        self._waiting = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._file.close()


def _schema(table: str, dim: int) -> Any:
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    if table == "articles":
        return pa.schema([pa.field(name, text) for name in ARTICLES])
    kinds = {"vector": pa.list_(pa.float32(), dim), "tokens": pa.binary()}
    kinds |= dict.fromkeys(("position", "start", "end", "row"), number)
    return pa.schema([pa.field(name, kinds.get(name, text)) for name in PASSAGES])


def _lines(path: Path, table: str) -> Iterator[tuple[str, Row]]:
    """Yield the rows of JSON lines."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            where = f"{path.name}, line {number}"
            yield where, _checked(where, table, lambda line=line: _from_json(json.loads(line)))  # type: ignore[misc]


def _parquet(path: Path, table: str) -> Iterator[tuple[str, Row]]:
    """Yield the rows of Parquet."""
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(GROUP):
                columns = {name: batch.column(name).to_pylist() for name in batch.schema.names if name != "vector"}
                vectors = batch.column("vector").flatten().to_numpy() if "vector" in batch.schema.names else None
                for place in range(batch.num_rows):
                    number += 1
                    where = f"{path.name}, row {number}"
                    row = {name: values[place] for name, values in columns.items()}
                    if vectors is not None:
                        dim = len(vectors) // batch.num_rows
                        row["vector"] = vectors[place * dim : (place + 1) * dim]
                    yield where, _checked(where, table, lambda row=row: _from_parquet(row))  # type: ignore[misc]
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise ExchangeFailed(f"{path.name}, after row {number}: {' '.join(str(error).split())}") from None


def _from_json(row: Row) -> Row:
    if "vector" in row:
        row["vector"] = np.array(row["vector"], np.float32)
        row["tokens"] = None if row["tokens"] is None else base64.b64decode(row["tokens"], validate=True)
    return row


def _from_parquet(row: Row) -> Row:
    if "metadata" in row:
        row["metadata"] = json.loads(row["metadata"])
    return row


def _checked(where: str, table: str, made: Callable[[], Row]) -> Row:
    """Return a row; raise ExchangeFailed where it is none of this table."""
    try:
        row = made()
        missing = sorted(set(ARTICLES if table == "articles" else PASSAGES) - row.keys())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ExchangeFailed(f"{where}: {' '.join(str(error).split())}") from None
    if missing:
        raise ExchangeFailed(f"{where}: {', '.join(missing)} missing")
    return row
