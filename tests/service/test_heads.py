"""Requests are sent byte by byte over a real socket."""

import json
import socket
from contextlib import suppress
from itertools import repeat
from urllib.parse import urlsplit

import pytest

from service.web.heads import MOST

ENDLESS = {
    "many headers": [b"GET /livez HTTP/1.1\r\nHost: here\r\n", *repeat(b"X-Much: %s\r\n" % (b"m" * 1000), 5000)],
    "one header": [b"GET /livez HTTP/1.1\r\nHost: here\r\nX-Much: ", *repeat(b"m" * 1000, 5000)],
    "an address": [b"GET /", *repeat(b"m" * 1000, 5000)],
}


def connected(address: str) -> socket.socket:
    """Return a connection to a service."""
    parts = urlsplit(address)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def answers(connection: socket.socket, count: int) -> list[bytes]:
    """Return so many answers, of which each tells its length."""
    found = []
    with connection.makefile("rb") as stream:
        for _ in range(count):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += stream.readline()
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            found.append(head + stream.read(length))
    return found


@pytest.mark.parametrize("endless", ENDLESS)
def test_headers_without_end_are_refused_and_the_service_goes_on(address: str, endless: str) -> None:
    """After `MOST` bytes the answer is 400, and the connection is closed long before 5 MB are taken."""
    sent = 0
    with connected(address) as connection:
        with suppress(ConnectionError):
            for part in ENDLESS[endless]:
                connection.sendall(part)
                sent += len(part)
        with suppress(ConnectionError):
            told = connection.recv(1000)
            assert told.startswith(b"HTTP/1.1 400 ")
            assert told.endswith(b"The headers are over the limit of 65,536 bytes.")
    assert MOST < sent < 4_900_000
    with connected(address) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
        assert answers(connection, 1)[0].endswith(b"alive\n")


def test_what_is_no_request_is_refused(address: str) -> None:
    """The answer is 400."""
    with connected(address) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00 no request\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_headers_are_bounded_and_bodies_are_not(address: str) -> None:
    """On one connection a body larger than all headers may be comes in pieces, with the next request in its last one;
    headers just under the bound are taken, byte by byte at their end.
    """
    body = json.dumps([{"text": "river bank " * 50, "id": f"{number}"} for number in range(150)]).encode()
    assert MOST < len(body) < 100_000  # what the service lets bodies hold
    first = b"POST /v1/articles HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    second = b"GET /livez HTTP/1.1\r\nHost: here\r\nX-Much: %s\r\n\r\n" % (b"m" * (MOST - 1000))
    sent = first % len(body) + body + second
    with connected(address) as connection:
        for start in range(0, len(sent) - 100, 10_000):
            connection.sendall(sent[start : min(start + 10_000, len(sent) - 100)])
        for byte in sent[-100:]:
            connection.sendall(bytes([byte]))
        added, alive = answers(connection, 2)
    assert added.startswith(b"HTTP/1.1 201 ")
    assert alive.endswith(b"alive\n")
