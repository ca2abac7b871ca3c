"""MCP: what a language model can do with a library, as tools: search, read, add, and ask which languages there are.

Every answer says whence it is (article, address, span) and fits a budget of tokens. Tokenisers differ, so a token is
reckoned as three bytes of UTF-8: more than most take for English, about what they take for Bengali, Hindi or Chinese.
"""

import re
from collections.abc import Awaitable
from typing import Annotated, TypeVar

from pydantic import Field

from service.client import AsyncClient
from service.errors import Refused, Unreachable
from service.integrations.connection import missing
from service.wire import ArticleOut, HitOut

try:
    from mcp.server import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import ToolAnnotations
except ImportError as error:
    raise missing("MCP", "mcp", error) from error

Answer = TypeVar("Answer")

BYTES = 3
LEAST, MOST, USUAL = 100, 100_000, 2_000
TITLE = 120  # characters of a title that are told
# Where a text may be cut so that a reader is not left within a word: after white space or a sentence's end.
_END = re.compile(r"\s|[.!?…।॥。！？؟۔]\s*")

INSTRUCTIONS = """Search a library of articles in many languages with questions in any language. Passages come back in \
their own language. Cite what you use by article, address and characters. Where nothing answers, the answer says so; \
then do not take the nearest passages for an answer."""

Budget = Annotated[
    int,
    Field(ge=LEAST, le=MOST, description="the answer fits so many tokens, reckoned as three bytes of UTF-8 each"),
]
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


def server(client: AsyncClient, *, writing: bool = True) -> MCPServer:
    """Return the MCP server over a client; without `writing` nothing can be added."""
    made = MCPServer("dragoman", instructions=INSTRUCTIONS)

    @made.tool(annotations=READS, structured_output=False)
    async def search(
        question: Annotated[str, Field(description="in any language")],
        limit: Annotated[int, Field(ge=1, le=50, description="how many passages at most")] = 8,
        languages: Annotated[list[str] | None, Field(description="only passages in these: bn, hi")] = None,
        source: Annotated[str | None, Field(description="only passages of this publisher")] = None,
        max_tokens: Budget = USUAL,
    ) -> str:
        """Find the passages that answer a question, best first, each with article, address, characters, relevance."""
        result = await told(
            client.search(
                question,
                limit=limit,
                languages=languages or (),
                filter=None if source is None else {"source": source},
            )
        )
        head = {
            True: "These passages answer:",
            False: "Nothing in the library answers this. The nearest passages are:",
            None: "The nearest passages are:",
        }[result.answer.found]
        return fitted(head, [passage(hit) for hit in result.hits], max_tokens)

    @made.tool(annotations=READS, structured_output=False)
    async def read(
        article_id: Annotated[str, Field(description="as a search gives it")],
        start: Annotated[int, Field(ge=0, description="the character of the text to begin at")] = 0,
        max_tokens: Budget = USUAL,
    ) -> str:
        """Read an article in its own language, from a character on; a long one comes in parts."""
        return part(await told(client.get(article_id)), start, max_tokens)

    @made.tool(annotations=READS, structured_output=False)
    async def languages(max_tokens: Budget = USUAL) -> str:
        """Tell which languages there are articles in, and how many."""
        status = await told(client.status())
        counts = sorted(status.languages.items(), key=lambda each: (-each[1], each[0]))
        lines = [f"{code}: {count}" for code, count in counts]
        return fitted(f"{status.articles} articles, by language:", lines, max_tokens)

    if writing:

        @made.tool(annotations=WRITES, structured_output=False)
        async def add(
            text: Annotated[str, Field(description="the article; a blank line ends a paragraph")],
            title: str = "",
            article_id: Annotated[str | None, Field(description="replaces the article that has it")] = None,
            language: Annotated[str | None, Field(description="ISO 639; detected where absent")] = None,
            url: str | None = None,
            source: Annotated[str | None, Field(description="who published it")] = None,
            published_at: Annotated[str | None, Field(description="ISO 8601")] = None,
        ) -> str:
            """Add an article to the library, for good; it is found by searches at once."""
            given = {
                "text": text,
                "title": title,
                "id": article_id,
                "language": language,
                "url": url,
                "source": source,
                "published_at": published_at,
            }
            outcomes = await told(client.add({name: value for name, value in given.items() if value}))
            [outcome] = outcomes.articles
            return f"{outcome.action}: article {outcome.id}, {outcome.passages} passages, language {outcome.language}"

    return made


async def told(asked: Awaitable[Answer]) -> Answer:
    """Return what the service answers; raises ToolError, with its own words, where it refuses."""
    try:
        return await asked
    except (Refused, Unreachable) as error:
        raise ToolError(str(error)) from None


def tokens(text: str) -> int:
    """Return how many tokens a text is reckoned to be."""
    return -(-len(text.encode()) // BYTES)


def fitted(head: str, parts: list[str], most: int) -> str:
    """Return `head` and as many parts as fit, the first cut short where not even it does; what is left out is told."""

    def whole(kept: list[str]) -> str:
        left = len(parts) - len(kept)
        return "\n\n".join([head, *kept, *([f"({left} more; ask with larger max_tokens.)"] if left else [])])

    if not parts:
        return head
    for count in range(len(parts), 0, -1):
        if tokens(whole(parts[:count])) <= most:
            return whole(parts[:count])
    return whole([cut(parts[0], most - tokens(whole([""])) - 2) + " …"])


def cut(text: str, most: int) -> str:
    """Return the beginning of a text that fits so many tokens, up to the end of a word or a sentence."""
    short = text.encode()[: max(0, most) * BYTES].decode(errors="ignore")
    if len(short) == len(text):
        return text
    ends = [match.end() for match in _END.finditer(short)]
    return short[: ends[-1]].rstrip() if ends and ends[-1] > len(short) // 2 else short


def passage(hit: HitOut) -> str:
    """Return a passage with what cites it."""
    relevance = "" if hit.relevance is None else f", relevance {hit.relevance:.2f}"
    return f"[{hit.rank}] {cited(hit, hit.start, hit.end)}{relevance}\n{hit.text}"


def cited(told: HitOut | ArticleOut, start: int, end: int) -> str:
    """Return what cites a span of an article: title, language, source, date, id, characters and address."""
    id = told.article_id if isinstance(told, HitOut) else told.id
    title = told.title if len(told.title) <= TITLE else told.title[:TITLE] + "…"
    span = f"article {id}, characters {start}-{end}"
    about = [title, told.language, told.source, told.published_at, span, told.url]
    return " · ".join(each for each in about if each)


def part(article: ArticleOut, start: int, most: int) -> str:
    """Return the text of an article from `start` on, as far as it fits, cited, and where it goes on."""
    total = len(article.text)
    if start >= total:
        raise ToolError(f"The article has {total} characters; begin before them.")
    longest = f"\n\n(It goes on at start={total}, of {total} characters.)"
    text = cut(article.text[start:], most - tokens(cited(article, total, total) + longest) - 2)
    if not text:
        raise ToolError("The answer does not fit so few tokens; ask with larger max_tokens.")
    end = start + len(text)
    more = f"\n\n(It goes on at start={end}, of {total} characters.)" if end < total else ""
    return f"{cited(article, start, end)}\n\n{text}{more}"
