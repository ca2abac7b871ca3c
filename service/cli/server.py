"""`dragoman serve`: a socket, one application or several, and a stop that finishes what was begun."""

import errno
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from service.cli.terminal import out, say, stop
from service.engine import Engine
from service.keys import Keys
from service.settings import Settings
from service.web.app import create_app
from service.web.heads import BoundedHeads
from service.web.logs import JSON
from service.web.rates import Rate
from service.web.tracing import Tracing


def run(settings: Settings, open_engine: Callable[[], Engine]) -> None:
    """Serve until told to stop (Ctrl-C, SIGTERM); raises what the engine raises when it cannot be opened.

    Where `settings` ask for several workers, `open_engine` is called in each: it must be possible to pickle it.
    """
    if settings.needs_key and not Keys(settings.data).all():
        stop(
            f"a key is needed to ask at {settings.host}, and there is none: make one with "
            f"`dragoman keys create NAME --scope write --data {settings.data}`, or set DRAGOMAN_KEYS=off"
        )
    listening = _listen(settings.host, settings.port)
    if not settings.loopback and not settings.needs_key:
        say(f"dragoman: whoever reaches {settings.host} may read, add and delete; keys are off")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{listening.getsockname()[1]}"
    try:
        if settings.workers == 1:
            _alone(settings, open_engine, listening, address)
        else:
            _together(settings, open_engine, listening, address)
    finally:
        listening.close()


def _alone(settings: Settings, open_engine: Callable[[], Engine], listening: socket.socket, address: str) -> None:
    """Serve in this process."""
    failures: list[Exception] = []

    def failed(error: Exception) -> None:
        failures.append(error)
        server.should_exit = True

    server = uvicorn.Server(_config(settings, create_app(settings, open_engine, failed, partial(_ready, address))))
    # uvicorn stops gently and then raises the signal again for whoever was there before it.
    signal.signal(signal.SIGTERM, _leave)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    if failures:
        raise failures[0]


def _together(settings: Settings, open_engine: Callable[[], Engine], listening: socket.socket, address: str) -> None:
    """Serve in as many processes as the settings say, on one socket; one that dies is replaced."""
    # Here first, once: the library and the model are made, and what is wrong is told.
    open_engine().close()
    Tracing(settings.otlp_endpoint).close()
    with tempfile.TemporaryDirectory(prefix="dragoman-workers-") as shared:
        numbers = Path(shared, "metrics")
        numbers.mkdir()
        # prometheus_client asks for it when a worker first imports it, and keeps the numbers of all there.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(numbers)
        counts = Path(shared, "counts.sqlite")
        Rate(settings.rate_limit, counts)
        ready = partial(_ready, address, once=Path(shared, "ready"))
        application = partial(create_app, settings, open_engine, _give_up, ready, counts)
        config = _config(settings, application, factory=True, workers=settings.workers)
        Multiprocess(config, [listening]).run()


def _config(settings: Settings, app: Any, **more: Any) -> uvicorn.Config:
    if settings.log_format == "json":
        more["log_config"] = JSON
    return uvicorn.Config(
        app,
        http=BoundedHeads,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=settings.stop_seconds,
        **more,
    )


def _ready(address: str, once: Path | None = None) -> None:
    """Say where the service is, now that it answers; the first of those who share the file `once` does."""
    if once is not None:
        try:
            once.touch(exist_ok=False)
        except FileExistsError:
            return
    out(f"Dragoman is at {address} (Ctrl-C stops it)")


def _give_up(error: Exception) -> None:
    """End a worker whose engine cannot be opened, so that its parent ends all."""
    say(f"dragoman: {error}")
    os._exit(STARTUP_FAILURE)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, or end the command in one line."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        stop(f"{host} is no address to listen on ({error})")
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            stop(f"port {port} of {host} is in use; choose another with --port")
        stop(f"cannot listen on {host}, port {port}: {error.strerror}")
    return listening
