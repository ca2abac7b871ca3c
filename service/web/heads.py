"""How requests are read off a connection: as uvicorn does it in C, with a bound on what comes before a body."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Bytes of a request's first line and headers: as many as uvicorn's reader in Python takes.
MOST = 65_536


class BoundedHeads(HttpToolsProtocol):
    """Answers 400 to a request whose headers have not ended after `MOST` bytes, and closes the connection.

    What is read at one time may hold more: it is here already.
    """

    _head, _begun = 0, True

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        begun = self._begun
        super().data_received(data)
        self._head = self._head + len(data) if begun and self._begun else 0
        if self._head > MOST and not self.transport.is_closing():
            self.send_400_response(f"The headers are over the limit of {MOST:,} bytes.")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._begun = True

    def on_headers_complete(self) -> None:
        """Go over to its body."""
        super().on_headers_complete()
        self._begun = False
