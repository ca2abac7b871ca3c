"""Requests and answers as the clients of other services say them: embeddings in OpenAI's form, re-ranking in Cohere's.

Forms: https://platform.openai.com/docs/api-reference/embeddings and https://docs.cohere.com/v1/reference/rerank.
"""

import base64
import struct
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from service.wire import Shape, Text, spoken

MAX_INPUTS = 2_048  # as at OpenAI
MAX_DOCUMENTS = 1_000  # as Cohere advises

InputType = Literal["query", "passage"]
# What others call the two: Cohere, Voyage and Jina.
ALSO = {
    "search_query": "query",
    "search_document": "passage",
    "document": "passage",
    "retrieval.query": "query",
    "retrieval.passage": "passage",
}


def _texts(given: Any) -> Any:
    """Say of token arrays, which OpenAI takes, why there are none here."""
    listed = given if isinstance(given, list) else [given]
    if any(isinstance(each, int | list) for each in listed):
        raise ValueError("is in tokens; this model has others than OpenAI's, so send text")
    return listed


def _type(given: Any) -> Any:
    return ALSO.get(given, given) if isinstance(given, str) else given


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


Said = Annotated[Text, AfterValidator(_said)]


class EmbeddingsRequest(Shape):
    """Texts to be encoded, as OpenAI's clients send them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"input": ["বন্যায় সেতু ভেসে গেছে", "The flood took the bridge"], "model": "default"},
                {"input": "What did the flood take?", "input_type": "query", "encoding_format": "base64"},
            ]
        }
    )

    input: Annotated[
        list[Said],
        BeforeValidator(_texts, json_schema_input_type=str | list[str]),
        Field(min_length=1, max_length=MAX_INPUTS, description="one text, or a list; token arrays are refused"),
    ]
    model: Text = Field(default="default", description="the model of this service, by its name; or `default`")
    input_type: Annotated[InputType, BeforeValidator(_type)] = Field(
        default="passage", description="what the texts are: a `query` and a `passage` are encoded each in its way"
    )
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="numbers, or the bytes of little-endian float32 in base64"
    )
    dimensions: int | None = Field(default=None, description="the model's own, or absent: its vectors are not cut")
    user: Text | None = Field(default=None, description="taken, and not used")


class Embedding(Shape):
    """The vector of one text, at length 1."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(Shape):
    """What was read, in the model's tokens; of a text over its window, all of it."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(Shape):
    """The vectors of texts, in their order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage

    @property
    def vectors(self) -> list[list[float]]:
        """Return the vectors as numbers, in whichever format they came."""
        return [_numbers(each.embedding) for each in self.data]


def _numbers(told: list[float] | str) -> list[float]:
    if not isinstance(told, str):
        return told
    content = base64.b64decode(told)
    return list(struct.unpack(f"<{len(content) // 4}f", content))


class RerankRequest(Shape):
    """Documents to be put in order, as Cohere's clients send them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "query": "What did the flood take?",
                    "documents": ["बैंक बंद हैं", "বন্যায় সেতু ভেসে গেছে"],
                    "top_n": 1,
                    "return_documents": True,
                }
            ]
        }
    )

    query: Annotated[str, AfterValidator(spoken)]
    documents: Annotated[list[Text | dict[str, JsonValue]], Field(min_length=1, max_length=MAX_DOCUMENTS)] = Field(
        description="texts, or objects with a `text`"
    )
    model: Text = Field(
        default="default",
        description="the re-ranker of this service, or its model, by name; `default`: the first that there is",
    )
    top_n: Annotated[int, Field(ge=1)] | None = Field(default=None, description="how many results; all where absent")
    rank_fields: list[Text] | None = Field(default=None, description="of objects, the members that are read; `text`")
    return_documents: bool = Field(default=False, description="whether each result holds its document")
    max_chunks_per_doc: int | None = Field(default=None, description="taken, and not used: all of a text is read")

    @property
    def texts(self) -> list[str]:
        """Return what is read of each document."""
        return [
            each if isinstance(each, str) else "\n".join(str(each[name]) for name in self.rank_fields or ["text"])
            for each in self.documents
        ]

    @model_validator(mode="after")
    def _readable(self) -> Self:
        for number, each in enumerate(self.documents):
            if isinstance(each, dict) and (missing := [n for n in self.rank_fields or ["text"] if n not in each]):
                raise ValueError(f"document {number} has no member {missing[0]!r}")
        for number, text in enumerate(self.texts):
            if not text.strip():
                raise ValueError(f"document {number} is empty")
        return self


class RerankResult(Shape):
    """A document as a result: `index` is its place in the request."""

    index: int
    relevance_score: float
    document: dict[str, JsonValue] | None = None


class Reranking(Shape):
    """Documents in order, the most relevant first."""

    id: str
    results: list[RerankResult]
    model: str = Field(description="what put them in order")
    scores: Literal["relevance", "similarity", "reranker"] = Field(
        description="what a score is: the calibrated probability that the document answers; for a model without"
        " calibration its similarity, at least 0; or what the re-ranker says"
    )
    meta: dict[str, JsonValue]
