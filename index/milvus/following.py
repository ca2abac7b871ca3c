"""The words and sounds of a library in Milvus that the server does not rank by: one index in each process.

Every process that searches keeps the words and sounds of all passages in an index of its own, on its own disk, and
follows the writes of all. It is made anew when the process starts, at some thousand passages a second, and takes about
as much room as the texts.
"""

import logging
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from index.lexicon import TantivyLexicon, document, schema
from index.milvus.catalogue import MilvusIndex, Newer, articles_of
from index.milvus.ledger import Committed, Ledger, Write
from index.milvus.server import Record, Server

if TYPE_CHECKING:
    import tantivy

# Bytes that tantivy's writer may use before it writes a segment.
HEAP = 50_000_000

# Articles that are read at once.
TOGETHER = 256

log = logging.getLogger("dragoman.index")


class Followed:
    """The lexicons of a library, one for each moment. Safe to use from many threads."""

    def __init__(self, server: Server, ledger: Ledger) -> None:
        self._server, self._ledger = server, ledger
        self._lock = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._index: tantivy.Index | None = None
        self._rows: dict[int, list[int]] = {}  # by edition
        self._now: tuple[TantivyLexicon, int] | None = None
        self._whole = True

    def at(self, index: MilvusIndex) -> TantivyLexicon:
        """Return what is committed at the moment of an index, or at a later one if it was asked for meanwhile."""
        known, now = self._now, index.now
        if known is not None and known[1] >= now.number:
            return known[0]
        with self._lock:
            known = self._now
            if known is None or known[1] < now.number:
                writes = self._ledger.since(known[1]) if known and known[1] else None
                self._whole = True
                known = self._rebuilt(now) if writes is None else self._followed(writes, now)
                self._now = known
                if not self._whole:
                    raise Newer("An article")  # what replaced it is taken in by the next search
            return known[0]

    def close(self) -> None:
        """Give up the index."""
        with self._lock:
            self._index, self._now = None, None
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    def _rebuilt(self, now: Committed) -> tuple[TantivyLexicon, int]:
        """Make the index anew, of all that is committed."""
        import tantivy

        if self._folder is not None:
            self._folder.cleanup()
        self._folder = tempfile.TemporaryDirectory(prefix="dragoman-words-", ignore_cleanup_errors=True)
        self._index, self._rows = tantivy.Index(schema(), str(Path(self._folder.name))), {}
        editions = (
            [each["edition"] for each in some]
            for some in self._server.pages("articles", now.exact, ["edition"], TOGETHER)
        )
        return self._written(editions, [], now)

    def _followed(self, writes: list[Write], now: Committed) -> tuple[TantivyLexicon, int]:
        """Take in what was written since; of an edition that is gone again, nothing is read."""
        gone = {edition for write in writes for edition in write.replaced}
        removed = [row for edition in gone for row in self._rows.pop(edition, [])]
        new = self._server.having("articles", "version", [each.number for each in writes], ["edition"])
        left = [each["edition"] for each in new if each["edition"] not in gone and each["edition"] not in self._rows]
        portions = (left[start : start + TOGETHER] for start in range(0, len(left), TOGETHER))
        return self._written(portions, removed, now)

    def _written(self, editions: Iterable[list[int]], removed: list[int], now: Committed) -> tuple[TantivyLexicon, int]:
        import tantivy

        assert self._index is not None
        writer = self._index.writer(HEAP, 1)
        try:
            if removed:
                # By a query: given a term, tantivy-py takes the number for a signed one, and removes nothing.
                writer.delete_documents_by_query(tantivy.Query.term_set_query(schema(), "row", removed))
            for some in editions:
                articles = articles_of(self._server, some)
                passages: list[Record] = self._server.having("passages", "edition", some, ["edition", "start", "stop"])
                self._whole = self._whole and len(articles) == len(some)
                for each in passages:
                    if each["edition"] not in articles:
                        continue
                    text = articles[each["edition"]].text[each["start"] : each["stop"]]
                    writer.add_document(document(each["row"], text))
                    self._rows.setdefault(each["edition"], []).append(each["row"])
            writer.commit()
        except BaseException:
            self._now = None  # what was half done is made anew
            raise
        finally:
            writer.wait_merging_threads()
        self._index.reload()
        return TantivyLexicon(self._index.searcher()), now.number
