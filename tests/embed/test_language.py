from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embed.errors import EmbedError, UnknownLanguage
from embed.language import Guess, _identifier, detect, normalise

# Written for this test: two plain sentences a language.
SENTENCES = {
    "en": ["The committee will publish its report next week.", "Our train was late again this morning."],
    "bn": ["কমিটি আগামী সপ্তাহে তাদের প্রতিবেদন প্রকাশ করবে।", "আজ সকালে আমাদের ট্রেন আবার দেরি করেছে।"],
    "hi": ["समिति अगले सप्ताह अपनी रिपोर्ट प्रकाशित करेगी।", "आज सुबह हमारी ट्रेन फिर से देर से आई।"],
    "mr": ["समिती पुढच्या आठवड्यात आपला अहवाल प्रसिद्ध करणार आहे.", "आज सकाळी आमची गाडी पुन्हा उशिरा आली होती."],
    "ne": ["समितिले अर्को हप्ता आफ्नो प्रतिवेदन प्रकाशित गर्नेछ।", "आज बिहान हाम्रो रेल फेरि ढिलो भयो।"],
    "ur": ["کمیٹی اگلے ہفتے اپنی رپورٹ شائع کرے گی۔", "آج صبح ہماری ٹرین پھر دیر سے آئی ہے۔"],
    "ar": ["ستنشر اللجنة تقريرها في الأسبوع المقبل.", "تأخر قطارنا مرة أخرى هذا الصباح."],
    "fa": ["کمیته هفتهٔ آینده گزارش خود را منتشر خواهد کرد.", "قطار ما امروز صبح باز هم دیر رسید."],
    "ta": ["குழு அடுத்த வாரம் தனது அறிக்கையை வெளியிடும்.", "இன்று காலை எங்கள் ரயில் மீண்டும் தாமதமானது."],
    "si": ["කමිටුව ලබන සතියේ වාර්තාව ප්‍රකාශයට පත් කරනු ඇත.", "අද උදෑසන අපේ දුම්රිය නැවතත් ප්‍රමාද විය."],
    "my": ["ကော်မတီသည် လာမည့်အပတ်တွင် အစီရင်ခံစာ ထုတ်ပြန်မည်။", "ဒီမနက် ကျွန်တော်တို့ရထား နောက်ကျတယ်။"],
    "am": ["ኮሚቴው ሪፖርቱን በሚቀጥለው ሳምንት ያወጣል።", "ዛሬ ጠዋት ባቡራችን እንደገና ዘገየ።"],
    "ru": ["Комитет опубликует свой отчёт на следующей неделе.", "Сегодня утром наш поезд снова опоздал."],
    "uk": ["Комітет оприлюднить свій звіт наступного тижня.", "Сьогодні вранці наш потяг знову запізнився."],
    "zh": ["委员会将于下周公布报告。", "今天早上我们的火车又晚点了。"],
    "ja": ["委員会は来週、報告書を公表する予定です。", "今朝も電車が遅れました。"],
    "ko": ["위원회는 다음 주에 보고서를 발표할 예정이다.", "오늘 아침 우리 기차가 또 늦었다."],
    "de": ["Der Ausschuss wird seinen Bericht bald veröffentlichen.", "Unser Zug kam heute wieder zu spät."],
    "es": ["El comité publicará su informe la próxima semana.", "Nuestro tren llegó tarde otra vez."],
    "sw": ["Kamati itachapisha ripoti yake wiki ijayo.", "Treni yetu ilichelewa tena asubuhi ya leo."],
    "id": ["Panitia akan menerbitkan laporannya minggu depan.", "Kereta kami terlambat karena hujan."],
    "th": ["คณะกรรมการจะเผยแพร่รายงานในสัปดาห์หน้า", "เช้านี้รถไฟของเรามาสายอีกแล้ว"],
    "el": ["Η επιτροπή θα δημοσιεύσει την έκθεσή της αύριο.", "Το τρένο μας άργησε πάλι."],
}  # fmt: skip
BENCH_LANGUAGES = [
    "en", "bn", "hi", "ur", "ta", "te", "mr", "gu", "pa", "ne", "si", "ar", "fa", "sw", "am",
    "ru", "uk", "zh", "ja", "ko", "de", "es", "fr", "vi", "th", "tr", "id", "my", "el", "ro",
]  # fmt: skip
CALIBRATION = Path(__file__).parents[3] / "shared" / "bench" / "calibration" / "flores200-sentences.jsonl.gz"


@pytest.mark.parametrize("language", SENTENCES)
def test_plain_sentences_are_recognised(language: str) -> None:
    """Each sentence is taken for its own language, and its probability is the confidence."""
    for sentence in SENTENCES[language]:
        guess = detect(sentence)
        assert guess.code == language
        assert guess.confidence == guess.probabilities[language] > 0.5


@pytest.mark.parametrize(
    "text", ["", " \n\t", "12.5 % (2023)", "😀👍🏽", "?!…।", "\x00", "\ud800", "https://example.org/a"]
)
def test_text_without_letters_is_undetermined(text: str) -> None:
    """Digits, emoji, punctuation, control characters, surrogates and addresses name no language."""
    assert detect(text) == Guess("und", 0.0, {})


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("東京", "zh"),
        ("東京の", "ja"),
        ("서울", "ko"),
        ("ගම", "si"),
        ("ရန်ကုန်", "my"),
        ("iPhone 发布会", "zh"),
        ("ਖ਼ਬਰ", "pa"),
    ],
)
def test_a_script_of_one_language_settles_it(text: str, language: str) -> None:
    """One word is enough where a script serves one language, even beside a Latin name."""
    assert detect(text).code == language


def test_every_process_says_the_same_to_the_last_bit() -> None:
    """The cursors of one worker are good for another, and they hold what the question's language was."""
    ask = "from embed import detect; print(sorted(detect('Which aircraft plant did Kim visit?').probabilities.items()))"
    told = {
        subprocess.run(
            [sys.executable, "-c", ask], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(told) == 1


def test_a_shared_script_leaves_probabilities_to_share() -> None:
    """A word that Hindi, Marathi and Nepali spell alike gives each a part; together at most 1."""
    probabilities = detect("भारत").probabilities
    assert len(probabilities) > 1
    assert set(probabilities) <= {"hi", "mr", "ne", "sa", "bho", "mai", "gom", "new", "dty"}
    assert sum(probabilities.values()) <= 1.0 + 1e-9


def test_capitals_and_line_breaks_change_nothing() -> None:
    """A headline in capitals, or broken over lines, is the language of its words."""
    assert detect("THE COMMITTEE\nWILL PUBLISH\r\nITS REPORT\x00 NEXT WEEK").code == "en"
    assert detect("КОМИТЕТ ОПУБЛИКУЕТ СВОЙ ОТЧЁТ").code == "ru"


def test_a_long_text_is_judged_by_all_of_it() -> None:
    """A megabyte costs no more than a page, and an English heading does not hide the Bengali below it."""
    text = "The committee will publish its report.\n" * 5 + SENTENCES["bn"][0] * 20_000
    assert detect(text).code == "bn"


def test_threads_agree() -> None:
    """Eight threads at once give what one gives."""
    texts = [sentence for pair in SENTENCES.values() for sentence in pair] * 5
    alone = [detect(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(detect, texts)) == alone


@given(st.text(st.characters(exclude_categories=()), max_size=200))
@settings(deadline=None)
def test_any_text_gets_a_guess(text: str) -> None:
    """Whatever the text: a code of ours, a confidence in 0..1, probabilities that sum to at most 1."""
    guess = detect(text)
    assert normalise(guess.code) == guess.code
    assert 0.0 <= guess.confidence <= 1.0
    assert sum(guess.probabilities.values()) <= 1.0 + 1e-9
    assert (guess.code == "und") == (not guess.probabilities)


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("ben", "bn"), ("bn-BD", "bn"), ("BN", "bn"), ("ben_Beng", "bn"), (" bn ", "bn"), ("cmn", "zh"),
        ("zho_Hant", "zh"), ("zh-TW", "zh"), ("arb", "ar"), ("arz", "ar"), ("npi", "ne"), ("pes", "fa"),
        ("prs", "fa"), ("swh", "sw"), ("zsm", "ms"), ("ind", "id"), ("hr", "hr"), ("sr-Latn", "sr"),
        ("iw", "he"), ("tgl", "tl"), ("fil", "tl"), ("nb", "no"), ("pbt", "ps"), ("als", "sq"),
        ("ckb", "ckb"), ("yue", "yue"), ("und", "und"), ("UND", "und"), ("zxx", "und"),
    ],
)  # fmt: skip
def test_one_code_a_language(tag: str, code: str) -> None:
    """ISO 639-1 where it exists, else 639-3; regions, scripts and a macrolanguage's members fold in."""
    assert normalise(tag) == code


@pytest.mark.parametrize(
    "tag", ["", "english", "xx", "qqq", "x-mine", "en US", "हि", "\ud800", "*", "b", "e" * 100_000]
)
def test_what_is_no_code_is_refused(tag: str) -> None:
    """The error is of our family and a ValueError, and says what to use; long input is shown short."""
    with pytest.raises(UnknownLanguage, match="Use an ISO 639 code") as caught:
        normalise(tag)
    assert isinstance(caught.value, EmbedError)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 300


@given(st.one_of(st.text(max_size=12), st.from_regex(r"\A[a-zA-Z]{1,4}([-_][a-zA-Z0-9]{1,8})?\Z")))
@example("X_0")
def test_a_normalised_code_is_a_fixed_point(tag: str) -> None:
    """Normalising twice changes nothing, and nothing but UnknownLanguage is raised."""
    try:
        code = normalise(tag)
    except UnknownLanguage:
        return
    assert normalise(code) == code


@pytest.mark.skipif(
    not CALIBRATION.exists(), reason="the evaluation sets are not beside this checkout (../shared/bench)"
)
def test_accuracy_on_calibration_sentences() -> None:
    """At least 0.97 over 30 languages; Bengali and Hindi at least 0.99. Every fourth sentence, for time."""
    varieties = {"ar": "arb_Arab", "fa": "pes_Arab", "zh": "zho_Hans"}
    texts: defaultdict[str, list[str]] = defaultdict(list)
    with gzip.open(CALIBRATION, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            texts[row["code"]].append(row["text"])
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for variety, sentences in texts.items():
        language = normalise(variety)
        if language in BENCH_LANGUAGES and varieties.get(language, variety) == variety:
            asked[language] = len(sentences[::4])
            right[language] = sum(detect(sentence).code == language for sentence in sentences[::4])
    assert set(asked) == set(BENCH_LANGUAGES)
    assert right.total() / asked.total() >= 0.97
    assert right["bn"] / asked["bn"] >= 0.99
    assert right["hi"] / asked["hi"] >= 0.99


def test_the_second_classifier_is_the_one_that_its_package_reads() -> None:
    """It is read at once here, for the sake of other threads."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    own, theirs = _identifier(), LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    for text in ("The river rose overnight", "Quero um café", "নদীর পানি", "Река поднялась", ""):
        assert own.rank(text) == theirs.rank(text)
    assert [type(each) for each in (own.tk_nextmove, own.tk_row)] == [type(theirs.tk_nextmove), type(theirs.tk_row)]
