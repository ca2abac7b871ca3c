"""`dragoman serve`: a socket, an application, and a stop that finishes what was begun."""

import errno
import ipaddress
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

from service.cli.terminal import out, say, stop
from service.engine import Engine
from service.settings import Settings
from service.web.app import create_app

GRACE = 10  # seconds that running requests are given when the service is told to stop


def run(settings: Settings, open_engine: Callable[[], Engine]) -> None:
    """Serve until told to stop (Ctrl-C, SIGTERM); raises what the engine raises when it cannot be opened."""
    listening = _listen(settings.host, settings.port)
    failures: list[Exception] = []

    def failed(error: Exception) -> None:
        failures.append(error)
        server.should_exit = True

    app = create_app(settings, open_engine, failed)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE))
    if not _loopback(settings.host):
        say(f"dragoman: whoever reaches {settings.host} may read, add and delete; there are no keys yet")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    out(f"Dragoman is at http://{host}:{listening.getsockname()[1]} (Ctrl-C stops it)")
    # uvicorn stops gently and then raises the signal again for whoever was there before it.
    signal.signal(signal.SIGTERM, _leave)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
    if failures:
        raise failures[0]


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


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
