"""Mailboxes (mbox): a message at a time, however many there are."""

from collections.abc import Iterator
from dataclasses import replace

from service.errors import TooLarge, UnreadableInput
from service.reading.draft import Draft, Refusal
from service.reading.email import read_message
from service.reading.source import Source, too_large


def read(source: Source) -> Iterator[Draft | Refusal]:
    """Yield the article of each message, or why it has none."""
    for number, message in enumerate(_messages(source), start=1):
        where = f"{source.where}, message {number}"
        try:
            if len(message) > source.limit:
                raise TooLarge(too_large(len(message), source.limit))
            yield replace(read_message(message), where=where)
        except UnreadableInput as error:
            yield Refusal(where, str(error))


def _messages(source: Source) -> Iterator[bytes]:
    """Yield the messages, each cut off a little over the limit.

    One begins with a line `From ` after a blank line (RFC 4155); lines of text that do are quoted with `>`.
    """
    message, blank, begun = bytearray(), True, False
    with source.opened() as stream:
        # A line is read in pieces, so that none is held whole that is as long as the file.
        while line := stream.readline(65_536):
            if blank and line.startswith(b"From "):
                if begun:
                    yield bytes(message)
                message, begun = bytearray(), True
            elif not begun:
                raise UnreadableInput("this is not a mailbox: it does not begin with a line `From `")
            elif len(message) <= source.limit:
                message += line[1:] if line.lstrip(b">").startswith(b"From ") and line.startswith(b">") else line
            blank = line in (b"\n", b"\r\n")
    if begun:
        yield bytes(message)
