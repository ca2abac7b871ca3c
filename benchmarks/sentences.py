"""How often the sentence that some words were taken from is the one told best, by several ways of telling.

    python -m benchmarks.sentences [../shared/bench/flores]

Of each passage of at least two sentences, three to six words in a row of every sentence in one language are held, by
token vectors, against the sentences of the passage in another. `service.why.best` tells by the way marked *.
"""

import argparse
import json
import random
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embed import DEFAULT_MODEL, load_encoder, sentences
from index import Neutral, TokenSpace
from service.why import Sentences

PAIRS = ("en-hi", "en-bn", "hi-bn", "ru-hi", "bn-en", "es-ar", "en-en", "bn-bn")

# Questions of each pair, and how many words they have.
EACH, FEWEST, MOST = 300, 3, 6

Met = NDArray[np.float32]


def ways(met: Met) -> dict[str, Met]:
    """Return by way of telling what it says for each sentence, from the nearest tokens met (sentences, tokens)."""
    others = (met.sum(axis=0) - met) / (len(met) - 1)
    next_best = np.stack([np.delete(met, place, axis=0).max(axis=0) for place in range(len(met))])
    return {
        "mean": met.mean(axis=1),
        "root mean square": np.sqrt((np.maximum(met, 0) ** 2).mean(axis=1)),
        "weighed by difference": (met * met.std(axis=0)).sum(axis=1),
        "less the others' mean, squared *": (np.maximum(met - others, 0) ** 2).sum(axis=1),
        "less the next best": np.maximum(met - next_best, 0).sum(axis=1),
    }


def main() -> None:
    """Ask, and print how often each way is right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", type=Path, nargs="?", default=Path("../shared/bench/flores"), help="flores, as BEIR")
    given = parser.parse_args()
    chance = random.Random(0)
    encoder = load_encoder(DEFAULT_MODEL)
    space = TokenSpace.of(Neutral.for_model(encoder.name).priors)
    assert space is not None
    passages: dict[str, dict[int, str]] = defaultdict(dict)
    for line in (given.bench / "corpus.jsonl").open(encoding="utf-8"):
        record = json.loads(line)
        language, number = record["_id"].split(":")
        passages[language][int(number)] = record["text"]

    @cache
    def encoded(language: str) -> dict[int, tuple[Sentences, Met]]:
        several = [n for n, text in passages[language].items() if len(sentences(text, language)) > 1]
        texts = [passages[language][number] for number in several]
        kept: dict[int, Met] = {}
        encoder.encode_passages(texts, None, lambda place, own: kept.__setitem__(place, space.passage(own, language)))
        cut = [Sentences.of(sentences(text, language), encoder.token_spans(text)) for text in texts]
        return {number: (cut[place], kept[place]) for place, number in enumerate(several)}

    right: dict[str, int] = defaultdict(int)
    asked, guessed = 0, 0.0
    for pair in PAIRS:
        one, other = pair.split("-")
        questions: list[tuple[str, int, int]] = []
        for number, (told, _) in encoded(other).items():
            own = sentences(passages[one][number], one)
            if len(own) != len(told.own):
                continue
            for place, (start, end) in enumerate(own):
                said = passages[one][number][start:end].split()
                if len(said) >= MOST:
                    count = chance.randint(FEWEST, MOST)
                    first = chance.randint(0, len(said) - count)
                    questions.append((" ".join(said[first : first + count]), number, place))
        questions = questions[:EACH]
        kept: dict[int, Met] = {}
        encoder.encode_queries([text for text, _, _ in questions], kept.__setitem__)
        for turn, (_, number, place) in enumerate(questions):
            told, tokens = encoded(other)[number]
            found = tokens @ space.query(kept[turn], {one: 1.0}).T
            met = np.stack([found[start:end].max(axis=0) for *_, start, end in told.own.tolist()])
            asked, guessed = asked + 1, guessed + 1 / len(met)
            for way, said_for in ways(met).items():
                right[way] += int(said_for.argmax()) == place
    print(f"{asked} questions, {len(PAIRS)} pairs of languages, by chance {guessed / asked:.3f}")
    for way, count in right.items():
        print(f"{way:34s} {count / asked:.3f}")


if __name__ == "__main__":
    main()
