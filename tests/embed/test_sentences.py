from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed.sentences import sentences, trim

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=80)
PROSE = st.lists(
    st.sampled_from(
        ["Mr.", " ", "\n", "\r\n", "\t", "\n\n", ". ", "। ", "॥", "؟", "。", "。” ", "“", '"', "(",
         "১.৫", "ড. ",
         "😀", "👩‍👩‍👧",
         "\ud83d", "\udc00", "Putin", "পুতিন", "привет", "你好", "สวัสดี", "! ", "...", "។", "།", "۔ ",
         "\x00", "\u2028", "\xa0"]
    ),
    max_size=40,
).map("".join)  # fmt: skip
LANGUAGES = st.sampled_from(["en", "bn", "hi", "zh", "ja", "th", "my", "ar", "ur", "ru", "und", "xx", "bo", "km"])


def cut(text: str, language: str) -> list[str]:
    """The sentences as text."""
    return [text[start:end] for start, end in sentences(text, language)]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("hi", "राम गया। श्याम आया॥ मैं हूँ।", ["राम गया।", "श्याम आया॥", "मैं हूँ।"]),
        ("bn", "আমি যাই। তুমি? আমি!", ["আমি যাই।", "তুমি?", "আমি!"]),
        ("ur", "میں گیا۔ کیا وہ آیا؟ ہاں۔", ["میں گیا۔", "کیا وہ آیا؟", "ہاں۔"]),
        ("ar", "من أنت؟ أنا علي. نعم!", ["من أنت؟", "أنا علي.", "نعم!"]),
        ("zh", "你好。你是谁？我！走", ["你好。", "你是谁？", "我！", "走"]),
        ("ja", "今日は雨です。傘は？", ["今日は雨です。", "傘は？"]),
        ("hy", "Ես գնացի։ Նա եկավ։", ["Ես գնացի։", "Նա եկավ։"]),
        ("am", "ሰላም ነው። እኔ ነኝ።", ["ሰላም ነው።", "እኔ ነኝ።"]),
        ("my", "မင်္ဂလာပါ။ ဂျွန်ပါ။", ["မင်္ဂလာပါ။", "ဂျွန်ပါ။"]),
        ("km", "សួស្តី។ ខ្ញុំឈ្មោះ ចន។", ["សួស្តី។", "ខ្ញុំឈ្មោះ ចន។"]),
        ("bo", "བཀྲ་ཤིས། ང་ཡི་མིང་།", ["བཀྲ་ཤིས།", "ང་ཡི་མིང་།"]),
        ("ru", "Он пришёл. Она ушла.", ["Он пришёл.", "Она ушла."]),
        ("th", "สวัสดีครับ ผมชื่อจอห์น", ["สวัสดีครับ ผมชื่อจอห์น"]),
        ("und", "Hello there. 你好。我", ["Hello there.", "你好。", "我"]),
    ],
)
def test_each_script_ends_sentences_with_its_own_marks(language: str, text: str, expected: list[str]) -> None:
    """Dandas and Arabic, CJK, Armenian, Ethiopic, Burmese, Khmer, Tibetan stops; Thai has none."""
    assert cut(text, language) == expected


def test_abbreviations_and_decimals_do_not_end_a_sentence() -> None:
    """Mr., U.S. and ১.৫ stay inside; so does a title before a name where dandas end the sentences."""
    assert cut("Mr. Smith left the U.S. today. He paid 3.5 dollars.", "en") == [
        "Mr. Smith left the U.S. today.",
        "He paid 3.5 dollars.",
    ]
    assert cut("ড. ইউনূস ১.৫ লাখ দিলেন। মো. আলী এলেন।", "bn") == ["ড. ইউনূস ১.৫ লাখ দিলেন।", "মো. আলী এলেন।"]
    assert cut("वह आया है. मैं गया था.", "hi") == ["वह आया है.", "मैं गया था."]


def test_spans_count_code_points() -> None:
    """Emoji and CRLF before a sentence shift its span by code points, not bytes or UTF-16 units."""
    text = "😀😀 প্রথম।\r\n\r\n👩‍👩‍👧 দ্বিতীয়।"
    assert cut(text, "bn") == ["😀😀 প্রথম।", "👩‍👩‍👧 দ্বিতীয়।"]


@given(st.one_of(ANY_TEXT, PROSE), LANGUAGES)
def test_nothing_is_lost_or_doubled_in_any_text(text: str, language: str) -> None:
    """Spans are in order, apart, trimmed, and between them is only white space: lone surrogates included."""
    position = 0
    for start, end in sentences(text, language):
        assert position <= start < end <= len(text)
        assert text[position:start].strip() == ""
        assert text[start:end] == text[start:end].strip()
        position = end
    assert text[position:].strip() == ""


def test_trim_leaves_an_empty_span_for_white_space() -> None:
    """A span of nothing but white space has no end after its start."""
    assert trim("a  \t b", 1, 5) == (1, 1)
    assert trim(" ab ", 0, 4) == (1, 3)
