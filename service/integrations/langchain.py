"""LangChain: a retriever of passages, and a vector store of documents, over a running service."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field, PrivateAttr, SecretStr

from service.client import SearchResult
from service.errors import NotFound
from service.integrations.connection import ADDRESS, Connection, article, cited, kept, missing, score
from service.wire import ArticleKept, HitOut

try:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.vectorstores import VectorStore
except ImportError as error:
    raise missing("LangChain", "langchain", error) from error


class DragomanRetriever(BaseRetriever):
    """Finds passages, in whatever language they were written: each a document whose metadata cites article and span.

    `k` is how many, 1 to 100; `languages`, `filter` and `min_relevance` are as in a search. Both `k` and these may be
    given with a question too.
    """

    base_url: str = ADDRESS
    key: SecretStr | None = None
    k: int = 10
    languages: list[str] = Field(default_factory=list)
    filter: dict[str, Any] | None = None
    min_relevance: float | None = None

    _connection: Connection = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Make the connection."""
        super().model_post_init(context)
        self._connection = Connection(self.base_url, None if self.key is None else self.key.get_secret_value())

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's own signature
        **asked: Any,
    ) -> list[Document]:
        return _passages(self._connection.client.search(query, **self._asked(asked)))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002
        **asked: Any,
    ) -> list[Document]:
        async with self._connection.asynchronous() as client:
            return _passages(await client.search(query, **self._asked(asked)))

    def _asked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("k", "languages", "filter", "min_relevance")}
        asked = {**own, **given}
        return {"limit": asked.pop("k"), **asked}


class DragomanVectorStore(VectorStore):
    """Keeps documents as articles and finds them by their best passages. Vectors are the service's own business.

    A document comes back as it was put in. Its title, url, source and published_at are the article's where its metadata
    tells them.
    """

    def __init__(self, base_url: str = ADDRESS, *, key: str | None = None) -> None:
        self._connection = Connection(base_url, key)
        self._client = self._connection.client

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None = None,  # noqa: ARG003 - the service has its own model
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> DragomanVectorStore:
        """Return a store to which these texts were added; `kwargs` are those of the constructor."""
        store = cls(**kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,  # noqa: ARG002 - LangChain's own signature
    ) -> list[str]:
        """Add texts, and return their ids once all are durable; one with an id that is there replaces that."""
        given = list(texts)
        names = [id or str(uuid.uuid4()) for id in ids or [None] * len(given)]
        articles = map(article, names, given, metadatas or [{}] * len(given))
        return [outcome.id for outcome in self._client.add_all(articles)]

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:  # noqa: ARG002
        """Remove documents for good; ids that are not there are passed over. Raises ValueError for all of them."""
        if ids is None:
            raise ValueError("Name the documents to delete: a library is not emptied by leaving them out.")
        for id in ids:
            try:
                self._client.delete(id)
            except NotFound:
                continue
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents with these ids; those that are not there are left out."""
        found = []
        for id in ids:
            try:
                found.append(_document(self._client.get(id)))
            except NotFound:
                continue
        return found

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the `k` documents that answer best; `kwargs` are as in a search: `languages`, `filter`, ..."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """Return the same with the probability that each answers, 0..1."""
        hits = self._client.search(query, limit=k, group="article", **kwargs).hits
        return [(self._whole(hit), score(hit)) for hit in hits]

    def _select_relevance_score_fn(self) -> Any:
        return lambda relevance: relevance

    def _whole(self, hit: HitOut) -> Document:
        """Return the document that a hit is of: its text is more than the passage."""
        return _document(self._client.get(hit.article_id))


def _document(article: ArticleKept) -> Document:
    return Document(id=article.id, page_content=article.text, metadata=kept(article))


def _passages(result: SearchResult) -> list[Document]:
    return [Document(id=hit.passage_id, page_content=hit.text, metadata=cited(hit)) for hit in result.hits]
