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
BATCH = 256  # questions ranked at once: bounds the scores held in memory, and how seldom progress is told

Advance = Callable[[str, float], None]
Qrels = dict[str, dict[str, int]]
Ranking = list[str]


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
        article_languages = fill(engine, judged.drafts, progress)
        figures = measures(engine, judged, article_languages, mode=mode, pairs=pairs, progress=progress)
        model = engine.encoder.name
    told = {"dataset": judged.name, "model": model, "mode": mode, "seconds": round(time.perf_counter() - started, 1)}
    return {**told, **figures}


def measures(
    engine: Engine,
    judged: Judgments,
    article_languages: Mapping[str, str],
    *,
    mode: Mode = "hybrid",
    pairs: Sequence[tuple[str, str]] = (),
    progress: Advance | None = None,
) -> dict[str, Any]:
    """Return the measures by pair, their means, and those of all languages together, over a library that is filled."""
    chosen = _choose(judged, article_languages, pairs)
    identities = sorted(judged.qrels)
    questions = _questions(engine, [judged.queries[identity] for identity in identities], progress)
    rankings: dict[tuple[str, str] | None, dict[str, Ranking]] = defaultdict(dict)
    wheres = {pair: parse_filter(None, [pair[1]]) for pair in chosen}
    for rows in _batches(range(len(identities))):
        own = [judged.languages[identities[row]] for row in rows]
        for language in sorted(set(own)):
            # All that is asked of a question at once: what is found out about it serves every filter.
            asked = [row for row, code in zip(rows, own, strict=True) if code == language]
            here = [pair for pair in sorted(chosen) if pair[0] == language]
            ranked = engine.rank(_some(questions, asked), POOLED_DEPTH, [*(wheres[pair] for pair in here), None], mode)
            for pair, lists in zip([*here, None], ranked, strict=True):
                rankings[pair].update((identities[row], each) for row, each in zip(asked, lists, strict=True))
        _tell(progress, "ranking", (rows[-1] + 1) / len(identities))
    figures = {
        pair: {
            "queries": len(qrels),
            **measure(PAIR_MEASURES, qrels, {each: rankings[pair][each][:PAIR_DEPTH] for each in qrels}),
        }
        for pair, qrels in sorted(chosen.items())
    }
    everything = rankings[None]
    pooled: dict[str, Any] = measure(POOLED_MEASURES, judged.qrels, everything)
    pooled["same_language_top1"] = _same_language(everything, judged.languages, article_languages)
    return {
        "pairs": {f"{asked}->{found}": figure for (asked, found), figure in figures.items()},
        "mono": _means([figure for (asked, found), figure in figures.items() if asked == found]),
        "cross": _means([figure for (asked, found), figure in figures.items() if asked != found]),
        "pooled": pooled,
    }


def answerable(
    folder: Path,
    open_engine: Callable[[Path], Engine],
    *,
    mode: Mode = "hybrid",
    queries_per_language: int | None = None,
    seed: int = 0,
    progress: Advance | None = None,
) -> dict[str, Any]:
    """Return how well relevance tells whether anything answers, on the judgments in `folder` with half of the answers
    taken away.

    Every second article is left out of the library, and all questions stay; passages are of one article where their
    `metadata` has the same `article`, and else where one question is answered by both. Each question is asked over the
    passages of each language, and over all together. `auroc` is that of the first hit's relevance over all of these at
    once, with one threshold; `ece` its expected calibration error in fifteen bins (Guo et al. 2017, "On calibration of
    modern neural networks"), right being a first hit that answers.
    """
    judged = Judgments.read(folder)
    if queries_per_language is not None:
        judged = judged.sampled(queries_per_language, seed)
    gone = every_second(judged)
    kept = [draft for draft in judged.drafts if draft.id not in gone]
    with (
        tempfile.TemporaryDirectory(prefix="dragoman-evaluate-") as temporary,
        open_engine(Path(temporary)) as engine,
    ):
        languages = fill(engine, kept, progress)
        identities = sorted(judged.qrels)
        questions = _questions(engine, [judged.queries[identity] for identity in identities], progress)
        codes = sorted(set(languages.values()))
        wheres = [*(parse_filter(None, [code]) for code in codes), None]
        chances, there, right = [], [], []
        for rows in _batches(range(len(identities))):
            for code, found in zip([*codes, None], engine.first(_some(questions, rows), wheres, mode), strict=True):
                for row, (article, chance) in zip(rows, found, strict=True):
                    grades = judged.qrels[identities[row]]
                    answers = [each for each, grade in grades.items() if grade > 0 and each in languages]
                    if article is not None:
                        chances.append(chance)
                        there.append(any(code is None or languages[each] == code for each in answers))
                        right.append(grades.get(article, 0) > 0)
            _tell(progress, "ranking", (rows[-1] + 1) / len(identities))
    return {
        "dataset": judged.name,
        "mode": mode,
        "asked": len(chances),
        "answerable": round(sum(there) / len(there), 6) if there else None,
        "auroc": auroc(chances, there),
        "ece": calibration_error(chances, right),
        "reliability": reliability(chances, right),
    }


def every_second(judged: Judgments) -> set[str]:
    """Return the ids of every second article's passages, in the order in which articles first come."""
    answering: dict[str, str] = {}
    for query, grades in sorted(judged.qrels.items()):
        for article in grades:
            answering.setdefault(article, query)
    groups: dict[str, list[str]] = {}
    for draft in judged.drafts:
        if draft.id is not None:
            # Without a name, what answers the same question; what answers none is an article of its own.
            name = str(draft.metadata.get("article", "")) or answering.get(draft.id, draft.id)
            groups.setdefault(name, []).append(draft.id)
    return {identity for number, group in enumerate(groups.values()) if number % 2 for identity in group}


def auroc(chances: Sequence[float], positive: Sequence[bool]) -> float | None:
    """Return the area under the ROC curve: how often a positive has the greater chance (ties count half)."""
    yes = np.array([chance for chance, is_so in zip(chances, positive, strict=True) if is_so])
    no = np.sort([chance for chance, is_so in zip(chances, positive, strict=True) if not is_so])
    if not len(yes) or not len(no):
        return None
    below, upto = np.searchsorted(no, yes, "left"), np.searchsorted(no, yes, "right")
    return round(float((below + upto).mean() / 2 / len(no)), 6)


def reliability(chances: Sequence[float], right: Sequence[bool], bins: int = 15) -> list[dict[str, float]]:
    """Return for each bin of equal width that holds any: how many, their mean chance, and how many were right."""
    given, so = np.array(chances), np.array(right, dtype=np.float64)
    places = np.minimum((given * bins).astype(np.int64), bins - 1)
    return [
        {
            "count": int((places == place).sum()),
            "relevance": round(float(given[places == place].mean()), 6),
            "answered": round(float(so[places == place].mean()), 6),
        }
        for place in np.unique(places).tolist()
    ]


def calibration_error(chances: Sequence[float], right: Sequence[bool]) -> float | None:
    """Return the expected calibration error: the mean gap of the bins between chance and truth, by their counts."""
    found = reliability(chances, right)
    total = sum(each["count"] for each in found)
    if not total:
        return None
    return round(sum(each["count"] * abs(each["relevance"] - each["answered"]) for each in found) / total, 6)


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
        identity: {article: float(-rank) for rank, article in enumerate(ranking)}
        for identity, ranking in rankings.items()
    }
    evaluator = ir_measures.pytrec_eval.evaluator(list(measures.values()), qrels)
    figures = evaluator.calc_aggregate(run)
    return {name: round(float(figures[each]), 6) for name, each in measures.items()}


def fill(engine: Engine, drafts: Sequence[Draft], progress: Advance | None) -> dict[str, str]:
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


def _batches(rows: Sequence[int]) -> Iterator[list[int]]:
    """Yield the rows by so many as are ranked at once."""
    for start in range(0, len(rows), BATCH):
        yield list(rows[start : start + BATCH])


def _some(questions: Questions, rows: Sequence[int]) -> Questions:
    """Return the questions of these rows."""
    return Questions(
        questions.vectors[list(rows)],
        [questions.languages[row] for row in rows],
        [questions.texts[row] for row in rows],
        None if questions.tokens is None else [questions.tokens[row] for row in rows],
    )


def _same_language(
    rankings: Mapping[str, Ranking], languages: Mapping[str, str], article_languages: Mapping[str, str]
) -> float:
    """Return the share of questions whose first article is in their own language."""
    tops = [article_languages[ranking[0]] == languages[query] for query, ranking in rankings.items() if ranking]
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
