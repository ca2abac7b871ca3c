"""E-mail to text, through the standard library: the plain part of a message, or else its HTML; no attachments."""

import email.policy
from collections.abc import Iterator
from datetime import datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parseaddr

from service.errors import UnreadableInput
from service.reading.draft import Draft
from service.reading.encodings import decode_any
from service.reading.prose import paragraphs
from service.reading.source import Source

_PARSER = BytesParser(policy=email.policy.default)


def read(source: Source) -> Iterator[Draft]:
    """Yield the article in a message."""
    yield read_message(source.data())


def read_message(data: bytes) -> Draft:
    """Return the article in a message: its subject is the title, its sender the source.

    Its id is that of the message, so that a letter kept twice is one article. Raises UnreadableInput.
    """
    message = _PARSER.parsebytes(data)
    assert isinstance(message, EmailMessage)
    if not message.keys():
        raise UnreadableInput("this is not an e-mail: it has no headers")
    text = _text(message)
    if not text.strip():
        raise UnreadableInput("the e-mail has no text")
    name, address = parseaddr(_header(message, "From"))
    told = _header(message, "Message-ID").strip("<> ")
    return Draft(
        text,
        id=told[:512] or None,
        title=_header(message, "Subject"),
        source=name or address or None,
        published_at=_date(message),
        metadata={"to": to} if (to := _header(message, "To")) else {},
    )


def _text(message: EmailMessage) -> str:
    body = message.get_body(preferencelist=("plain", "html"))
    if body is None:
        return ""
    payload = body.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    text = decode_any(data, body.get_content_charset()).strip("\n")
    return "\n\n".join(paragraphs(text)) if body.get_content_type() == "text/html" else text


def _header(message: EmailMessage, name: str) -> str:
    """Return a header on one line; what of it is in no known encoding is left out."""
    try:
        told = str(message.get(name, ""))
    except Exception:  # the parser of headers fails in many ways on what spam is made of
        told = ""
    return " ".join(told.encode(errors="ignore").decode().split())[:4000]


def _date(message: EmailMessage) -> str | None:
    try:
        found: datetime | None = message["Date"].datetime
    except Exception:  # as above
        return None
    return found.isoformat() if found else None
