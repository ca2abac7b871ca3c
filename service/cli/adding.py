"""What `add` does with what it finds: adds it, tells of it, and sums up."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.cli.terminal import Adding
from service.reading import Draft, Refusal, Skipped, count, read_lines, read_path
from service.settings import Settings

if TYPE_CHECKING:
    from service.engine import Engine
    from service.pools import Outcome

ACTIONS = ("added", "replaced", "unchanged")
# So many pages are added together: others may write to the library while the next ones are fetched.
PAGES_AT_ONCE = 8

Found = Draft | Refusal | Skipped
Adds = Callable[[Iterator[Draft], Callable[[int], None]], "Iterable[Outcome]"]


@dataclass(slots=True)
class Intake:
    """Adds what is found, with the language and the source that the command line gives, and keeps what became of it.

    `adds` adds articles in another way than the engine does by itself.
    """

    engine: "Engine"
    progress: Adding
    language: str | None = None
    source: str | None = None
    adds: Adds | None = None
    articles: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)

    def add(self, found: Iterable[Found]) -> list[str]:
        """Add the articles in what is found; return their ids, of those that were there already too."""
        ids = []
        adds = self.adds or self.engine.add
        for outcome in adds(self._drafts(found), self.progress.encoded):
            ids.append(outcome.article_id)
            self.articles.append(
                {
                    "id": outcome.article_id,
                    "action": outcome.action,
                    "passages": outcome.passages,
                    "language": outcome.language,
                }
            )
            self.progress.kept(outcome.action, outcome.article_id, outcome.passages, outcome.language)
        return ids

    def counts(self) -> dict[str, int]:
        """Return how many articles were added, replaced, and there already, unchanged."""
        return {action: sum(each["action"] == action for each in self.articles) for action in ACTIONS}

    def every(self) -> dict[str, int]:
        """Return how many of everything there was."""
        return {**self.counts(), "skipped": len(self.skipped), "refused": len(self.refused)}

    def report(self) -> dict[str, Any]:
        """Return all that there is to tell, for programs."""
        return {**self.counts(), "skipped": self.skipped, "refused": self.refused, "articles": self.articles}

    def _drafts(self, found: Iterable[Found]) -> Iterator[Draft]:
        for each in found:
            if isinstance(each, Draft) and (reason := _unusable(each)):
                each = Refusal(each.where, reason)
            if isinstance(each, Draft):
                yield replace(each, language=self.language or each.language, source=self.source or each.source)
                continue
            kept, action = (self.refused, "refused") if isinstance(each, Refusal) else (self.skipped, "skipped")
            kept.append({"where": each.where, "reason": each.reason})
            self.progress.passed(action, each.where, each.reason)


def sentence(counts: Mapping[str, int]) -> str:
    """Return counts in one line."""
    return ", ".join(f"{number} {action}" for action, number in counts.items() if number)


def is_address(path: str) -> bool:
    """Return whether something to be added is on the web."""
    return path.lower().startswith(("http://", "https://"))


def expected(paths: list[str]) -> int | None:
    """Return about how many articles there will be; None where it cannot be known."""
    if any(path == "-" or is_address(path) for path in paths):
        return None
    return sum(count(Path(path)) for path in paths)


def found_at(paths: list[str], settings: Settings, engine: "Engine", pages: int) -> Iterator[Iterable[Found]]:
    """Yield what is found at paths and addresses, in parts that are to be added one after another."""
    local = [path for path in paths if not is_address(path)]
    if local:
        yield _local(local, settings.max_article_bytes)
    if len(local) < len(paths):
        # What fetches is loaded when there is something to be fetched.
        from service.fetching import Fetcher, Visits, Web

        hosts = frozenset(settings.private_hosts)
        fetcher = Fetcher(limit=settings.max_article_bytes, private_hosts=hosts)
        web = Web(fetcher, Visits(settings.visits_path, engine.has), settings.max_article_bytes)
        for address in filter(is_address, paths):
            found = web.read(address, pages)
            while part := list(islice(found, PAGES_AT_ONCE)):
                yield part


def _local(paths: list[str], limit: int) -> Iterator[Found]:
    for path in paths:
        if path == "-":
            yield from read_lines(sys.stdin.buffer, "standard input", limit)
        else:
            yield from read_path(Path(path), limit)


def _unusable(draft: Draft) -> str | None:
    """Return why a draft cannot be added, if so: its language is none."""
    from embed import UnknownLanguage, normalise

    try:
        if draft.language is not None:
            normalise(draft.language)
    except UnknownLanguage as error:
        return str(error)
    return None
