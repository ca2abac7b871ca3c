"""Text in encodings older than UTF-8."""

import os

import pytest

from service.errors import UnreadableInput
from service.reading.encodings import decode_any, encoding_of, guess

SAID = {
    "ru": "В Москве прошли переговоры двух лидеров. Стороны обсудили торговлю и строительство авиационного завода.",
    "fr": "Les dirigeants ont été reçus à l'usine où l'on a élevé le débat. Après la fête, l'été s'achève très tôt.",
    "de": "Über die Brücke führen müde Männer schöne Äpfel, größer als früher, für Köche und Bäcker.",
    "ja": "両首脳は貿易の増加を評価し、航空機工場を視察した。次の会談は来年に開かれる予定である。",
    "zh": "两国领导人赞扬了贸易的增长，并参观了飞机制造厂。下一次会谈将于明年举行。",
    "tw": "兩國領導人讚揚了貿易的增長，並參觀了飛機製造廠。下一次會談將於明年舉行。",
    "ko": "두 정상은 무역 증가를 높이 평가하고 항공기 공장을 방문했다. 다음 회담은 내년에 열린다.",
    "ar": "أشاد الزعيمان بنمو التجارة وزارا مصنع الطائرات. وستعقد المحادثات المقبلة العام القادم.",
    "el": "Οι δύο ηγέτες επαίνεσαν την αύξηση του εμπορίου και επισκέφθηκαν το εργοστάσιο.",
    "he": "שני המנהיגים שיבחו את הצמיחה בסחר וביקרו במפעל המטוסים.",
    "pl": "Przywódcy pochwalili wzrost handlu i zwiedzili fabrykę samolotów, gdzie spędzili całą środę.",
    "tr": "İki lider ticaretin artışını övdü ve uçak fabrikasını gezdi. Görüşmeler önümüzdeki yıl sürecek.",
    "th": "ผู้นำทั้งสองชื่นชมการเติบโตของการค้าและเยี่ยมชมโรงงานผลิตเครื่องบิน",
}
PAGES = {
    "ru": ["cp1251", "koi8-r", "iso8859-5", "cp866"],
    "fr": ["cp1252"],
    "de": ["cp1252"],
    "ja": ["cp932", "euc_jp"],
    "zh": ["gb18030"],
    "tw": ["big5"],
    "ko": ["cp949"],
    "ar": ["cp1256", "iso8859-6"],
    "el": ["cp1253"],
    "he": ["cp1255"],
    "pl": ["cp1250", "iso8859-2"],
    "tr": ["cp1254"],
    "th": ["cp874"],
}


@pytest.mark.parametrize(("language", "page"), [(language, page) for language in PAGES for page in PAGES[language]])
def test_a_sentence_tells_its_encoding(language: str, page: str) -> None:
    """What is read is what was written, letter by letter, in one sentence or two."""
    assert decode_any(SAID[language].encode(page)) == SAID[language]


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_known_by_its_spaces(name: str) -> None:
    """Of scripts with spaces between words."""
    for language in ("ru", "fr", "ar", "he", "tr"):
        assert decode_any(f"{SAID[language]}\n".encode(name)) == f"{SAID[language]}\n"


def test_what_is_declared_goes_before_a_guess_and_a_mark_before_that() -> None:
    """A label that nobody knows, or of no text, counts as none."""
    assert decode_any("naïve".encode("cp1252"), "iso-8859-1") == "naïve"
    assert decode_any("naïve".encode("utf-8-sig"), "iso-8859-1") == "naïve"
    for label in ("x-unknown", "zlib", "", "\0"):
        assert decode_any("naïve".encode(), label) == "naïve"


@pytest.mark.parametrize(
    "data",
    ["naïve".encode("cp1252"), b"\x89PNG\r\n\x1a\n" + bytes(range(1, 256)), b"\xff\xfea", os.urandom(64) + b"\0\1"],
)
def test_what_cannot_be_told_is_refused(data: bytes) -> None:
    """Too few letters, and what is no text."""
    with pytest.raises(UnreadableInput):
        decode_any(data)


def test_a_beginning_tells_the_encoding_of_a_stream() -> None:
    """Also where it ends in the middle of a letter."""
    assert encoding_of("বন্যা".encode()[:-1]) == "utf-8"
    assert encoding_of(b"\xef\xbb\xbfa") == "utf-8-sig"
    assert encoding_of(SAID["ru"].encode("cp1251")) == "cp1251"
    assert encoding_of(b"a", "koi8-r") == "koi8-r"
    assert guess(b"\0\1\2\3" * 10) is None
