"""What can be wrong with a library: with an article before it is stored, and with what is stored."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index import changes, snapshots, tables, warmth
from index.changes import Rows
from index.dates import interval
from index.dense import DenseIndex
from index.errors import DamagedLibrary, LibraryError
from index.records import Article, Passage, Problem
from index.recovery import Space
from index.snapshots import SNAPSHOT, UNFINISHED, BrokenSnapshot
from index.store import Store
from index.tables import ARTICLE, StoredPassage, Vectors

Project = Callable[[Vectors, Sequence[str]], Vectors]
Advance = Callable[[float], None]

# A vector's length may be off by this: half precision leaves some 1e-3 where a model normalises in it.
UNIT_TOLERANCE = 5e-3

# A projected vector may differ by this from the same one projected among others.
SAME = 1e-6

# Problems of one kind that are told one by one; where there are more, the library as a whole is lost.
MOST = 1000

# Articles that are looked at between two tellings of how far it is.
TELL = 256


def unstorable(article: Article, passages: Sequence[Passage]) -> str | None:
    """Return why an article and its passages cannot be stored, if they cannot."""
    strings = [article.id, article.text, article.title, article.language]
    strings += [given for given in (article.url, article.source, article.published_at) if given is not None]
    try:
        metadata = json.dumps(dict(article.metadata), ensure_ascii=False, allow_nan=False)
        for string in (*strings, metadata):
            string.encode()
    except UnicodeEncodeError:
        return "it holds half a character (a lone surrogate)"
    except (TypeError, ValueError, RecursionError) as error:
        return f"its metadata is not JSON ({error})"
    if not article.id:
        return "its id is empty"
    if article.published_at is not None:
        try:
            interval(article.published_at)
        except (ValueError, OverflowError):
            return f"its date {article.published_at[:50]!r} is not in the form of ISO 8601 (2023-01-31)"
    if len({passage.id for passage in passages}) < len(passages):
        return "two of its passages have the same id"
    for place, passage in enumerate(passages):
        if passage.article_id != article.id or passage.position != place:
            return f"passage {place} is of another article or at another position"
        if not 0 <= passage.start < passage.end <= len(article.text):
            return f"passage {place} is not a span of its text"
    return None


def unfit(vector: NDArray[np.float32], dim: int) -> str | None:
    """Return what is wrong with a vector, if something is."""
    if vector.shape != (dim,):
        return f"has {vector.shape} numbers where the library has {dim} dimensions"
    # Written so that a length that is no number is wrong too.
    if not abs(float(np.linalg.norm(vector)) - 1) < UNIT_TOLERANCE:
        return "is not of length 1"
    return None


def inspect(store: Store, dim: int, space: Space, project: Project) -> list[Problem]:
    """Return all that is wrong: in the database, row by row, in the snapshot, and in the index against the
    database.
    """
    problems = [*_files(store), *stored(store, dim)]
    if all(problem.repairable for problem in problems):
        problems += _index(store, dim, space, project)
    return problems


def stored(store: Store, dim: int, advance: Advance | None = None) -> list[Problem]:
    """Return all that is wrong in the database, row by row; `advance` is told how much of it is looked at, 0..1."""
    problems: list[Problem] = []
    try:
        with store.reading() as connection:
            problems += _database(connection)
            problems += _articles(connection, dim, advance)
            problems += _tokens(connection)
            problems += [
                Problem(f"warmth {what}", "is not what was written; the means do without it", True)
                for what in warmth.unsound(connection)
            ]
    except DamagedLibrary as error:
        problems.append(Problem("library.sqlite", str(error), False))
    return problems


def _files(store: Store) -> Iterator[Problem]:
    """Look at what lies beside the database."""
    try:
        snapshots.verify(store.folder)
    except (BrokenSnapshot, OSError) as error:
        yield Problem(
            SNAPSHOT,
            f"the snapshot is damaged: {error}; a search sets it aside and builds the index anew",
            True,
        )
    if not store.read_only and snapshots.unfinished(store.folder):
        yield Problem(UNFINISHED, "left by a process that was killed; opening the library removes it", True)


def _database(connection: sqlite3.Connection) -> Iterator[Problem]:
    """Ask SQLite."""
    for (told,) in connection.execute(f"PRAGMA integrity_check({MOST})"):
        if told != "ok":
            yield Problem("library.sqlite", str(told), False)
    for table, number, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield Problem(f"{table} {number}", f"refers to what is not in {parent}", False)


def _articles(connection: sqlite3.Connection, dim: int, advance: Advance | None) -> Iterator[Problem]:
    """Compare every article with its hash, and go through its passages."""
    (total,) = connection.execute("SELECT count(*) FROM articles").fetchone()
    every = connection.execute(f"SELECT {ARTICLE}, articles.published FROM articles")
    for done, columns in enumerate(every, 1):
        if advance and done % TELL == 0:
            advance(min(1.0, done / max(total, 1)))
        yield from _article(connection, columns, dim)


def _article(connection: sqlite3.Connection, stored: Sequence[Any], dim: int) -> Iterator[Problem]:
    """Compare an article, of the columns `ARTICLE` and `published`, with its hash, and go through its passages."""
    *columns, published = stored
    number, id, text = columns[:3]
    try:
        article = tables.read_article(columns)
        expected = None if article.published_at is None else interval(article.published_at)[0]
        if published != expected:
            yield Problem(f"article {id}", "is filed under another date than its own", False)
    except (DamagedLibrary, ValueError, TypeError):
        yield Problem(f"article {id}", "is not what was written", False)
    for position, passage in enumerate(tables.passages_of(connection, number)):
        for what in _passage(passage, position, str(id), len(str(text)), dim):
            yield Problem(f"passage {passage.id} of article {id}", what, False)


def whole(
    connection: sqlite3.Connection, article_id: str, dim: int, *, tokens: bool, ids: Sequence[str] | None = None
) -> bool:
    """Tell whether an article is what was written, its passages and what is kept of their token vectors too.

    With `tokens` each passage must have some. `ids` are those that its passages are to have; where they are not known,
    the last is to reach to the end of the text.
    """
    stored = connection.execute(
        f"SELECT {ARTICLE}, articles.published FROM articles WHERE id = ?", (article_id,)
    ).fetchone()
    if stored is None or any(True for _ in _article(connection, stored, dim)):
        return False
    passages, text = tables.passages_of(connection, stored[0]), stored[2]
    if ids is None and text[passages[-1].end if passages else 0 :].strip():
        return False
    if ids is not None and [passage.id for passage in passages] != list(ids):
        return False
    rows = [passage.row for passage in passages]
    if not tables.keeps_tokens(connection):
        return not tokens
    try:
        kept = tables.tokens_of(connection, rows)
    except DamagedLibrary:
        return False
    return not tokens or len(kept) == len(rows)


def lacking(connection: sqlite3.Connection, passages: Sequence[Passage], *, tokens: bool) -> list[int]:
    """Return which of the passages, by place, have no vector stored that is what was written.

    With `tokens` also those without token vectors.
    """
    found = tables.passages_by_id(connection, [passage.id for passage in passages])
    rows = {
        each.id: found[each.id].row for each in passages if each.id in found and found[each.id].sound(each.article_id)
    }
    if tokens:
        with_them = tables.with_tokens(connection, list(rows.values()))
        rows = {id: row for id, row in rows.items() if row in with_them}
    return [place for place, passage in enumerate(passages) if passage.id not in rows]


def mendable(connection: sqlite3.Connection, dim: int, *, tokens: bool) -> list[str]:
    """Return the ids of articles that are what was written, and whose passages or token vectors are not, or lack."""
    found = []
    for stored in connection.execute(f"SELECT {ARTICLE} FROM articles ORDER BY number"):
        try:
            article = tables.read_article(stored)
        except DamagedLibrary:
            continue
        if not whole(connection, article.id, dim, tokens=tokens):
            found.append(article.id)
    return found


def _tokens(connection: sqlite3.Connection) -> Iterator[Problem]:
    """Compare all token vectors with their checksums."""
    if not tables.keeps_tokens(connection):
        return
    for row, code, checksum, there in connection.execute(
        "SELECT tokens.row, code, tokens.checksum, passages.row FROM tokens LEFT JOIN passages USING (row)"
    ):
        if not tables.sound_tokens(row, code, checksum):
            yield Problem(f"tokens of row {row}", "are not what was written", False)
        elif there is None:
            yield Problem(f"tokens of row {row}", "are of no passage", False)


def _passage(passage: StoredPassage, position: int, article_id: str, length: int, dim: int) -> Iterator[str]:
    """Compare a passage with its checksum, its article and its neighbours."""
    if not passage.sound(article_id):
        yield "is not what was written"
        return
    if passage.position != position:
        yield f"is at position {passage.position} where {position} is expected"
    if not 0 <= passage.start < passage.end <= length:
        yield "is not a span of its article's text"
    if wrong := unfit(np.frombuffer(passage.vector, "<f4"), dim):
        yield f"its vector {wrong}"


def _index(store: Store, dim: int, space: Space, project: Project) -> Iterator[Problem]:
    """Compare the index, as a search would find it, with what the database says it must be."""
    try:
        space.catch_up()
        with store.reading() as connection:
            now, left = changes.current(connection), 0
            for rows, raw, languages in tables.vectors_since(connection, dim, -1):
                expected = project(raw, languages)
                # Held for a moment at a time: searches and writes go on meanwhile.
                with space.shared() as (index, change):
                    if change != now:
                        return  # somebody wrote meanwhile; what comes next is replayed before the next search
                    left += len(rows)
                    yield from _compared(index, rows, expected)
            with space.shared() as (index, change):
                if change == now and len(index) != left:
                    yield Problem("dense index", f"holds {len(index)} rows, the database {left}", True)
    except LibraryError as error:
        yield Problem("dense index", f"could not be built: {error}", False)


def _compared(index: DenseIndex, rows: Rows, expected: Vectors) -> Iterator[Problem]:
    try:
        wrong = np.abs(index.vectors(rows) - expected).max(axis=1, initial=0) > SAME
    except KeyError:
        yield Problem("dense index", f"lacks rows between {rows[0]} and {rows[-1]}", True)
        return
    for row in rows[wrong].tolist():
        yield Problem(f"dense index, row {row}", "is not the vector that the database has", True)
