"""Measures of ranking over judgments in BEIR layout, taken through the engine as a user would meet it."""

from service.evaluation.judgments import Judgments, Pair, Qrels, parse_pairs
from service.evaluation.measures import PAIR_MEASURES, POOLED_MEASURES, measure
from service.evaluation.runs import answerable, compare, compare_engines, evaluate, fill, measures

__all__ = [
    # judgments
    "Judgments",
    "Pair",
    "Qrels",
    "parse_pairs",
    # measures
    "PAIR_MEASURES",
    "POOLED_MEASURES",
    "measure",
    # what is found out
    "answerable",
    "compare",
    "compare_engines",
    "evaluate",
    "fill",
    "measures",
]
