"""The adapters for Haystack against Haystack's own standard tests of document stores, and against the seeds."""

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("haystack")
suites = pytest.importorskip("haystack.testing.document_store")

from haystack import Document, Pipeline  # noqa: E402 - only where it is installed
from haystack.document_stores.types import DuplicatePolicy  # noqa: E402
from haystack.errors import FilterError  # noqa: E402
from haystack.utils import Secret  # noqa: E402

from service.integrations.haystack import DragomanDocumentStore, DragomanRetriever, pushed  # noqa: E402

QUESTION = "By how much did trade between Russia and Belarus grow?"


class TestDocumentStore(suites.DocumentStoreBaseTests):  # type: ignore[misc,name-defined]
    """Haystack's tests of document stores, over an empty library and the toy encoder.

    Documents come back in the order of their ids and without embeddings, so both are left out of what is compared.
    """

    @pytest.fixture
    def document_store(self, empty_address: str) -> DragomanDocumentStore:
        """What is tested."""
        return DragomanDocumentStore(empty_address)

    def assert_documents_are_equal(self, received: list[Document], expected: list[Document]) -> None:
        """Compare documents whatever their order, without embeddings."""
        bare = sorted((replace(each, embedding=None) for each in expected), key=lambda each: each.id)
        assert received == bare

    def test_write_documents(self, document_store: DragomanDocumentStore) -> None:
        """Without a policy a document replaces the one with its id."""
        assert document_store.write_documents([Document(id="1", content="old"), Document(id="2", content="b")]) == 2
        assert document_store.write_documents([Document(id="1", content="new")]) == 1
        assert [each.content for each in document_store.filter_documents()] == ["new", "b"]


def test_what_has_no_text_is_refused(empty_address: str) -> None:
    """A picture, say."""
    with pytest.raises(ValueError, match="has no text"):
        DragomanDocumentStore(empty_address).write_documents([Document(id="picture")], DuplicatePolicy.OVERWRITE)


@pytest.mark.model
def test_an_english_question_finds_the_hindi_passage_and_cites_it(seeds_address: str) -> None:
    """In a pipeline, which may be written down and read again."""
    store = DragomanDocumentStore(seeds_address, key=Secret.from_env_var("NO_SUCH_VARIABLE", strict=False))
    pipeline = Pipeline()
    pipeline.add_component("retriever", DragomanRetriever(store, top_k=2))
    pipeline = Pipeline.loads(pipeline.dumps(), allowed_modules=["service.integrations.haystack"])

    first, _ = pipeline.run({"retriever": {"query": QUESTION}})["retriever"]["documents"]
    [bengali] = DragomanRetriever(store, top_k=1, languages=["bn"]).run(QUESTION)["documents"]

    assert "36 प्रतिशत" in first.content
    assert first.score > 0.5
    assert (first.meta["language"], first.meta["article_id"][:4]) == ("hi", "004_")
    assert first.meta["end"] - first.meta["start"] == len(first.content)
    assert bengali.meta["language"] == "bn"


@pytest.mark.model
def test_a_search_takes_filters(seeds_address: str) -> None:
    """Those of which all conditions must hold; what it cannot ask is told."""
    store = DragomanDocumentStore(seeds_address)
    store.write_documents([Document(id=f"n{n}", content=f"Boats, part {n}", meta={"page": n}) for n in range(4)])
    try:
        pages = {"field": "meta.page", "operator": ">=", "value": 2}
        found = DragomanRetriever(store).run("boats", filters=pages)["documents"]
        assert sorted(each.meta["page"] for each in found) == [2, 3]
    finally:
        store.delete_documents([f"n{n}" for n in range(4)])


def test_filters_of_a_search() -> None:
    """Each operator that a search knows, and each form that it does not."""
    conditions = [
        {"field": "meta.page", "operator": ">", "value": 1},
        {"field": "meta.page", "operator": "<=", "value": 5},
        {"field": "meta.desk", "operator": "in", "value": ["weather", "city"]},
        {"field": "meta.source", "operator": "==", "value": "daily"},
    ]
    assert pushed({"operator": "AND", "conditions": conditions}) == {
        "metadata.page": {"gt": 1, "lte": 5},
        "metadata.desk": ["weather", "city"],
        "source": "daily",
    }
    assert pushed(None) is None
    wrong: list[dict[str, Any]] = [
        {"operator": "OR", "conditions": conditions},
        {"operator": "AND", "conditions": [{"operator": "AND", "conditions": conditions}]},
        {"field": "meta.page", "operator": "!=", "value": 1},
        {"field": "meta.page", "operator": "==", "value": None},
        {"field": "meta.date", "operator": ">", "value": "2023-05-06"},
        {"field": "meta.page", "operator": "in", "value": "1"},
    ]
    for filters in wrong:
        with pytest.raises(FilterError):
            pushed(filters)
