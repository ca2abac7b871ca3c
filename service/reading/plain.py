"""Bytes to text: UTF-8 or UTF-16, one kind of line end, and never binary data taken for words."""

import codecs

from service.errors import UnreadableInput
from service.reading.draft import Draft

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def read_plain(data: bytes) -> Draft:
    """Return the article in a plain text file, without a title: its first line may be anything."""
    text = decode(data).strip("\n")
    if not text.strip():
        raise UnreadableInput("the file has no text")
    return Draft(text)


def decode(data: bytes) -> str:
    r"""Return the text in `data`, with `\n` line ends.

    Raises UnreadableInput for what is neither UTF-8 nor UTF-16 with a byte order mark, and for binary data.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise UnreadableInput("this is binary data, not text") from None
        at = error.start
        raise UnreadableInput(f"the text is not in UTF-8 (byte {data[at]:#04x} at {at}); convert it to UTF-8") from None
    if "\0" in text:
        raise UnreadableInput("this is binary data, not text (it holds NUL characters)")
    return text.replace("\r\n", "\n").replace("\r", "\n")
