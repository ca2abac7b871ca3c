"""The adapters for LlamaIndex, through its own retrievers and indexes."""

import asyncio
from collections.abc import Iterator

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.types import VectorStoreQuery

from service.integrations.llama_index import DragomanRetriever, DragomanVectorStore, pushed

QUESTION = "By how much did trade between Russia and Belarus grow?"


@pytest.mark.model
def test_an_english_question_finds_the_hindi_passage_and_cites_it(seeds_address: str) -> None:
    """At once and awaited; a node tells its article as its source, its span, language and relevance."""
    retriever = DragomanRetriever(seeds_address, similarity_top_k=2)

    first, second = retriever.retrieve(QUESTION)
    [bengali] = DragomanRetriever(seeds_address, similarity_top_k=1, languages=["bn"]).retrieve(QUESTION)

    assert "36 प्रतिशत" in first.text
    assert first.score is not None
    assert first.score > 0.5
    node = first.node
    assert isinstance(node, TextNode)
    assert (node.metadata["language"], node.ref_doc_id) == ("hi", node.metadata["article_id"])
    assert node.start_char_idx is not None
    assert node.end_char_idx == node.start_char_idx + len(node.text)
    assert bengali.metadata["language"] == "bn"

    def told(nodes: list[NodeWithScore]) -> list[tuple[str, float | None]]:
        return [(each.node_id, each.score) for each in nodes]

    assert told(asyncio.run(retriever.aretrieve(QUESTION))) == told([first, second])


@pytest.fixture
def store(seeds_address: str) -> Iterator[DragomanVectorStore]:
    """A store over the seeds; what was added to it is removed."""
    store = DragomanVectorStore(seeds_address)
    before = {node.node_id for node in store.get_nodes()}
    yield store
    store.delete_nodes([node.node_id for node in store.get_nodes() if node.node_id not in before])


@pytest.mark.model
def test_an_index_over_the_store_answers_without_an_embedding_model(store: DragomanVectorStore) -> None:
    """Documents are cut by LlamaIndex and found by Dragoman, and go with their document."""
    boats = Document(doc_id="boats", text="The lighthouse keeper paints boats.", metadata={"page": 3})
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex.from_documents(
        [boats, Document(doc_id="bread", text="Bread is baked in the morning.")],
        storage_context=context,
        embed_model=MockEmbedding(embed_dim=1),
    )

    [found] = index.as_retriever(similarity_top_k=1).retrieve("¿Quién pinta barcos?")
    [seed] = index.as_retriever(similarity_top_k=1).retrieve(QUESTION)

    assert (found.text, found.metadata, found.node.ref_doc_id) == (boats.text, {"page": 3}, "boats")
    assert "36 प्रतिशत" in seed.text
    index.delete_ref_doc("boats")
    assert {node.ref_doc_id for node in store.get_nodes()} == {None, "bread"}


@pytest.mark.model
def test_the_store_takes_filters_and_ids(store: DragomanVectorStore) -> None:
    """Those of which all conditions must hold; unknown ids are passed over; what cannot be asked is told."""
    nodes = [TextNode(id_=f"n{n}", text=f"Boats, part {n}", metadata={"page": n}) for n in range(4)]
    assert store.add(nodes) == ["n0", "n1", "n2", "n3"]
    last = MetadataFilters(filters=[MetadataFilter(key="page", value=2, operator=FilterOperator.GTE)])

    found = store.query(VectorStoreQuery(query_str="boats", similarity_top_k=9, filters=last))

    assert sorted(found.ids or []) == ["n2", "n3"]
    assert all(0 <= each <= 1 for each in found.similarities or [])
    few = VectorStoreQuery(query_str="boats", similarity_top_k=9, node_ids=["n1", "nothing"])
    assert store.query(few).ids == ["n1"]
    assert [each.node_id for each in store.get_nodes(["n3", "nothing", "n0"])] == ["n3", "n0"]
    assert [each.node_id for each in store.get_nodes(filters=last)] == ["n2", "n3"]
    store.delete_nodes(filters=last)
    assert store.get_nodes(["n2", "n3"]) == []
    with pytest.raises(ValueError, match="asked in words"):
        store.query(VectorStoreQuery(query_embedding=[0.0]))
    with pytest.raises(ValueError, match="Name the nodes"):
        store.delete_nodes()


def test_filters_of_a_search() -> None:
    """Each operator that a search knows, and each form that it does not."""
    page: list[MetadataFilter | MetadataFilters] = [
        MetadataFilter(key="page", value=1, operator=FilterOperator.GT),
        MetadataFilter(key="page", value=5, operator=FilterOperator.LTE),
    ]
    of = MetadataFilter(key="source", value=["daily", "weekly"], operator=FilterOperator.IN)
    assert pushed(MetadataFilters(filters=[*page, of])) == {
        "metadata.page": {"gt": 1, "lte": 5},
        "source": ["daily", "weekly"],
    }
    for wrong in (
        MetadataFilters(filters=page, condition=FilterCondition.OR),
        MetadataFilters(filters=[MetadataFilters(filters=page)]),
        MetadataFilters(filters=[MetadataFilter(key="page", value=1, operator=FilterOperator.NE)]),
    ):
        with pytest.raises(ValueError, match="search"):
            pushed(wrong)
