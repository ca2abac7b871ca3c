"""Haystack: a document store and a retriever over a running service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.errors import NotFound
from service.integrations.connection import ADDRESS, Connection, article, cited, kept, missing, score
from service.wire import ArticleKept, HitOut

try:
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.document_stores.errors import DuplicateDocumentError
    from haystack.document_stores.types import DuplicatePolicy
    from haystack.errors import FilterError
    from haystack.utils.auth import Secret, deserialize_secrets_inplace
    from haystack.utils.filters import document_matches_filter
except ImportError as error:
    raise missing("Haystack", "haystack", error) from error

# What a search compares a field by, from Haystack's operators.
OPERATORS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
FIELDS = {"id": "article_id", "meta.source": "source", "meta.url": "url", "meta.published_at": "published_at"}


class DragomanDocumentStore:
    """Keeps documents as articles. Embeddings of documents are dropped: vectors are the service's own business."""

    def __init__(self, base_url: str = ADDRESS, *, key: Secret | None = None) -> None:
        self.base_url = base_url
        self.key = key
        self.connection = Connection(base_url, None if key is None else key.resolve_value())

    def to_dict(self) -> dict[str, Any]:
        """Return what makes this store again, for a pipeline that is written down."""
        return default_to_dict(self, base_url=self.base_url, key=None if self.key is None else self.key.to_dict())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> DragomanDocumentStore:
        """Return the store that `to_dict` told of."""
        deserialize_secrets_inplace(data["init_parameters"], ["key"])
        made: DragomanDocumentStore = default_from_dict(cls, data)
        return made

    def count_documents(self) -> int:
        """Return how many articles the library holds."""
        return self.connection.client.status().articles

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Return the documents that Haystack's filter lets through, in the order of their ids.

        They are looked at one by one, after what a search can ask for was asked: of a large library that takes long.
        """
        try:
            asked = pushed(filters)
        except FilterError:
            asked = None
        found = map(_document, self.connection.client.all_articles(filter=asked))
        return [each for each in found if not filters or document_matches_filter(filters, each)]

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Add documents and return how many were written, all of them durable; without a policy, new ones replace."""
        given: Any = documents
        if not isinstance(given, list) or any(not isinstance(each, Document) for each in given):
            raise ValueError("What is written is a list of documents.")
        if policy in (DuplicatePolicy.FAIL, DuplicatePolicy.SKIP):
            there = [each.id for each in documents if self._holds(each.id)]
            if there and policy is DuplicatePolicy.FAIL:
                raise DuplicateDocumentError(f"There is a document {there[0]!r} already.")
            documents = [each for each in documents if each.id not in there]
        told = (article(each.id, each.content, each.meta) for each in documents)
        return sum(1 for _ in self.connection.client.add_all(told))

    def delete_documents(self, document_ids: list[str]) -> None:
        """Remove documents for good; ids that are not there are passed over."""
        for id in document_ids:
            try:
                self.connection.client.delete(id)
            except NotFound:
                continue

    def _holds(self, id: str) -> bool:
        try:
            self.connection.client.get(id)
        except NotFound:
            return False
        return True


@component
class DragomanRetriever:
    """Finds passages, in whatever language they were written: each a document whose meta cites article and span."""

    def __init__(
        self,
        document_store: DragomanDocumentStore,
        *,
        top_k: int = 10,
        filters: dict[str, Any] | None = None,
        languages: list[str] | None = None,
        min_relevance: float | None = None,
    ) -> None:
        self.document_store = document_store
        self.top_k = top_k
        self.filters = filters
        self.languages = languages
        self.min_relevance = min_relevance

    def to_dict(self) -> dict[str, Any]:
        """Return what makes this retriever again."""
        names = ("top_k", "filters", "languages", "min_relevance")
        own = {name: getattr(self, name) for name in names}
        return default_to_dict(self, document_store=self.document_store.to_dict(), **own)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> DragomanRetriever:
        """Return the retriever that `to_dict` told of."""
        store = data["init_parameters"]["document_store"]
        data["init_parameters"]["document_store"] = DragomanDocumentStore.from_dict(store)
        made: DragomanRetriever = default_from_dict(cls, data)
        return made

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        top_k: int | None = None,
        filters: dict[str, Any] | None = None,
        languages: list[str] | None = None,
    ) -> dict[str, list[Document]]:
        """Return the passages that answer `query`, with the probability of it as their score.

        Of Haystack's filters, those are taken of which all conditions must hold, by ==, in, >, >=, < and <=; raises
        FilterError for others.
        """
        result = self.document_store.connection.client.search(
            query,
            limit=top_k or self.top_k,
            languages=languages or self.languages or (),
            filter=pushed(filters or self.filters),
            min_relevance=self.min_relevance,
        )
        return {"documents": [_passage(hit) for hit in result.hits]}


def pushed(filters: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return Haystack's filter as one of a search, None for none; raises FilterError for what it cannot ask."""
    if not filters:
        return None
    if "field" in filters:
        conditions = [filters]
    elif filters.get("operator") == "AND":
        conditions = list(filters.get("conditions", ()))
    else:
        raise FilterError("A search takes conditions that all must hold; leave out OR and NOT.")
    asked: dict[str, Any] = {}
    for condition in conditions:
        if not {"field", "operator", "value"} <= set(condition):
            raise FilterError("A search takes conditions of a field, an operator and a value, not nested ones.")
        name = FIELDS.get(condition["field"], f"metadata.{condition['field'].removeprefix('meta.')}")
        operator, value = condition["operator"], condition["value"]
        # Haystack reads every text in a range as a date, a search that of `published_at` alone.
        ordered = isinstance(value, str if name == "published_at" else int | float)
        if operator in OPERATORS and ordered and isinstance(asked.get(name, {}), dict):
            asked[name] = {**asked.get(name, {}), OPERATORS[operator]: value}
        elif name not in asked and isinstance(value, {"==": str | int | float, "in": list}.get(operator, ())):
            asked[name] = value
        else:
            raise FilterError(f"A search cannot ask for {condition['field']} {operator} {value!r}.")
    return asked


def _document(article: ArticleKept) -> Document:
    return Document(id=article.id, content=article.text, meta=kept(article))


def _passage(hit: HitOut) -> Document:
    return Document(id=hit.passage_id, content=hit.text, meta=cited(hit), score=score(hit))
