"""What is in the tables: how articles and passages are written, and how they are read back and checked.

Every function takes a connection inside a transaction of `Store`. What is read for an answer or for an index
is compared with its checksum first; where the two differ, DamagedLibrary says so and nothing is returned.
"""

import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from index import changes
from index.changes import Rows, column
from index.dates import interval
from index.errors import DamagedLibrary, InvalidArticle
from index.records import CANONICAL, Article, Holding, Passage
from index.store import damage

Vectors = NDArray[np.float32]
Value = TypeVar("Value")

# Passages that are read at once where all are read: some megabytes.
CHUNK = 4096

# Bytes of the objects that a passage and its article are, without their texts.
OBJECTS = 1_000

# Values in one statement; SQLite takes 32,766 since 3.32 and took 999 before.
MANY = 900

ARTICLE = (
    "articles.number, articles.id, articles.text, articles.title, articles.language, articles.url,"
    " articles.source, articles.published_at, articles.metadata, articles.content_hash"
)
PASSAGE = (
    'passages.row, passages.id, passages.article, passages.position, passages.start, passages."end",'
    " passages.checksum, passages.vector"
)


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage as it is stored: without its text, which its article has, and with its raw vector (bytes)."""

    row: int
    id: str
    article_number: int
    position: int
    start: int
    end: int
    checksum: bytes
    vector: bytes

    def sound(self, article_id: str) -> bool:
        """Tell whether the passage is what was written."""
        span = (self.position, self.start, self.end)
        try:
            return self.checksum == checksum(self.id, article_id, span, self.vector)
        except TypeError:  # damage can change a value's type too
            return False


class Known(NamedTuple):
    """What a hit tells of a row: the passage, its article, and its raw vector (dim,)."""

    passage: Passage
    article: Article
    vector: Vectors

    @property
    def nbytes(self) -> int:
        """Return about how many bytes it takes, the article with it, which passages may share."""
        metadata = CANONICAL.encode(dict(self.article.metadata))
        texts = sum(map(sys.getsizeof, (self.passage.text, self.article.text, metadata)))
        return texts + self.vector.nbytes + OBJECTS


def token_checksum(row: int, code: bytes) -> bytes:
    """Return the BLAKE2b checksum (8 bytes) of a passage's token vectors."""
    return blake2b(f"{row} ".encode() + code, digest_size=8).digest()


def checksum(id: str, article_id: str, span: tuple[int, int, int], vector: bytes) -> bytes:
    """Return the BLAKE2b checksum (8 bytes) of a passage's fields; `span` is (position, start, end)."""
    told = json.dumps([id, article_id, *span])
    return blake2b(told.encode() + vector, digest_size=8).digest()


# Articles and passages, read


def find_article(connection: sqlite3.Connection, article_id: str) -> tuple[int, Article] | None:
    """Return an article and its number, checked."""
    found = connection.execute(f"SELECT {ARTICLE} FROM articles WHERE id = ?", (_key(article_id),)).fetchone()
    return None if found is None else (found[0], read_article(found))


def articles_after(
    connection: sqlite3.Connection, after: str, most: int, condition: str, parameters: Sequence[object]
) -> list[Article]:
    """Return the first articles behind an id, in the order of ids, that a condition lets through, checked."""
    told = f"SELECT {ARTICLE} FROM articles WHERE id > ? AND {condition} ORDER BY id LIMIT ?"
    return [read_article(stored) for stored in connection.execute(told, (_key(after), *parameters, most))]


def articles_by_number(connection: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, Article]:
    """Return articles by number, checked."""
    found = {}
    for some in _portions(list(numbers)):
        for stored in connection.execute(f"SELECT {ARTICLE} FROM articles WHERE number IN ({_marks(some)})", some):
            found[stored[0]] = read_article(stored)
    return found


def read_article(stored: Sequence[object]) -> Article:
    """Return the article that the columns `ARTICLE` hold; raise DamagedLibrary where it is not what was
    written.
    """
    number, id, text, title, language, url, source, published_at, metadata, content_hash = stored
    try:
        article = Article(id, text, title, language, url, source, published_at, json.loads(metadata))  # type: ignore[arg-type]
        sound = article.content_hash == content_hash
    except (TypeError, ValueError, RecursionError):
        sound = False
    if not sound:
        raise DamagedLibrary(damage(f"Article {id!r} (number {number}) is not what was written"))
    return article


def passages_by_row(connection: sqlite3.Connection, rows: Sequence[int]) -> dict[int, StoredPassage]:
    """Return stored passages by row, not yet checked: that takes the id of their article."""
    found = {}
    for some in _portions(rows):
        for stored in connection.execute(f"SELECT {PASSAGE} FROM passages WHERE row IN ({_marks(some)})", some):
            found[stored[0]] = StoredPassage(*stored)
    return found


def passages_of(connection: sqlite3.Connection, number: int) -> list[StoredPassage]:
    """Return the stored passages of an article in their order."""
    found = connection.execute(f"SELECT {PASSAGE} FROM passages WHERE article = ? ORDER BY position", (number,))
    return [StoredPassage(*stored) for stored in found]


def read_passage(stored: StoredPassage, article: Article) -> Passage:
    """Return the passage with its text; raise DamagedLibrary where it is not what was written."""
    if not stored.sound(article.id):
        raise DamagedLibrary(damage(f"Passage {stored.id!r} (row {stored.row}) is not what was written"))
    text = article.text[stored.start : stored.end]
    return Passage(stored.id, article.id, stored.position, stored.start, stored.end, text)


def read_rows(connection: sqlite3.Connection, rows: Sequence[int]) -> dict[int, Known]:
    """Return what is known of rows, checked; a row that is not there is damage."""
    stored = passages_by_row(connection, rows)
    articles = articles_by_number(connection, {passage.article_number for passage in stored.values()})
    found = {}
    for row in rows:
        passage = stored.get(row)
        article = articles.get(passage.article_number) if passage else None
        if passage is None or article is None:
            raise DamagedLibrary(damage(f"Row {row} is in the index and not in the database"))
        found[row] = Known(read_passage(passage, article), article, np.frombuffer(passage.vector, "<f4"))
    return found


def row_of(connection: sqlite3.Connection, passage_id: str) -> int | None:
    """Return the row of a passage."""
    found = connection.execute("SELECT row FROM passages WHERE id = ?", (_key(passage_id),)).fetchone()
    return None if found is None else int(found[0])


def siblings(connection: sqlite3.Connection, row: int) -> Rows:
    """Return the rows of all passages of the article that a row is of."""
    same = "SELECT row FROM passages WHERE article = (SELECT article FROM passages WHERE row = ?)"
    return column(connection.execute(same, (row,)))


def everything(connection: sqlite3.Connection) -> Iterator[tuple[Article, list[StoredPassage], list[Passage]]]:
    """Yield every article with its passages, as they are stored and as they are read, checked, in the order in which
    the articles first came.
    """
    for stored in connection.execute(f"SELECT {ARTICLE} FROM articles ORDER BY number"):
        article = read_article(stored)
        passages = passages_of(connection, stored[0])
        yield article, passages, [read_passage(passage, article) for passage in passages]


def holding(
    article: Article, stored: Sequence[StoredPassage], read: Sequence[Passage], codes: Mapping[int, bytes], dim: int
) -> Holding:
    """Return an article with all that is of it; `codes` are its token vectors by row."""
    rows = [each.row for each in stored]
    vectors = np.frombuffer(b"".join(each.vector for each in stored), "<f4").reshape(len(rows), dim)
    return Holding(article, read, rows, vectors, [codes.get(row) for row in rows])


def stored_hash(connection: sqlite3.Connection, article_id: str) -> str | None:
    """Return the content hash that an article was stored with; None where there is none."""
    found = connection.execute("SELECT content_hash FROM articles WHERE id = ?", (_key(article_id),)).fetchone()
    return None if found is None else str(found[0])


def passages_by_id(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, StoredPassage]:
    """Return stored passages by id, not yet checked."""
    found = {}
    for some in _portions(ids):
        for stored in connection.execute(f"SELECT {PASSAGE} FROM passages WHERE id IN ({_marks(some)})", some):
            found[stored[1]] = StoredPassage(*stored)
    return found


def article_ids(connection: sqlite3.Connection, rows: Sequence[int]) -> dict[int, str]:
    """Return the id of the article of each row."""
    return _of_articles(connection, "id", rows)


def languages_of(connection: sqlite3.Connection, rows: Sequence[int]) -> dict[int, str]:
    """Return the language of the article of each row."""
    return _of_articles(connection, "language", rows)


def languages_since(connection: sqlite3.Connection, change: int) -> tuple[Rows, list[str]]:
    """Return the rows (n,), ascending, of all articles that were written after a change, and their languages."""
    # All of them by the indexes alone, which walk through no texts and no vectors.
    where, given = ("", ()) if change < 0 else (" WHERE articles.change > ?", (change,))
    pairs = connection.execute(
        "SELECT row, language FROM articles CROSS JOIN passages ON passages.article = articles.number" + where, given
    ).fetchall()
    pairs.sort()
    return np.array([row for row, _ in pairs], np.int64), [language for _, language in pairs]


def article_numbers(connection: sqlite3.Connection, rows: Sequence[int]) -> dict[int, int]:
    """Return the number of the article of each row."""
    return _of_articles(connection, "number", rows)


def written_since(connection: sqlite3.Connection, change: int, most: int) -> list[tuple[str, int]]:
    """Return ids of articles that were written after a change, and by which, in that order, at most so many."""
    return connection.execute(
        "SELECT id, change FROM articles WHERE change > ? ORDER BY change LIMIT ?", (change, most)
    ).fetchall()


def rows_of_articles(connection: sqlite3.Connection, article_ids: Sequence[str]) -> Rows:
    """Return the rows of the passages of articles, ascending; an id that is not there has none."""
    found: list[int] = []
    for some in _portions(article_ids):
        told = connection.execute(
            "SELECT row FROM articles CROSS JOIN passages ON passages.article = articles.number"
            f" WHERE articles.id IN ({_marks(some)})",
            some,
        )
        found.extend(row for (row,) in told)
    return np.array(sorted(found), np.int64)


def rows_of(connection: sqlite3.Connection, number: int) -> Rows:
    """Return the rows of an article's passages, ascending."""
    return column(connection.execute("SELECT row FROM passages WHERE article = ? ORDER BY row", (number,)))


def _of_articles(connection: sqlite3.Connection, name: str, rows: Sequence[int]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for some in _portions(rows):
        found.update(
            connection.execute(
                f"SELECT row, articles.{name} FROM passages JOIN articles ON articles.number = passages.article"
                f" WHERE row IN ({_marks(some)})",
                some,
            ).fetchall()
        )
    return found


def holdings(
    connection: sqlite3.Connection, columns: Sequence[str]
) -> tuple[Rows, Rows, list[tuple[int, *tuple[str | None, ...]]]]:
    """Return rows and article numbers of all passages (n,), and of all articles their numbers, which ascend, with some
    columns behind them.
    """
    # By article, in which order the index of that column holds them: the vectors are not walked through.
    pairs = connection.execute("SELECT row, article FROM passages ORDER BY article").fetchall()
    found = np.array(pairs, np.int64).reshape(-1, 2)
    told = connection.execute(f"SELECT number, {', '.join(columns)} FROM articles ORDER BY number").fetchall()
    return found[:, 0], found[:, 1], told


def rows_where(connection: sqlite3.Connection, where: str, parameters: Sequence[str | int | float]) -> Rows:
    """Return the rows of the articles that meet a condition, ascending."""
    return np.sort(
        column(
            connection.execute(
                f"SELECT row FROM articles CROSS JOIN passages ON passages.article = articles.number WHERE {where}",
                parameters,
            )
        )
    )


def vectors_since(connection: sqlite3.Connection, dim: int, change: int) -> Iterator[tuple[Rows, Vectors, list[str]]]:
    """Yield rows, raw vectors (n, dim) and languages of all articles written after a change, checked, in
    chunks.

    Rows ascend within a chunk, and over all chunks where everything is asked for (a change before the first,
    -1).
    """
    everything = change < 0
    cursor = connection.execute(
        f"SELECT {PASSAGE}, articles.id, articles.language FROM "
        + (
            # From the left, so that a passage whose article is gone is seen, and refused.
            "passages LEFT JOIN articles ON articles.number = passages.article ORDER BY passages.row"
            if everything
            else "articles CROSS JOIN passages ON passages.article = articles.number WHERE articles.change > ?"
        ),
        () if everything else (change,),
    )
    while chunk := cursor.fetchmany(CHUNK):
        for *stored, article_id, _ in chunk:
            passage = StoredPassage(*stored)
            if not passage.sound(article_id) or len(passage.vector) != 4 * dim:
                raise DamagedLibrary(damage(f"Passage {passage.id!r} (row {passage.row}) is not what was written"))
        rows = np.array([stored[0] for stored in chunk], np.int64)
        raw = np.frombuffer(b"".join(stored[7] for stored in chunk), "<f4").reshape(len(chunk), dim)
        languages = [stored[-1] for stored in chunk]
        order_of_rows = np.argsort(rows, kind="stable")
        yield (
            rows[order_of_rows],
            raw[order_of_rows].astype(np.float32),
            [languages[place] for place in order_of_rows.tolist()],
        )


def texts_since(connection: sqlite3.Connection, change: int) -> Iterator[tuple[Rows, list[str]]]:
    """Yield rows and texts of the passages of all articles written after a change, checked, in chunks.

    In the order of the articles' numbers, and within an article of its passages; everything for a change before the
    first, -1.
    """
    cursor = connection.execute(f"SELECT {ARTICLE} FROM articles WHERE change > ? ORDER BY number", (change,))
    found: list[tuple[int, str]] = []
    for stored in cursor:
        article = read_article(stored)
        for passage in passages_of(connection, stored[0]):
            found.append((passage.row, read_passage(passage, article).text))
        if len(found) >= CHUNK:
            yield np.array([row for row, _ in found], np.int64), [text for _, text in found]
            found = []
    yield np.array([row for row, _ in found], np.int64), [text for _, text in found]


def tokens_of(connection: sqlite3.Connection, rows: Sequence[int]) -> dict[int, bytes]:
    """Return by row the token vectors that are kept, checked; a row without any is left out."""
    found: dict[int, bytes] = {}
    for some in _portions(rows):
        kept = connection.execute(f"SELECT row, code, checksum FROM tokens WHERE row IN ({_marks(some)})", some)
        for row, code, checksum in kept:
            if not sound_tokens(row, code, checksum):
                raise DamagedLibrary(damage(f"The token vectors of row {row} are not what was written"))
            found[row] = code
    return found


def with_tokens(connection: sqlite3.Connection, rows: Sequence[int]) -> set[int]:
    """Return which of these rows have token vectors that are what was written."""
    found: set[int] = set()
    for some in _portions(rows):
        kept = connection.execute(f"SELECT row, code, checksum FROM tokens WHERE row IN ({_marks(some)})", some)
        found.update(row for row, code, checksum in kept if sound_tokens(row, code, checksum))
    return found


def sound_tokens(row: int, code: object, checksum: object) -> bool:
    """Tell whether the token vectors of a row are what was written."""
    return isinstance(code, bytes) and checksum == token_checksum(row, code)


def keeps_tokens(connection: sqlite3.Connection) -> bool:
    """Tell whether the database has token vectors at all: one of the first schema has not."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'tokens'").fetchone() is not None


def token_figures(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return of how many passages token vectors are kept, and how many bytes these are."""
    count, size = connection.execute("SELECT count(*), total(length(code)) FROM tokens").fetchone()
    return int(count), int(size)


def contents(connection: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """Return by id the content hash and the language of every article, in the order in which they first came."""
    told = connection.execute("SELECT id, content_hash, language FROM articles ORDER BY number")
    return {id: (content_hash, language) for id, content_hash, language in told}


def counts(connection: sqlite3.Connection) -> tuple[int, int, dict[str, int]]:
    """Return how many articles and passages there are, and articles by language, most first."""
    languages = connection.execute("SELECT language, count(*) FROM articles GROUP BY language ORDER BY 2 DESC, 1")
    by_language = {str(code): int(count) for code, count in languages}
    (passages,) = connection.execute("SELECT count(*) FROM passages").fetchone()
    return sum(by_language.values()), int(passages), by_language


def passages_by_language(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many passages there are in each language."""
    joined = "articles JOIN passages ON passages.article = articles.number"
    return dict(connection.execute(f"SELECT language, count(*) FROM {joined} GROUP BY language").fetchall())


def meta(connection: sqlite3.Connection) -> dict[str, str]:
    """Return what the library remembers of itself: model, fingerprint, dim."""
    return dict(connection.execute("SELECT key, value FROM meta").fetchall())


# Articles and passages, written


def put(
    connection: sqlite3.Connection,
    article: Article,
    passages: Sequence[Passage],
    vectors: Mapping[int, NDArray[np.float32]],
    tokens: Mapping[int, bytes],
    rows: Mapping[int, int] | None = None,
) -> None:
    """Write an article in place of the one with its id, if any: passages whose ids stay keep their row and
    vectors, as far as these are what was written. A new passage gets its row of `rows`, by place, where nothing has it
    or had it.
    """
    change = changes.advance(connection)
    before = connection.execute("SELECT language FROM articles WHERE id = ?", (article.id,)).fetchone()
    number = _put_article(connection, article, change)
    # A passage's id is of its article alone: what has it and is filed under another is a damaged row of this one.
    named = passages_by_id(connection, [passage.id for passage in passages])
    stored = {id: passage for id, passage in named.items() if passage.sound(article.id)}
    staying = {passage.row for passage in stored.values()}
    there = {passage.row for passage in (*named.values(), *passages_of(connection, number))}
    _remove_rows(connection, sorted(there - staying), change)
    if before is not None and before[0] != article.language:
        # Token vectors are kept as the language of the article makes them.
        with_them: set[int] = set()
    else:
        with_them = with_tokens(connection, [passage.row for passage in stored.values()])
    without = [(passage.row,) for passage in stored.values() if passage.row not in with_them]
    connection.executemany("DELETE FROM tokens WHERE row = ?", without)
    for place, passage in enumerate(passages):
        span = (passage.position, passage.start, passage.end)
        old = stored.get(passage.id)
        if old is not None:
            fresh = checksum(passage.id, article.id, span, old.vector)
            connection.execute(
                'UPDATE passages SET article = ?, position = ?, start = ?, "end" = ?, checksum = ? WHERE row = ?',
                (number, *span, fresh, old.row),
            )
            if old.row not in with_them:
                _put_tokens(connection, old.row, tokens.get(place))
            continue
        if place not in vectors:
            raise InvalidArticle(
                f"Passage {passage.position} of article {article.id!r} came without a vector and has none"
                " stored: give vectors for all that Library.missing names, asked when no other write of the"
                " article is under way."
            )
        vector = vectors[place].astype("<f4").tobytes()
        fresh = checksum(passage.id, article.id, span, vector)
        chosen = _if_free(connection, rows[place]) if rows else None
        row = connection.execute(
            'INSERT INTO passages (row, id, article, position, start, "end", checksum, vector)'
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (chosen, passage.id, number, *span, fresh, vector),
        ).lastrowid
        assert row is not None
        _put_tokens(connection, row, tokens.get(place))


def _if_free(connection: sqlite3.Connection, row: int) -> int | None:
    """Return a row that no passage has, and none that was removed had; None for another."""
    taken = connection.execute(
        "SELECT 1 FROM passages WHERE row = ? UNION ALL SELECT 1 FROM removals WHERE row = ?", (row, row)
    ).fetchone()
    return None if taken else row


def _put_tokens(connection: sqlite3.Connection, row: int, code: bytes | None) -> None:
    """Write the token vectors of a row that has none."""
    if code is not None:
        connection.execute(
            "INSERT INTO tokens (row, code, checksum) VALUES (?, ?, ?)", (row, code, token_checksum(row, code))
        )


def remove(connection: sqlite3.Connection, article_id: str) -> bool:
    """Remove an article and its passages; return whether there was one."""
    found = connection.execute("SELECT number FROM articles WHERE id = ?", (_key(article_id),)).fetchone()
    if found is None:
        return False
    rows = [row for (row,) in connection.execute("SELECT row FROM passages WHERE article = ?", found)]
    _remove_rows(connection, rows, changes.advance(connection))
    connection.execute("DELETE FROM articles WHERE number = ?", found)
    return True


def remove_astray(connection: sqlite3.Connection) -> list[str]:
    """Remove passages whose article is gone, and token vectors whose passage is; return the ids of these passages."""
    found = connection.execute(
        "SELECT row, passages.id FROM passages LEFT JOIN articles ON articles.number = passages.article"
        " WHERE articles.number IS NULL"
    ).fetchall()
    if found:
        _remove_rows(connection, [row for row, _ in found], changes.advance(connection))
    connection.execute("DELETE FROM tokens WHERE row NOT IN (SELECT row FROM passages)")
    return [str(id) for _, id in found]


def remove_tokens(connection: sqlite3.Connection) -> None:
    """Remove all token vectors."""
    connection.execute("DELETE FROM tokens")


def remember(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Write down what the library remembers of itself."""
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))


def forget(connection: sqlite3.Connection, key: str) -> None:
    """Remove what the library remembers under a key."""
    connection.execute("DELETE FROM meta WHERE key = ?", (key,))


def _put_article(connection: sqlite3.Connection, article: Article, change: int) -> int:
    """Write the article's own fields and return its number, the one it had if it was there."""
    values = {
        "change": change,
        "language": article.language,
        "source": article.source,
        "url": article.url,
        "published": None if article.published_at is None else interval(article.published_at)[0],
        "published_at": article.published_at,
        "title": article.title,
        "content_hash": article.content_hash,
        "metadata": json.dumps(dict(article.metadata), ensure_ascii=False, allow_nan=False),
        "text": article.text,
    }
    found = connection.execute("SELECT number FROM articles WHERE id = ?", (article.id,)).fetchone()
    if found is not None:
        assignments = ", ".join(f"{column} = :{column}" for column in values)
        connection.execute(f"UPDATE articles SET {assignments} WHERE id = :id", {"id": article.id, **values})
        return int(found[0])
    given = {"id": article.id, **values}
    columns, marks = ", ".join(given), ", ".join(f":{column}" for column in given)
    cursor = connection.execute(f"INSERT INTO articles ({columns}) VALUES ({marks})", given)
    return int(cursor.lastrowid or 0)


def _remove_rows(connection: sqlite3.Connection, rows: Sequence[int], change: int) -> None:
    connection.executemany("DELETE FROM passages WHERE row = ?", [(row,) for row in rows])
    connection.executemany("DELETE FROM tokens WHERE row = ?", [(row,) for row in rows])
    connection.executemany("INSERT INTO removals (change, row) VALUES (?, ?)", [(change, row) for row in rows])


def _key(id: str) -> str:
    """Return the id to look for: one that SQLite cannot hold is nobody's, like the empty one."""
    try:
        id.encode()
    except UnicodeEncodeError:
        return ""
    return id


def _portions(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    for start in range(0, len(values), MANY):
        yield values[start : start + MANY]


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
