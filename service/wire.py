"""What goes over HTTP: the shapes of requests and answers, and their limits. No model, no library."""

import json
import math
import re
import unicodedata
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

MAX_LIMIT = 100
MAX_PAGES = 50
MAX_ID = 512
MAX_METADATA_CHARS = 65_536
MAX_METADATA_DEPTH = 16

Mode = Literal["hybrid", "dense", "lexical", "raw"]
Group = Literal["none", "article", "story"]
Action = Literal["added", "replaced", "unchanged"]

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_YEAR_OR_MONTH = re.compile(r"\d{4}(-(0[1-9]|1[0-2]))?", re.ASCII)


def readable(text: str) -> str:
    """Return `text`; raise ValueError where it holds what no writing has: NUL, lone surrogates."""
    if "\0" in text:
        raise ValueError("holds a NUL character: binary data is not text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds a lone surrogate, which is half a character; send whole Unicode characters") from None
    return text


def spoken(text: str) -> str:
    """Return a question as it is understood: control characters are spaces, and spaces around it are nothing.

    Raises ValueError where nothing is left, or for a lone surrogate.
    """
    text = readable(CONTROL.sub(" ", text)).strip()
    if not any(unicodedata.category(character)[0] in "LNSPM" for character in text):
        raise ValueError("is empty; ask something")
    return text


def identifier(text: str) -> str:
    """Return an id; raise ValueError where it is empty or holds control characters."""
    if CONTROL.search(text) or not text.strip() or text != text.strip():
        raise ValueError("is not an id: it is empty, has spaces around it, or holds control characters")
    return readable(text)


def moment(text: str) -> str:
    """Return an ISO 8601 year, month, date, or date and time; raise ValueError for anything else."""
    try:
        if not text.isascii() or CONTROL.search(text):  # which fromisoformat takes between date and time
            raise ValueError
        if not _YEAR_OR_MONTH.fullmatch(text) or text.startswith("0000"):
            datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is not an ISO 8601 date (2023-05-06) or date and time (2023-05-06T10:00:00Z)") from None
    return text


def bounded(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata; raise ValueError where it is too large, too deep, or holds what JSON cannot."""
    _check(metadata, MAX_METADATA_DEPTH)
    size = len(json.dumps(metadata, ensure_ascii=False))
    if size > MAX_METADATA_CHARS:
        raise ValueError(f"is {size} characters of JSON; the limit is {MAX_METADATA_CHARS}")
    return metadata


def _check(value: Any, depth: int) -> None:
    """Raise ValueError where a JSON value nests deeper than `depth`, or holds NaN or broken text."""
    if depth < 0:
        raise ValueError(f"nests deeper than {MAX_METADATA_DEPTH} levels")
    if isinstance(value, dict):
        for key, each in value.items():
            readable(key)
            _check(each, depth - 1)
    elif isinstance(value, list):
        for each in value:
            _check(each, depth - 1)
    elif isinstance(value, str):
        readable(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("holds a number that is not one (NaN or infinity), which JSON does not know")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("holds a whole number of more than 64 bits; send it as a string")


def _shown(value: Any) -> Any:
    """Refuse an explicit empty string where absence is meant, as `null`."""
    return None if value == "" else value


Text = Annotated[str, AfterValidator(readable)]
Identifier = Annotated[str, Field(min_length=1, max_length=MAX_ID), AfterValidator(identifier)]
Optional = Annotated[Text | None, Field(max_length=4096), BeforeValidator(_shown)]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(bounded)]


class Shape(BaseModel):
    """A shape on the wire: strict types, and no member that is not known, so that a typing error is told."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ArticleIn(Shape):
    """An article to be added: `text`, with a blank line between paragraphs, or `paragraphs`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "dhaka-flood",
                    "title": "ঢাকায় বন্যা",
                    "text": "ঢাকায় ভারী বৃষ্টিপাতে বন্যা দেখা দিয়েছে।",
                    "language": "bn",
                    "source": "example",
                    "published_at": "2023-05-06",
                }
            ]
        }
    )

    id: Identifier | None = None
    title: Annotated[Text, Field(max_length=4096)] = ""
    text: Text | None = None
    paragraphs: list[Text] | None = None
    language: Optional = Field(default=None, description="ISO 639 code or BCP 47 tag; detected where absent")
    url: Optional = None
    source: Optional = None
    published_at: Annotated[str, AfterValidator(moment)] | None = Field(default=None, description="ISO 8601")
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_text(self) -> Self:
        if (self.text is None) == (self.paragraphs is None):
            raise ValueError("an article has either `text` or `paragraphs`")
        if not self.body.strip():
            raise ValueError("the article has no text")
        return self

    @property
    def body(self) -> str:
        r"""Return the text with `\n` line ends; between two of `paragraphs` there is one blank line."""
        if self.paragraphs is not None:
            return "\n\n".join(" ".join(each.split()) for each in self.paragraphs if each.strip())
        return (self.text or "").replace("\r\n", "\n").replace("\r", "\n")


class FetchRequest(Shape):
    """An address to add from: a page, a file, a feed or a sitemap."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"url": "https://example.org/news/flood"}]})

    url: Annotated[Text, Field(min_length=1, max_length=4096)]
    language: Optional = Field(default=None, description="of the articles; detected where absent")
    source: Optional = Field(default=None, description="who published them; the host of the address where absent")
    pages: Annotated[int, Field(ge=1, le=MAX_PAGES)] = Field(
        default=10, description="of a feed or a sitemap, how many pages are asked for"
    )


class SearchRequest(Shape):
    """A question and what to search."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"query": "Which aircraft plant did Kim visit?", "limit": 5},
                {"query": "trade", "languages": ["bn"], "filter": {"published_at": {"gte": "2023-01-01"}}},
            ]
        }
    )

    query: Annotated[str, AfterValidator(spoken)]
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 10
    cursor: Optional = Field(default=None, description="`next_cursor` of the page before")
    languages: Annotated[list[Text], Field(max_length=300)] = Field(
        default_factory=list, description="only passages in one of these languages"
    )
    filter: dict[str, JsonValue] | None = Field(
        default=None,
        description="all must hold: `language`, `source`, `article_id`, `url`, `published_at`, "
        "`metadata.KEY`; each a value, a list of values, or a range of `gte`, `gt`, `lte`, `lt`",
    )
    mode: Mode = Field(
        default="hybrid",
        description="by all evidence together; `dense` by meaning alone, `lexical` by words and sounds; `raw` is plain"
        " cosine, the baseline",
    )
    min_relevance: Annotated[float, Field(ge=0, le=1)] | None = None
    query_language: Optional = Field(default=None, description="detected where absent")
    explain: bool = Field(default=False, description="tell of each hit why it matched; each is encoded once more")
    facets: bool = Field(default=False, description="count what is searched, by language, source and year")
    group: Group = Field(
        default="none",
        description="what one hit is, and `limit` counts: a passage; `article`, with further `passages` of it; `story`,"
        " with the other articles that tell it as `sources`",
    )
    rerank: bool | None = Field(
        default=None,
        description="whether the service's re-ranker puts the hits of the page in order; where absent, if there is one",
    )

    @model_validator(mode="after")
    def _clean_filter(self) -> Self:
        if self.filter is not None:
            bounded(self.filter)
        return self


class SimilarRequest(Shape):
    """What to search for passages that say what a given one says."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"limit": 5, "languages": ["hi"]}]})

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 10
    languages: Annotated[list[Text], Field(max_length=300)] = Field(
        default_factory=list, description="only passages in one of these; absent, in all but the passage's own"
    )
    filter: dict[str, JsonValue] | None = Field(default=None, description="as in a search")
    same_language: bool = Field(default=False, description="passages in its own language too")

    @model_validator(mode="after")
    def _clean_filter(self) -> Self:
        if self.filter is not None:
            bounded(self.filter)
        return self


class QuestionRequest(Shape):
    """A standing question: new articles that answer it are told once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "Which flights over Belarus are forbidden?", "min_relevance": 0.6}]}
    )

    query: Annotated[str, AfterValidator(spoken)]
    min_relevance: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="probability that a passage answers, from which on it is told"
    )
    languages: Annotated[list[Text], Field(max_length=300)] = Field(
        default_factory=list, description="only passages in one of these languages"
    )
    filter: dict[str, JsonValue] | None = Field(default=None, description="as in a search")
    query_language: Optional = Field(default=None, description="detected where absent")
    webhook: Optional = Field(default=None, description="a public address that each match is posted to, signed")

    @model_validator(mode="after")
    def _clean_filter(self) -> Self:
        if self.filter is not None:
            bounded(self.filter)
        return self


class QuestionOut(Shape):
    """A standing question, how much matched it, and how its webhook fares."""

    id: str
    query: str
    created_at: str
    min_relevance: float
    languages: list[str]
    filter: dict[str, JsonValue] | None
    query_language: str | None
    webhook: str | None
    matches: int
    pending: int = Field(description="matches that the webhook has not taken yet")
    failed: int = Field(description="matches that it has not taken, and is not offered any more")
    error: str | None = Field(description="why it has not")
    secret: str | None = Field(
        default=None, description="what the webhook's signatures are made with: told once, when the question is asked"
    )


class QuestionsOut(Shape):
    """All standing questions."""

    questions: list[QuestionOut]


class MatchOut(Shape):
    """A new article that answers a question, by its best passage, as it was when it was found."""

    number: int = Field(description="in the order of finding; `after` goes on from it")
    id: str
    found_at: str
    article_id: str
    title: str
    language: str
    url: str | None
    source: str | None
    published_at: str | None
    passage_id: str
    text: str
    start: int
    end: int
    relevance: float
    similarity: float


class MatchesOut(Shape):
    """What matched a question, in the order of finding."""

    matches: list[MatchOut]


class QueryLanguage(Shape):
    """The language of a question, as detected or as told."""

    code: str
    confidence: float


class Characters(Shape):
    """A span of an article's text, or of the question, `[start, end)` in characters (code points)."""

    start: int
    end: int


class TokenShare(Characters):
    """A token, and what it adds to the similarity."""

    share: float


class WordsMet(Shape):
    """A word of the question, the word of the passage that is nearest to it, and how near: a cosine, -1..1."""

    query: Characters
    passage: Characters
    cosine: float


class ExplanationOut(Shape):
    """Why a passage matched.

    The shares of `tokens` and `rest` sum to the similarity, and so do those of `query_tokens` and `query_rest`. Spans
    of the passage are of the article's text; those of the question are of `query` without white space around it.
    """

    tokens: list[TokenShare]
    rest: float = Field(description="what prompt and special tokens add, and what is lost in rounding")
    query_tokens: list[TokenShare]
    query_rest: float
    words: list[WordsMet] = Field(description="for each word of the question, the nearest of the passage")


class HitOut(Shape):
    """A passage as an answer; `start` and `end` are characters of the article's text, `[start, end)`."""

    rank: int
    passage_id: str
    article_id: str
    title: str
    text: str
    language: str
    relevance: float | None = Field(description="probability that the passage answers, 0..1")
    similarity: float = Field(description="cosine in the language-neutral space, -1..1")
    raw_similarity: float = Field(description="cosine of the model's own vectors, -1..1")
    start: int
    end: int
    best_sentence: Characters | None = Field(
        description="the sentence of the passage that answers best; null where the library keeps no token vectors"
    )
    explanation: ExplanationOut | None = Field(
        description="why it matched; null unless `explain`, and for models that do not pool by the mean of all tokens"
    )
    url: str | None
    source: str | None
    published_at: str | None
    metadata: dict[str, JsonValue]
    rerank_score: float | None = Field(
        default=None, description="what the re-ranker says, 0..1; null where it was not asked, or had no time"
    )


class RerankedOut(Shape):
    """What put the hits of a page in order, and how far it came in its time."""

    model: str
    scored: int = Field(description="hits that it scored; they come first, and the others in the order they had")
    complete: bool = Field(description="whether it scored all, or time was over before")


class Verdict(Shape):
    """Whether anything in the library answers, the same on every page."""

    found: bool | None = Field(
        description="whether the first passage answers more likely than not; false too where nothing matches, null"
        " where relevance is not known"
    )
    relevance: float | None = Field(
        description="probability that the first passage of the whole ranking answers, 0..1, whatever `min_relevance`"
        " leaves out"
    )


class CountOut(Shape):
    """How many passages, of how many articles, have a value."""

    value: str
    passages: int
    articles: int


class Source(HitOut):
    """An article as part of an answer, by its best passage; all of one answer have its rank."""

    passages: list[HitOut] = Field(description="further passages of this article, best first")


class GroupOut(Source):
    """Where hits are grouped: an article or a story as an answer, by the best passage of its best article."""

    sources: list[Source] = Field(description="the other articles that tell the same story, best first")


class SearchAnswer(Shape):
    """The passages that answer, best first."""

    query_language: QueryLanguage
    answer: Verdict
    hits: list[GroupOut | HitOut]  # in this order: what takes the first that fits takes the right one
    facets: dict[str, list[CountOut]] | None = Field(
        default=None,
        description="`language`, `source` and `year` of all that was searched, each counted without the filters on"
        " itself; null where not asked for",
    )
    reranked: RerankedOut | None = Field(default=None, description="null where no re-ranker was asked")
    next_cursor: str | None
    took_ms: float


class SimilarAnswer(Shape):
    """Passages that say what a given one says, the nearest first; their `relevance` is null, for nothing was asked."""

    hits: list[HitOut]


class OutcomeOut(Shape):
    """What became of one article."""

    id: str
    action: Action
    passages: int
    language: str


class Outcomes(Shape):
    """What became of the articles that were sent, in their order; each is durable and found by searches."""

    articles: list[OutcomeOut]


class Told(Shape):
    """Something that did not become an article: where it is (an address, a file, a line of it), and the reason."""

    where: str
    reason: str


class ReadOut(Outcomes):
    """What became of a file or an address: articles, what was there already, and what could not be read."""

    skipped: list[Told]
    refused: list[Told]


class Span(Shape):
    """Where in its article a passage is."""

    passage_id: str
    position: int
    start: int
    end: int


class ArticleKept(Shape):
    """An article as it is kept."""

    id: str
    title: str
    text: str
    language: str
    url: str | None
    source: str | None
    published_at: str | None
    metadata: dict[str, JsonValue]


class ArticleOut(ArticleKept):
    """An article as it is kept, and where in its text its passages are."""

    passages: list[Span]


class ArticlesPage(Shape):
    """Articles, in the order of their ids."""

    articles: list[ArticleKept]
    next: str | None = Field(description="`after` of the next page; null where this is the last")


class PassageOut(Shape):
    """A passage and what is known of its article."""

    passage_id: str
    article_id: str
    position: int
    start: int
    end: int
    text: str
    title: str
    language: str
    url: str | None
    source: str | None
    published_at: str | None
    metadata: dict[str, JsonValue]


class StatusOut(BaseModel):
    """How much the library holds, and with what it was built."""

    model_config = ConfigDict(extra="allow")

    version: str
    model: str
    articles: int
    passages: int
    languages: dict[str, int] = Field(description="articles by language")


class Fault(Shape):
    """One thing that is wrong with a request: `pointer` is a JSON pointer into it (RFC 6901)."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """Why a request was not met (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    errors: list[Fault] = Field(default_factory=list)
