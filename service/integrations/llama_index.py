"""LlamaIndex: a retriever of passages, and a vector store of nodes, over a running service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import PrivateAttr

from service.client import SearchResult
from service.errors import NotFound
from service.integrations.connection import ADDRESS, Connection, article, cited, kept, missing, score
from service.wire import ArticleKept

try:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.schema import (
        BaseNode,
        MetadataMode,
        NodeRelationship,
        NodeWithScore,
        QueryBundle,
        RelatedNodeInfo,
        TextNode,
    )
    from llama_index.core.vector_stores.types import (
        BasePydanticVectorStore,
        FilterCondition,
        FilterOperator,
        MetadataFilter,
        MetadataFilters,
        VectorStoreQuery,
        VectorStoreQueryResult,
    )
except ImportError as error:
    raise missing("LlamaIndex", "llama-index", error) from error

# The member of an article's metadata that names the document its node was cut from.
OF = "ref_doc_id"
OPERATORS = {
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
}
FIELDS = ("source", "url", "published_at")


class DragomanRetriever(BaseRetriever):
    """Finds passages, in whatever language they were written: each a node whose metadata cites article and span."""

    def __init__(
        self,
        base_url: str = ADDRESS,
        *,
        key: str | None = None,
        similarity_top_k: int = 10,
        languages: Sequence[str] = (),
        filter: dict[str, Any] | None = None,
        min_relevance: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._connection = Connection(base_url, key)
        self._asked: dict[str, Any] = {
            "limit": similarity_top_k,
            "languages": languages,
            "filter": filter,
            "min_relevance": min_relevance,
        }

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _passages(self._connection.client.search(query_bundle.query_str, **self._asked))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        async with self._connection.asynchronous() as client:
            return _passages(await client.search(query_bundle.query_str, **self._asked))


class DragomanVectorStore(BasePydanticVectorStore):
    """Keeps nodes as articles and finds them by the words of a question. Vectors are the service's own business, so an
    index over it needs no embedding model: `MockEmbedding(embed_dim=1)` stands in for one.
    """

    stores_text: bool = True
    is_embedding_query: bool = False
    base_url: str = ADDRESS
    key: str | None = None

    _connection: Connection = PrivateAttr()

    def __init__(self, base_url: str = ADDRESS, *, key: str | None = None) -> None:
        super().__init__(base_url=base_url, key=key)  # type: ignore[call-arg]  # fields of this class
        self._connection = Connection(base_url, key)

    @classmethod
    def class_name(cls) -> str:
        """Return the name by which LlamaIndex writes it down."""
        return "DragomanVectorStore"

    @property
    def client(self) -> Any:
        """The client of the service."""
        return self._connection.client

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:  # noqa: ARG002 - LlamaIndex's own signature
        """Add nodes, and return their ids once all are durable."""
        told = (
            article(
                node.node_id,
                node.get_content(metadata_mode=MetadataMode.NONE),
                {**node.metadata, **({OF: node.ref_doc_id} if node.ref_doc_id else {})},
            )
            for node in nodes
        )
        return [outcome.id for outcome in self.client.add_all(told)]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:  # noqa: ARG002
        """Remove the nodes of a document for good."""
        of_it = self.client.all_articles(filter={f"metadata.{OF}": ref_doc_id})
        self.delete_nodes([each.id for each in of_it])

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Remove nodes for good: those with these ids, or those that filters let through."""
        if node_ids is None and filters is None:
            raise ValueError("Name the nodes to delete: a library is not emptied by leaving them out.")
        for node in self.get_nodes(node_ids, filters):
            self.client.delete(node.node_id)

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Return the nodes with these ids, or those that filters let through."""
        if node_ids is None:
            return [_node(each) for each in self.client.all_articles(filter=pushed(filters))]
        found: list[BaseNode] = []
        for id in node_ids:
            try:
                found.append(_node(self.client.get(id)))
            except NotFound:
                continue
        return found

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:  # noqa: ARG002
        """Return the nodes that answer best, with the probability that each does as its similarity."""
        if not query.query_str:
            raise ValueError("A question is asked in words: query_str is missing.")
        asked = pushed(query.filters) or {}
        if query.node_ids:
            asked["article_id"] = query.node_ids
        if query.doc_ids:
            asked[f"metadata.{OF}"] = query.doc_ids
        result = self.client.search(
            query.query_str, limit=query.similarity_top_k, group="article", filter=asked or None
        )
        nodes = [_node(self.client.get(hit.article_id)) for hit in result.hits]
        return VectorStoreQueryResult(
            nodes=nodes, similarities=[score(hit) for hit in result.hits], ids=[node.node_id for node in nodes]
        )


def pushed(filters: MetadataFilters | None) -> dict[str, Any] | None:
    """Return LlamaIndex's filters as one of a search; raises ValueError for what that cannot ask."""
    if filters is None or not filters.filters:
        return None
    if filters.condition not in (None, FilterCondition.AND):
        raise ValueError("A search takes conditions that all must hold; leave out OR and NOT.")
    asked: dict[str, Any] = {}
    for each in filters.filters:
        if not isinstance(each, MetadataFilter):
            raise ValueError("A search takes conditions that are not nested.")
        name = each.key if each.key in FIELDS else f"metadata.{each.key}"
        if each.operator in OPERATORS and isinstance(asked.get(name, {}), dict):
            asked[name] = {**asked.get(name, {}), OPERATORS[each.operator]: each.value}
        elif each.operator in (FilterOperator.EQ, FilterOperator.IN) and name not in asked:
            asked[name] = each.value
        else:
            raise ValueError(f"A search cannot ask for {each.key} {each.operator.value} {each.value!r}.")
    return asked


def _node(article: ArticleKept) -> TextNode:
    metadata = kept(article)
    of = metadata.pop(OF, None)
    relationships = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=of)} if of else {}
    return TextNode(id_=article.id, text=article.text, metadata=metadata, relationships=relationships)


def _passages(result: SearchResult) -> list[NodeWithScore]:
    found = []
    for hit in result.hits:
        source = RelatedNodeInfo(node_id=hit.article_id)
        node = TextNode(
            id_=hit.passage_id,
            text=hit.text,
            metadata=cited(hit),
            start_char_idx=hit.start,
            end_char_idx=hit.end,
            relationships={NodeRelationship.SOURCE: source},
        )
        found.append(NodeWithScore(node=node, score=score(hit)))
    return found
