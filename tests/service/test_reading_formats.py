"""Every format: what is read of a good file, and what is told of a bad one."""

import bz2
import io
import lzma
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import ExtraMissing, TooLarge, UnreadableInput
from service.reading import Draft, Refusal, read_bytes, read_path
from tests.service import samples

BENGALI = "ঢাকায় ভারী বৃষ্টিপাতে বন্যা দেখা দিয়েছে। ক্ষতিগ্রস্তদের জন্য স্কুলগুলো খোলা।"
HINDI = "दोनों नेताओं ने व्यापार में वृद्धि की प्रशंसा की।"


def one(data: bytes, name: str, limit: int = 1_000_000) -> Draft:
    """Return the one article in a file."""
    [found] = read_bytes(data, name, limit)
    assert isinstance(found, Draft), found
    return found


def whatever(data: bytes, name: str) -> list[Draft | Refusal]:
    """Return what comes of a file, an error that is meant for the user as a refusal."""
    try:
        return list(read_bytes(data, name, 1_000_000))
    except UnreadableInput as error:
        return [Refusal(name, str(error))]


def several(data: bytes, name: str, limit: int = 1_000_000) -> tuple[list[Draft], list[tuple[str, str]]]:
    """Return the articles in a file, and what was refused."""
    found = list(read_bytes(data, name, limit))
    refused = [(each.where, each.reason) for each in found if isinstance(each, Refusal)]
    return [each for each in found if isinstance(each, Draft)], refused


def test_a_pdf_gives_its_letters() -> None:
    """Bengali and Hindi come out as they were typed; lines are joined to paragraphs by where they are."""
    draft = one(samples.pdf([BENGALI, HINDI, "A line of English", "that goes on."], title="বন্যা"), "a.pdf")
    assert draft.text.replace("\n\n", " ") == f"{BENGALI} {HINDI} A line of English that goes on."
    assert (draft.title, draft.published_at) == ("বন্যা", "2023-05-06")


def test_a_pdf_gives_paragraphs_by_how_far_lines_are_apart() -> None:
    """Lines as near as usual are one; on a page where each is a paragraph, all are as far as paragraphs are."""
    lines = ["The first line goes on", "in the second", "and the third"]
    assert one(samples.pdf(lines, leading=18), "a.pdf").text == " ".join(lines)
    assert one(samples.pdf(lines, leading=30), "a.pdf").text == "\n\n".join(lines)


def test_a_pdf_of_shaped_syllables_has_the_spaces_that_were_typed() -> None:
    """What Chrome prints: gaps within words are none, and those between words are."""
    words = [["ঢা", "কা", "য়"], ["ভা", "রী"], ["বৃ", "ষ্টি"], ["न", "हीं"], ["कि", "म"]]
    assert one(samples.pdf_of_syllables(words), "a.pdf").text == "ঢাকায় ভারী বৃষ্টি नहीं किम"


def test_a_word_document_gives_paragraphs_and_rows() -> None:
    """In their order; the heading is the title."""
    draft = one(samples.word("বন্যা", BENGALI, "last & least"), "a.docx")
    assert draft.text == f"বন্যা\n\n{BENGALI}\n\n1 last & least"
    assert draft.title == "বন্যা"
    assert draft.metadata == {"author": "python-docx"}


def test_slides_give_texts_and_notes() -> None:
    """What is on the slide, then what is to be said about it."""
    draft = one(samples.slides("Trade", HINDI, "Say this."), "a.pptx")
    assert draft.text == f"Trade\n\n{HINDI}\n\nSay this."
    assert draft.title == "Trade"


def test_an_opendocument_text_gives_paragraphs() -> None:
    """With its heading, which is the title."""
    draft = one(samples.opendocument("বন্যা", BENGALI, HINDI), "a.odt")
    assert draft.text == f"বন্যা\n\n{BENGALI}\n\n{HINDI}"
    assert draft.title == "বন্যা"


def test_a_book_gives_its_chapters_in_order() -> None:
    """In the order of the spine; who wrote and who published it is told."""
    draft = one(samples.book("Novel", BENGALI, "Second &amp; last"), "a.epub")
    assert draft.text == f"{BENGALI}\n\nSecond & last"
    assert (draft.title, draft.source, draft.published_at) == ("Novel", "House", "2020-01-02")
    assert draft.metadata == {"author": "A. Writer"}


@pytest.mark.parametrize("html", [False, True])
def test_an_email_gives_its_text(html: bool) -> None:
    """Subject, sender and date are told; its id is the message's; of HTML the words are left."""
    draft = one(samples.letter("বন্যা", BENGALI, html=html).as_bytes(), "a.eml")
    assert (draft.id, draft.title, draft.text.strip()) == ("1@example.org", "বন্যা", BENGALI)
    assert (draft.source, draft.published_at) == ("Desk", "2023-05-06T10:00:00+00:00")


def test_an_email_in_an_old_encoding_is_read() -> None:
    """As it declares, and where it declares nothing that is known, as its letters say."""
    text = "В Москве прошли переговоры двух лидеров, которые обсудили торговлю."
    for declared in ("koi8-r", "unknown-8bit"):
        head = (
            f"From: a@b\nSubject: x\nContent-Type: text/plain; charset={declared}\nContent-Transfer-Encoding: 8bit\n\n"
        )
        assert one(head.encode() + text.encode("koi8-r"), "a.eml").text == text


def test_a_mailbox_gives_each_message(tmp_path: Path) -> None:
    """A line that begins like a message is text again; a message over the limit, or empty, is named by its number."""
    messages = [
        samples.letter("one", f"{BENGALI}\n\nFrom here on."),
        samples.letter("two", "x" * 5000, 2),
        samples.letter("three", "\n", 3),
        samples.letter("four", HINDI, 4),
    ]
    data = samples.letters(tmp_path / "box", messages)
    drafts, refused = several(data, "a.mbox", limit=3000)
    assert [(each.id, each.title, each.where) for each in drafts] == [
        ("1@example.org", "one", "a.mbox, message 1"),
        ("4@example.org", "four", "a.mbox, message 4"),
    ]
    assert drafts[0].text == f"{BENGALI}\n\nFrom here on."
    assert [where for where, _ in refused] == ["a.mbox, message 2", "a.mbox, message 3"]
    assert refused[1][1] == "the e-mail has no text"


def test_a_table_gives_an_article_a_row() -> None:
    """Columns go by their names, in other words too; what is left is metadata; a row without text is named."""
    rows = [
        {"ID": "a", "Headline": "T", "Body": BENGALI, "Date": "2023-05-06", "desk": "city"},
        {"ID": "b", "Headline": "", "Body": "", "Date": "", "desk": ""},
        {"ID": "c", "Headline": "", "Body": "line one\nline two", "Date": "6 May", "desk": ""},
    ]
    for delimiter in ",;\t|":
        drafts, refused = several(samples.table(rows, delimiter), "a.csv")
        assert [(each.id, each.title, each.text, each.published_at, each.metadata) for each in drafts] == [
            ("a", "T", BENGALI, "2023-05-06", {"desk": "city"}),
            ("c", "", "line one\nline two", None, {"Date": "6 May"}),
        ]
        assert refused == [("a.csv, line 3", "the article has no text")]


def test_a_table_in_an_old_encoding_is_read() -> None:
    """As its letters say."""
    data = "id;text\n1;В Москве прошли переговоры двух лидеров, которые обсудили торговлю\n".encode("cp1251")
    assert one(data, "a.csv").text == "В Москве прошли переговоры двух лидеров, которые обсудили торговлю"


def test_a_table_without_a_text_is_refused_by_its_columns() -> None:
    """The reason tells which columns there could be, and which there are."""
    with pytest.raises(UnreadableInput, match=r"no column text or body or content.*; it has a, b$"):
        list(read_bytes(b"a,b\n1,2\n", "a.csv"))


def test_a_line_as_long_as_the_file_is_not_held() -> None:
    """A table of one endless line ends in a reason."""
    with pytest.raises(UnreadableInput, match="limit of 1,000"):
        list(read_bytes(b"id,text\n1," + b"a" * 100_000, "a.csv", 1000))


def test_parquet_gives_an_article_a_row() -> None:
    """Dates become text, vectors and bytes are left out, what is nested stays."""
    import datetime

    rows = [
        {"id": 1, "text": BENGALI, "date": datetime.date(2023, 5, 6), "vector": [0.1, 0.2], "raw": b"x", "tags": ["a"]},
        {"id": 2, "text": "", "date": None, "vector": [0.1, 0.2], "raw": b"x", "tags": []},
    ]
    drafts, refused = several(samples.parquet(rows), "a.parquet")
    assert drafts == [Draft(BENGALI, id="1", published_at="2023-05-06", metadata={"tags": ["a"]})]
    assert refused == [("a.parquet, row 2", "the article has no text")]


@pytest.mark.parametrize("packed", [True, False])
def test_a_web_archive_gives_its_pages(packed: bool) -> None:
    """Of what was answered with success, pages and documents; each with its address."""
    page = samples.page("Flood", BENGALI).encode()
    data = samples.warc(
        {
            "https://example.org/a": ("200 OK", "text/html; charset=utf-8", page),
            "https://example.org/b": ("404 Not Found", "text/html", page),
            "https://example.org/c.png": ("200 OK", "image/png", b"\x89PNG"),
            "https://example.org/d.pdf": ("200 OK", "application/pdf", samples.pdf([HINDI])),
            "https://example.org/e": ("200 OK", "text/html", b""),
        },
        packed,
    )
    drafts, refused = several(data, "a.warc.gz" if packed else "a.warc")
    assert [(each.url, each.title) for each in drafts] == [
        ("https://example.org/a", "Flood"),
        ("https://example.org/d.pdf", ""),
    ]
    assert BENGALI in drafts[0].text
    assert [where.rpartition(": ")[2] for where, _ in refused] == ["https://example.org/e"]


def test_a_zim_file_gives_its_pages(tmp_path: Path) -> None:
    """With their titles, and ids of the file and the path; it is read where it lies."""
    samples.zim(tmp_path / "small.zim", {"A/flood": ("Flood", samples.page("x", BENGALI)), "B": ("B", "<p></p>")})
    found = list(read_path(tmp_path / "small.zim"))
    [draft] = [each for each in found if isinstance(each, Draft)]
    assert (draft.id, draft.title, draft.source) == ("small/A/flood", "Flood", "Small encyclopedia")
    assert BENGALI in draft.text
    assert [each.where for each in found if isinstance(each, Refusal)] == [f"{tmp_path / 'small.zim'}: B"]
    with pytest.raises(UnreadableInput, match="from a file of its own"):
        list(read_bytes((tmp_path / "small.zim").read_bytes(), "small.zim"))


@pytest.mark.parametrize("form", ["srt", "vtt", "ass"])
def test_subtitles_give_what_is_said(form: str) -> None:
    """Lines become sentences; styles, and what is shown twice, are gone."""
    data = samples.subtitles(["{\\i1}The flood{\\i0}", "came at night.", "came at night.", HINDI], form)
    assert one(data, f"a.{form}").text == f"The flood came at night. {HINDI}"


FILES: dict[str, str | bytes] = {
    "news/a.txt": BENGALI,
    "news/b.md": "# Title\n\ntext",
    "c.jsonl": '{"id": "c", "text": "one"}\nnonsense\n',
    "d.pdf": samples.pdf([HINDI]),
    "e.docx": samples.word("Heading", "text", "row"),
    "f.parquet": samples.parquet([{"id": "f", "text": "row"}]),
    ".hidden.txt": "secret",
    "__MACOSX/a.txt": "secret",
    "g.exe": b"MZ",
    "../h.txt": "out",
    "/i.txt": "out",
    "inner.zip": samples.zipped({"a.txt": "deep"}),
}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz"])
def test_an_archive_gives_the_articles_of_its_members(tmp_path: Path, name: str) -> None:
    """Each good one with an id of its own, each bad one named; hidden ones are left out, archives are not opened."""
    mode = {"a.tar": "w", "a.tar.bz2": "w:bz2", "a.tar.xz": "w:xz"}.get(name, "w:gz")
    (tmp_path / name).write_bytes(samples.zipped(FILES) if name == "a.zip" else samples.tarred(FILES, mode))
    found = list(read_path(tmp_path / name))
    drafts = {str(each.id).rpartition("-")[0] or each.id: each for each in found if isinstance(each, Draft)}
    assert sorted(map(str, drafts)) == ["a", "b", "c", "d", "e", "f"]
    assert drafts["a"].text == BENGALI
    assert drafts["a"].where == f"{tmp_path / name}: news/a.txt"
    refused = {each.where.partition(": ")[2]: each.reason for each in found if isinstance(each, Refusal)}
    assert set(refused) == {"c.jsonl, line 2", "g.exe", "../h.txt", "/i.txt", "inner.zip"}
    assert refused["../h.txt"] == "its name leads out of the archive"
    assert refused["inner.zip"] == "archives in archives are not read; unpack the outer one"


@pytest.mark.parametrize("pack", [samples.packed, bz2.compress, lzma.compress])
def test_one_packed_file_is_read_by_the_name_before(pack: object) -> None:
    """`a.jsonl.gz` is JSON lines."""
    suffix = {bz2.compress: "bz2", lzma.compress: "xz"}.get(pack, "gz")  # type: ignore[call-overload]
    [draft] = read_bytes(pack(b'{"id": "a", "text": "one"}\n'), f"a.jsonl.{suffix}")  # type: ignore[operator]
    assert isinstance(draft, Draft)
    assert draft.id == "a"


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.txt.gz", "a.jsonl.gz", "a.csv.gz", "a.docx"])
def test_a_bomb_is_not_unpacked(name: str) -> None:
    """What unpacks to much more than text would is refused when it does, and not held in memory."""
    size = 60_000_000
    row = b"id,text\n" if "csv" in name else b""
    data = {
        "a.zip": lambda: samples.zipped({f"{n}.txt": b"a" * 10_000_000 for n in range(6)}),
        "a.tar.gz": lambda: samples.tarred({f"{n}.txt": b"a" * 10_000_000 for n in range(6)}),
        "a.docx": lambda: samples.zipped({"word/document.xml": b"a" * size}),
    }.get(name, lambda: samples.packed(row + b"a" * size))()
    assert len(data) < 100_000
    with Watch() as watch:
        found = whatever(data, name)
    assert found
    reasons = [each.reason if isinstance(each, Refusal) else each.text for each in found]
    assert all("limit" in reason or "unpacks to" in reason for reason in reasons)
    assert watch.peak < 15_000_000


class Watch:
    """The most memory that Python held while it watched, in bytes."""

    peak = 0

    def __enter__(self) -> "Watch":
        import tracemalloc

        tracemalloc.start()
        return self

    def __exit__(self, *exception: object) -> None:
        import tracemalloc

        self.peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


def test_members_that_are_no_files_are_refused() -> None:
    """Links and devices in a tar archive, and what a password protects."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("passwords.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert several(out.getvalue(), "a.tar") == ([], [("a.tar: passwords.txt", "it is a link or a device, and no file")])
    data = bytearray(samples.zipped({"a.txt": "x"}))
    for at in (data.index(b"PK\x01\x02") + 8, 6):
        data[at] |= 1
    assert several(bytes(data), "a.zip") == ([], [("a.zip: a.txt", "it is protected by a password")])


BROKEN = {
    "a.pdf": b"%PDF-1.7\nbroken",
    "a.docx": samples.word("a", "b", "c")[:-200],
    "b.docx": samples.zipped({"[Content_Types].xml": "", "word/document.xml": "<broken"}),
    "a.pptx": samples.zipped({"[Content_Types].xml": "", "ppt/presentation.xml": "<broken"}),
    "a.odt": samples.zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "<broken"}),
    "a.epub": samples.zipped({"mimetype": "application/epub+zip"}),
    "a.eml": b"\n\nno headers",
    "a.mbox": b"no mailbox",
    "a.csv": b"",
    "a.parquet": b"PAR1broken",
    "a.warc": b"WARC/1.0\r\nbroken\r\n\r\n",
    "a.srt": b"nothing",
    "a.vtt": b"WEBVTT\n\n",
    "a.zip": b"PK\x03\x04broken",
    "a.tar": b"x" * 257 + b"ustar" + b"y" * 1000,
    "a.gz": b"\x1f\x8bbroken",
    "a.xz": b"\xfd7zXZ\x00broken",
    "a.bz2": b"BZhbroken",
    "a.html": b"\x89PNG\r\n\x1a\n\0",
    "a.txt": b"\xff\xd8\xff\xe0\0\x10JFIF",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_with_a_reason(name: str) -> None:
    """Whatever a library makes of it, it ends in one clear error."""
    assert all(isinstance(each, Refusal) and each.reason for each in whatever(BROKEN[name], name))


def test_a_broken_zim_file_is_refused(tmp_path: Path) -> None:
    """Of one that lies in a folder the rest goes on."""
    (tmp_path / "a.zim").write_bytes(b"ZIM\x04" + b"broken" * 100)
    [refusal] = read_path(tmp_path / "a.zim")
    assert isinstance(refusal, Refusal)
    assert refusal.reason.startswith("this ZIM is damaged, or of another kind")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (samples.pdf([HINDI]), "a.txt"),
        (samples.pdf([HINDI]), "noname"),
        (samples.word("a", HINDI, "b"), "a.odt"),
        (samples.word("a", HINDI, "b"), "a.zip"),
        (samples.opendocument("a", HINDI), "a.docx"),
        (samples.book("a", HINDI), "a.zip"),
        (samples.page("a", HINDI).encode(), "a.txt"),
        (samples.warc({"http://a/": ("200 OK", "text/html", samples.page("a", HINDI).encode())}, False), "a.txt"),
        (samples.parquet([{"text": HINDI}]), "a.csv"),
        (samples.zipped({"a.txt": HINDI}), "a.pdf"),
        (samples.packed(HINDI.encode()), "a.txt"),
    ],
)
def test_a_name_that_lies_is_not_believed(data: bytes, name: str) -> None:
    """What begins as another format does is read as that."""
    [draft] = read_bytes(data, name)
    assert isinstance(draft, Draft), draft
    assert HINDI in draft.text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n", "this is a PNG picture"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file; save it as"),
        (samples.zipped({"[Content_Types].xml": "", "xl/workbook.xml": "x"}), "an Excel workbook; save its sheets as"),
        (b"Rar!\x1a\x07\x00", "a RAR archive"),
    ],
)
def test_what_is_another_thing_is_named(data: bytes, reason: str) -> None:
    """A picture called .pdf is told to be one, and what can be done where something can."""
    with pytest.raises(UnreadableInput, match=reason):
        list(read_bytes(data, "a.docx"))


@pytest.mark.parametrize(
    ("name", "library", "extra"),
    [
        ("pdf", "pypdfium2", "pdf"),
        ("docx", "docx", "docx"),
        ("pptx", "pptx", "pptx"),
        ("odt", "odfdo", "odt"),
        ("parquet", "pyarrow.parquet", "parquet"),
        ("warc", "warcio.archiveiterator", "warc"),
        ("zim", "libzim.reader", "zim"),
        ("subtitles", "pysubs2", "subtitles"),
    ],
)
def test_a_missing_library_is_told_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, library: str, extra: str
) -> None:
    """The file is refused with the command that installs it, and the rest goes on."""
    import importlib

    from service.reading.formats import FORMATS

    monkeypatch.delitem(sys.modules, f"service.reading.{name}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    [form] = [each for each in FORMATS if each.module == name]
    with pytest.raises(ExtraMissing, match=rf"pip install 'dragoman\[{extra}\]'"):
        form.reader()
    monkeypatch.undo()
    importlib.import_module(f"service.reading.{name}")


def test_a_file_over_the_limit_is_not_opened(tmp_path: Path) -> None:
    """Whatever the format, the size decides, and nothing is read: 3 GB of nothing on disk, no time."""
    for name, start in (("a.pdf", b"%PDF-1.7"), ("a.docx", b""), ("a.eml", b"From: x"), ("a.srt", b"1\n")):
        with (tmp_path / name).open("wb") as file:
            file.write(start)
            file.truncate(3 * 1024**3)
    found = list(read_path(tmp_path))
    assert [type(each) for each in found] == [Refusal] * 4
    reasons = {each.reason for each in found if isinstance(each, Refusal)}
    assert "3,221,225,472 bytes are over the limit of 67,108,864; DRAGOMAN_MAX_ARTICLE_BYTES raises it" in reasons


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=400), st.sampled_from(["a.zip", "a.tar", "a.gz", "a.csv", "a.srt", "a.vtt", "a.eml", "a.mbox"])
)
def test_whatever_comes_ends_in_articles_or_reasons(data: bytes, name: str) -> None:
    """Bytes of any kind raise nothing but what is meant."""
    starts = {"a.zip": b"PK\x03\x04", "a.gz": b"\x1f\x8b\x08", "a.vtt": b"WEBVTT\n\n", "a.mbox": b"From a\n"}
    for each in whatever(starts.get(name, b"") + data, name):
        assert each.text if isinstance(each, Draft) else each.reason


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1).filter(str.strip), min_size=1
    )
)
def test_a_table_gives_back_what_was_written(texts: list[str]) -> None:
    """Whatever a cell holds, quotes and separators among it, is the article's text."""
    drafts, refused = several(samples.table([{"id": str(n), "text": text} for n, text in enumerate(texts)]), "a.csv")
    assert refused == []
    assert [each.text for each in drafts] == [text.strip() for text in texts]


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z/.]{1,12}\.txt", fullmatch=True), st.binary(max_size=50), max_size=5))
def test_members_of_any_name_are_read_or_refused(files: dict[str, bytes]) -> None:
    """None escapes: an archive ends with an article or a reason for each that is not hidden."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    shown = [
        name
        for name in files
        if ".." in name.split("/")
        or name.startswith("/")
        or not any(part.startswith(".") for part in name.split("/") if part != ".")
    ]
    # An empty archive does not begin as one does, and is refused as a whole.
    assert len(whatever(out.getvalue(), "a.zip")) == (len(shown) if files else 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20), min_size=1, max_size=8))
def test_every_word_of_subtitles_is_said(lines: list[str]) -> None:
    """What was written is there, in its order; a line that is repeated is told once."""
    told = [line for n, line in enumerate(lines) if n == 0 or line != lines[n - 1]]
    assert one(samples.subtitles(lines), "a.srt").text.split() == [word for line in told for word in line.split()]


def test_a_limit_is_told_where_it_holds() -> None:
    """The setting that raises it is named."""
    with pytest.raises(TooLarge, match="DRAGOMAN_MAX_ARTICLE_BYTES"):
        list(read_bytes(samples.word("a", "b", "c"), "a.docx", 1000))
