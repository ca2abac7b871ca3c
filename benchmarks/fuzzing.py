"""Put to a server, and to reading and questions, whatever may come; fail at any answer of 500 or above, or any crash.

    python -m benchmarks.fuzzing [--minutes 30] [--seed 0] [--dry-run]

Half of the time schemathesis (the extra `bench`) makes requests from the OpenAPI description, right ones and wrong
ones, and puts them to `dragoman serve` over a fresh library; the other half goes to `service.reading` and
`service.query`, with files and questions made of each other's pieces. 503, for too many or not yet ready, is no fault;
any other answer from 500 on is. Exit code 1 where one was found: it is printed with what brings it back.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from service.query import Query
from service.reading import FORMATS, Draft, Refusal, read_path

LIMIT = 100_000  # bytes of a file
PIECES = (
    *(
        '{"text": "',
        '"}',
        '{"id": 1',
        "[",
        "]",
        "{",
        "}",
        '"',
        "\\",
        "\\ud800",
        "\\u0000",
        ":",
        ",",
        "null",
        "1e999",
        "\n",
    ),
    *(
        "# ",
        "```",
        "---\n",
        "title: ",
        "* ",
        "[a](b)",
        "![",
        "<p>",
        "</p>",
        "<html>",
        "<body>",
        "<table>",
        "<!--",
        "&#0;",
    ),
    *(
        "<meta charset='utf-7'>",
        "<![CDATA[",
        "<?xml version='1.0' encoding='x'?>",
        "<title>",
        "<article>",
        "\r",
        "\n\n",
        "\t",
    ),
    *(
        '"',
        '""',
        "-",
        "-word",
        '-"',
        "--",
        "“",
        "”",
        "«",
        "　",
        " ",
        "NOT",
        "*",
        "OR",
        "a" * 300,
        "\x00",
        "\ufeff",
        "\u202e",
    ),
    *("নদী", "बैंक", "река", "水", "ไทย", "سلام", "e\u0301", "👩‍👩‍👧", "\U0010ffff", "ß", "İ", "ﬁ", "１２"),
)


def text(chance: random.Random) -> str:
    """Return pieces and random letters in a row."""
    some = []
    for _ in range(chance.choice((0, 1, 3, 10, 100))):
        plain = chance.random() < 0.9
        some.append(chance.choice(PIECES) if plain else chr(chance.choice((chance.randrange(0xD800), 0x1F600))))
    return "".join(some)


def file(chance: random.Random) -> bytes:
    """Return the bytes of a file, some of them no text in any encoding."""
    encoding = chance.choice(("utf-8", "utf-8", "utf-16", "utf-16-le", "utf-8-sig"))
    found = bytearray(text(chance).encode(encoding, errors="surrogatepass"))
    for _ in range(chance.choice((0, 0, 1, 5))):
        found.insert(chance.randrange(len(found) + 1), chance.randrange(256))
    return bytes(found)


def parse(seconds: float, seed: int) -> tuple[int, list[str]]:
    """Read files and questions for so long; return how many, and what went wrong, at most ten."""
    end, number, faults = time.monotonic() + seconds, 0, []
    with tempfile.TemporaryDirectory() as scratch:
        while time.monotonic() < end and len(faults) < 10:
            number += 1
            chance = random.Random(f"{seed}-{number}")
            question, content, suffix = text(chance), file(chance), chance.choice(list(FORMATS))
            path = Path(scratch) / f"a{suffix}"
            path.write_bytes(content)
            try:
                Query.read(question)
            except Exception as error:
                faults.append(f"the question {question!r}: {error!r}")
            try:
                for found in read_path(path, LIMIT):
                    assert isinstance(found, Draft | Refusal)
            except Exception as error:
                faults.append(f"the {suffix} file {content!r}: {error!r}")
    return number, faults


@contextmanager
def served() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve a fresh library on a free port, and yield the address and the process."""
    with tempfile.TemporaryDirectory() as scratch:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "serve", "--port", "0", "--data", f"{scratch}/library"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            if not found:
                raise SystemExit("the server did not start")
            address = found[0]
            while httpx2.get(f"{address}/readyz").status_code != 200:
                time.sleep(0.2)
            article = {
                "id": "a",
                "title": "A river",
                "text": "The river flooded the town.\n\nThe bank closed.",
                "language": "en",
            }
            httpx2.post(f"{address}/v1/articles", json=article, timeout=60).raise_for_status()
            yield address, process
        finally:
            process.terminate()
            process.wait(timeout=60)


def ask(seconds: float, seed: int) -> tuple[int, list[str]]:
    """Put requests made from the description to a server for so long; return how many, and what went wrong."""
    try:
        import schemathesis
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import seed as seeded
        from hypothesis import strategies as st
    except ImportError:
        raise SystemExit("schemathesis is not installed: pip install 'dragoman[bench]'") from None

    number, faults, kinds = 0, [], {}
    with served() as (address, process):
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        operations = [each.ok() for each in schema.get_all_operations()]
        modes = list(schemathesis.GenerationMode)
        end, turn = time.monotonic() + seconds, 0

        while time.monotonic() < end and len(faults) < 10:
            for operation in operations:
                if time.monotonic() >= end:
                    break
                turn += 1
                cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))

                @seeded(seed + turn)
                @settings(
                    max_examples=20,
                    deadline=None,
                    database=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
                @given(case=cases)
                def put(case: schemathesis.Case) -> None:
                    nonlocal number
                    number += 1
                    answer = case.call(timeout=60)
                    kinds[answer.status_code] = kinds.get(answer.status_code, 0) + 1
                    if answer.status_code >= 500 and answer.status_code != 503:
                        faults.append(f"{answer.status_code}: {case.as_curl_command()}")

                try:
                    put()
                except Exception as error:
                    faults.append(f"{operation.label}: {type(error).__name__}: {error}")
                if process.poll() is not None:
                    faults.append(f"the server ended with {process.returncode} after {operation.label}")
                    break
    print("answers by status:", ", ".join(f"{status}: {count}" for status, count in sorted(kinds.items())))
    return number, faults


def main() -> None:
    """Ask, parse, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry-run", action="store_true", help="for two seconds of each, to see that it runs")
    asked = parser.parse_args()
    half = 2 if asked.dry_run else 30 * asked.minutes
    failed = False
    for told, run in (("files and questions", parse), ("requests", ask)):
        number, faults = run(half, asked.seed)
        print(f"{number:,} {told} in {half:.0f} s, {len(faults)} faults", flush=True)
        for fault in faults:
            print(f"  {fault[:2_000]}")
        failed |= bool(faults) or not number
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
