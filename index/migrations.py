"""The steps by which the database came to its present shape, numbered.

A library that an older version wrote takes the steps that it lacks when it is next opened for writing.
"""

import os
import sqlite3

from index.errors import NewerSchema

# Says in the file's header that it is ours ("Drgm"); `PRAGMA user_version` there numbers the last step taken.
APPLICATION = 0x4472676D


def m001_create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables: articles, passages with their raw vectors, and the log by which others follow."""
    for statement in M001:
        connection.execute(statement)
    connection.execute("INSERT INTO changes (number, mark) VALUES (0, ?)", (os.urandom(8),))


def m002_create_tokens(connection: sqlite3.Connection) -> None:
    """Make the table of passages' token vectors, which late interaction compares."""
    connection.execute("CREATE TABLE tokens (row INTEGER PRIMARY KEY, code BLOB NOT NULL, checksum BLOB NOT NULL)")


def m003_create_warmth(connection: sqlite3.Connection) -> None:
    """Make the table of how many vectors were seen in each language, and their sum: never a text, never one alone."""
    connection.execute(
        "CREATE TABLE warmth (side TEXT NOT NULL, language TEXT NOT NULL, count INTEGER NOT NULL, total BLOB NOT NULL,"
        " checksum BLOB NOT NULL, PRIMARY KEY (side, language)) WITHOUT ROWID"
    )


def m004_keep_sentences(connection: sqlite3.Connection) -> None:
    """Change nothing: from now on sentences are kept behind token vectors (`index.tokens`); older versions would see
    damage there.
    """


M001 = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # A change is a committed transaction. The mark tells it from a change of the same number in another
    # history (a copy put back and written on), which a number alone could not.
    "CREATE TABLE changes (number INTEGER PRIMARY KEY, mark BLOB NOT NULL)",
    # The text comes last: SQLite reads a row from its start, and filters should not walk through it.
    """CREATE TABLE articles (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        change INTEGER NOT NULL,
        language TEXT NOT NULL,
        source TEXT,
        url TEXT,
        published INTEGER,
        published_at TEXT,
        title TEXT NOT NULL,
        content_hash TEXT NOT NULL,
        metadata TEXT NOT NULL CHECK (json_valid(metadata)),
        text TEXT NOT NULL
    )""",
    "CREATE INDEX articles_change ON articles (change)",
    "CREATE INDEX articles_language ON articles (language)",
    "CREATE INDEX articles_source ON articles (source) WHERE source IS NOT NULL",
    "CREATE INDEX articles_url ON articles (url) WHERE url IS NOT NULL",
    "CREATE INDEX articles_published ON articles (published) WHERE published IS NOT NULL",
    # AUTOINCREMENT: a number that was removed never comes back as another passage.
    """CREATE TABLE passages (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        article INTEGER NOT NULL REFERENCES articles (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        start INTEGER NOT NULL,
        "end" INTEGER NOT NULL,
        checksum BLOB NOT NULL,
        vector BLOB NOT NULL
    )""",
    "CREATE INDEX passages_article ON passages (article)",
    """CREATE TABLE removals (
        change INTEGER NOT NULL,
        row INTEGER NOT NULL,
        PRIMARY KEY (change, row)
    ) WITHOUT ROWID""",
)

STEPS = (m001_create_tables, m002_create_tokens, m003_create_warmth, m004_keep_sentences)
SCHEMA = len(STEPS)

# The first schema that has token vectors.
KEEPING_TOKENS = 2


def schema_of(connection: sqlite3.Connection) -> int:
    """Return the number of the last step that the database took; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check(schema: int) -> None:
    """Raise NewerSchema for a database that a newer version wrote."""
    if schema > SCHEMA:
        raise NewerSchema(
            f"The library has schema {schema} and this version of Dragoman knows schemas up to {SCHEMA}: "
            "upgrade Dragoman (pip install --upgrade dragoman) to open it."
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Take the steps that the database lacks, inside the transaction that the caller has begun."""
    schema = schema_of(connection)
    check(schema)
    for number, step in enumerate(STEPS[schema:], schema + 1):
        step(connection)
        connection.execute(f"PRAGMA user_version = {number}")
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
