"""What is found out about an engine with judgments: how well it ranks, which of two modes ranks better, and how far its
relevance is to be believed. The articles go into a library of their own, through the engine as a user would meet it.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from index import Filter, Mode, parse_filter
from service.engine import Engine, Questions
from service.evaluation import trec
from service.evaluation.calibration import auroc, calibration_error, reliability
from service.evaluation.comparison import Scores, comparison
from service.evaluation.judgments import Judgments, Pair, Qrels
from service.evaluation.measures import (
    PAIR_DEPTH,
    PAIR_MEASURES,
    POOLED_DEPTH,
    POOLED_MEASURES,
    Ranking,
    by_question,
    means,
    measure,
    same_language,
)
from service.reading import Draft

NDCG = {"ndcg@10": PAIR_MEASURES["ndcg@10"]}
BATCH = 256  # questions ranked at once: bounds the scores held in memory, and how seldom progress is told

Advance = Callable[[str, float], None]
Run = dict[Pair | None, dict[str, Ranking]]  # by question, of each pair, and of all languages together


@dataclass(frozen=True, slots=True)
class Batch:
    """Judged questions of one language, encoded: their ids, and what the engine ranks by, in the same order."""

    language: str
    identities: list[str]
    questions: Questions


@dataclass(frozen=True, slots=True)
class FirstHits:
    """Of each question and each filter that found anything: how relevant the first hit is said to be, whether it
    answers, and whether anything in the library would.
    """

    relevance: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    answerable: list[bool] = field(default_factory=list)

    def calibration(self) -> dict[str, Any]:
        """Return how far relevance is to be believed, as reports tell it."""
        return {
            "ece": calibration_error(self.relevance, self.right),
            "reliability": reliability(self.relevance, self.right),
        }


def evaluate(
    folder: Path,
    open_engine: Callable[[Path], Engine],
    *,
    mode: Mode = "hybrid",
    pairs: Sequence[Pair] = (),
    queries_per_language: int | None = None,
    seed: int = 0,
    warm: bool = False,
    calibration: bool = False,
    write_to: Path | None = None,
    progress: Advance | None = None,
    report: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Return the measures of `mode` on the judgments in `folder`, as `dragoman evaluate --json` prints them.

    `open_engine` opens an engine over a library in an empty folder, thrown away afterwards. `pairs` are
    (language of the question, language of the passages); without any, all that are judged. A question's
    language is detected for ranking, as a user's is; `metadata` only tells which pair it belongs to.
    With `calibration`, each question is asked a second time, over the same pairs and over all languages, and the report
    tells besides how many `questions` there are, how many first hits (`asked`), their `ece` and `reliability`.
    `write_to` is a folder that is given rankings and grades as trec_eval reads them (`service.evaluation.trec`).
    With `warm` the library's means first follow these very articles and questions (`Library.warm`), which must have
    been opened with warming. `progress` is told a stage and its fraction done, `report` what is odd about the folder.

    Raises InvalidJudgments, and what the engine raises.
    """
    started = time.perf_counter()
    judged = _judged(folder, queries_per_language, seed, report)
    with _filled(judged.drafts, open_engine, progress) as (engine, languages):
        chosen = judged.by_pair(languages, pairs)
        batches = encode(engine, judged, progress, warm=warm)
        run = rank(engine, batches, chosen, mode, progress)
        if write_to:
            _write(write_to, judged, chosen, run)
        told = _told(judged, engine, mode, time.perf_counter() - started)
        told |= figures(judged, languages, chosen, run)
        if calibration:
            hits = first_hits(engine, judged, languages, batches, list(chosen), mode, progress)
            told |= {"questions": len(judged.qrels), "asked": len(hits.right), **hits.calibration()}
    return told


def compare(
    folder: Path,
    open_engine: Callable[[Path], Engine],
    modes: tuple[Mode, Mode],
    *,
    pairs: Sequence[Pair] = (),
    queries_per_language: int | None = None,
    seed: int = 0,
    warm: bool = False,
    progress: Advance | None = None,
    report: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Return what `evaluate` returns of two modes, `a` and `b`, over the same library and questions, and their
    `comparison` (`service.evaluation.comparison`).

    The `seconds` of each hold what both have in common, adding and encoding, and its own ranking. Raises as `evaluate`.
    """
    started = time.perf_counter()
    judged = _judged(folder, queries_per_language, seed, report)
    runs: list[tuple[dict[str, Any], Run]] = []
    with _filled(judged.drafts, open_engine, progress) as (engine, languages):
        chosen = judged.by_pair(languages, pairs)
        batches = encode(engine, judged, progress, warm=warm)
        common = time.perf_counter() - started
        for mode in modes:
            began = time.perf_counter()
            run = rank(engine, batches, chosen, mode, progress, f"ranking, {mode}")
            runs.append((_told(judged, engine, mode, common + time.perf_counter() - began), run))
    return _side_by_side(judged, languages, chosen, runs)


def compare_engines(
    folder: Path,
    engines: tuple[Engine, Engine],
    *,
    mode: Mode = "hybrid",
    progress: Advance | None = None,
    report: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Return what `compare` returns, of two engines over libraries that hold the same articles, asked in one mode.

    The judgments in `folder` are of those articles, and nothing is added. Raises InvalidJudgments.
    """
    contents = [engine.library.contents() for engine in engines]
    languages = {id: language for id, (_, language) in contents[0].items() if id in contents[1]}
    judged = Judgments.over(folder, set(languages))
    if judged.unknown and report:
        report(f"{judged.unknown} judgments name a question or an article that is not there; they are left out")
    chosen = judged.by_pair(languages)
    runs: list[tuple[dict[str, Any], Run]] = []
    for engine in engines:
        began = time.perf_counter()
        run = rank(engine, encode(engine, judged, progress), chosen, mode, progress, f"ranking, {engine.encoder.name}")
        runs.append((_told(judged, engine, mode, time.perf_counter() - began), run))
    return _side_by_side(judged, languages, chosen, runs)


def _side_by_side(
    judged: Judgments,
    article_languages: Mapping[str, str],
    chosen: Mapping[Pair, Qrels],
    runs: Sequence[tuple[dict[str, Any], Run]],
) -> dict[str, Any]:
    """Return the figures of two runs, `a` and `b`, each beside what is told of it, and their `comparison`."""
    every: list[tuple[Pair | None, Qrels]] = [*chosen.items(), (None, judged.qrels)]
    a, b = (told | figures(judged, article_languages, chosen, run) for told, run in runs)
    scores: list[Scores] = [
        {pair: by_question(NDCG, qrels, run[pair])["ndcg@10"] for pair, qrels in every} for _, run in runs
    ]
    return {"a": a, "b": b, "comparison": comparison(*scores)}


def answerable(
    folder: Path,
    open_engine: Callable[[Path], Engine],
    *,
    mode: Mode = "hybrid",
    queries_per_language: int | None = None,
    seed: int = 0,
    warm: bool = False,
    progress: Advance | None = None,
) -> dict[str, Any]:
    """Return how well relevance tells whether anything answers, on the judgments in `folder` with half of the answers
    taken away.

    Every second article is left out of the library, and all questions stay. Each question is asked over the passages of
    each language, and over all together. `auroc` is that of the first hit's relevance over all of these at once, with
    one threshold; `ece` its expected calibration error in fifteen bins (Guo et al. 2017, "On calibration of modern
    neural networks"), right being a first hit that answers.
    """
    judged = _judged(folder, queries_per_language, seed, None)
    gone = judged.every_second_article()
    kept = [draft for draft in judged.drafts if draft.id not in gone]
    with _filled(kept, open_engine, progress) as (engine, languages):
        batches = encode(engine, judged, progress, warm=warm)
        codes = sorted(set(languages.values()))
        pairs = [(asked, code) for asked in sorted({batch.language for batch in batches}) for code in codes]
        hits = first_hits(engine, judged, languages, batches, pairs, mode, progress)
        model = engine.encoder.name
    return {
        "dataset": judged.name,
        "model": model,
        "mode": mode,
        "questions": len(judged.qrels),
        "asked": len(hits.right),
        "answerable": round(sum(hits.answerable) / len(hits.answerable), 6) if hits.answerable else None,
        "auroc": auroc(hits.relevance, hits.answerable),
        **hits.calibration(),
    }


def measures(
    engine: Engine,
    judged: Judgments,
    article_languages: Mapping[str, str],
    *,
    mode: Mode = "hybrid",
    pairs: Sequence[Pair] = (),
    warm: bool = False,
    progress: Advance | None = None,
) -> dict[str, Any]:
    """Return the measures by pair, their means, and those of all languages together, over a library that is filled."""
    chosen = judged.by_pair(article_languages, pairs)
    run = rank(engine, encode(engine, judged, progress, warm=warm), chosen, mode, progress)
    return figures(judged, article_languages, chosen, run)


def figures(
    judged: Judgments, article_languages: Mapping[str, str], chosen: Mapping[Pair, Qrels], run: Run
) -> dict[str, Any]:
    """Return the measures of a run: of each pair, their means, and of all languages together."""
    found = {
        pair: {
            "queries": len(qrels),
            **measure(PAIR_MEASURES, qrels, {each: run[pair][each][:PAIR_DEPTH] for each in qrels}),
        }
        for pair, qrels in chosen.items()
    }
    pooled: dict[str, Any] = measure(POOLED_MEASURES, judged.qrels, run[None])
    pooled["same_language_top1"] = same_language(run[None], judged.languages, article_languages)
    return {
        "pairs": {f"{asked}->{over}": each for (asked, over), each in found.items()},
        "mono": means([each for (asked, over), each in found.items() if asked == over]),
        "cross": means([each for (asked, over), each in found.items() if asked != over]),
        "pooled": pooled,
    }


def fill(engine: Engine, drafts: Sequence[Draft], progress: Advance | None) -> dict[str, str]:
    """Add the articles to the engine's library; return their languages."""
    languages: dict[str, str] = {}
    for outcome in engine.add(drafts):
        languages[outcome.article_id] = outcome.language
        _tell(progress, "adding articles", len(languages) / len(drafts))
    return languages


def encode(engine: Engine, judged: Judgments, progress: Advance | None, *, warm: bool = False) -> list[Batch]:
    """Encode the judged questions, those of one language together, telling how far it is; `warm` the library then."""
    by_language: dict[str, list[str]] = defaultdict(list)
    for identity in sorted(judged.qrels):
        by_language[judged.languages[identity]].append(identity)
    batches: list[Batch] = []
    encoded = 0
    for language, identities in sorted(by_language.items()):
        for start in range(0, len(identities), BATCH):
            some = identities[start : start + BATCH]
            batches.append(Batch(language, some, engine.questions([judged.queries[each] for each in some])))
            encoded += len(some)
            _tell(progress, "encoding questions", encoded / len(judged.qrels))
    if warm:
        for batch in batches:
            engine.library.note(batch.questions.vectors, batch.questions.languages)
        engine.library.warm()
    return batches


def rank(
    engine: Engine,
    batches: Sequence[Batch],
    pairs: Mapping[Pair, Qrels],
    mode: Mode,
    progress: Advance | None,
    stage: str = "ranking",
) -> Run:
    """Return the ranking of each question, over the passages of its pairs' languages and over all."""
    run: Run = defaultdict(dict)
    for batch, here, wheres in _asked(batches, list(pairs), stage, progress):
        for pair, lists in zip(here, engine.rank(batch.questions, POOLED_DEPTH, wheres, mode), strict=True):
            run[pair].update(zip(batch.identities, lists, strict=True))
    return run


def first_hits(
    engine: Engine,
    judged: Judgments,
    article_languages: Mapping[str, str],
    batches: Sequence[Batch],
    pairs: Sequence[Pair],
    mode: Mode,
    progress: Advance | None,
) -> FirstHits:
    """Return what comes first for each question, over the passages of its pairs' languages and over all."""
    hits = FirstHits()
    for batch, here, wheres in _asked(batches, pairs, "taking first hits", progress):
        for pair, found in zip(here, engine.first(batch.questions, wheres, mode), strict=True):
            for identity, (article, relevance) in zip(batch.identities, found, strict=True):
                if article is None:
                    continue
                grades = judged.qrels[identity]
                answers = [article_languages.get(each) for each, grade in grades.items() if grade > 0]
                hits.relevance.append(relevance)
                hits.right.append(grades.get(article, 0) > 0)
                hits.answerable.append(any(code and pair in (None, (batch.language, code)) for code in answers))
    return hits


def _asked(
    batches: Sequence[Batch], pairs: Sequence[Pair], stage: str, progress: Advance | None
) -> Iterator[tuple[Batch, list[Pair | None], list[Filter | None]]]:
    """Yield each batch with all that is asked of it at once, for what is found out of a question serves every filter:
    its pairs, and None for all languages together, and the filter of each.
    """
    total, done = sum(len(batch.identities) for batch in batches), 0
    for batch in batches:
        here = [pair for pair in pairs if pair[0] == batch.language]
        yield batch, [*here, None], [*(parse_filter(None, [over]) for _, over in here), None]
        done += len(batch.identities)
        _tell(progress, stage, done / total)


def _write(folder: Path, judged: Judgments, chosen: Mapping[Pair, Qrels], run: Run) -> None:
    """Write what `figures` measures: of each pair, and of all languages together, `NAME.run` and `NAME.qrels`."""
    every: list[tuple[str, Qrels, dict[str, Ranking]]] = [("all", judged.qrels, run[None])]
    for pair, grades in chosen.items():
        every.append(("-".join(pair), grades, {each: run[pair][each][:PAIR_DEPTH] for each in grades}))
    folder.mkdir(parents=True, exist_ok=True)
    for name, grades, rankings in every:
        trec.write(folder / f"{name}.run", trec.run(rankings))
        trec.write(folder / f"{name}.qrels", trec.qrels(grades))


def _judged(
    folder: Path, queries_per_language: int | None, seed: int, report: Callable[[str], None] | None
) -> Judgments:
    judged = Judgments.read(folder)
    if judged.unknown and report:
        report(f"{judged.unknown} judgments name a question or an article that is not there; they are left out")
    return judged if queries_per_language is None else judged.sampled(queries_per_language, seed)


@contextmanager
def _filled(
    drafts: Sequence[Draft], open_engine: Callable[[Path], Engine], progress: Advance | None
) -> Iterator[tuple[Engine, dict[str, str]]]:
    """Give an engine over a library of these articles, thrown away afterwards, and the articles' languages."""
    with (
        tempfile.TemporaryDirectory(prefix="dragoman-evaluate-") as temporary,
        open_engine(Path(temporary)) as engine,
    ):
        yield engine, fill(engine, drafts, progress)


def _told(judged: Judgments, engine: Engine, mode: Mode, seconds: float) -> dict[str, Any]:
    return {"dataset": judged.name, "model": engine.encoder.name, "mode": mode, "seconds": round(seconds, 1)}


def _tell(progress: Advance | None, stage: str, fraction: float) -> None:
    if progress:
        progress(stage, fraction)
