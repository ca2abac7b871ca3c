"""Documents that are zip files of XML: looked into before any library opens them, so that no bomb is unpacked."""

import io
import zipfile

from service.errors import TooLarge, UnreadableInput
from service.reading.source import Source

MAX_MEMBERS = 20_000
# All members together may be so many times the limit of one: pictures are as large as text is small.
TOTAL = 4


def package(source: Source) -> bytes:
    """Return the bytes of a package that is safe to unpack: zipfile unpacks no more of a member than it declares.

    Raises TooLarge and UnreadableInput.
    """
    data = source.data()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise UnreadableInput(f"the file is damaged: {error}") from None
    if len(members) > MAX_MEMBERS:
        raise TooLarge(f"it has {len(members):,} parts; {MAX_MEMBERS:,} are the most")
    if any(member.flag_bits & 1 for member in members):
        raise UnreadableInput("the file is protected by a password")
    largest, total = max((m.file_size for m in members), default=0), sum(m.file_size for m in members)
    if largest > source.limit or total > TOTAL * source.limit:
        raise TooLarge(f"unpacked it is over the limit of {source.limit:,} bytes; DRAGOMAN_MAX_ARTICLE_BYTES raises it")
    return data


def article_text(paragraphs: list[str]) -> str:
    """Return paragraphs as the text of an article; raises UnreadableInput where there is none."""
    text = "\n\n".join(line for line in (" ".join(each.split()) for each in paragraphs) if line)
    if not text:
        raise UnreadableInput("the file has no text")
    return text
