"""Connections to the very address that was checked: a name is resolved once, so it cannot change in between.

The host of the request, and the name that TLS is to prove, stay those of the address that was asked for.
"""

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore2

from service.errors import FetchRefused
from service.fetching.addresses import Resolve, checked


class Pinned(httpcore2.NetworkBackend):
    """Opens connections for one fetch, to checked addresses alone, all of it over by a `deadline` (monotonic)."""

    def __init__(self, resolve: Resolve, private_hosts: frozenset[str], deadline: float) -> None:
        self._resolve = resolve
        self._private_hosts = private_hosts
        self._deadline = deadline
        self._backend = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first address of `host` that answers; raises FetchRefused where one is not public."""
        failure: Exception | None = None
        for address in checked(host, port, self._resolve, self._private_hosts):
            try:
                left = remaining(self._deadline, timeout)
                stream = self._backend.connect_tcp(address, port, left, local_address, socket_options)
                return Hurried(stream, self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure


class Hurried(httpcore2.NetworkStream):
    """A stream whose every operation ends by the deadline, however slowly the other side drips."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes."""
        return self._stream.read(max_bytes, remaining(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all bytes."""
        self._stream.write(buffer, remaining(self._deadline, timeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Go on in TLS with a server that proves to be `server_hostname`."""
        left = remaining(self._deadline, timeout)
        return Hurried(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """Return a fact about the connection."""
        return self._stream.get_extra_info(info)


def remaining(deadline: float, timeout: float | None = None) -> float:
    """Return the seconds that are left, at most `timeout`; raises FetchRefused where there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise FetchRefused("the server took too long")
    return left if timeout is None else min(left, timeout)
