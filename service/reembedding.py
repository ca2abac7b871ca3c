"""A library encoded anew with another model, beside the one that serves: built, compared, switched to, and back.

What is to be done is told by comparing the two, article by article, by their content. So it does not matter when it was
interrupted, nor what was added, replaced or deleted meanwhile, nor which of the two is ahead: what differs is done.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from index import AnyLibrary, ArticleNotFound, Library, Mode, generations
from service.engine import Engine
from service.errors import ReembeddingFailed
from service.evaluation import compare_engines
from service.pools import as_draft
from service.reading import Draft

Advance = Callable[[str, float], None]
Opened = Callable[[], Engine]
Source = Callable[[], Library]

# How long the switch waits for a write that is under way, in seconds.
PATIENCE = 60.0

# How often the two are compared while others may write: somebody always may, and the switch does the rest.
ROUNDS = 10


def reembed(data: Path, open_source: Source, open_other: Opened, progress: Advance | None = None) -> int:
    """Encode all that is stored with the other generation's model; return how many articles were to be done.

    The generation that serves goes on, and is only read. Killed half way it goes on from what is done. Raises
    ReembeddingFailed where the model is the one that serves, LibraryBusy where another does it, DamagedLibrary.
    """
    with generations.alone(data), open_source() as source:
        fresh = generations.read(data).other is None
        generations.begin(data)
        try:
            engine = open_other()
        except BaseException:
            if fresh:
                generations.discard(data)
            raise
        with engine:
            other = engine.library
            if (other.model, other.fingerprint) != (source.model, source.fingerprint):
                return follow(source, engine, progress)
        if fresh:
            generations.discard(data)
        raise ReembeddingFailed(f"{data} is encoded with {source.model!r}, this very version of it, already.")


def follow(source: AnyLibrary, engine: Engine, progress: Advance | None = None) -> int:
    """Do what the library of `engine` lacks of `source` until they hold the same; return how many articles differed.

    Where somebody writes to `source` all the while, some may differ still.
    """
    other, done = engine.library, 0
    left: dict[str, str] = {}
    for _ in range(ROUNDS):
        wanted, there = source.contents(), other.contents()
        todo = {id: told[0] for id, told in wanted.items() if id not in there or there[id][0] != told[0]}
        gone = [id for id in there if id not in wanted]
        if not todo and not gone:
            return done
        if todo and todo == left:
            raise ReembeddingFailed(f"{len(todo)} articles cannot be encoded anew, {next(iter(todo))!r} among them.")
        for id in gone:
            other.delete(id)
        for number, _outcome in enumerate(engine.add(_drafts(source, list(todo)), serving=True), 1):
            if progress:
                progress("encoding anew", min(1.0, number / len(todo)))
        left, done = todo, done + len(todo) + len(gone)
    return done


def cut_over(data: Path, open_source: Source, open_other: Opened, progress: Advance | None = None) -> int:
    """Let the other generation serve, and keep the one that serves beside it; return how many articles differed still.

    It is brought up to date and verified first, then again while nobody can write, and then the switch is one step.
    A server that has the old one open goes over by itself (`service.web.current`).
    Raises ReembeddingFailed where it does not verify, LibraryBusy, LibraryAbsent.
    """
    with generations.alone(data):
        generations.folder(data, "other")
        with open_source() as source, open_other() as engine:
            done = follow(source, engine, progress)
            if problems := engine.library.verify():
                told = "; ".join(f"{each.where} {each.what}" for each in problems[:3])
                raise ReembeddingFailed(f"The other generation is not sound ({told}): discard it, and encode anew.")
            with source.writing(PATIENCE):
                done += follow(source, engine, progress)
                if source.contents() != engine.library.contents():
                    raise ReembeddingFailed("The other generation does not come to hold the same: encode anew.")
                generations.switch(data)
        return done


def back(data: Path, open_source: Source, open_other: Opened, progress: Advance | None = None) -> int:
    """Let the generation serve again that served before, brought up to date with its own model; as `cut_over`."""
    if not generations.read(data).served:
        raise ReembeddingFailed("There is no way back: the other generation, if there is one, has never served.")
    return cut_over(data, open_source, open_other, progress)


def discard(data: Path) -> None:
    """Remove the generation that does not serve, for good. Raises LibraryAbsent, LibraryBusy."""
    generations.folder(data, "other")
    with generations.alone(data):
        generations.discard(data)


def changes(
    judgments: Path,
    open_engines: Sequence[Opened],
    *,
    mode: Mode = "hybrid",
    progress: Advance | None = None,
    report: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Return what changes on judgments of the library's own articles: the measures of both generations, `a` the one
    that serves and `b` the other, and their `comparison` (`service.evaluation.comparison`).
    """
    with open_engines[0]() as a, open_engines[1]() as b:
        return compare_engines(judgments, (a, b), mode=mode, progress=progress, report=report)


def _drafts(source: AnyLibrary, ids: Sequence[str]) -> Iterator[Draft]:
    """Yield articles as they are now; one that was deleted meanwhile is left out."""
    for id in ids:
        try:
            yield as_draft(source.get(id))
        except ArticleNotFound:
            continue
