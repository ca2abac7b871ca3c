"""The book of standing questions: which there are, what matched each, and what was told of it. One SQLite file.

It lies in the library's data folder and belongs to no generation of the library, so it stays when another serves.
A pass over new articles is one transaction: their matches, the deliveries that these call for, and how far the library
has been looked through. Killed before it, the pass is made again; killed after it, it is not.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from index import Change, Hit
from service.errors import BookUnreadable, QuestionUnknown

FILE = "questions.sqlite"
VERSION = 1

# Seconds that somebody who changes the book waits for a pass that is under way.
PATIENCE = 60.0

TABLES = """
CREATE TABLE questions (
    id TEXT PRIMARY KEY, query TEXT NOT NULL, query_language TEXT, languages TEXT NOT NULL, filter TEXT,
    min_relevance REAL NOT NULL, webhook TEXT, secret TEXT, private INTEGER NOT NULL, since INTEGER NOT NULL,
    created_at TEXT NOT NULL
);
-- An article matches a question once, whatever becomes of it afterwards.
CREATE TABLE matches (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    question TEXT NOT NULL REFERENCES questions (id) ON DELETE CASCADE,
    article TEXT NOT NULL, found_at TEXT NOT NULL, printed INTEGER NOT NULL DEFAULT 0, told TEXT NOT NULL,
    UNIQUE (question, article)
);
CREATE INDEX matches_unprinted ON matches (number) WHERE NOT printed;
CREATE TABLE deliveries (
    match INTEGER PRIMARY KEY REFERENCES matches (number) ON DELETE CASCADE,
    state TEXT NOT NULL, attempts INTEGER NOT NULL, due REAL NOT NULL, error TEXT
);
CREATE INDEX deliveries_due ON deliveries (due) WHERE state = 'pending';
-- How far the library has been looked through: up to a change, and which articles, for when its history is another.
CREATE TABLE looked (number INTEGER NOT NULL, mark BLOB NOT NULL);
CREATE TABLE considered (article BLOB PRIMARY KEY) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Question:
    """A standing question, and what is to be told of it: as a search takes them, with a least relevance (0..1).

    `webhook` is told of each match, signed with `secret`; with `private` it may be at a host that is not public.
    `since` is the number of the library's change at which it was asked; what was written up to then is not new.
    """

    id: str
    query: str
    created_at: str
    min_relevance: float
    query_language: str | None = None
    languages: Sequence[str] = ()
    filter: Mapping[str, Any] | None = None
    webhook: str | None = None
    secret: str | None = field(default=None, repr=False)
    private: bool = False
    since: int = 0


@dataclass(frozen=True, slots=True)
class Match:
    """A new article that answers a question: its number, in the order of finding, a lasting id, when it was found
    (ISO 8601), and `told`, what is said of article and passage.
    """

    number: int
    id: str
    question: str
    found_at: str
    told: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A match that a webhook is to be told, and how often that was tried."""

    match: Match
    question: Question
    attempts: int


class Book:
    """The book of the library in `folder`. Safe to use from many threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._folder = folder

    @property
    def exists(self) -> bool:
        """Return whether anything was ever written down."""
        return self.path.exists()

    @contextmanager
    def alone(self, what: str, seconds: float) -> Iterator[bool]:
        """Be the only one who does `what`, and say whether that is so; waits at most so many seconds for it."""
        lock = FileLock(self._folder / f"questions.{what}.lock", thread_local=False, mode=0o600)
        try:
            lock.acquire(timeout=seconds)
        except Timeout:
            yield False
            return
        except OSError as error:
            raise BookUnreadable(f"{self._folder} cannot be written to ({error.strerror}).") from None
        try:
            yield True
        finally:
            lock.release()

    # Questions

    def all(self) -> list[Question]:
        """Return the questions in the order in which they were asked."""
        if not self.exists:
            return []
        with self._connection() as connection:
            return _questions(connection.execute("SELECT * FROM questions ORDER BY rowid"))

    def get(self, question_id: str) -> Question:
        """Return a question; raises QuestionUnknown."""
        for each in self.all():
            if each.id == question_id:
                return each
        raise QuestionUnknown(f"There is no standing question {question_id!r}; `dragoman questions list` tells them.")

    def add(self, question: Question, at: Change, present: Iterable[str]) -> None:
        """Write a question down; the caller is `alone` in matching.

        `at` is the library's last change. Where there was no question before, new is what comes after it; `present` are
        then the ids of all articles that are there.
        """
        with self._connection() as connection:
            if not connection.execute("SELECT 1 FROM questions").fetchone():
                connection.execute("DELETE FROM considered")
                _consider(connection, present)
                _look(connection, at)
            connection.execute(
                "INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    question.id,
                    question.query,
                    question.query_language,
                    json.dumps(list(question.languages)),
                    None if question.filter is None else json.dumps(dict(question.filter)),
                    question.min_relevance,
                    question.webhook,
                    question.secret,
                    question.private,
                    at.number,
                    question.created_at,
                ),
            )

    def remove(self, question_id: str) -> None:
        """Forget a question and all its matches; raises QuestionUnknown."""
        self.get(question_id)
        with self._connection() as connection:
            connection.execute("DELETE FROM questions WHERE id = ?", (question_id,))

    # Matching

    def looked(self) -> Change | None:
        """Return the change up to which the library has been looked through."""
        with self._connection() as connection:
            found = connection.execute("SELECT number, mark FROM looked").fetchone()
        return None if found is None else Change(*found)

    def unconsidered(self, article_ids: Iterable[str]) -> list[str]:
        """Return which articles have never been looked at."""
        with self._connection() as connection:
            known = {key for (key,) in connection.execute("SELECT article FROM considered")}
        return [each for each in article_ids if _key(each) not in known]

    def record(
        self,
        found: Mapping[str, Sequence[Hit]],
        considered: Iterable[str],
        upto: Change | None,
        *,
        at: str,
        now: float,
        anew: bool = False,
    ) -> int:
        """Write down, in one transaction, what matched (by question), what was looked at, and how far; return how many
        matches are new.

        `at` is the time as it is told, `now` as the clock has it (seconds). `anew` says that the library's history is
        another one, from which on the questions have been there from its beginning.
        """
        new = 0
        with self._connection() as connection:
            webhooks = dict(connection.execute("SELECT id, webhook FROM questions"))
            for question, hits in found.items():
                for hit in hits if question in webhooks else ():
                    written = connection.execute(
                        "INSERT INTO matches (id, question, article, found_at, told) VALUES (?, ?, ?, ?, ?)"
                        " ON CONFLICT DO NOTHING RETURNING number",
                        (identity(question, hit.article.id), question, hit.article.id, at, json.dumps(_told(hit))),
                    ).fetchone()
                    if written:
                        new += 1
                        if webhooks[question]:
                            connection.execute(
                                "INSERT INTO deliveries VALUES (?, 'pending', 0, ?, NULL)", (written[0], now)
                            )
            _consider(connection, considered)
            if upto is not None:
                _look(connection, upto)
            if anew:
                connection.execute("UPDATE questions SET since = -1")
        return new

    def matches(self, question_id: str, *, after: int = 0, limit: int = 100) -> list[Match]:
        """Return what matched a question after the match of a number, at most so many, in the order of finding."""
        with self._connection() as connection:
            return _matches(
                connection.execute(
                    f"SELECT {MATCH} FROM matches WHERE question = ? AND number > ? ORDER BY number LIMIT ?",
                    (question_id, after, limit),
                )
            )

    def latest(self, question_id: str, limit: int = 100) -> list[Match]:
        """Return what matched a question last, the last first."""
        with self._connection() as connection:
            return _matches(
                connection.execute(
                    f"SELECT {MATCH} FROM matches WHERE question = ? ORDER BY number DESC LIMIT ?", (question_id, limit)
                )
            )

    def unprinted(self, limit: int = 100) -> list[Match]:
        """Return what was not yet told on the command line, in the order of finding."""
        with self._connection() as connection:
            told = f"SELECT {MATCH} FROM matches WHERE NOT printed ORDER BY number LIMIT ?"
            return _matches(connection.execute(told, (limit,)))

    def printed(self, matches: Sequence[Match]) -> None:
        """Write down that these were told on the command line."""
        with self._connection() as connection:
            connection.executemany(
                "UPDATE matches SET printed = 1 WHERE number = ?", [(each.number,) for each in matches]
            )

    # Deliveries

    def due(self, now: float, limit: int = 100) -> list[Delivery]:
        """Return what webhooks are to be told by now, the longest due first."""
        questions = {each.id: each for each in self.all()}
        with self._connection() as connection:
            rows = connection.execute(
                f"SELECT attempts, {MATCH} FROM deliveries JOIN matches ON matches.number = deliveries.match"
                " WHERE state = 'pending' AND due <= ? ORDER BY due, number LIMIT ?",
                (now, limit),
            ).fetchall()
        found = zip(_matches(row[1:] for row in rows), (row[0] for row in rows), strict=True)
        return [
            Delivery(match, questions[match.question], tried) for match, tried in found if match.question in questions
        ]

    def delivered(self, delivery: Delivery) -> None:
        """Write down that a webhook has taken a match."""
        self._settle(delivery, "delivered", 0.0, None)

    def failed(self, delivery: Delivery, error: str, again: float | None) -> None:
        """Write down that it has not, and when it is tried again; None for never."""
        self._settle(delivery, "failed" if again is None else "pending", again or 0.0, error)

    def figures(self) -> dict[str, dict[str, Any]]:
        """Return by question how many matches it has, how many deliveries are in which state, and the last error."""
        found: dict[str, dict[str, Any]] = {
            each.id: {"matches": 0, "pending": 0, "delivered": 0, "failed": 0, "error": None} for each in self.all()
        }
        if not self.exists:
            return found
        with self._connection() as connection:
            for question, state, count, error in connection.execute(
                "SELECT question, state, count(*), max(error) FROM matches LEFT JOIN deliveries"
                " ON deliveries.match = matches.number GROUP BY question, state"
            ):
                if question in found:
                    found[question]["matches"] += count
                    if state is not None:
                        found[question][state] = count
                        found[question]["error"] = error or found[question]["error"]
        return found

    def _settle(self, delivery: Delivery, state: str, due: float, error: str | None) -> None:
        with self._connection() as connection:
            connection.execute(
                "UPDATE deliveries SET state = ?, attempts = ?, due = ?, error = ? WHERE match = ?",
                (state, delivery.attempts + 1, due, error, delivery.match.number),
            )

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Give a connection in a transaction, which is on disk when the block ends."""
        try:
            if not self.exists:
                # Secrets are in it: only its owner may read it.
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            with closing(sqlite3.connect(self.path, timeout=30.0, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("BEGIN IMMEDIATE")
                _prepare(connection, self.path)
                yield connection
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise BookUnreadable(
                f"{self.path} cannot be read or written ({error}): see to its permissions and its disk, or move it away"
                " and ask the questions again."
            ) from error


MATCH = "matches.number, matches.id, matches.question, matches.found_at, matches.told"


def identity(question_id: str, article_id: str) -> str:
    """Return the id of a match, the same whenever and wherever it is found."""
    return "match_" + hashlib.blake2b(json.dumps([question_id, article_id]).encode(), digest_size=12).hexdigest()


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise BookUnreadable(f"{path} was written by a newer version of Dragoman: upgrade it.")
    if version == 0:
        for statement in TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _look(connection: sqlite3.Connection, upto: Change) -> None:
    connection.execute("DELETE FROM looked")
    connection.execute("INSERT INTO looked VALUES (?, ?)", (upto.number, upto.mark))


def _consider(connection: sqlite3.Connection, article_ids: Iterable[str]) -> None:
    connection.executemany("INSERT OR IGNORE INTO considered VALUES (?)", ((_key(each),) for each in article_ids))


def _key(article_id: str) -> bytes:
    return hashlib.blake2b(article_id.encode(errors="surrogatepass"), digest_size=8).digest()


def _told(hit: Hit) -> dict[str, Any]:
    article, passage = hit.article, hit.passage
    return {
        "article_id": article.id,
        "title": article.title,
        "language": article.language,
        "url": article.url,
        "source": article.source,
        "published_at": article.published_at,
        "passage_id": passage.id,
        "text": passage.text,
        "start": passage.start,
        "end": passage.end,
        "relevance": hit.relevance,
        "similarity": hit.similarity,
    }


def _questions(rows: Iterable[Sequence[Any]]) -> list[Question]:
    found = []
    for id, query, spoken, languages, filter, least, webhook, secret, private, since, created in rows:
        told = None if filter is None else json.loads(filter)
        asked = spoken, json.loads(languages), told, webhook, secret, bool(private), since
        found.append(Question(id, query, created, least, *asked))
    return found


def _matches(rows: Iterable[Sequence[Any]]) -> list[Match]:
    return [Match(number, id, question, at, json.loads(told)) for number, id, question, at, told in rows]
