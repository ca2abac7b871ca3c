"""`dragoman mcp`: a library as tools for a language model, over a running service or by itself."""

import threading
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.commands import Backend, Data, Model, _serving, _settings, app
from service.cli.terminal import say, told
from service.settings import Settings

if TYPE_CHECKING:
    import httpx2


@app.command()
@told
def mcp(
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A running service; else the library is opened here.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Speak MCP over HTTP on this port of 127.0.0.1, at /mcp, instead of over standard input and output.",
            show_default=False,
        ),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Without the tool that adds articles.")] = False,
    data: Data = None,
    model: Model = None,
    backend: Backend = None,
) -> None:
    """Offer a library to language models as an MCP server: search, read, add, languages (extra mcp)."""
    import anyio

    settings = _settings(data=data, model=model, backend=backend)
    anyio.run(_run, settings, url, port, read_only)


async def _run(settings: Settings, url: str | None, port: int | None, read_only: bool) -> None:
    """Speak MCP until the other side is done."""
    from service.client import AsyncClient
    from service.integrations.mcp import server

    async with AsyncExitStack() as stack:
        if url is not None:
            client = AsyncClient(url, key=settings.api_key)
        else:
            client = AsyncClient("http://dragoman", transport=await _within(stack, settings, read_only))
        await stack.enter_async_context(client)
        made = server(client, writing=not read_only)
        if port is None:
            await made.run_stdio_async()
        else:
            await made.run_streamable_http_async(host="127.0.0.1", port=port)


async def _within(stack: AsyncExitStack, settings: Settings, read_only: bool) -> "httpx2.AsyncBaseTransport":
    """Return the way to a service within this process, which lives as long as `stack`.

    What is asked while the model is being loaded waits for it.
    """
    import httpx2
    from anyio import to_thread

    from service.web.app import create_app

    opened = threading.Event()

    def failed(error: Exception) -> None:
        say(f"dragoman: {error}")
        opened.set()

    class Waiting(httpx2.ASGITransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            await to_thread.run_sync(opened.wait)
            return await super().handle_async_request(request)

    # Who speaks to it is who started it, so it needs no key.
    own = replace(settings, keys=False, workers=1)
    open_engine = partial(_serving, own, create=not read_only, read_only=read_only, generation="serving")
    service = create_app(own, open_engine, failed, opened.set)
    await stack.enter_async_context(service.router.lifespan_context(service))
    return Waiting(service)
