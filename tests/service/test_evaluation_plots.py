import re
import struct
from pathlib import Path
from typing import Any

import pytest

from service.errors import ExtraMissing, UnwritablePicture
from service.evaluation import plots

REPORT: dict[str, Any] = {
    "dataset": "tiny",
    "model": "toy",
    "mode": "dense",
    "questions": 1234,
    "asked": 5678,
    "ece": 0.04567,
    "reliability": [
        {"count": 4000, "relevance": 0.31, "answered": 0.25},
        {"count": 1678, "relevance": 0.93, "answered": 0.9},
    ],
    "pairs": {"en->hi": {"ndcg@10": 0.876}, "hi->hi": {"ndcg@10": 0.987}, "en->bn": {"ndcg@10": 0.765}},
}


def drawn(report: dict[str, Any], folder: Path) -> list[str]:
    """What stands in the picture of a report."""
    plots.draw(report, folder / "found.svg")
    text = (folder / "found.svg").read_text(encoding="utf-8")
    return re.findall(r"<text[^>]*>([^<]*)</text>", text)


def test_a_picture_says_what_it_shows(tmp_path: Path) -> None:
    """Dataset, model, mode, how many questions and first hits; languages, figures of the pairs, counts of the bins."""
    told = drawn(REPORT, tmp_path)
    assert "tiny  \u00b7  toy  \u00b7  mode dense  \u00b7  1,234 questions" in " ".join(told)
    assert "5,678 first hits: each pair of languages and all together, calibration error 0.046" in told
    assert {"0.88", "0.99", "0.77", "4,000", "1,678", "nDCG@10", "relevance of the first hit"} <= set(told)
    assert {"language of the questions", "language of the passages", "bn", "en", "hi"} <= set(told)
    assert "nan" not in told  # hi->bn was not measured


def test_the_same_report_gives_the_same_file(tmp_path: Path) -> None:
    """Nothing of the moment is in it, so that pictures can be kept under version control."""
    for name in ("one.svg", "two.svg"):
        plots.draw(REPORT, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_the_suffix_chooses_the_kind(tmp_path: Path) -> None:
    """A .png, in whatever case, is a PNG of a size to be read."""
    plots.draw(REPORT, tmp_path / "found.PNG")
    head = (tmp_path / "found.PNG").read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">II", head[16:24]) == (2025, 975)


def test_of_many_languages_only_the_colours_are_shown(tmp_path: Path) -> None:
    """Thirty by thirty figures could not be read; the codes still are."""
    codes = [f"l{number}" for number in range(30)]
    pairs = {f"{asked}->{over}": {"ndcg@10": 0.123} for asked in codes for over in codes}
    told = drawn({**REPORT, "pairs": pairs}, tmp_path)
    assert "0.12" not in told
    assert set(codes) <= set(told)


def test_half_a_library_has_no_heat_map(tmp_path: Path) -> None:
    """A report of `answerable` measures no pairs."""
    told = drawn({name: value for name, value in REPORT.items() if name != "pairs"}, tmp_path)
    assert "nDCG@10" not in told
    assert "5,678 first hits: every second article left out, calibration error 0.046" in told


def test_plain_cosine_is_not_called_relevance(tmp_path: Path) -> None:
    """Mode raw has no probabilities."""
    assert "similarity of the first hit" in drawn({**REPORT, "mode": "raw"}, tmp_path)


def test_nothing_found_is_drawn_too(tmp_path: Path) -> None:
    """Where no question found anything there are no bins and no error to tell."""
    told = drawn({**REPORT, "asked": 0, "ece": None, "reliability": []}, tmp_path)
    assert "0 first hits: each pair of languages and all together" in told


@pytest.mark.parametrize("dataset", ["পরীক্ষা", "a$b$c", "a<b>&c"])
def test_a_name_in_any_script_does_no_harm(tmp_path: Path, dataset: str) -> None:
    """No warning of letters that the font lacks (warnings are errors here), and no formula."""
    told = drawn({**REPORT, "dataset": dataset}, tmp_path)
    shown = {"a$b$c": "a$b$c", "a<b>&c": "a&lt;b&gt;&amp;c"}.get(dataset, "???????")
    assert any(shown in each for each in told)


@pytest.mark.parametrize("name", ["found.pdf", "found", "png", ".png", "found.png.txt"])
def test_other_kinds_of_pictures_are_refused(tmp_path: Path, name: str) -> None:
    """The message names the file and the two kinds there are."""
    with pytest.raises(ValueError, match=r"is neither a \.png nor an \.svg file"):
        plots.check(tmp_path / name)
    plots.check(tmp_path / "found.svg")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """So that nothing is measured for a picture that cannot be written."""
    with pytest.raises(ValueError, match=r"There is no folder .*nowhere"):
        plots.check(tmp_path / "nowhere" / "found.png")


def test_a_missing_library_is_told_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setattr(plots, "find_spec", lambda _: None)
    with pytest.raises(ExtraMissing, match=r"pip install dragoman\[plot\]"):
        plots.check(tmp_path / "found.png")


def test_a_picture_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A folder stands where the file should be."""
    (tmp_path / "found.png").mkdir()
    with pytest.raises(UnwritablePicture, match=r"found\.png cannot be written: Is a directory"):
        plots.draw(REPORT, tmp_path / "found.png")
