"""A file of every format, written by the libraries that write them, or by hand where that is shorter."""

import csv
import gzip
import io
import mailbox
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from email.message import EmailMessage
from pathlib import Path

import docx
import matplotlib
import odfdo
import pptx
import pyarrow
import pyarrow.parquet
import pysubs2
from libzim.writer import Creator, Hint, Item, StringProvider
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

# Glyphs of the font that is used where letters need ink: from `A` on, and the space.
FIRST, SPACE = 36, 3

PAGE = """<!doctype html><html><head><meta charset="utf-8"><title>{title}</title></head>
<body><nav><a href="/">Home</a></nav><article><h1>{title}</h1>{text}</article></body></html>"""


def page(title: str, *paragraphs: str) -> str:
    """Return a web page."""
    return PAGE.format(title=title, text="".join(f"<p>{each}</p>" for each in paragraphs))


def pdf(lines: Iterable[str], title: str = "", leading: int = 16) -> bytes:
    """Return a PDF of one page whose letters have codes in the order of their coming, and a map to Unicode.

    Its lines are `leading` points apart, its letters 12 points large.
    """
    return _pdf(
        title,
        lambda codes: b"".join(
            b"BT /F1 12 Tf 50 %d Td <%s> Tj ET\n" % (750 - leading * number, _codes(line, codes))
            for number, line in enumerate(lines)
        ),
    )


def pdf_of_syllables(words: Sequence[Sequence[str]]) -> bytes:
    """Return a PDF as Skia (Chrome) writes shaped scripts.

    Of each syllable the first letter and the others are objects beside each other, which ActualText puts together, and
    a space between two words is an object without ink.
    """

    def content(codes: dict[str, int]) -> bytes:
        shown = ["BT /F1 12 Tf 50 700 Td\n"]
        for word in words:
            for syllable in word:
                shown.append(f"/Span<</ActualText <FEFF{syllable.encode('utf-16-be').hex()}> >> BDC\n")
                shown.extend(
                    f"<{codes.setdefault(letter, len(codes) + FIRST):04X}> Tj 12 0 Td\n" for letter in syllable
                )
                shown.append("EMC\n")
            shown.append(f"<{codes.setdefault(' ', SPACE):04X}> Tj 4 0 Td\n")
        return "".join([*shown, "ET"]).encode()

    font = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf").read_bytes()
    return _pdf("", content, font)


def _codes(line: str, codes: dict[str, int]) -> bytes:
    return "".join(f"{codes.setdefault(letter, len(codes) + FIRST):04X}" for letter in line).encode()


def _pdf(title: str, content_of: Callable[[dict[str, int]], bytes], font: bytes = b"") -> bytes:
    codes: dict[str, int] = {}
    content = content_of(codes)
    names = "".join(f"<{code:04X}> <{letter.encode('utf-16-be').hex()}>\n" for letter, code in codes.items())
    to_unicode = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /U def /CMapType 2 def\n"
        "1 begincodespacerange <0000> <FFFF> endcodespacerange\n"
        f"{len(codes)} beginbfchar\n{names}endbfchar endcmap end end"
    ).encode()
    widths = " ".join(f"{code} [{333 if letter == ' ' else 1000}]" for letter, code in codes.items())
    info = f"<< /Title <FEFF{title.encode('utf-16-be').hex()}> /ModDate (D:20230506101112Z) >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 2000 800] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /F /Encoding /Identity-H"
        b" /DescendantFonts [6 0 R] /ToUnicode 7 0 R >>",
        f"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /F /CIDToGIDMap /Identity"
        " /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity)"
        f" /Supplement 0 >> /FontDescriptor 9 0 R /DW 1000 /W [{widths}] >>".encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(to_unicode), to_unicode),
        info.encode(),
        b"<< /Type /FontDescriptor /FontName /F /Flags 4 /FontBBox [0 -200 1000 800] /ItalicAngle 0 /Ascent 800"
        b" /Descent -200 /CapHeight 700 /StemV 80%s >>" % (b" /FontFile2 10 0 R" if font else b""),
        b"<< /Length %d /Length1 %d >>\nstream\n%s\nendstream" % (len(font), len(font), font),
    ]
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, each in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root 1 0 R /Info 8 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def word(title: str, *paragraphs: str) -> bytes:
    """Return a Word document with a heading and, of the last paragraph, a table."""
    document = docx.Document()
    document.add_heading(title, 1)
    for each in paragraphs[:-1]:
        document.add_paragraph(each)
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "1", paragraphs[-1]
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def slides(title: str, text: str, notes: str) -> bytes:
    """Return a slide with a title, a text and notes."""
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    assert slide.shapes.title is not None
    slide.shapes.title.text = title
    slide.placeholders[1].text = text
    frame = slide.notes_slide.notes_text_frame
    assert frame is not None
    frame.text = notes
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def opendocument(title: str, *paragraphs: str) -> bytes:
    """Return an OpenDocument text with a heading."""
    document = odfdo.Document("text")
    document.body.clear()
    document.body.append(odfdo.Header(1, title))
    for each in paragraphs:
        document.body.append(odfdo.Paragraph(each))
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def book(title: str, *chapters: str) -> bytes:
    """Return an electronic book of some chapters, in a folder, listed in another order than they are read."""
    names = [f"c{number}.xhtml" for number in range(len(chapters))]
    manifest = "".join(f'<item id="{name}" href="text/{name}"/>' for name in reversed(names))
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    files = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        '<rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata'
        f' xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title><dc:creator>A. Writer</dc:creator>'
        "<dc:date>2020-01-02</dc:date><dc:publisher>House</dc:publisher></metadata>"
        f"<manifest>{manifest}</manifest><spine>{spine}</spine></package>",
        **{
            f"OPS/text/{name}": '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml">'
            f"<head><title>x</title></head><body><p>{chapter}</p></body></html>"
            for name, chapter in zip(names, chapters, strict=True)
        },
    }
    return zipped(files)


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """Return a zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            kind = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, kind)
    return out.getvalue()


def tarred(files: Mapping[str, str | bytes], mode: str = "w:gz") -> bytes:
    """Return a tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            raw = data.encode() if isinstance(data, str) else data
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return out.getvalue()


def letter(subject: str, text: str, number: int = 1, html: bool = False) -> EmailMessage:
    """Return an e-mail."""
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "Desk <desk@example.org>"
    message["To"] = "reader@example.org"
    message["Date"] = "Sat, 06 May 2023 10:00:00 +0000"
    message["Message-ID"] = f"<{number}@example.org>"
    if html:
        message.set_content(
            f"<html><head><style>p {{}}</style></head><body><p>{text}</p></body></html>", subtype="html"
        )
    else:
        message.set_content(text)
    return message


def letters(path: Path, messages: Iterable[EmailMessage]) -> bytes:
    """Return a mailbox, written at `path`."""
    box = mailbox.mbox(path)
    for each in messages:
        box.add(each)
    box.close()
    return path.read_bytes()


def table(rows: Sequence[dict[str, str]], delimiter: str = ",") -> bytes:
    """Return comma-separated values."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def parquet(rows: Sequence[dict[str, object]]) -> bytes:
    """Return a Parquet file."""
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), out)
    return out.getvalue()


def warc(pages: dict[str, tuple[str, str, bytes]], packed: bool = True) -> bytes:
    """Return a web archive of pages: by address, the status, the content type and the body."""
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=packed)
    for address, (status, kind, body) in pages.items():
        headers = StatusAndHeaders(status, [("Content-Type", kind)], protocol="HTTP/1.1")
        record = writer.create_warc_record(address, "response", payload=io.BytesIO(body), http_headers=headers)
        writer.write_record(record)
        record.raw_stream.close()
    return out.getvalue()


def subtitles(lines: Sequence[str], form: str = "srt") -> bytes:
    """Return subtitles, a line every two seconds."""
    shown = pysubs2.SSAFile()
    for number, line in enumerate(lines):
        shown.append(pysubs2.SSAEvent(start=number * 2000, end=number * 2000 + 1900, text=line))
    return shown.to_string(form).encode()


class _Page(Item):  # type: ignore[misc]  # libzim has no types
    def __init__(self, path: str, title: str, content: str) -> None:
        super().__init__()
        self._told = path, title, content

    def get_path(self) -> str:
        return self._told[0]

    def get_title(self) -> str:
        return self._told[1]

    def get_mimetype(self) -> str:
        return "text/html"

    def get_contentprovider(self) -> StringProvider:
        return StringProvider(self._told[2])

    def get_hints(self) -> dict[Hint, int]:
        return {Hint.FRONT_ARTICLE: True}


def zim(path: Path, pages: dict[str, tuple[str, str]]) -> bytes:
    """Return a ZIM file, written at `path`: by path, the title and the page."""
    with Creator(path).config_indexing(False, "eng") as creator:
        creator.set_mainpath(next(iter(pages)))
        for name, (title, html) in pages.items():
            creator.add_item(_Page(name, title, html))
        creator.add_metadata("Title", "Small encyclopedia")
        creator.add_metadata("Date", "2024-05-06")
        creator.add_redirection("also", "Also", next(iter(pages)), {})
    return path.read_bytes()


def bomb(size: int) -> bytes:
    """Return a zip archive that unpacks to much more than it is."""
    return zipped({"a.txt": b"a" * size})


def packed(data: bytes) -> bytes:
    """Return data packed with gzip."""
    return gzip.compress(data)
