import json
import math
from pathlib import Path
from typing import Any

import pytest

from index import Library
from service.engine import Engine
from service.errors import InvalidJudgments
from service.evaluation import Judgments, answerable, compare, evaluate, fill, measure, parse_pairs
from service.evaluation.runs import encode
from tests.fakes import ToyEncoder

CORPUS = [
    {"_id": "en:1", "title": "", "text": "river water flood", "metadata": {"language": "en"}},
    {"_id": "en:2", "title": "", "text": "bank money", "metadata": {"language": "en"}},
    {"_id": "bn:1", "title": "", "text": "নদী পানি বন্যা", "metadata": {"language": "bn"}},
    {"_id": "bn:2", "title": "", "text": "ব্যাংক টাকা", "metadata": {"language": "ben"}},
    {"_id": "en:blank", "title": "", "text": " ", "metadata": {"language": "en"}},
]
QUERIES = [
    {"_id": "en:q1", "text": "flood river", "metadata": {"language": "en"}},
    {"_id": "en:q2", "text": "bank", "metadata": {"language": "en"}},
    {"_id": "en:q3", "text": "river", "metadata": {"language": "en"}},
    {"_id": "en:q4", "text": "nobody judged this", "metadata": {"language": "en"}},
    {"_id": "bn:q1", "text": "বন্যা", "metadata": {"language": "bn"}},
]
QRELS = [
    ("en:q1", "en:1", 1),
    ("en:q1", "bn:1", 2),
    ("en:q2", "bn:2", 1),
    ("en:q2", "en:2", 0),
    ("en:q3", "en:2", 1),
    ("bn:q1", "en:1", 1),
    ("bn:q1", "xx:9", 1),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in BEIR layout whose measures can be worked out by hand."""
    folder = tmp_path / "tiny"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, CORPUS)))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, QUERIES)))
    rows = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in QRELS)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n")
    return folder


def open_toy(folder: Path, *, warming: bool | None = None) -> Engine:
    """Open an engine with the toy encoder."""
    library = Library.open(folder, model="toy", fingerprint="toy-1", dim=32, warming=warming)
    return Engine(ToyEncoder(), library)


def test_measures_are_those_worked_out_by_hand(folder: Path) -> None:
    """Every figure of the report, in its documented form.

    The toy encoder gives translations the same vector, and equal scores go by the order of the corpus, so the
    whole ranking of `flood river` is en:1, bn:1, then en:2, bn:2.
    """
    told: list[str] = []
    report = evaluate(folder, open_toy, mode="dense", report=told.append)
    third = 1 / math.log2(3)
    assert report.pop("seconds") >= 0
    assert told == ["1 judgments name a question or an article that is not there; they are left out"]
    perfect = {"ndcg@10": 1.0, "recall@1": 1.0, "recall@10": 1.0, "mrr@10": 1.0}
    # In English alone, q1 finds its passage first and q3 second.
    english = {"ndcg@10": round((1 + third) / 2, 6), "recall@1": 0.5, "recall@10": 1.0, "mrr@10": 0.75}
    graded = (1 + 2 * third) / (2 + third)
    assert report == {
        "dataset": "tiny",
        "model": "toy",
        "mode": "dense",
        "pairs": {
            "bn->en": {"queries": 1, **perfect},
            "en->bn": {"queries": 2, **perfect},
            "en->en": {"queries": 2, **english},
        },
        "mono": {"pairs": 1, **english},
        "cross": {"pairs": 2, **perfect},
        "pooled": {
            "map@100": round((1 + 1 / 2 + 1 / 3 + 1) / 4, 6),
            "ndcg@10": round((graded + third + 1 / 2 + 1) / 4, 6),
            "same_language_top1": 0.75,
        },
    }


def test_how_far_relevance_is_to_be_believed_is_counted_over_pairs_and_all_together(folder: Path) -> None:
    """Eleven first hits, six of which answer.

    Three English questions over English and over Bengali, the Bengali one over English, and four over all: `bank` is
    answered by bn:2 alone, and `river` by en:2, which no first hit is.
    """
    report = evaluate(folder, open_toy, mode="dense", calibration=True)
    plain = evaluate(folder, open_toy, mode="dense")
    assert (report.pop("questions"), report.pop("asked")) == (4, 11)
    bins = report.pop("reliability")
    assert sum(each["count"] for each in bins) == 11
    assert round(sum(each["count"] * each["answered"] for each in bins)) == 6
    gaps = sum(each["count"] * abs(each["answered"] - each["relevance"]) for each in bins) / 11
    assert report.pop("ece") == pytest.approx(gaps, abs=1e-5)
    assert {**report, "seconds": 0} == {**plain, "seconds": 0}


def test_relevance_is_held_against_a_library_of_half_the_articles(folder: Path) -> None:
    """With en:2 and bn:2 left out, `bank` and `river` have no answer, and five of twelve first hits are right."""
    report = answerable(folder, open_toy, mode="dense")
    assert (report["dataset"], report["model"], report["mode"]) == ("tiny", "toy", "dense")
    assert (report["questions"], report["asked"], report["answerable"]) == (4, 12, round(5 / 12, 6))
    assert round(sum(each["count"] * each["answered"] for each in report["reliability"])) == 5
    # Of five that have an answer three are nearer than all seven others, and two as near as four of them.
    assert report["auroc"] == round((3 * 7 + 2 * (3 + 4 / 2)) / 35, 6)


def test_two_modes_are_compared_over_the_same_questions(folder: Path) -> None:
    """Each mode's report is its own, and the comparison is of their figures: of flood and bank, one sounds Bengali."""
    told: dict[str, float] = {}
    both = compare(folder, open_toy, ("dense", "lexical"), progress=told.__setitem__)
    dense, lexical = evaluate(folder, open_toy, mode="dense"), evaluate(folder, open_toy, mode="lexical")
    assert {**both["a"], "seconds": 0} == {**dense, "seconds": 0}
    assert {**both["b"], "seconds": 0} == {**lexical, "seconds": 0}
    compared = both["comparison"]
    assert compared["pairs"]["en->bn"] == {
        "queries": 2,
        "a": 1.0,
        "b": 0.5,
        "difference": -0.5,
        "p": 1.0,  # one question differs, and either way round it differs as much
        "p_holm": 1.0,
    }
    assert compared["pooled"]["a"] == both["a"]["pooled"]["ndcg@10"]
    assert compared["cross"]["difference"] == -0.75
    assert told == {"adding articles": 1.0, "encoding questions": 1.0, "ranking, dense": 1.0, "ranking, lexical": 1.0}


def test_raw_is_the_same_where_nothing_is_known_of_the_model(folder: Path) -> None:
    """The mode reaches the ranking and the report."""
    report = evaluate(folder, open_toy, mode="raw")
    assert report["mode"] == "raw"
    assert report["pooled"]["same_language_top1"] == 0.75


def test_warm_means_come_from_the_very_articles_and_questions(folder: Path, tmp_path: Path) -> None:
    """The library's means follow what was filled in and what is asked; questions of few go uncounted."""
    asked = {f"en:w{n}": f"how high did the water of river {n} rise" for n in range(30)}
    more = [{"_id": each, "text": text, "metadata": {"language": "en"}} for each, text in asked.items()]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, [*QUERIES, *more])))
    with (folder / "qrels" / "test.tsv").open("a") as rows:
        rows.writelines(f"{each}\ten:1\t1\n" for each in asked)
    judged = Judgments.read(folder)

    with open_toy(tmp_path / "library", warming=True) as engine:
        fill(engine, judged.drafts, None)
        batches = encode(engine, judged, None, warm=True)
        warmth = engine.library.status().warmth
    sure = sum(each.get("en", 0) >= 0.8 for batch in batches for each in batch.questions.languages)

    assert {code: each.passages for code, each in warmth.items()} == {"bn": 2, "en": 2}
    assert (warmth["en"].queries, warmth["bn"].queries) == (sure, 0)
    assert sure >= 25


def test_pairs_are_chosen(folder: Path) -> None:
    """Only the pairs that are asked for are measured; one that is not judged is told with those that are."""
    report = evaluate(folder, open_toy, pairs=[("en", "bn")])
    assert list(report["pairs"]) == ["en->bn"]
    assert report["mono"] == {
        "pairs": 0,
        "ndcg@10": None,
        "recall@1": None,
        "recall@10": None,
        "mrr@10": None,
    }
    with pytest.raises(InvalidJudgments, match=r"No question in bn .* passages in bn; there are bn:en, en:bn, en:en"):
        evaluate(folder, open_toy, pairs=[("bn", "bn")])


def test_a_sample_is_the_same_for_the_same_seed(folder: Path) -> None:
    """So many questions of each language, by the seed alone."""
    judged = Judgments.read(folder)
    assert sorted(judged.qrels) == ["bn:q1", "en:q1", "en:q2", "en:q3"]
    samples = [tuple(sorted(judged.sampled(2, seed).qrels)) for seed in (1, 1, 2, 3, 4, 5, 6, 7)]
    assert samples[0] == samples[1]
    assert len(set(samples)) > 1
    assert {len(sample) for sample in samples} == {3}
    assert judged.sampled(99, 0).qrels == judged.qrels


def test_a_question_without_hits_counts_as_zero() -> None:
    """Measures are means over all judged questions, not over those that found something."""
    from service.evaluation import PAIR_MEASURES

    qrels = {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1}}
    figures = measure(PAIR_MEASURES, qrels, {"a": ["x"], "b": []})
    assert figures == {"ndcg@10": 0.333333, "recall@1": 0.333333, "recall@10": 0.333333, "mrr@10": 0.333333}


def test_what_is_measured_is_the_order_given() -> None:
    """Equal scores are not put into another order by the names of the articles."""
    from service.evaluation import POOLED_MEASURES

    ranking = ["a", "z"]
    assert measure(POOLED_MEASURES, {"q": {"a": 1}}, {"q": ranking})["map@100"] == 1.0
    assert measure(POOLED_MEASURES, {"q": {"z": 1}}, {"q": ranking})["map@100"] == 0.5


def test_progress_is_told(folder: Path) -> None:
    """Each stage ends at 1."""
    told: dict[str, float] = {}
    evaluate(folder, open_toy, progress=told.__setitem__)
    assert told == {"adding articles": 1.0, "encoding questions": 1.0, "ranking": 1.0}


def _break(folder: Path, name: str, line: str) -> None:
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("corpus.jsonl", "{oops", "corpus.jsonl, line 6: not JSON"),
        ("corpus.jsonl", '{"text": "a"}', "corpus.jsonl, line 6: the article has no _id"),
        ("corpus.jsonl", '{"_id": "a", "text": "a", "metadata": {"language": "xx1"}}', "line 6: 'xx1'"),
        ("queries.jsonl", "[1]", "queries.jsonl, line 6: not a question"),
        ("queries.jsonl", '{"_id": 1, "text": "a"}', "line 6: a question has an _id and a text"),
        ("qrels/test.tsv", "en:q1 en:1 1", r"test.tsv, line 10: a judgment is"),
    ],
)
def test_a_malformed_line_is_named(folder: Path, name: str, line: str, said: str) -> None:
    """The file and the number of the line are told."""
    _break(folder, name, line)
    with pytest.raises(InvalidJudgments, match=said):
        Judgments.read(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    """The message says which file is missing and what a folder of judgments holds."""
    (folder / "queries.jsonl").unlink()
    with pytest.raises(InvalidJudgments, match=r"queries.jsonl is missing; a folder of judgments has corpus.jsonl"):
        Judgments.read(folder)


def test_nothing_judged_is_told(folder: Path) -> None:
    """Judgments over other ids than those in the folder are no judgments."""
    (folder / "qrels" / "test.tsv").write_text("a\tb\t1\n")
    with pytest.raises(InvalidJudgments, match="judges no question and passage that are there"):
        Judgments.read(folder)


@pytest.mark.parametrize(
    ("text", "pairs"), [("en:bn", [("en", "bn")]), (" eng:ben, hi:hi,", [("en", "bn"), ("hi", "hi")])]
)
def test_pairs_are_read(text: str, pairs: list[Any]) -> None:
    """Pairs are written with a colon, their codes in any form."""
    assert parse_pairs(text) == pairs


@pytest.mark.parametrize("text", ["", "en", "en:", "en:zz1"])
def test_bad_pairs_are_refused(text: str) -> None:
    """What is no pair is a ValueError."""
    with pytest.raises(ValueError, match=r"pair|language"):
        parse_pairs(text)
