"""Measure whether questions typed in Latin letters find passages in the script of their language.

    pip install -c constraints.txt -e '.[romanised]'
    python -m benchmarks.romanised [--bench ../shared/bench] [--questions 150]

Hindi questions of XQuAD over its Hindi passages, and Bengali, Tamil and Urdu ones of FLORES-200 over passages of their
own, each in a library of one language. A question is romanised by two transliterators that share neither rules nor
tables: uroman (Hermjakob et al. 2018, "Out-of-the-box universal romanization tool uroman") and Unidecode. Neither is
anyascii, by which the library writes its sound keys: a question romanised by it would have the very keys of the passage
it was copied from, and the figures would say nothing of what people type. What they give is written as people type: in
lower case, a to z and digits, without apostrophes. Nothing is fitted here.
"""

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from embed import Encoder, load_encoder
from index import Library
from service.engine import Engine, Questions
from service.evaluation import PAIR_MEASURES, Judgments, Qrels, fill, measure

ASKED = (("xquad", "hi"), ("flores", "bn"), ("flores", "ta"), ("flores", "ur"))
CODES = {"hi": "hin", "bn": "ben", "ta": "tam", "ur": "urd"}  # as uroman wants them
MODES: tuple[Any, ...] = ("raw", "dense", "hybrid")
MARKS = re.compile(r"['`’ʼ]")
OTHERS = re.compile(r"[^a-z0-9.,:;!?%()\" -]+")

Romaniser = Callable[[str, str], str]


def transliterators() -> dict[str, Romaniser]:
    """Return the transliterators by name; each takes a text and its language."""
    from unidecode import unidecode
    from uroman import Uroman

    uroman = Uroman()
    return {
        "uroman": lambda text, language: str(uroman.romanize_string(text, lcode=CODES[language])),
        "Unidecode": lambda text, _: unidecode(text),
    }


def typed(text: str) -> str:
    """Return romanised text as people type it: lower case, ASCII, no signs for sounds."""
    return " ".join(OTHERS.sub(" ", MARKS.sub("", text.lower())).split())


def ndcg(engine: Engine, questions: Questions, qrels: Qrels, mode: Any) -> float:
    """Return the mean nDCG@10 of questions, in the order of `qrels`."""
    [ranked] = engine.rank(questions, 10, mode=mode)
    return measure(PAIR_MEASURES, qrels, dict(zip(qrels, ranked, strict=True)))["ndcg@10"]


def row(name: str, figures: list[float], note: str = "") -> None:
    """Print a row of the table."""
    print(f"| {name} | {' | '.join(f'{figure:.3f}' for figure in figures)} | {note} |", flush=True)


def measured(
    encoder: Encoder, judged: Judgments, language: str, romanisers: Mapping[str, Romaniser]
) -> dict[str, list[float]]:
    """Print and return nDCG@10 in each mode, and in the last with the language told, by how the question is written."""
    drafts = [draft for draft in judged.drafts if draft.language == language]
    there = {draft.id for draft in drafts}
    qrels: Qrels = {
        question: {passage: grade for passage, grade in grades.items() if passage in there}
        for question, grades in sorted(judged.qrels.items())
        if judged.languages[question] == language
    }
    native = [judged.queries[question] for question in qrels]
    written = {"native": native}
    for name, romanise in romanisers.items():
        written[name] = [typed(romanise(text, language)) for text in native]
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        library = Library.open(Path(scratch), model=encoder.name, fingerprint=encoder.fingerprint, dim=encoder.dim)
        with Engine(encoder, library) as engine:
            fill(engine, drafts, None)
            for name, texts in written.items():
                asked = engine.questions(texts)
                told = engine.questions(texts, [language] * len(texts))
                figures = [ndcg(engine, asked, qrels, mode) for mode in MODES]
                found[name] = [*figures, ndcg(engine, told, qrels, MODES[-1])]
                guessed = Counter(max(each, key=each.__getitem__, default="und") for each in asked.languages)
                right = mean(each.get(language, 0.0) for each in asked.languages)
                note = ", ".join(f"{code} {count}" for code, count in guessed.most_common(5))
                row(f"{judged.name} {language}, {name}", found[name], f"{right:.2f}: {note}")
    return found


def main() -> None:
    """Print the table, and what the default mode gains over plain cosine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench"), help="the folder of evaluation sets")
    parser.add_argument("--questions", type=int, default=150, help="a sample of so many questions of each language")
    given = parser.parse_args()
    encoder, romanisers = load_encoder(), transliterators()
    print("| questions | raw | dense | hybrid | hybrid, language told | own language's probability: first guesses |")
    print("|---|---|---|---|---|---|")
    found = [
        measured(encoder, Judgments.read(given.bench / folder).sampled(given.questions, 0), language, romanisers)
        for folder, language in ASKED
    ]
    for name in found[0]:
        means = [mean(column) for column in zip(*(each[name] for each in found), strict=True)]
        row(f"mean, {name}", means, f"hybrid over raw {means[2] - means[0]:+.3f}")
    romanised = [figures for each in found for name, figures in each.items() if name != "native"]
    means = [mean(column) for column in zip(*romanised, strict=True)]
    row("**mean, romanised**", means, f"hybrid over raw {means[2] - means[0]:+.3f}")


if __name__ == "__main__":
    main()
