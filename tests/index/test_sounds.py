import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.sounds import LONGEST, SHORTEST, keys, skeleton, terms
from index.words import tokens

NAMES = {
    "ptn": "Putin Путин Путін পুতিন पुतिन بوتين פוטין Πούτιν புடின் పుతిన్ પુતિન ਪੁਤਿਨ پیوٹن 푸틴 ปูติน",
    "kln": "Clinton Клинтон ক্লিনটন क्लिंटन كلينتون Κλίντον קלינטון 클린턴 クリントン 克林顿",
    "bm": "Obama Обама ওবামা ओबामा أوباما Ομπάμα 오바마 オバマ 奥巴马 โอบามา",
    "ntn": "Netanyahu Нетаньяху নেতানিয়াহু नेतन्याहू نتنياهو נתניהו",
    "mhm": "Muhammad Muhammed মুহাম্মদ मुहम्मद محمد",
    "brl": "Berlin Берлин বার্লিন बर्लिन برلين",
}


def shared(one: str, other: str) -> set[str]:
    """Return the keys that two words share."""
    return set(terms(one)) & set(terms(other))


@pytest.mark.parametrize(("key", "name"), [(key, name) for key, names in NAMES.items() for name in names.split()])
def test_a_name_has_a_key_in_common_in_every_script(key: str, name: str) -> None:
    """A name in any script has the key that stands for it."""
    assert key in set(terms(name))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Philip", "Filip"),
        ("Iraq", "Irak"),
        ("Washington", "वाशिंगटन"),
        ("China", "चीन"),
        ("Mexico", "मैक्सिको"),
        ("Cyprus", "Syprus"),
        ("svatantra", "स्वतंत्र"),
        ("svatamtra", "स्वतंत्र"),
        ("azad", "आजाद"),
        ("Yemen", "Iemen"),
        ("prabhu", "pravu"),
    ],
)
def test_look_alike_sounds_are_folded(one: str, other: str) -> None:
    """Spellings of one sound give keys in common."""
    assert shared(one, other)


def test_an_ending_leaves_the_first_keys() -> None:
    """A word and the same with an ending share the keys of their beginning."""
    assert list(terms("Clinton")) == ["kln", "klnt", "klntn"]
    assert list(terms("Клинтоном")) == ["kln", "klnt", "klntn"]
    assert shared("পুতিন", "পুতিনের") == {"ptn"}


def test_a_number_is_a_key_of_its_own() -> None:
    """A number is one key in any digits, whole: its beginnings are no keys."""
    assert list(terms("३६,५०० 36500 ৩৬")) == ["36500", "36500", "36"]


def test_short_words() -> None:
    """Two consonants are a key as they are; one, or none, is none."""
    assert list(terms("Obama")) == ["bm"]
    assert list(terms("go a I eau")) == []


def test_runs_without_spaces_give_their_pieces() -> None:
    """Of a run all pieces of three to five letters are keys, and the beginning is marked."""
    assert skeleton("克林顿总统") == "klndnjngtng"
    found = list(terms("克林顿"))
    assert found == ["^kl", "kln", "lnd", "ndn", "^kln", "klnd", "lndn", "^klnd", "klndn"]


def test_letters_that_scripts_share_are_read_both_ways() -> None:
    """What Arabic, Hebrew and Greek leave open has keys of each reading, and keeps that of the letters."""
    assert set(terms("بوتين")) == {"bvt", "bvtn", "btn", "ptn"}
    assert set(terms("פוטין")) == {"fvt", "fvtn", "ftn", "ptn"}
    assert set(terms("Ομπάμα")) == {"mpm", "bm"}
    assert set(terms("محمد")) == {"mhm", "mhmd"}


def test_katakana_has_keys_with_l_for_r() -> None:
    """Japanese has one letter for l and r, so a foreign name is read both ways."""
    assert {"klntn", "krntn"} <= set(terms("クリントン"))
    assert not {key for key in terms("くりんとん") if "l" in key}


def test_keys_say_which_word_they_are_of() -> None:
    """Each key has the span of its word in the text."""
    text = "Mr Путин, 36"
    found = [(text[key.start : key.end], key.term) for key in keys(text)]
    assert found == [("Mr", "mr"), ("Путин", "ptn"), ("36", "36")]


@given(st.text())
def test_keys_are_letters_or_numbers(text: str) -> None:
    """A key is two to five letters or a whole number, lies in a word, and `terms` gives the same ones."""
    found = keys(text)
    assert [key.term for key in found] == list(terms(text))
    spans = {(token.start, token.end) for token in tokens(text)}
    numbers = {token.term for token in tokens(text) if token.kind == "number"}
    for key in found:
        assert (key.start, key.end) in spans
        assert key.term in numbers or SHORTEST - 1 <= len(key.term) <= LONGEST
        assert key.term in numbers or set(key.term.removeprefix("^")) <= set("abcdefghijklmnopqrstuvwxyzC")


@given(st.text(st.characters(codec="ascii")))
def test_case_does_not_sound(text: str) -> None:
    """Keys are the same in capitals."""
    assert list(terms(text)) == list(terms(text.upper()))
