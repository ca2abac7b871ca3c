"""What standing questions cost: seconds of processor to hold new articles against them, in a library of many passages.

    python -m benchmarks.standing JUDGMENTS [--questions 100] [--articles 2000] [--new 1 256]

The articles of a folder in BEIR layout fill a library in a temporary folder with the default model, its questions
stand, and then some more articles come at once. Seconds are of processor time, for the machine may be shared.
"""

import argparse
import tempfile
import time
from itertools import islice
from pathlib import Path

from service.engine import Engine
from service.evaluation.judgments import Judgments
from service.questions import Book, Matcher, ask


def main() -> None:
    """Print a line for each number of new articles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("judgments", type=Path)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--articles", type=int, default=2000)
    parser.add_argument("--new", type=int, nargs="+", default=[1, 16, 256])
    given = parser.parse_args()
    judged = Judgments.read(given.judgments)
    drafts = iter(judged.drafts)
    with tempfile.TemporaryDirectory() as temporary, Engine.open(Path(temporary)) as engine:
        list(engine.add(islice(drafts, given.articles)))
        engine.library.load()
        book = Book(Path(temporary))
        for query in islice(judged.queries.values(), given.questions):
            ask(book, engine.library, query)
        matcher = Matcher(engine, book)
        list(engine.add(islice(drafts, 1)))
        began = time.process_time()
        matcher.run()
        print(f"first look, {given.questions} questions encoded: {time.process_time() - began:.2f} s")
        for count in given.new:
            began = time.process_time()
            list(engine.add(islice(drafts, count)))
            added, began = time.process_time() - began, time.process_time()
            found = matcher.run()
            seconds = time.process_time() - began
            each = f"{1000 * seconds / given.questions:.1f} ms a question, {1000 * seconds / count:.0f} ms an article"
            print(f"{count} new, added in {added:.2f} s: held against all in {seconds:.2f} s ({each}), {found} matches")


if __name__ == "__main__":
    main()
