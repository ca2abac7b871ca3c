"""Measures of rankings, as trec_eval computes them, and their means."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import ir_measures
from ir_measures import AP, RR, R, nDCG

from service.evaluation.judgments import Qrels

PAIR_MEASURES = {"ndcg@10": nDCG @ 10, "recall@1": R @ 1, "recall@10": R @ 10, "mrr@10": RR}
POOLED_MEASURES = {"map@100": AP @ 100, "ndcg@10": nDCG @ 10}
PAIR_DEPTH = 10  # so that RR, which trec_eval has without a cut, is RR@10
POOLED_DEPTH = 100

Ranking = list[str]


def by_question(
    measures: Mapping[str, Any], qrels: Qrels, rankings: Mapping[str, Ranking]
) -> dict[str, dict[str, float]]:
    """Return each of `measures` for each question of `qrels`, as trec_eval computes them.

    trec_eval sorts by score and breaks ties by id. So that what is measured is the order in which the
    articles were given, their scores are replaced by their ranks. A question without a ranking counts as 0.
    """
    run = {
        identity: {article: float(-rank) for rank, article in enumerate(ranking)}
        for identity, ranking in rankings.items()
    }
    names = {each: name for name, each in measures.items()}
    found: dict[str, dict[str, float]] = {name: {} for name in measures}
    for metric in ir_measures.pytrec_eval.evaluator(list(names), qrels).iter_calc(run):
        found[names[metric.measure]][metric.query_id] = float(metric.value)
    return found


def measure(measures: Mapping[str, Any], qrels: Qrels, rankings: Mapping[str, Ranking]) -> dict[str, float]:
    """Return the means of `measures` over the questions of `qrels`."""
    return {name: round(fmean(values.values()), 6) for name, values in by_question(measures, qrels, rankings).items()}


def means(figures: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the means over pairs, each pair weighing the same."""
    found = {name: round(fmean(each[name] for each in figures), 6) if figures else None for name in PAIR_MEASURES}
    return {"pairs": len(figures), **found}


def same_language(
    rankings: Mapping[str, Ranking], languages: Mapping[str, str], article_languages: Mapping[str, str]
) -> float:
    """Return the share of questions whose first article is in their own language."""
    tops = [article_languages[ranking[0]] == languages[query] for query, ranking in rankings.items() if ranking]
    return round(sum(tops) / len(tops), 6) if tops else 0.0
