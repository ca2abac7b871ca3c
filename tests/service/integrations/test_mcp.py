"""The MCP server through the official client."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from mcp import ClientSession, StdioServerParameters
from mcp.client.client import Client as Connected
from mcp.client.stdio import stdio_client
from mcp_types import CallToolResult, TextContent

from index import Library
from service.client import AsyncClient, Client
from service.integrations.mcp import cut, fitted, server, tokens
from tests.service.conftest import wait_until

QUESTION = "By how much did trade between Russia and Belarus grow?"
SEEDS = Path(__file__).parents[3] / "seeds"
Ask = Callable[..., Coroutine[Any, Any, CallToolResult]]


def text(result: CallToolResult) -> str:
    """Return what a tool said."""
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


@asynccontextmanager
async def asking(address: str, **how: Any) -> AsyncIterator[Ask]:
    """Give a function that calls a tool of an MCP server over a running service."""
    async with AsyncClient(address) as client, Connected(server(client, **how)) as connected:

        async def ask(tool: str, **arguments: Any) -> CallToolResult:
            return await connected.call_tool(tool, arguments)

        yield ask


@pytest.mark.model
def test_over_stdio_a_real_library_is_searched_and_read_and_added_to(model: object, tmp_path: Path) -> None:
    """`dragoman mcp` by itself, through the official client: from an English question to the Hindi passage, cited."""
    command = [sys.executable, "-m", "service.cli"]

    async def talk() -> None:
        started = StdioServerParameters(
            command=command[0],
            args=[*command[1:], "mcp", "--data", str(tmp_path / "library")],
            env={"PYTHONPATH": str(SEEDS.parent)},
        )
        async with stdio_client(started) as streams, ClientSession(*streams) as session:
            told = await session.initialize()
            assert told.server_info.name == "dragoman"
            assert {each.name for each in (await session.list_tools()).tools} == {"search", "read", "add", "languages"}
            for path in sorted(SEEDS.glob("*.txt")):
                given = {"text": path.read_text(encoding="utf-8"), "article_id": path.stem, "source": "seeds"}
                added = text(await session.call_tool("add", given))
                assert re.fullmatch(rf"added: article {path.stem}, \d+ passages, language (bn|hi)", added)

            found = text(await session.call_tool("search", {"question": QUESTION, "limit": 3}))

            head, first, *_ = found.split("\n\n")
            assert head == "These passages answer:"
            cited = re.match(r"\[1\] hi · seeds · article (\S+), characters (\d+)-(\d+), relevance 0\.\d\d\n", first)
            assert cited
            assert "36 प्रतिशत" in first
            span = {"article_id": cited[1], "start": int(cited[2])}
            assert first[cited.end() :][:80] in text(await session.call_tool("read", span))
            assert text(await session.call_tool("languages", {})) == "2 articles, by language:\n\nbn: 1\n\nhi: 1"

    asyncio.run(talk())
    assert Library.describe(tmp_path / "library") is not None


@pytest.mark.model
def test_over_http_a_running_service_is_asked(seeds_address: str) -> None:
    """`dragoman mcp --url --port`: the official client finds the Hindi passage through both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "mcp", "--url", seeds_address, "--port", str(port), "--read-only"],
        env={**os.environ, "PYTHONPATH": str(SEEDS.parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def listening() -> bool:
        assert process.poll() is None
        with socket.socket() as knocking:
            return knocking.connect_ex(("127.0.0.1", port)) == 0

    async def talk() -> str:
        async with Connected(f"http://127.0.0.1:{port}/mcp") as connected:
            assert {each.name for each in (await connected.list_tools()).tools} == {"search", "read", "languages"}
            return text(await connected.call_tool("search", {"question": QUESTION, "limit": 1}))

    try:
        wait_until(listening, 60)
        assert "36 प्रतिशत" in asyncio.run(talk())
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.model
@pytest.mark.parametrize("most", [100, 250, 1000])
def test_answers_fit_their_budget(seeds_address: str, most: int) -> None:
    """Whatever is asked; what did not fit is counted."""

    async def talk() -> list[str]:
        async with asking(seeds_address) as ask:
            found = await ask("search", question=QUESTION, limit=20, max_tokens=most)
            [article] = re.findall(r"article (\S+), characters", text(found))[:1]
            return [text(found), text(await ask("read", article_id=article, max_tokens=most))]

    found, read = asyncio.run(talk())
    for each in (found, read):
        assert most / 4 < tokens(each) <= most
    assert re.search(r"\(\d+ more; ask with larger max_tokens\.\)$", found)
    assert re.search(r"\(It goes on at start=\d+, of \d+ characters\.\)$", read)


@pytest.mark.model
def test_a_long_article_is_read_in_parts_that_make_the_whole(seeds_address: str) -> None:
    """Each part begins where the one before said, and none of the text is lost."""
    with Client(seeds_address) as client:
        article = next(client.all_articles())

    async def talk() -> str:
        start, parts = 0, ""
        async with asking(seeds_address) as ask:
            while True:
                told = text(await ask("read", article_id=article.id, start=start, max_tokens=600))
                match = re.search(r"\n\n\(It goes on at start=(\d+), of \d+ characters\.\)$", told)
                parts += told[: match.start() if match else None].partition("\n\n")[2]
                if match is None:
                    return parts
                start = int(match[1])

    assert asyncio.run(talk()).split() == article.text.split()


@pytest.mark.model
def test_it_says_when_nothing_answers_and_what_is_wrong(seeds_address: str) -> None:
    """So that a model does not take the nearest passages for an answer, and can mend what it asked."""

    async def talk() -> None:
        async with asking(seeds_address) as ask:
            found = text(await ask("search", question="How do I bake sourdough bread?"))
            assert found.startswith("Nothing in the library answers this. The nearest passages are:")
            only = text(await ask("search", question=QUESTION, languages=["bn"]))
            assert re.findall(r"^\[\d+\] (\w+) ", only, re.M) == ["bn"] * only.count("\n[")
            for tool, given, said in (
                ("read", {"article_id": "nothing"}, "no article 'nothing'"),
                ("read", {"article_id": re.findall(r"article (\S+),", only)[0], "start": 10**6}, "begin before them"),
                ("search", {"question": QUESTION, "languages": ["klingon"]}, "klingon"),
                ("search", {"question": QUESTION, "max_tokens": 1}, "max_tokens"),
            ):
                refused = await ask(tool, **given)
                assert refused.is_error
                assert said in text(refused)

    asyncio.run(talk())


def test_what_only_reads_has_no_tool_to_add(address: str) -> None:
    """The others are said to only read."""

    async def talk() -> None:
        async with AsyncClient(address) as client, Connected(server(client, writing=False)) as connected:
            tools = (await connected.list_tools()).tools
            assert {each.name for each in tools} == {"search", "read", "languages"}
            assert all(each.annotations and each.annotations.read_only_hint for each in tools)
            assert all(each.description for each in tools)

    asyncio.run(talk())


def test_texts_are_cut_between_words() -> None:
    """And never within a character, whatever its length in bytes."""
    assert cut("one two three four", 4) == "one two"
    assert cut("বন্যা হয়েছে", 7) == "বন্যা"
    assert cut("一二三四", 2) == "一二"
    assert cut("short", 5) == "short"
    parts = ["a" * 30, "b" * 30, "c" * 30]
    told = fitted("Head:", parts, 33)
    assert told == f"Head:\n\n{'a' * 30}\n\n(2 more; ask with larger max_tokens.)"
    assert fitted("Head:", parts, 34) == "Head:\n\n" + "\n\n".join(parts)
