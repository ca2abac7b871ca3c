"""What the command line shows: one clear line for a failure, a bar for long work, hits and tables."""

import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, ParamSpec

import typer

from service.errors import ServiceError

if TYPE_CHECKING:
    from rich.console import Console

    from index import Count, Hit
    from service.why import Explanation

P = ParamSpec("P")

# How likely it is that a passage answers, in words, from so much relevance on; the page says the same.
WORDS = ((0.75, "very likely"), (0.5, "likely"), (0.25, "perhaps"), (0.0, "unlikely"))
CELLS = 5

# How many pairs of words are shown of an explanation, the nearest first.
PAIRS = 5

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def clean(text: str) -> str:
    """Return text without control characters, which a terminal would obey."""
    return _CONTROL.sub(" ", text)


def say(text: str) -> None:
    """Tell something that is not the answer: a line on standard error."""
    sys.stderr.write(clean(text) + "\n")
    sys.stderr.flush()


def out(text: str) -> None:
    """Print a line of the answer, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def stop(reason: str, code: int = 1) -> NoReturn:
    """End the command with one line on standard error."""
    say(f"dragoman: {' '.join(reason.split())}")
    raise typer.Exit(code)


def told(command: Callable[P, None]) -> Callable[P, None]:
    """Let a command end in one clear line and exit code 1 where it fails, without a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            stop("interrupted")
        except Exception as error:
            if _known(error):
                stop(str(error))
            if sys.flags.dev_mode:
                raise
            stop(f"failed unexpectedly ({type(error).__name__}: {error}); PYTHONDEVMODE=1 shows where")

    return wrapped


def _known(error: Exception) -> bool:
    """Return whether the message of an error is meant for the user."""
    if isinstance(error, ServiceError):
        return True
    from embed.errors import EmbedError
    from index.errors import LibraryError

    return isinstance(error, EmbedError | LibraryError)


@contextmanager
def bar() -> Iterator[Callable[[str, float], None] | None]:
    """Give a function that shows a stage and its fraction done (0..1), or None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import Progress, TaskID

    with Progress(console=_console(stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, fraction: float) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=1.0)
            progress.update(tasks[stage], completed=fraction)

        yield show


class Adding:
    """How far `add` has come: a bar on a terminal, else, or where `lines` are wanted, one an article; none for JSON."""

    def __init__(self, total: int | None, quiet: bool, lines: bool = False) -> None:
        self._lines = lines or (not quiet and not sys.stdout.isatty())
        self._progress = None
        if not self._lines and sys.stderr.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("adding articles"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[passages]} passages"),
                TimeRemainingColumn(),
                console=_console(stderr=True),
                transient=True,
            )
            self._task = self._progress.add_task("adding", total=total, passages=0)
            self._passages = 0

    def encoded(self, passages: int) -> None:
        """Tell that more passages are encoded."""
        if self._progress:
            self._passages += passages
            self._progress.update(self._task, passages=self._passages)

    def kept(self, action: str, article_id: str, passages: int, language: str) -> None:
        """Tell that an article is durable."""
        if self._lines:
            out(f"{action} {clean(article_id)} ({passages} passages, {language})")
        elif self._progress:
            self._progress.advance(self._task)

    def passed(self, action: str, where: str, reason: str) -> None:
        """Tell that something was refused or skipped, and why."""
        if self._progress:
            self._progress.advance(self._task)
            self._progress.console.print(clean(f"{action} {where}: {reason}"), markup=False, highlight=False)
        else:
            say(f"{action} {where}: {reason}")

    def __enter__(self) -> "Adding":
        if self._progress:
            self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._progress:
            self._progress.stop()


def likely(relevance: float) -> str:
    """Return a relevance in words."""
    return next(word for least, word in WORDS if relevance >= least)


def print_verdict(relevance: float | None, found: bool | None, hits: Sequence["Hit"]) -> None:
    """Say plainly where nothing answers."""
    if found is False:
        perhaps = relevance is not None and likely(relevance) == "perhaps"
        nothing = "Perhaps nothing here answers this" if perhaps else "Nothing here answers this"
        out(f"{nothing}; the nearest passages are:\n" if hits else f"{nothing}.")
    elif not hits:
        out("No passage is as relevant as that.")


def print_facets(facets: Mapping[str, Sequence["Count"]]) -> None:
    """Print how many passages have each value of each facet."""
    print_rows(
        [(name, ", ".join(f"{each.value} {each.passages}" for each in facets[name]) or "none") for name in facets]
    )


def print_hits(
    hits: Sequence["Hit"], explanations: Sequence["Explanation | None"] | None = None, query: str = ""
) -> None:
    """Print hits for people: rank, relevance, language, title and source, the passage's id, and the passage.

    Where a hit is explained, the words of the `query` that are nearest to one of its are listed below it, and those of
    its own that they met stand between asterisks.
    """
    from rich.text import Text

    console = _console()
    for hit, why in zip(hits, explanations or [None] * len(hits), strict=True):
        article = hit.article
        score = f"({hit.similarity:.2f})"
        if hit.relevance is not None:
            filled = round(CELLS * hit.relevance)
            score = f"{hit.relevance:.2f} {'▰' * filled}{'▱' * (CELLS - filled)} {likely(hit.relevance)}"
        head = Text(f"{hit.rank:>2}  ", style="bold")
        head.append(f"{score}  {article.language}  ", style="cyan")
        head.append(clean(article.title or article.id), style="bold")
        about = [clean(fact) for fact in (article.source, article.published_at, article.url) if fact]
        head.append("".join(f"  {fact}" for fact in [*about, hit.passage.id]), style="dim")
        console.print(head, soft_wrap=True)
        text, origin = hit.passage.text, hit.passage.start
        pairs = sorted(why.words, key=lambda met: -met.cosine)[:PAIRS] if why else []
        for start, end in sorted({met.passage for met in pairs}, reverse=True):
            text = f"{text[: start - origin]}*{text[start - origin : end - origin]}*{text[end - origin :]}"
        met_words = [
            f"{query[slice(*met.query)]} → {article.text[slice(*met.passage)]} {met.cosine:.2f}" for met in pairs
        ]
        for line in (text, *met_words):
            for row in Text(clean(line)).wrap(console, max(20, console.width - 4)):
                out("    " + row.plain.rstrip())
        if hit.passages:
            out(f"    and {len(hit.passages)} more of this article")
        for other in hit.sources:
            facts = (other.article.language, other.article.title or other.article.id, other.article.source)
            out("    also in  " + "  ".join(clean(fact) for fact in facts if fact))
        out("")


def print_rows(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        out(f"{name:<{width}}  {clean(value)}")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, its first column to the left and the others to the right."""
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _console().print(table)


def _console(stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)
