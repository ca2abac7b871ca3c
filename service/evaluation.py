"""Measures of ranking over judgments in BEIR layout, taken through the engine as a user would meet it."""

import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
from ir_measures import AP, RR, R, nDCG

from embed import UnknownLanguage, detect, normalise
from index import Mode, parse_filter
from service.engine import Engine, Questions
from service.errors import InvalidJudgments, UnreadableInput
from service.reading import Draft
from service.reading.jsonlines import read_article

PAIR_MEASURES = {"ndcg@10": nDCG @ 10, "recall@1": R @ 1, "recall@10": R @ 10, "mrr@10": RR}
POOLED_MEASURES = {"map@100": AP @ 100, "ndcg@10": nDCG @ 10}
PAIR_DEPTH = 10  # so that RR, which trec_eval has without a cut, is RR@10
POOLED_DEPTH = 100
BATCH = 512  # questions ranked at once: bounds the scores held in memory

Advance = Callable[[str, float], None]
Qrels = dict[str, dict[str, int]]
Ranking = list[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Judgments:
    """A folder of judgments: articles, questions (id to text) with their languages, and grades."""

    name: str
    drafts: list[Draft]
    queries: dict[str, str]
    languages: dict[str, str]
    qrels: Qrels
    unknown: int

    @classmethod
    def read(cls, folder: Path) -> "Judgments":
        """Read a folder; raises InvalidJudgments naming the file and the line."""
        drafts = [
            draft for where, line in _lines(folder / "corpus.jsonl") if (draft := _draft(line, where)) is not None
        ]
        known = {draft.id for draft in drafts if draft.id}
        queries: dict[str, str] = {}
        languages: dict[str, str] = {}
        for where, line in _lines(folder / "queries.jsonl"):
            identity, text, language = _query(line, where)
            queries[identity], languages[identity] = text, language
        qrels, unknown = _qrels(folder / "qrels" / "test.tsv", queries, known)
        if not qrels:
            raise InvalidJudgments(f"{folder / 'qrels' / 'test.tsv'} judges no question and passage that are there.")
        return cls(folder.resolve().name, drafts, queries, languages, qrels, unknown)

    def sampled(self, per_language: int, seed: int) -> "Judgments":
        """Return the same with at most so many judged questions of each language, chosen by `seed` alone."""
        by_language: dict[str, list[str]] = defaultdict(list)
        for identity in sorted(self.qrels):
            by_language[self.languages[identity]].append(identity)
        chosen: set[str] = set()
        for language, identities in sorted(by_language.items()):
            # A generator for each language, so that its sample does not depend on which others there are.
            chosen.update(random.Random(f"{seed}:{language}").sample(identities, min(per_language, len(identities))))
        return replace(self, qrels={identity: grades for identity, grades in self.qrels.items() if identity in chosen})


def evaluate(
    folder: Path,
    open_engine: Callable[[Path], Engine],
    *,
    mode: Mode = "hybrid",
    pairs: Sequence[tuple[str, str]] = (),
    queries_per_language: int | None = None,
    seed: int = 0,
    progress: Advance | None = None,
    report: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Return the measures of `mode` on the judgments in `folder`, as `dragoman evaluate --json` prints them.

    `open_engine` opens an engine over a library in an empty folder, thrown away afterwards. `pairs` are
    (language of the question, language of the passages); without any, all that are judged. A question's
    language is detected for ranking, as a user's is; `metadata` only tells which pair it belongs to.
    `progress` is told a stage and its fraction done, `report` what is odd about the folder.

    Raises InvalidJudgments, and what the engine raises.
    """
    started = time.perf_counter()
    judged = Judgments.read(folder)
    if judged.unknown and report:
        report(f"{judged.unknown} judgments name a question or an article that is not there; they are left out")
    if queries_per_language is not None:
        judged = judged.sampled(queries_per_language, seed)
    with (
        tempfile.TemporaryDirectory(prefix="dragoman-evaluate-") as temporary,
        open_engine(Path(temporary)) as engine,
    ):
        article_languages = _fill(engine, judged.drafts, progress)
        chosen = _choose(judged, article_languages, pairs)
        identities = sorted(judged.qrels)
        questions = _questions(engine, [judged.queries[identity] for identity in identities], progress)
        positions = {identity: position for position, identity in enumerate(identities)}

        figures = {}
        for number, (pair, qrels) in enumerate(sorted(chosen.items())):
            rows = [positions[identity] for identity in qrels]
            where = parse_filter(None, [pair[1]])
            rankings = [
                ranking
                for batch in _batches(questions, rows)
                for ranking in engine.rank(batch, PAIR_DEPTH, where, mode)
            ]
            figures[pair] = {
                "queries": len(qrels),
                **measure(PAIR_MEASURES, qrels, dict(zip(qrels, rankings, strict=True))),
            }
            _tell(progress, "ranking", (number + 1) / (len(chosen) + 1))

        rankings = [
            ranking
            for batch in _batches(questions, list(range(len(identities))))
            for ranking in engine.rank(batch, POOLED_DEPTH, None, mode)
        ]
        everything = dict(zip(identities, rankings, strict=True))
        pooled: dict[str, Any] = measure(POOLED_MEASURES, judged.qrels, everything)
        pooled["same_language_top1"] = _same_language(everything, judged.languages, article_languages)
        _tell(progress, "ranking", 1.0)
        model = engine.encoder.name
    return {
        "dataset": judged.name,
        "model": model,
        "mode": mode,
        "seconds": round(time.perf_counter() - started, 1),
        "pairs": {f"{asked}->{found}": figure for (asked, found), figure in figures.items()},
        "mono": _means([figure for (asked, found), figure in figures.items() if asked == found]),
        "cross": _means([figure for (asked, found), figure in figures.items() if asked != found]),
        "pooled": pooled,
    }


def parse_pairs(text: str) -> list[tuple[str, str]]:
    """Read `en:bn,bn:en`; raises ValueError, or UnknownLanguage which is one."""
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        asked, colon, found = part.partition(":")
        if not colon or not asked or not found:
            raise ValueError(f"{part!r} is not a pair of languages; pairs are written en:bn,bn:en")
        pairs.append((normalise(asked), normalise(found)))
    if not pairs:
        raise ValueError("no pair of languages is named; pairs are written en:bn,bn:en")
    return pairs


def measure(measures: Mapping[str, Any], qrels: Qrels, rankings: Mapping[str, Ranking]) -> dict[str, float]:
    """Return the means of `measures` over the questions of `qrels`, as trec_eval computes them.

    trec_eval sorts by score and breaks ties by id. So that what is measured is the order in which the
    articles were given, their scores are replaced by their ranks.
    """
    run = {
        identity: {article: float(-rank) for rank, (article, _) in enumerate(ranking)}
        for identity, ranking in rankings.items()
    }
    evaluator = ir_measures.pytrec_eval.evaluator(list(measures.values()), qrels)
    figures = evaluator.calc_aggregate(run)
    return {name: round(float(figures[each]), 6) for name, each in measures.items()}


def _fill(engine: Engine, drafts: Sequence[Draft], progress: Advance | None) -> dict[str, str]:
    """Add the articles to the engine's library; return their languages."""
    languages: dict[str, str] = {}
    for outcome in engine.add(drafts):
        languages[outcome.article_id] = outcome.language
        _tell(progress, "adding articles", len(languages) / len(drafts))
    return languages


def _choose(
    judged: Judgments, article_languages: Mapping[str, str], pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Qrels]:
    """Return the judgments of each pair, without questions that have no relevant article there."""
    chosen: dict[tuple[str, str], Qrels] = defaultdict(dict)
    for identity, grades in sorted(judged.qrels.items()):
        by_language: dict[str, dict[str, int]] = defaultdict(dict)
        for article, grade in grades.items():
            by_language[article_languages[article]][article] = grade
        for language, those in by_language.items():
            if max(those.values()) > 0:
                chosen[judged.languages[identity], language][identity] = those
    if pairs:
        for asked, found in pairs:
            if (asked, found) not in chosen:
                there = ", ".join(sorted(f"{a}:{f}" for a, f in chosen)[:20]) or "none"
                raise InvalidJudgments(f"No question in {asked} is judged over passages in {found}; there are {there}.")
        return {pair: chosen[pair] for pair in pairs}
    return dict(chosen)


def _questions(engine: Engine, texts: Sequence[str], progress: Advance | None) -> Questions:
    """Encode the questions, telling how far it is."""
    parts = []
    for start in range(0, len(texts), BATCH):
        parts.append(engine.questions(texts[start : start + BATCH]))
        _tell(progress, "encoding questions", min(1.0, (start + BATCH) / len(texts)))
    return Questions(
        np.concatenate([part.vectors for part in parts]),
        [each for part in parts for each in part.languages],
        [each for part in parts for each in part.texts],
        None if parts[0].tokens is None else [each for part in parts for each in part.tokens or ()],
    )


def _batches(questions: Questions, rows: Sequence[int]) -> Iterator[Questions]:
    """Yield the questions of `rows` in batches."""
    for start in range(0, len(rows), BATCH):
        some = list(rows[start : start + BATCH])
        yield Questions(
            questions.vectors[some],
            [questions.languages[row] for row in some],
            [questions.texts[row] for row in some],
            None if questions.tokens is None else [questions.tokens[row] for row in some],
        )


def _same_language(
    rankings: Mapping[str, Ranking], languages: Mapping[str, str], article_languages: Mapping[str, str]
) -> float:
    """Return the share of questions whose first article is in their own language."""
    tops = [article_languages[ranking[0][0]] == languages[query] for query, ranking in rankings.items() if ranking]
    return round(sum(tops) / len(tops), 6) if tops else 0.0


def _means(figures: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the means over pairs, each pair weighing the same."""
    means = {
        name: round(sum(figure[name] for figure in figures) / len(figures), 6) if figures else None
        for name in PAIR_MEASURES
    }
    return {"pairs": len(figures), **means}


def _tell(progress: Advance | None, stage: str, fraction: float) -> None:
    if progress:
        progress(stage, fraction)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield where each line is and what it says, blank ones left out."""
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{path}, line {number}", line.rstrip("\r\n")
    except FileNotFoundError:
        raise InvalidJudgments(
            f"{path} is missing; a folder of judgments has corpus.jsonl, queries.jsonl and qrels/test.tsv."
        ) from None
    except UnicodeDecodeError:
        raise InvalidJudgments(f"{path} is not in UTF-8.") from None
    except OSError as error:
        raise InvalidJudgments(f"{path} cannot be read: {error.strerror}.") from None


def _draft(line: str, where: str) -> Draft | None:
    """Return the article of a line; None for one without a word, of which public corpora have some."""
    try:
        given = json.loads(line)
        if isinstance(given, dict) and isinstance(given.get("text"), str) and not given["text"].strip():
            title = given.get("title")
            if not isinstance(title, str) or not title.strip():
                return None
            line = json.dumps({**given, "text": title})
        draft = read_article(line.encode())
    except (ValueError, RecursionError) as error:
        raise InvalidJudgments(f"{where}: not JSON: {error}") from None
    except UnreadableInput as error:
        raise InvalidJudgments(f"{where}: {error}") from None
    if draft.id is None:
        raise InvalidJudgments(f"{where}: the article has no _id")
    if draft.language is not None:
        draft = replace(draft, language=_language(draft.language, where))
    return draft


def _query(line: str, where: str) -> tuple[str, str, str]:
    """Return a question's id, text and language, which is detected where it is not told."""
    try:
        given = json.loads(line)
        identity, text = given.get("_id", given.get("id")), given.get("text")
        language = (given.get("metadata") or {}).get("language")
    except (ValueError, RecursionError, AttributeError) as error:
        raise InvalidJudgments(f"{where}: not a question in JSON: {error}") from None
    if not isinstance(identity, str) or not isinstance(text, str) or not text.strip():
        raise InvalidJudgments(f"{where}: a question has an _id and a text, both strings")
    if language is None:
        return identity, text, detect(text).code
    return identity, text, _language(language, where)


def _language(code: object, where: str) -> str:
    try:
        return normalise(str(code))
    except UnknownLanguage as error:
        raise InvalidJudgments(f"{where}: {error}") from None


def _qrels(path: Path, queries: Iterable[str], articles: set[str]) -> tuple[Qrels, int]:
    """Return the grades of questions that have a relevant article, and how many name what is not there."""
    known = set(queries)
    qrels: Qrels = defaultdict(dict)
    unknown = 0
    for number, (where, line) in enumerate(_lines(path)):
        fields = line.split("\t")
        try:
            query, article, grade = fields[0], fields[1], int(fields[2])
        except (IndexError, ValueError):
            if number == 0 and len(fields) >= 3:  # the line of headings
                continue
            raise InvalidJudgments(
                f"{where}: a judgment is query-id, corpus-id and a whole number, with tabs between"
            ) from None
        if query in known and article in articles:
            qrels[query][article] = grade
        else:
            unknown += 1
    return {query: grades for query, grades in qrels.items() if max(grades.values()) > 0}, unknown
