import pytest

from service.errors import UnreadableInput
from service.reading.encodings import decode
from service.reading.plain import read_plain


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding: str) -> None:
    """UTF-8 with and without a mark, and UTF-16 with one, are read."""
    assert decode("বাংলা, हिन्दी".encode(encoding)) == "বাংলা, हिन्दी"


def test_paragraphs_are_left_as_they_are() -> None:
    """Line ends become one kind; blank lines stay; there is no title."""
    draft = read_plain(b"One.\r\nStill one.\r\n\r\nTwo.\r\n")
    assert draft.text == "One.\nStill one.\n\nTwo."
    assert draft.title == ""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no text"),
        (b" \n\t", "no text"),
        ("naïve".encode("latin-1"), "not in UTF-8 .byte 0xef at 2.; convert it"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "binary data"),
        (b"text\x00text", "binary data"),
        ("text".encode("utf-16-le"), "binary data"),
        (b"\xff\xfea", "not in UTF-8"),
    ],
)
def test_what_is_not_text_is_refused(data: bytes, reason: str) -> None:
    """The reason says what the bytes are instead, and what to do."""
    with pytest.raises(UnreadableInput, match=reason):
        read_plain(data)
