"""How requests are read off a connection: as uvicorn does it in C, with a bound on what comes before a body."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Bytes of a request's first line and headers: as many as uvicorn's reader in Python takes.
MOST = 65_536


class BoundedHeads(HttpToolsProtocol):
    """Answers 400 to a request whose headers have not ended after `MOST` bytes, and closes the connection.

    What is read at one time may hold more: it is here already.
    """

    # Bytes of headers without an end; whether headers are to come; whether some ended in what was read last.
    _head, _coming, _ended = 0, True, False

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        coming, self._ended = self._coming, False
        super().data_received(data)
        self._head = self._head + len(data) if coming and self._coming and not self._ended else 0
        if self._head > MOST and not self.transport.is_closing():
            self.send_400_response(f"The headers are over the limit of {MOST:,} bytes.")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._coming = True

    def on_headers_complete(self) -> None:
        """Go over to its body."""
        super().on_headers_complete()
        self._coming, self._ended = False, True
