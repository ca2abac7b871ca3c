import json
from pathlib import Path

import pytest

from service.errors import TooLarge, UnreadableInput
from service.reading import FORMATS, Draft, Refusal, count, read_bytes, read_path


def test_a_file_has_an_id_of_its_name_and_place(tmp_path: Path) -> None:
    """An edited file keeps its id, so that adding it again replaces it; a namesake elsewhere has another."""
    (tmp_path / "other").mkdir()
    first, namesake = tmp_path / "note.txt", tmp_path / "other" / "note.txt"
    first.write_text("one")
    namesake.write_text("one")
    [before] = read_path(first)
    first.write_text("two")
    [after] = read_path(tmp_path / "other" / ".." / "note.txt")
    [elsewhere] = read_path(namesake)
    assert isinstance(before, Draft)
    assert isinstance(after, Draft)
    assert isinstance(elsewhere, Draft)
    assert before.id == after.id
    assert before.id != elsewhere.id
    assert str(before.id).startswith("note-")
    assert len(str(before.id)) == len("note-") + 8
    assert after.text == "two"


def test_a_folder_is_read_in_order_and_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Good files come in the order of their names, each bad one with its reason; hidden ones not at all."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "deep.md").write_text("# Title\n\nDeep.")
    (tmp_path / "a.txt").write_text("First.")
    (tmp_path / "c.exe").write_bytes(b"MZ")
    (tmp_path / "c.pdf").write_bytes(b"%PDF")
    (tmp_path / "d.txt").write_bytes(b"\x00\x01\x02")
    (tmp_path / "e.txt").write_text("")
    (tmp_path / ".hidden.txt").write_text("secret")
    found = list(read_path(tmp_path))
    assert [each.text for each in found if isinstance(each, Draft)] == ["First.", "Title\n\nDeep."]
    refused = {Path(each.where).name: each.reason for each in found if isinstance(each, Refusal)}
    assert refused == {
        "c.exe": f".exe files are not read; these are: {', '.join(FORMATS)}",
        "c.pdf": "this is not PDF: it does not begin as such a file does",
        "d.txt": "this is binary data, not text (it holds NUL characters)",
        "e.txt": "the file has no text",
    }
    assert count(tmp_path) == 6


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    """A path that does not exist is a refusal with the system's reason."""
    assert list(read_path(tmp_path / "no.txt")) == [Refusal(str(tmp_path / "no.txt"), "no such file or directory")]


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    """Links to folders are not followed."""
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = list(read_path(tmp_path))
    assert [each.text for each in found if isinstance(each, Draft)] == ["one"]


def test_an_enormous_file_is_not_read(tmp_path: Path) -> None:
    """A file over the limit is refused by its size alone: 200 MB of nothing on disk, no time."""
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    [refusal] = read_path(path)
    assert refusal == Refusal(
        str(path), "209,715,200 bytes are over the limit of 67,108,864; DRAGOMAN_MAX_ARTICLE_BYTES raises it"
    )
    with pytest.raises(TooLarge):
        list(read_bytes(b"a" * 11, "a.txt", limit=10))


def test_json_lines_go_on_after_a_bad_line(tmp_path: Path) -> None:
    """Each bad line is named by its number and told what is wrong with it."""
    path = tmp_path / "a.jsonl"
    lines = [
        json.dumps({"id": "a", "text": "One.", "language": "en"}).encode(),
        b"{not json",
        b"",
        b"[1]",
        json.dumps({"id": "b", "txt": "Two."}).encode(),
        b'{"text": "\xff"}',
        json.dumps({"text": "x" * 200}).encode(),
        b'{"text": "\\ud800"}',
        b"[" * 100_000,
        json.dumps({"id": "c", "paragraphs": ["Three.", "Four."]}).encode(),
    ]
    path.write_bytes(b"\n".join(lines))
    found = list(read_path(path, limit=100))
    assert [(each.id, each.text) for each in found if isinstance(each, Draft)] == [
        ("a", "One."),
        ("c", "Three.\n\nFour."),
    ]
    refused = [(each.where, each.reason) for each in found if isinstance(each, Refusal)]
    assert [where for where, _ in refused] == [f"{path}, line {number}" for number in (2, 4, 5, 6, 7, 8, 9)]
    reasons = [reason for _, reason in refused]
    assert reasons[0].startswith("not JSON: Expecting property name")
    assert reasons[1] == "a line holds one JSON object, an article"
    assert "txt: Extra inputs are not permitted" in reasons[2]
    assert "not in UTF-8" in reasons[3]
    assert reasons[4] == "the line is over 100 bytes; DRAGOMAN_MAX_ARTICLE_BYTES raises the limit"
    assert "lone surrogate" in reasons[5]


def test_beirs_form_of_an_article_is_read() -> None:
    """`_id` is the id; language and source may stand in the metadata; members of its own are kept there."""
    line = {"_id": "bn:1", "title": "T", "text": "X", "metadata": {"language": "bn", "key": 1}, "pmid": "7"}
    [draft] = read_bytes(json.dumps(line).encode(), "corpus.jsonl")
    assert draft == Draft("X", id="bn:1", title="T", language="bn", metadata={"pmid": "7", "key": 1})


def test_unknown_suffix_is_refused_with_the_choices() -> None:
    """The reason names what could be read."""
    with pytest.raises(UnreadableInput, match=r"\.exe files are not read; these are: \.txt,"):
        list(read_bytes(b"MZ", "setup.exe"))
    with pytest.raises(UnreadableInput, match="files without a suffix"):
        list(read_bytes(b"a", "README"))
