"""Bytes to text: UTF-8 and UTF-16 by their marks, what is declared, and older encodings by what they would say."""

import codecs
import logging
import re

from charset_normalizer import from_bytes

from service.errors import UnreadableInput

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# An encoding is told from its letters: where there are fewer, one guess is as good as another.
LEAST_LETTERS = 8
# What no text holds, whatever its encoding; ESC and shifts switch alphabets in some.
_CONTROL = re.compile(rb"[\x01-\x08\x10-\x1a\x1c-\x1f]")
# So much of a text is looked at to know its encoding.
SAMPLE = 64 * 1024
# Labels of old encodings mean, on the web, those that hold more (https://encoding.spec.whatwg.org/#names-and-labels).
_MEANT = {"ascii": "cp1252", "iso8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932"}


# Code pages of the Latin alphabet, and the languages of those that are not Western Europe's.
_LATIN = ("cp125", "iso8859", "mac", "cp437", "cp775", "cp85", "hp-roman")
_FAMILIES = {
    ("cp1250", "iso8859-2", "cp852", "mac-latin2"): frozenset(["bs", "cs", "hr", "hu", "pl", "ro", "sk", "sl", "sq"]),
    ("cp1254", "iso8859-9"): frozenset(["az", "ku", "tr"]),
    ("cp1257", "iso8859-13", "iso8859-4", "cp775"): frozenset(["et", "lt", "lv"]),
    # Other alphabets have code pages with such names too; what is guessed of these stands.
    ("cp1251", "iso8859-5", "cp855"): frozenset(["be", "bg", "mk", "ru", "sr", "uk"]),
    ("cp1253", "iso8859-7"): frozenset(["el"]),
    ("cp1255", "iso8859-8"): frozenset(["he", "yi"]),
    ("cp1256", "iso8859-6"): frozenset(["ar", "fa", "ps", "ug", "ur"]),
    ("cp1258",): frozenset(["vi"]),
}


def decode(data: bytes) -> str:
    r"""Return the text in `data`, with `\n` line ends.

    Raises UnreadableInput for what is neither UTF-8 nor UTF-16 with a byte order mark, and for binary data.
    """
    try:
        text = data.decode(marked(data) or "utf-8")
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise UnreadableInput("this is binary data, not text") from None
        at = error.start
        raise UnreadableInput(f"the text is not in UTF-8 (byte {data[at]:#04x} at {at}); convert it to UTF-8") from None
    if "\0" in text:
        raise UnreadableInput("this is binary data, not text (it holds NUL characters)")
    return _with_line_ends(text)


def decode_any(data: bytes, declared: str | None = None) -> str:
    r"""Return the text in `data`, with `\n` line ends, in whatever encoding it is.

    That is as its mark says, as `declared`, as UTF-8, or else as the letters say. Raises UnreadableInput for binary
    data, and where there are too few letters to tell.
    """
    encoding = None if marked(data) else known(declared)
    if encoding:
        return _with_line_ends(data.decode(encoding, errors="replace").replace("\0", " "))
    try:
        return decode(data)
    except UnreadableInput:
        guessed = None if marked(data) else guess(data)
        if guessed is None:
            raise
        return _with_line_ends(data.decode(guessed, errors="replace"))


def encoding_of(head: bytes, declared: str | None = None) -> str:
    """Return the encoding of a text that begins with `head`; raises UnreadableInput as `decode_any` does."""
    if marked(head):
        return marked(head) or "utf-8"
    if name := known(declared):
        return name
    try:
        # A letter may be cut at the end.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        guessed = guess(head)
        if guessed is None:
            decode(head)
        return guessed or "utf-8"
    return "utf-8" if b"\0" not in head else guess(head) or "utf-8"


def guess(data: bytes) -> str | None:
    """Return the encoding of text that is not UTF-8; None for binary data, and where too little is there to tell."""
    sample = data[:SAMPLE]
    wide = _utf16(sample)
    if wide or b"\0" in data or _CONTROL.search(sample):
        return wide
    if sum(byte > 0x7F for byte in sample) < LEAST_LETTERS:
        return None
    logging.getLogger("charset_normalizer").setLevel(logging.ERROR)
    best = from_bytes(sample, cp_exclusion=["utf_7"]).best()
    name = "cp1252" if best is None else known(best.encoding)
    if name is None or not name.startswith(_LATIN):
        return name
    from embed import detect

    # Code pages of the Latin alphabet read each other's letters without a flaw: which it is, the language tells.
    language = detect(sample.decode(name, errors="ignore")).code
    family = next((family for family, languages in _FAMILIES.items() if language in languages), ("cp1252",))
    return name if name in family else family[0]


def marked(data: bytes) -> str | None:
    """Return the encoding that a byte order mark tells, if there is one."""
    return next((name for mark, name in _MARKS if data.startswith(mark)), None)


def known(label: str | None) -> str | None:
    """Return the encoding that a label means, None for none and for one that nobody knows."""
    try:
        name = codecs.lookup(label or "").name
        "a".encode(name)  # a codec that is not for text (zlib) fails here
    except (LookupError, ValueError):
        return None
    return _MEANT.get(name, name)


def _utf16(sample: bytes) -> str | None:
    """Return which UTF-16 without a mark this is, if it is: spaces and line ends show which half comes first."""
    pairs = len(sample) // 2
    if pairs < LEAST_LETTERS:
        return None
    for name, space, high in (("utf-16-le", (b" \0", b"\n\0"), 1), ("utf-16-be", (b"\0 ", b"\0\n"), 0)):
        at_even = sum(sample[at : at + 2] in space for at in range(0, 2 * pairs, 2))
        few_scripts = len(set(sample[high : 2 * pairs : 2])) <= 1 + pairs // 8
        try:
            text = sample[: 2 * pairs].decode(name)
        except UnicodeDecodeError:
            continue
        if at_even * 50 >= pairs and few_scripts and all(c.isprintable() or c.isspace() for c in text):
            return name
    return None


def _with_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
