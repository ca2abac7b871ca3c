"""The adapters for LangChain against LangChain's own standard tests, and against the seeds."""

import asyncio
import re
import subprocess
import sys

import pytest

pytest.importorskip("langchain_core")
suites = pytest.importorskip("langchain_tests.integration_tests")

from langchain_core.vectorstores import VectorStore  # noqa: E402 - only where it is installed

from service.integrations.langchain import DragomanRetriever, DragomanVectorStore  # noqa: E402

QUESTION = "By how much did trade between Russia and Belarus grow?"


@pytest.mark.model
class TestRetriever(suites.RetrieversIntegrationTests):  # type: ignore[misc,name-defined]
    """LangChain's tests of retrievers, over the seeds."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture(autouse=True)
    def _served(self, seeds_address: str) -> None:
        self.address = seeds_address

    @property
    def retriever_constructor(self) -> type[DragomanRetriever]:
        """What is tested."""
        return DragomanRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, object]:
        """How it is made."""
        return {"base_url": self.address}

    @property
    def retriever_query_example(self) -> str:
        """What is asked."""
        return QUESTION


class TestVectorStore(suites.VectorStoreIntegrationTests):  # type: ignore[misc,name-defined]
    """LangChain's tests of vector stores, over an empty library and the toy encoder."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def vectorstore(self, empty_address: str) -> VectorStore:
        """What is tested."""
        return DragomanVectorStore(empty_address)


@pytest.mark.model
def test_an_english_question_finds_the_hindi_passage_and_cites_it(seeds_address: str) -> None:
    """As a retriever, at once and awaited; metadata tells article and span, language and relevance."""
    retriever = DragomanRetriever(base_url=seeds_address, k=2)

    [first, _] = retriever.invoke(QUESTION)
    [bengali] = retriever.invoke(QUESTION, k=1, languages=["bn"])

    assert "36 प्रतिशत" in first.page_content
    cited = first.metadata
    assert (cited["language"], cited["article_id"][:4]) == ("hi", "004_")
    assert cited["end"] - cited["start"] == len(first.page_content)
    assert cited["relevance"] > 0.5
    assert bengali.metadata["language"] == "bn"
    assert asyncio.run(retriever.ainvoke(QUESTION)) == [first, _]


@pytest.mark.model
def test_a_store_keeps_documents_whole(seeds_address: str) -> None:
    """However long: a document is found by its best passage and comes back as it was put in, with its score."""
    text = "\n\n".join([*(f"Paragraph {n} speaks of roads." for n in range(80)), "The lighthouse keeper paints boats."])
    store = DragomanVectorStore.from_texts(
        [text], metadatas=[{"source": "notes", "page": 3}], ids=["lighthouse"], base_url=seeds_address
    )
    try:
        [(found, score)] = store.similarity_search_with_score("¿Quién pinta barcos?", k=1)
        assert (found.id, found.page_content, found.metadata) == ("lighthouse", text, {"source": "notes", "page": 3})
        assert 0 < score <= 1
        assert [each.id for each in store.similarity_search("boats", k=3, filter={"source": "notes"})] == ["lighthouse"]
        as_retriever = store.as_retriever(search_kwargs={"k": 1})
        assert "36 प्रतिशत" in as_retriever.invoke(QUESTION)[0].page_content
    finally:
        store.delete(["lighthouse"])
    with pytest.raises(ValueError, match="Name the documents"):
        store.delete()
    with pytest.raises(ValueError, match="has no text"):
        store.add_texts([" "])


def test_it_says_which_extra_is_missing() -> None:
    """Where LangChain is not installed, the error names what installs it."""
    told = "import sys; sys.modules['langchain_core'] = None; import service.integrations.langchain"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)
    assert re.search(r"ExtraMissing: LangChain is not installed .*pip install 'dragoman\[langchain\]'", done.stderr)
