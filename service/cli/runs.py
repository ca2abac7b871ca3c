"""`dragoman search --queries`: the rankings of many questions as one run file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from index import Mode, parse_filter
from service.cli.terminal import out
from service.evaluation import trec

if TYPE_CHECKING:
    from service.engine import Engine

# Questions that are ranked at once.
BATCH = 256


def print_run(
    engine: "Engine",
    path: Path,
    limit: int,
    languages: Sequence[str],
    mode: Mode,
    progress: Callable[[str, float], None] | None,
) -> None:
    """Print the best articles, at most `limit`, of every question in a file, as `dragoman evaluate` ranks them.

    Raises InvalidJudgments for a file that holds none, or for ids that cannot be told in a run.
    """
    asked = list(trec.queries(path).items())
    where = parse_filter(None, languages) if languages else None
    for start in range(0, len(asked), BATCH):
        some = asked[start : start + BATCH]
        questions = engine.questions([text for _, text in some])
        (lists,) = engine.rank(questions, limit, [where], mode)
        for line in trec.run(dict(zip([identity for identity, _ in some], lists, strict=True))):
            out(line)
        if progress:
            progress("ranking", min(1.0, (start + len(some)) / len(asked)))
