"""How much memory it takes to read large files of the formats that stream, and how fast they are read.

    python -m benchmarks.reading --megabytes 300 csv jsonl parquet tar

Each format is written and then read in a process of its own; nothing is encoded or kept.
"""

import argparse
import io
import json
import multiprocessing
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

MB = 1_000_000
TEXT = "ঢাকায় ভারী বৃষ্টিপাতে বন্যা দেখা দিয়েছে। " * 20


def write_csv(file: IO[bytes], size: int) -> None:
    """Write rows of an id and a text."""
    file.write(b"id,text\n")
    number = 0
    while file.tell() < size:
        file.write(f"{number},{TEXT}\n".encode())
        number += 1


def write_jsonl(file: IO[bytes], size: int) -> None:
    """Write articles, one a line."""
    number = 0
    while file.tell() < size:
        file.write(json.dumps({"id": str(number), "text": TEXT}, ensure_ascii=False).encode() + b"\n")
        number += 1


def write_mbox(file: IO[bytes], size: int) -> None:
    """Write messages."""
    head = "From a\nFrom: a@b\nSubject: s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
    number = 0
    while file.tell() < size:
        file.write(f"{head}Message-ID: <{number}@x>\n\n{TEXT}\n\n".encode())
        number += 1


def write_parquet(file: IO[bytes], size: int) -> None:
    """Write row groups of 5,000 rows."""
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([("id", pyarrow.string()), ("text", pyarrow.string())])
    with pyarrow.parquet.ParquetWriter(file, schema, compression="none", use_dictionary=False) as writer:
        start = 0
        while file.tell() < size:
            numbers = [str(start + row) for row in range(5000)]
            writer.write_table(pyarrow.table({"id": numbers, "text": [TEXT + each for each in numbers]}, schema))
            start += 5000


def write_tar(file: IO[bytes], size: int) -> None:
    """Write texts of half a megabyte."""
    data = (TEXT * 200).encode()
    with tarfile.open(fileobj=file, mode="w") as archive:
        number = 0
        while file.tell() < size:
            member = tarfile.TarInfo(f"{number}.txt")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
            number += 1


FORMATS: dict[str, Callable[[IO[bytes], int], None]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "mbox": write_mbox,
    "parquet": write_parquet,
    "tar": write_tar,
}


def write(path: Path, size: int) -> None:
    """Write a file."""
    with path.open("wb") as file:
        FORMATS[path.suffix[1:]](file, size)


def read(path: Path) -> None:
    """Read a file, and print what that took."""
    import service.wire  # noqa: F401 - what every reader needs counts as there before
    from service.reading import Draft, read_path

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before, started, articles = peak(), time.perf_counter(), 0
    for found in read_path(path):
        assert isinstance(found, Draft), found
        articles += 1
    seconds = time.perf_counter() - started
    print(
        f"{path.suffix[1:]:<8} {path.stat().st_size / MB:6.0f} MB {articles:8,} articles {seconds:6.1f} s"
        f"   peak memory {peak():4.0f} MiB, {before:.0f} before"
    )


def main() -> None:
    """Measure the formats that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--megabytes", type=int, default=300)
    arguments = parser.parse_args()
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.formats or FORMATS:
            path = Path(folder, f"large.{name}")
            for step, given in ((write, (path, arguments.megabytes * MB)), (read, (path,))):
                process = processes.Process(target=step, args=given)
                process.start()
                process.join()
                if process.exitcode:
                    raise SystemExit(process.exitcode)
            path.unlink()


if __name__ == "__main__":
    main()
