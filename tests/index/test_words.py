import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.words import LONGEST, spelling, tokens, words, words_of, written

# Texts of all scripts that are treated in a way of their own, and of whatever else there is.
SCRIPTS = st.text(
    st.one_of(
        st.sampled_from("aZéßİ ,.'’-/ 0193٣३৬٫٬½²①\u00a0\u200c\u200d\u00ad\u0301"),
        st.sampled_from("কিংক্ষণপुতিनस्पष्टதமிழ்كِتَابـשלוםประเทศខ្មែរພາສາမြန်普京日々プーｶﾞー푸틴"),
        st.characters(),
    )
)


def terms(text: str) -> list[str]:
    """Return the terms of a text's words."""
    return [word.term for word in words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("রাষ্ট্রপতি পুতিন দিল্লিতে পৌঁছেছেন।", ["রাষ্ট্রপতি", "পুতিন", "দিল্লিতে", "পৌঁছেছেন"]),
        ("किसानों की फसल नष्ट हुई", ["किसानों", "की", "फसल", "नष्ट", "हुई"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("كِتَابٌ جديد", ["كتاب", "جديد"]),
        ("كتـــاب", ["كتاب"]),
        ("שָׁלוֹם", ["שלום"]),
        ("می‌خواهم", ["میخواهم"]),
        ("Straße ﬁne İSTANBUL", ["strasse", "fine", "istanbul"]),
        ("l'eau, don't", ["l", "eau", "don", "t"]),
        ("G20 and 5G", ["g", "20", "and", "5", "g"]),
        ("e\u0301tude étude", ["étude", "étude"]),
        ("co\u00adoperate", ["cooperate"]),
    ],
)
def test_words_are_cut_where_their_script_cuts_them(text: str, expected: list[str]) -> None:
    """Vowel signs and joiners stay in the word; what writers may leave out is left out."""
    assert terms(text) == [unicodedata.normalize("NFKC", term) for term in expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("普京总统", ["普京", "京总", "总统"]),
        ("猫", ["猫"]),
        ("プーチン", ["プー", "ーチ", "チン"]),
        ("ｶﾞｽ", ["ガス"]),
        ("ไทย", ["ไท", "ทย"]),
        ("นำไป", ["นําไ", "ไป"]),
        ("မြန်မာ", ["မြန်", "န်မ", "မာ"]),
        ("普京ABC", ["普京", "abc"]),
        ("普京。总统", ["普京", "总统"]),
    ],
)
def test_scripts_without_spaces_give_pairs_of_characters(text: str, expected: list[str]) -> None:
    """Each pair of neighbouring characters with their marks is a term; punctuation parts them."""
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("३६ ৩৬ ٣٦ 36 ３６", ["36"] * 5),
        ("৩৬টি", ["36", "টি"]),
        ("4,500 ४,५०० 4.500 4'500 4\u00a0500 ٤٬٥٠٠ 4500", ["4500"] * 7),
        ("12,34,567 1,234,567", ["1234567", "1234567"]),
        ("1,234.56 1.234,56 ١٬٢٣٤٫٥٦", ["1234.56"] * 3),
        ("3.14 3,14 3.140", ["3.14", "3.14", "3140"]),
        ("0.125", ["0.125"]),
        ("1.50 1.5 2.0", ["1.5", "1.5", "2"]),
        ("12.05.2020 12:30 1.2.3", ["12", "5", "2020", "12", "30", "1", "2", "3"]),
        ("007 0 000", ["7", "0", "0"]),
        ("in 2010 500 came", ["in", "2010", "500", "came"]),
        ("km² ①", ["km", "2", "1"]),
        ("½", []),
        ("1,", ["1"]),
        ("12,34", ["12.34"]),
    ],
)
def test_numbers_of_one_value_are_one_term(text: str, expected: list[str]) -> None:
    """Digits of any script are ASCII; groups are joined, decimals kept, dates and times come apart."""
    assert terms(text) == expected


def test_spans_are_those_of_the_text_as_it_came() -> None:
    """A span counts code points of the text before anything was normalised."""
    text = "ﬁne ४,५०० का 普京!"
    found = [(text[word.start : word.end], word.term) for word in words(text)]
    assert found == [("ﬁne", "fine"), ("४,५००", "4500"), ("का", "का"), ("普京", "普京")]


def test_what_is_longer_than_a_word_is_cut_off() -> None:
    """A term has at most so many characters, whatever the text."""
    assert terms("x" * 1000 + " " + "7" * 1000 + " " + "é" * 1000) == ["x" * LONGEST, "7" * LONGEST, "é" * LONGEST]


@given(SCRIPTS)
def test_words_are_in_order_and_never_empty(text: str) -> None:
    """Spans ascend and hold something; a term has no space, is in NFKC form, and only words of a run overlap."""
    found = words(text)
    for word in found:
        assert 0 <= word.start < word.end <= len(text)
        assert word.term
        assert word.term.split() == [word.term]
        assert unicodedata.is_normalized("NFKC", word.term)
    for word, later in pairwise(found):
        assert word.start < later.start
        assert word.end < later.end


@given(SCRIPTS)
def test_pieces_do_not_overlap_and_words_stay_within_them(text: str) -> None:
    """Each word lies within one piece; pieces follow each other."""
    pieces = list(tokens(text))
    assert all(piece.end <= later.start for piece, later in pairwise(pieces))
    for word in words(text):
        assert sum(piece.start <= word.start and word.end <= piece.end for piece in pieces) == 1


@given(SCRIPTS)
def test_a_piece_by_itself_is_what_it_is_in_its_text(text: str) -> None:
    """So what is known of a word need not be found again in the next text."""
    alone = [(kind, term) for piece in written(text) for kind, _, _, term in tokens(piece)]
    assert alone == [(kind, term) for kind, _, _, term in tokens(text)]


@given(SCRIPTS)
def test_every_pair_of_a_run_is_spelt_as_words_are(text: str) -> None:
    """Whether or not the run is written as it is compared."""
    runs = [piece for piece in tokens(text) if piece.kind == "run"]
    assert all(word.term == spelling(text[word.start : word.end]) for word in words_of(text, runs))


@given(SCRIPTS)
def test_no_letter_and_no_digit_is_lost(text: str) -> None:
    """Every letter and decimal digit is in a word, but for those that are written only as vowel points."""
    covered = {place for word in words(text) for place in range(word.start, word.end)}
    for place, character in enumerate(text):
        if unicodedata.category(character) in ("Nd", "Lu", "Ll", "Lo") and spelling(character):
            assert place in covered


@given(st.integers(0, 10**15), st.sampled_from("0०০٠۰０๐"))
def test_a_number_in_any_digits_and_groups_is_itself(value: int, zero: str) -> None:
    """A number grouped in threes, in any script's digits, is its plain ASCII digits."""
    written = "".join(chr(ord(zero) + int(digit)) if digit != "," else "," for digit in f"{value:,}")
    assert terms(f"a {written} b") == ["a", str(value), "b"]


def test_a_digit_newer_than_pythons_tables_is_a_word_like_others() -> None:
    """What one library calls a digit another may not know yet; the text is indexed all the same."""
    newer = [chr(code) for code in (0x10D40, 0x11DE0, 0x1CCF0, 0x1E5F1)]

    assert [len(words(f"a {digit} b")) for digit in newer] == [3, 3, 3, 3]
