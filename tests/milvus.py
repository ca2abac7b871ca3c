"""A real Milvus server for tests: the standalone one that the package `milvus` brings, in a network of its own.

It listens on every address of the machine that it is on, so it is given one that has loopback alone (`unshare --net`);
a process that was on both sides brings it what is sent to one port of 127.0.0.1 here. It does not end when asked to,
so it is killed.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

PORT, HEALTH = 19530, 9091
PATIENCE = 120.0

# What was written lately is searched exactly: by the index that Milvus makes of it meanwhile, nine in ten are found,
# and four in ten under a filter (docs/milvus.md).
EXACT = {"QUERYNODE_SEGCORE_INTERIMINDEX_ENABLEINDEX": "false"}


def lacking() -> str | None:
    """Return why a server cannot be started here; None where it can."""
    if _command() is None:
        return "the package milvus is not installed (make test-milvus installs it)"
    tried = subprocess.run([*_alone(), "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"no network of its own can be made here: {tried.stderr.strip()}"


class Milvus:
    """A server over a folder, which outlives it: `kill` and `start` are a crash and a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._server: subprocess.Popen[bytes] | None = None
        self._bridges: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start it, and return when it is healthy."""
        command = _command()
        assert command is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        inside = f"ip link set lo up && exec '{command}' --data '{self.folder / 'data'}' --proxy-port {PORT}"
        with (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                [*_alone(), "sh", "-c", inside],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | EXACT,
            )
        time.sleep(0.5)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            health = free.getsockname()[1]
        for here, there in ((self.port, PORT), (health, HEALTH)):
            told = [sys.executable, __file__, str(self._server.pid), str(here), str(there)]
            self._bridges.append(subprocess.Popen(told))
        end = time.monotonic() + PATIENCE
        while not _healthy(f"http://127.0.0.1:{health}/healthz"):
            assert self._server.poll() is None, (self.folder / "server.log").read_text()[-2000:]
            assert time.monotonic() < end, "Milvus did not become healthy in time"
            time.sleep(0.2)

    def kill(self) -> None:
        """Kill it as a crash does; what it has acknowledged is in its folder."""
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
        for bridge in self._bridges:
            bridge.kill()
            bridge.wait()
        self._server, self._bridges = None, []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()


def _command() -> str | None:
    beside = Path(sys.executable).parent / "milvus-server"
    return str(beside) if beside.exists() else shutil.which("milvus-server")


def _alone() -> list[str]:
    return ["unshare", "--net"] if os.getuid() == 0 else ["unshare", "--map-root-user", "--net"]


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            healthy: bool = answer.status == 200
            return healthy
    except OSError:
        return False


def bridge(pid: int, here: int, there: int) -> None:
    """Bring what is sent to a port here to one of the network that a process is in."""
    import threading

    listening = socket.create_server(("127.0.0.1", here), backlog=256)
    libc = ctypes.CDLL(None, use_errno=True)
    for kind, flag in (("user", 0x10000000), ("net", 0x40000000)):
        if kind == "user" and os.getuid() == 0:
            continue
        with Path(f"/proc/{pid}/ns/{kind}").open() as namespace:
            if libc.setns(namespace.fileno(), flag):
                raise OSError(ctypes.get_errno(), f"{kind} of {pid} cannot be entered")

    def pour(source: socket.socket, into: socket.socket) -> None:
        try:
            while piece := source.recv(1 << 16):
                into.sendall(piece)
        except OSError:
            pass
        finally:
            for each in (source, into):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    while True:
        caller, _ = listening.accept()
        try:
            inside = socket.create_connection(("127.0.0.1", there), timeout=5)
            inside.settimeout(None)
        except OSError:
            caller.close()
            continue
        for pair in ((caller, inside), (inside, caller)):
            threading.Thread(target=pour, args=pair, daemon=True).start()


if __name__ == "__main__":
    bridge(*map(int, sys.argv[1:]))
