"""Questions, rankings and grades as files for those who evaluate elsewhere, in the forms of trec_eval.

A line of a run is `question Q0 article rank score tag`. The score counts down to 1 and tells the order, which is all
that trec_eval takes of it; relevance would not do, for its order is another (docs/ranking.md).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from service.errors import InvalidJudgments
from service.wire import spoken

TAG = "dragoman"
_SPACE = re.compile(r"\s")


def queries(path: Path) -> dict[str, str]:
    """Return the questions of a file by id, in their order: JSON lines with `_id` (or `id`) and `text`, as in BEIR, or
    an id, a tab and the question a line. Raises InvalidJudgments naming the line.
    """
    found: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise InvalidJudgments(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise InvalidJudgments(f"{path} is not UTF-8 ({error}).") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            identity, text = _question(line.strip())
        except ValueError as error:
            raise InvalidJudgments(f"{path}, line {number}: {error}.") from None
        if identity in found:
            raise InvalidJudgments(f"{path}, line {number}: there is a question {identity!r} already.")
        found[identity] = text
    if not found:
        raise InvalidJudgments(f"{path} holds no question.")
    return found


def run(rankings: Mapping[str, Sequence[str]], tag: str = TAG) -> Iterator[str]:
    """Yield the lines of a run file; `rankings` holds by question the ids of its articles, best first.

    Raises InvalidJudgments for an id with white space, which such a file cannot hold.
    """
    for question, articles in rankings.items():
        for rank, article in enumerate(articles, 1):
            told = word(question), "Q0", word(article), str(rank), str(len(articles) - rank + 1), tag
            yield " ".join(told)


def qrels(grades: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Yield the lines of a file of grades, `question 0 article grade`; raises as `run`."""
    for question, judged in grades.items():
        for article, grade in judged.items():
            yield f"{word(question)} 0 {word(article)} {grade}"


def write(path: Path, lines: Iterable[str]) -> None:
    """Write a file; raises InvalidJudgments where that cannot be done."""
    try:
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise InvalidJudgments(f"{path} cannot be written: {error.strerror}.") from None


def word(identity: str) -> str:
    """Return an id; raises InvalidJudgments where white space would cut it in two."""
    if not identity or _SPACE.search(identity):
        raise InvalidJudgments(f"The id {identity!r} has white space, which a TREC file cannot hold: give it another.")
    return identity


def _question(line: str) -> tuple[str, str]:
    if line.startswith("{"):
        told = json.loads(line)
        identity, text = told.get("_id", told.get("id")), told.get("text")
    else:
        identity, _, text = line.partition("\t")
    if not isinstance(identity, str | int) or not isinstance(text, str) or not text.strip():
        raise ValueError('a question has an id and a text: {"_id": "1", "text": "..."}, or 1, a tab, and the text')
    return str(identity), spoken(text)
