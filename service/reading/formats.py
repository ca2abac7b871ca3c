"""The formats: what each is called, how it is recognised, which module reads it, and which extra that needs."""

import importlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import cast
from urllib.parse import urlsplit

from service.errors import ExtraMissing, UnreadableInput
from service.reading.draft import Draft, Refusal
from service.reading.source import Source

Reader = Callable[[Source], Iterator[Draft | Refusal]]


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    A file of it begins with `signature`, if it has one, at `at`; a package of its kind (zip) holds the member `member`.
    `module` of `service.reading` has a function `read` that takes a Source. `many` is whether there may be several
    articles in a file, which then have ids of their own. `extra` is what `pip install 'dragoman[extra]'` names.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    media_types: tuple[str, ...] = ()
    signature: bytes = b""
    at: int = 0
    member: bytes = b""
    many: bool = False
    extra: str | None = None

    def reader(self) -> Reader:
        """Return what reads it, imported when it is needed; raises ExtraMissing where its library is not there."""
        try:
            module = importlib.import_module(f"service.reading.{self.module}")
        except ModuleNotFoundError as error:
            if self.extra is None or (error.name or "").startswith("service"):
                raise
            raise ExtraMissing(
                f"{self.name} needs the extra {self.extra}: pip install 'dragoman[{self.extra}]'"
            ) from None
        return cast(Reader, module.read)


PLAIN = Format("plain text", (".txt", ".text"), "plain", ("text/plain",))
HTML = Format("HTML", (".html", ".htm", ".xhtml"), "html", ("text/html", "application/xhtml+xml"))
JSON_LINES = Format(
    "JSON lines", (".jsonl", ".ndjson"), "jsonlines", ("application/x-ndjson", "application/jsonl"), many=True
)
WARC = Format("WARC", (".warc",), "warc", ("application/warc",), b"WARC/1.", many=True, extra="warc")
ZIP = Format("zip archive", (".zip",), "archives", ("application/zip",), b"PK\x03\x04", many=True)
GZIP = Format("gzip", (".gz", ".tgz"), "archives", ("application/gzip", "application/x-gzip"), b"\x1f\x8b", many=True)
_OFFICE = "application/vnd.openxmlformats-officedocument."

FORMATS = (
    PLAIN,
    Format("Markdown", (".md", ".markdown"), "markdown", ("text/markdown",)),
    HTML,
    JSON_LINES,
    Format("PDF", (".pdf",), "pdf", ("application/pdf",), b"%PDF-", extra="pdf"),
    Format(
        *("Word document", (".docx",), "docx", (_OFFICE + "wordprocessingml.document",)),
        member=b"word/document.xml",
        extra="docx",
    ),
    Format(
        *("PowerPoint slides", (".pptx",), "pptx", (_OFFICE + "presentationml.presentation",)),
        member=b"ppt/presentation.xml",
        extra="pptx",
    ),
    Format(
        *("OpenDocument text", (".odt",), "odt", ("application/vnd.oasis.opendocument.text",)),
        member=b"mimetypeapplication/vnd.oasis.opendocument.text",
        extra="odt",
    ),
    Format("EPUB", (".epub",), "epub", ("application/epub+zip",), member=b"mimetypeapplication/epub+zip"),
    Format("e-mail", (".eml",), "email", ("message/rfc822",)),
    Format("mailbox", (".mbox",), "mbox", ("application/mbox",), many=True),
    Format("CSV", (".csv", ".tsv"), "csv", ("text/csv", "text/tab-separated-values"), many=True),
    Format(
        "Parquet", (".parquet",), "parquet", ("application/vnd.apache.parquet",), b"PAR1", many=True, extra="parquet"
    ),
    WARC,
    Format("ZIM", (".zim",), "zim", (), b"ZIM\x04", many=True, extra="zim"),
    Format("subtitles", (".srt", ".vtt", ".ass", ".ssa"), "subtitles", ("text/vtt",), extra="subtitles"),
    ZIP,
    Format("tar archive", (".tar",), "archives", ("application/x-tar",), b"ustar", 257, many=True),
    GZIP,
    Format("bzip2", (".bz2", ".tbz2"), "archives", ("application/x-bzip2",), b"BZh", many=True),
    Format("xz", (".xz", ".txz"), "archives", ("application/x-xz",), b"\xfd7zXZ\x00", many=True),
)
BY_SUFFIX = {suffix: each for each in FORMATS for suffix in each.suffixes}
_BY_MEDIA_TYPE = {kind: each for each in FORMATS for kind in each.media_types}

# What is no text, whatever its name says.
_OTHERS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file; save it as .docx or .pptx"),
    (b"{\\rtf", "RTF; save it as .docx"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it, or make it a zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it, or make it a zip archive"),
)


def recognise(source: Source) -> Format:
    """Return the format of a source: as it begins where that tells, or else as its name ends.

    Raises UnreadableInput for what is not read.
    """
    head = source.head()
    told = BY_SUFFIX.get(source.suffix)
    found = _by_content(head)
    if found is ZIP:
        found = _package(source, head) or found
        # A package whose kind cannot be seen from its first bytes is what it says it is.
        if found is ZIP and told is not None and told.member:
            return told
    if found is not None:
        return found
    if told is None:
        kind = f"{source.suffix} files are" if source.suffix else "files without a suffix are"
        raise UnreadableInput(f"{kind} not read; these are: {', '.join(BY_SUFFIX)}")
    for signature, name in _OTHERS:
        if head.startswith(signature) and not (told is PLAIN and _is_text(head)):
            raise UnreadableInput(f"this is {name}")
    if told.signature or told.member:
        raise UnreadableInput(f"this is not {told.name}: it does not begin as such a file does")
    if told is PLAIN and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith((b"<!doctype html", b"<html")):
        return HTML
    return told


def _by_content(head: bytes) -> Format | None:
    """Return the format whose signature is there."""
    for each in FORMATS:
        if each.signature and head[each.at :].startswith(each.signature):
            return each
    if b"%PDF-" in head[:1024] and not _is_text(head[:1024]):
        return BY_SUFFIX[".pdf"]
    return None


def _package(source: Source, head: bytes) -> Format | None:
    """Return the format of a zip file that is a document: from its first member, or else from its directory.

    Raises UnreadableInput for a workbook.
    """
    kinds = [each for each in FORMATS if each.member]
    for each in kinds:
        # The specifications of EPUB and ODF want the member `mimetype` first, and as it is.
        if each.member.startswith(b"mimetype") and each.member in head[30:200]:
            return each
    names = _names(source)
    if "[Content_Types].xml" not in names:
        return None
    if "xl/workbook.xml" in names:
        raise UnreadableInput("this is an Excel workbook; save its sheets as .csv")
    return next((each for each in kinds if each.member.decode() in names), None)


def _names(source: Source) -> set[str]:
    """Return the names of a zip file's members; none where it is damaged, or streams by."""
    with source.opened() as stream:
        if not stream.seekable():
            return set()
        try:
            with zipfile.ZipFile(stream) as archive:
                return set(archive.namelist())
        except Exception:  # what is damaged is told by whoever reads it
            return set()


def _is_text(head: bytes) -> bool:
    return not any(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in head)


def articles(source: Source) -> Iterator[Draft | Refusal]:
    """Yield the articles of a source.

    Raises UnreadableInput where there is none to be had, ExtraMissing where a library is not there.
    """
    form = recognise(source)
    read = form.reader()
    try:
        for found in read(source):
            if isinstance(found, Draft):
                own = found.id if form.many else found.id or source.id
                found = replace(found, id=own, where=found.where or source.where)
            yield found
    except (UnreadableInput, ExtraMissing):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's, and not a library's
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnreadableInput(f"this {form.name} is damaged, or of another kind: {told}") from error


def guarded(source: Source) -> Iterator[Draft | Refusal]:
    """Yield the articles of a source, or the reason why there are none, or no more."""
    try:
        yield from articles(source)
    except (UnreadableInput, ExtraMissing) as error:
        yield Refusal(source.where, str(error))
    except OSError as error:
        yield Refusal(source.where, (error.strerror or str(error)).lower())


def name_of(address: str, media_type: str) -> str:
    """Return a file name whose suffix tells the format of what is at an address: as its server says, or as it ends."""
    path = PurePosixPath(urlsplit(address).path)
    form = _BY_MEDIA_TYPE.get(media_type)
    # `text/plain` and `application/octet-stream` are said of whatever a server does not know.
    if path.suffix.lower() in BY_SUFFIX and (form is None or form is PLAIN or path.suffix.lower() in form.suffixes):
        return path.name
    return f"{path.stem or 'index'}{form.suffixes[0] if form else '.html'}"
