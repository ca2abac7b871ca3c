"""The texts of the page: every language says all, with the same places to fill and its own plurals."""

import json
import re
from pathlib import Path

import pytest
from babel import Locale

from service.cli.terminal import WORDS
from service.web.files import FOLDER

TEXTS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((FOLDER / "texts").glob("*.json"))}
ENGLISH = TEXTS["en"]


def places(text: str) -> set[str]:
    """Return the places of a text that are filled."""
    return set(re.findall(r"\{(\w+)\}", text))


def test_the_page_offers_the_languages_that_there_are_texts_in() -> None:
    """And offers each by the name it calls itself."""
    script = (FOLDER / "texts.js").read_text(encoding="utf-8")
    [offered] = re.findall(r"LANGUAGES = \{(.*?)\}", script)

    assert sorted(re.findall(r"(\w+): \"", offered)) == sorted(TEXTS)
    assert len(TEXTS) >= 6


@pytest.mark.parametrize("code", TEXTS)
def test_a_language_says_all_that_english_says(code: str) -> None:
    """The same keys in the same order, so that two files can be read side by side; none of them empty."""
    assert list(TEXTS[code]) == list(ENGLISH)
    for key, told in TEXTS[code].items():
        assert isinstance(told, dict) == isinstance(ENGLISH[key], dict), key
        for text in told.values() if isinstance(told, dict) else [told]:
            assert text.strip() == text != "", key


@pytest.mark.parametrize("code", TEXTS)
def test_a_language_has_its_own_plurals(code: str) -> None:
    """Where a number decides, there is a text for each plural that the language has (Unicode CLDR)."""
    plurals = Locale.parse(code).plural_form.tags | {"other"}
    for key, told in TEXTS[code].items():
        if isinstance(told, dict):
            assert set(told) == plurals, key


@pytest.mark.parametrize("code", TEXTS)
def test_a_text_fills_the_places_of_the_english_one(code: str) -> None:
    """No place of another name; and only a form for zero, one or two may spell out its count."""
    for key, told in TEXTS[code].items():
        if isinstance(told, dict):
            wanted = places(ENGLISH[key]["other"])
            for form, text in told.items():
                missing = wanted - places(text)
                assert places(text) <= wanted, (key, form)
                assert not missing or (missing == {"count"} and form in ("zero", "one", "two")), (key, form)
        else:
            assert places(told) == places(ENGLISH[key]), key


def test_every_text_is_used_and_every_text_used_is_there() -> None:
    """By a script, or by the markup."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in [*FOLDER.glob("*.js"), FOLDER / "index.html"])
    used = set(re.findall(r'data-(?:text|label|placeholder|title)="([\w.-]+)"', source))
    used |= set(re.findall(r'[("\s]text\("([\w.-]+)"', source)) | set(
        re.findall(r'"((?:trouble|keys)\.[\w-]+)"', source)
    )
    for prefix in re.findall(r"text\(`([\w.-]+)\$\{", source):
        used |= {key for key in ENGLISH if key.startswith(prefix)}

    unused = {key for key in ENGLISH if f'"{key}"' not in source} - used
    assert not unused
    assert used <= set(ENGLISH)


def test_the_page_says_how_likely_an_answer_is_in_the_words_of_the_command_line() -> None:
    """The same words from the same relevance on."""
    [scale] = re.findall(r"const STEPS = \[(.*)\];", (FOLDER / "about.js").read_text(encoding="utf-8"))
    steps = [
        (float(least), ENGLISH[f"relevance.{word}"]) for least, word in re.findall(r'\[([\d.]+), "([\w-]+)"\]', scale)
    ]

    assert steps == list(WORDS)


def test_the_english_markup_is_what_the_texts_say() -> None:
    """What the page shows before its texts are there is what it says then."""
    html = (Path(FOLDER) / "index.html").read_text(encoding="utf-8")
    shown = re.findall(r'data-text="([\w.-]+)"[^>]*>([^<]+)<', html)

    assert len(shown) > 30
    for key, text in shown:
        assert ENGLISH[key] == text
