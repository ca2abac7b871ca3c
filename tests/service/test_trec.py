"""Run files for those who evaluate elsewhere: read back by ir_measures, they give the figures of `evaluate`."""

import json
from pathlib import Path

import ir_measures
import pytest
from ir_measures import AP, RR, R, nDCG
from typer.testing import CliRunner, Result

import service.engine
from service.cli import app
from service.errors import InvalidJudgments
from service.evaluation import trec
from tests.fakes import MEANINGS, ToyEncoder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Judgments of which some are missed, in two languages."""
    monkeypatch.setattr(service.engine, "load_encoder", lambda *_, **__: ToyEncoder())
    folder = tmp_path / "judged"
    (folder / "qrels").mkdir(parents=True)
    corpus, queries, grades = [], [], ["query-id\tcorpus-id\tscore"]
    for number, line in enumerate(MEANINGS):
        english, bengali = line.split()[:2]
        beside = MEANINGS[number - 1].split()
        corpus += [
            {"_id": f"en:{number}", "text": f"{english} {beside[0]}", "metadata": {"language": "en"}},
            {"_id": f"bn:{number}", "text": f"{bengali} {beside[1]} {beside[1]}", "metadata": {"language": "bn"}},
        ]
        queries.append({"_id": f"q{number}", "text": english, "metadata": {"language": "en"}})
        grades += [f"q{number}\ten:{number}\t1", f"q{number}\tbn:{(number + number % 2) % 16}\t2"]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)), encoding="utf-8")
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)), encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text("\n".join(grades) + "\n", encoding="utf-8")
    return folder


def run(*arguments: object) -> Result:
    """Run a command that succeeds."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def measured(grades: Path, ranking: Path) -> dict[str, float]:
    """What ir_measures makes of two files."""
    found = ir_measures.calc_aggregate(
        [nDCG @ 10, AP @ 100, R @ 1, RR],
        list(ir_measures.read_trec_qrels(str(grades))),  # type: ignore[no-untyped-call]
        list(ir_measures.read_trec_run(str(ranking))),  # type: ignore[no-untyped-call]
    )
    return {str(measure): round(value, 6) for measure, value in found.items()}


def test_evaluate_writes_what_it_measured(folder: Path, tmp_path: Path) -> None:
    """A run and its grades for each pair and for all languages together; none of the figures is trivial."""
    report = json.loads(run("evaluate", folder, "--run", tmp_path / "runs", "--json").stdout)

    pooled = measured(tmp_path / "runs" / "all.qrels", tmp_path / "runs" / "all.run")
    pair = measured(tmp_path / "runs" / "en-bn.qrels", tmp_path / "runs" / "en-bn.run")
    wanted = report["pairs"]["en->bn"]

    assert (pooled["nDCG@10"], pooled["AP@100"]) == (report["pooled"]["ndcg@10"], report["pooled"]["map@100"])
    assert (pair["nDCG@10"], pair["R@1"], pair["RR"]) == (wanted["ndcg@10"], wanted["recall@1"], wanted["mrr@10"])
    assert 0.1 < pooled["AP@100"] < 0.95
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        f"{name}.{kind}" for name in ("all", "en-bn", "en-en") for kind in ("qrels", "run")
    ]


def test_search_prints_a_run_with_the_figures_of_evaluate(folder: Path, tmp_path: Path) -> None:
    """Asked of a library of the same articles, all questions of a file get the ranking that `evaluate` measures."""
    report = json.loads(run("evaluate", folder, "--run", tmp_path / "runs", "--json").stdout)
    run("add", folder / "corpus.jsonl", "--data", tmp_path / "library")
    printed = run("search", "--queries", folder / "queries.jsonl", "--format", "trec", "--data", tmp_path / "library")
    (tmp_path / "printed.run").write_text(printed.stdout, encoding="utf-8")

    found = measured(tmp_path / "runs" / "all.qrels", tmp_path / "printed.run")

    assert (found["nDCG@10"], found["AP@100"]) == (report["pooled"]["ndcg@10"], report["pooled"]["map@100"])
    lines = [line.split(" ") for line in printed.stdout.splitlines()]
    assert {len(line) for line in lines} == {6}
    assert [line[0] for line in lines] == sorted((line[0] for line in lines), key=lambda each: int(each[1:]))
    ranks = [(int(line[3]), int(line[4])) for line in lines if line[0] == "q3"]
    assert [rank for rank, _ in ranks] == list(range(1, 33))
    assert [score for _, score in ranks] == list(range(32, 0, -1))


def test_a_run_is_limited_and_filtered(folder: Path, tmp_path: Path) -> None:
    """--limit and --language mean what they mean for one question; questions may come as id, tab, question."""
    run("add", folder / "corpus.jsonl", "--data", tmp_path / "library")
    (tmp_path / "asked.tsv").write_text("a\triver\nb\tbank\n", encoding="utf-8")
    told = ("search", "--queries", tmp_path / "asked.tsv", "--limit", 2, "--language", "bn")
    lines = [line.split() for line in run(*told, "--data", tmp_path / "library").stdout.splitlines()]
    assert [(line[0], line[2][:3]) for line in lines] == [("a", "bn:"), ("a", "bn:"), ("b", "bn:"), ("b", "bn:")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no question"),
        ("1\triver\nriver\n", "line 2: a question has an id and a text"),
        ('{"_id": "1", "text": "a"}\n{"_id": "1", "text": "b"}', "line 2: there is a question '1' already"),
        ("{nonsense", "line 1: Expecting property name"),
    ],
)
def test_a_file_of_no_questions_is_told(tmp_path: Path, text: str, told: str) -> None:
    """The message names the line."""
    (tmp_path / "asked").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidJudgments, match=told):
        trec.queries(tmp_path / "asked")


def test_an_id_that_cannot_be_told_is_refused() -> None:
    """White space would make another line of it."""
    with pytest.raises(InvalidJudgments, match="'a b' has white space"):
        list(trec.run({"1": ["a b"]}))


@pytest.mark.parametrize(
    "arguments",
    [
        ("search",),
        ("search", "river", "--queries", "file"),
        ("search", "river", "--format", "trec"),
        ("search", "river", "--limit", "101"),
        ("search", "--queries", "file", "--json"),
        ("evaluate", ".", "--run", "x", "--answerable"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Exit code 2, before anything is opened."""
    assert CliRunner().invoke(app, [*arguments, "--data", str(tmp_path)]).exit_code == 2
