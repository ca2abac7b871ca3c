"""New articles held against the standing questions: each once, by the relevance that a search gives."""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from embed import normalise
from index import AnyLibrary, Hit, NotCalibrated, parse_filter
from service.engine import LIKELY, Engine, Prepared, with_codes
from service.errors import BookUnreadable
from service.questions.book import PATIENCE, Book, Question
from service.questions.webhooks import new_secret

# Articles that are held against the questions at once, and written down in one transaction.
TOGETHER = 256


def ask(
    book: Book,
    library: AnyLibrary,
    query: str,
    *,
    min_relevance: float = LIKELY,
    query_language: str | None = None,
    languages: Sequence[str] = (),
    filter: Mapping[str, Any] | None = None,
    webhook: str | None = None,
    private: bool = False,
) -> Question:
    """Write down a standing question over what comes from now on; return it, with the secret of its webhook.

    Raises NotCalibrated for a model whose relevance is not known, `index.InvalidFilter`, `embed.UnknownLanguage`,
    BookUnreadable.
    """
    if not library.calibrated:
        raise NotCalibrated(f"Relevance is not known for the model {library.model!r}, so no match can be told by it.")
    parse_filter(with_codes(filter), [normalise(language) for language in languages])
    if query_language is not None:
        normalise(query_language)
    question = Question(
        secrets.token_hex(8),
        query,
        datetime.now(UTC).isoformat(timespec="seconds"),
        min_relevance,
        query_language,
        languages,
        filter,
        webhook,
        new_secret() if webhook else None,
        private,
    )
    # Not while a pass is under way: it would leave the question out of what it looks at now.
    with book.alone("matching", PATIENCE) as mine:
        if not mine:
            raise BookUnreadable("New articles are being looked through, and that takes long: try again.")
        at = library.change()
        book.add(question, at, () if book.all() else library.contents())
    return question


class Matcher:
    """Looks through what came into an engine's library. Each question is encoded once."""

    def __init__(self, engine: Engine, book: Book) -> None:
        self._engine = engine
        self._book = book
        self._prepared: dict[str, Prepared] = {}

    def run(self, seconds: float = 0.0) -> int:
        """Hold all that is new against all questions; return how many matches are new.

        Where another process or thread does that, it is waited for so many seconds, and then left to it. Raises
        BookUnreadable, and what the library raises.
        """
        if not self._book.exists or not self._book.all():
            return 0
        with self._book.alone("matching", seconds) as mine:
            return sum(self._passes()) if mine else 0

    def _passes(self) -> Iterator[int]:
        """Yield how many matches each pass found, until there is nothing new."""
        library = self._engine.library
        while questions := self._book.all():
            looked = self._book.looked()
            told = None if looked is None else library.written_since(looked, TOGETHER)
            if told is None:
                yield from self._anew(questions)
                continue
            written, upto = told
            if upto == looked:
                return
            found = {
                each.id: self._judged(each, [id for id, change in written.items() if change > each.since])
                for each in questions
            }
            yield self._book.record(found, written, upto, **_now())

    def _anew(self, questions: Sequence[Question]) -> Iterator[int]:
        """Look through a library whose history is another one (restored, imported, or gone over to another model): at
        the articles that were never looked at.
        """
        library = self._engine.library
        upto = library.change()
        waiting = iter(self._book.unconsidered(library.contents()))
        while some := list(islice(waiting, TOGETHER)):
            yield self._book.record({each.id: self._judged(each, some) for each in questions}, some, None, **_now())
        yield self._book.record({}, (), upto, anew=True, **_now())

    def _judged(self, question: Question, article_ids: Sequence[str]) -> list[Hit]:
        if not article_ids:
            return []
        if question.id not in self._prepared:
            self._prepared[question.id] = self._engine.prepare(question.query, question.query_language)
        return self._engine.best_of(
            self._prepared[question.id],
            article_ids,
            min_relevance=question.min_relevance,
            languages=question.languages,
            filter=question.filter,
        )


def _now() -> dict[str, Any]:
    return {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "now": time.time()}
