import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

import service.engine
from service.cli import app
from service.cli.terminal import likely, print_verdict
from tests.fakes import ToyEncoder

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "cli.md"

# Runs the command line with the toy encoder in a process of its own.
WITH_TOY = """
import sys
import service.engine
from tests.fakes import ToyEncoder
service.engine.load_encoder = lambda *_, **__: ToyEncoder()
from service.cli import main
main()
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a library, and the toy encoder in place of the real one."""
    monkeypatch.setattr(service.engine, "load_encoder", lambda *_, **__: ToyEncoder())
    monkeypatch.setenv("DRAGOMAN_DATA", str(tmp_path / "library"))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "library"


def run(*arguments: object, stdin: str | None = None) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def run_json(*arguments: object, code: int = 0) -> Any:
    """Run a command with --json; standard output is one JSON document."""
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    """A folder of three articles and a file that cannot be read."""
    folder = tmp_path / "articles"
    folder.mkdir()
    (folder / "bank.txt").write_text("बैंक पैसा व्यापार", encoding="utf-8")
    (folder / "flood.txt").write_text("নদী পানি বন্যা\n\nসেনাবাহিনী", encoding="utf-8")
    lines = [{"id": "ru", "text": "вода", "language": "ru"}, {"id": "bad", "text": "x", "language": "xx1"}]
    (folder / "more.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (folder / "photo.png").write_bytes(b"\x89PNG")
    return folder


def test_add_tells_each_article_and_what_was_refused(data: Path, articles: Path) -> None:
    """In a pipe there is a line for each durable article; what was refused is named; the exit code is 1."""
    result = run("add", articles)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert re.fullmatch(r"added bank-[0-9a-f]{8} \(1 passages, hi\)", lines[0])
    assert re.fullmatch(r"added flood-[0-9a-f]{8} \(2 passages, bn\)", lines[1])
    assert lines[2] == "added ru (1 passages, ru)"
    assert len(lines) == 3
    assert f"refused {articles / 'photo.png'}: .png files are not read" in result.stderr
    assert "'xx1'" in result.stderr
    again = run("add", articles / "flood.txt")
    assert again.exit_code == 0
    assert again.stdout.startswith("unchanged flood-")


def test_add_as_json(data: Path, articles: Path) -> None:
    """The summary counts, names what was refused, and lists what was kept."""
    summary = run_json("add", articles, "--source", "daily", code=1)
    assert {key: summary[key] for key in ("added", "replaced", "unchanged")} == {
        "added": 3,
        "replaced": 0,
        "unchanged": 0,
    }
    assert [Path(each["where"].split(",")[0]).name for each in summary["refused"]] == [
        "more.jsonl",
        "photo.png",
    ]
    assert summary["articles"][2] == {"id": "ru", "action": "added", "passages": 1, "language": "ru"}
    assert run_json("show", "ru")["source"] == "daily"


def test_add_from_standard_input(data: Path) -> None:
    """`-` reads JSON lines; a bad line is refused and the rest goes on."""
    result = run("add", "-", stdin='{"id": "a", "text": "вода"}\nnonsense\n{"id": "b", "text": "дождь"}\n')
    assert result.exit_code == 1
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["a", "b"]
    assert "refused standard input, line 2: not JSON" in result.stderr


def test_add_nothing(data: Path, tmp_path: Path) -> None:
    """A path that is not there, and an empty folder, are told; the exit code is 1."""
    missing = run("add", tmp_path / "none.txt")
    assert missing.exit_code == 1
    assert "none.txt: no such file or directory" in missing.stderr
    (tmp_path / "empty").mkdir()
    assert run("add", tmp_path / "empty").exit_code == 1


def test_an_override_of_the_language(data: Path, articles: Path) -> None:
    """`--language` is the language of every article, in any form of its code."""
    summary = run_json("add", articles / "flood.txt", "--language", "asm")
    assert summary["articles"][0]["language"] == "as"
    assert run("add", articles / "flood.txt", "--language", "xx1").exit_code == 2


def test_search_for_people_and_for_programs(data: Path, articles: Path) -> None:
    """The same hits are printed as text, in order, and as the JSON of the HTTP API."""
    run("add", articles / "bank.txt", articles / "flood.txt")
    printed = run("search", "river flood", "--limit", "2")
    assert printed.exit_code == 0
    assert re.match(r" 1  \(0\.\d\d\)  bn  flood-[0-9a-f]{8}  [0-9a-f]{24}\n    নদী পানি বন্যা\n", printed.stdout)
    answer = run_json("search", "river flood", "--limit", 1, "--language", "hi,ru")
    assert [hit["language"] for hit in answer["hits"]] == ["hi"]
    assert answer["query_language"]["code"] == "en"


def test_search_tells_why(data: Path, articles: Path) -> None:
    """The words that met are listed, the nearest first, and marked in the passage; as JSON all is told."""
    run("add", articles / "bank.txt")
    printed = run("search", "which money, bank", "--explain")
    assert printed.stdout.splitlines()[1:5] == [
        "    *बैंक* *पैसा* व्यापार",
        "    money → पैसा 1.00",
        "    bank → बैंक 1.00",
        "    which → बैंक 0.00",
    ]
    [hit] = run_json("search", "which money, bank", "--explain")["hits"]
    assert len(hit["explanation"]["tokens"]) == 3
    assert run_json("search", "which money, bank")["hits"][0]["explanation"] is None


def test_where_nothing_answers_it_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    """Before the nearest passages; less surely where it is less sure; and a bound of the caller's own is told apart."""
    some: Any = [object()]
    for relevance, found, hits in (
        (0.01, False, some),
        (0.3, False, some),
        (0.01, False, []),
        (None, False, []),
        (0.8, True, []),
        (0.8, True, some),
        (None, None, some),
    ):
        print_verdict(relevance, found, hits)
    assert capsys.readouterr().out.split("\n") == [
        "Nothing here answers this; the nearest passages are:",
        "",
        "Perhaps nothing here answers this; the nearest passages are:",
        "",
        "Nothing here answers this.",
        "Nothing here answers this.",
        "No passage is as relevant as that.",
        "",
    ]
    assert [likely(each) for each in (0, 0.24, 0.25, 0.5, 0.75, 1)] == [
        "unlikely",
        "unlikely",
        "perhaps",
        "likely",
        "very likely",
        "very likely",
    ]


def test_facets(data: Path, articles: Path) -> None:
    """What is searched is counted below the hits, or in the JSON; the languages without the filter on languages."""
    run("add", articles, "--source", "daily")
    printed = run("search", "water", "--facets", "--language", "hi")
    assert printed.stdout.splitlines()[-3:] == ["language  bn 2, hi 1, ru 1", "source    daily 1", "year      none"]
    assert "facets" in run_json("search", "water")
    assert run_json("search", "water")["facets"] is None
    assert run_json("search", "water", "--facets")["facets"]["source"] == [
        {"value": "daily", "passages": 4, "articles": 3}
    ]


def test_similar(data: Path, articles: Path) -> None:
    """What says the same in other languages is found by a passage's id, without the model."""
    run("add", articles)
    run("add", "-", stdin='{"id": "river", "text": "река вода", "language": "ru"}')
    (hit,) = run_json("search", "river flood", "--limit", 1)["hits"]
    assert hit["text"] == "নদী পানি বন্যা"
    found = run_json("similar", hit["passage_id"], "--limit", 2)["hits"]
    assert [each["article_id"] for each in found] == ["river", "ru"]
    assert [each["relevance"] for each in found] == [None, None]
    assert [each["language"] for each in run_json("similar", hit["passage_id"], "--language", "hi")["hits"]] == ["hi"]
    assert re.match(
        r" 1  \(0\.\d\d\)  ru  river  [0-9a-f]{24}\n    река вода\n", run("similar", hit["passage_id"]).stdout
    )
    assert run("similar", hit["passage_id"], "--language", "bn").stdout == (
        "There is no passage of another article to compare with it.\n"
    )
    unknown = run("similar", "nobody")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "There is no passage 'nobody'" in unknown.stderr
    assert run("similar", hit["passage_id"], "--language", "xx1").exit_code == 2


def test_search_groups(data: Path, articles: Path) -> None:
    """Grouped by article, a hit tells how much more there is of it; another kind of group is wrong usage."""
    run("add", articles / "bank.txt", articles / "flood.txt")
    printed = run("search", "river flood", "--limit", "2", "--group", "article")
    assert "    and 1 more of this article\n" in printed.stdout
    assert [len(hit["passages"]) for hit in run_json("search", "river flood", "--group", "article")["hits"]] == [1, 0]
    assert run("search", "river flood", "--group", "paragraph").exit_code == 2


def test_text_cannot_command_the_terminal(data: Path) -> None:
    """Escape sequences in an article do not reach the terminal."""
    run("add", "-", stdin='{"id": "evil", "title": "\\u001b]0;owned\\u0007", "text": "вода \\u001b[2J"}\n')
    for result in (run("search", "water"), run("show", "evil")):
        assert result.exit_code == 0
        assert "\x1b" not in result.stdout
        assert "\x07" not in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", ""),
        ("search", " \n"),
        ("search", "a" * 100_000),
        ("search", "a\udcff"),
        ("search", "a", "--limit", "0"),
        ("search", "a", "--limit", "many"),
        ("search", "a", "--language", "xx1"),
        ("search", "a", "--mode", "magic"),
        ("search", "a", "--min-relevance", "2"),
        ("search",),
        ("fly",),
        ("add",),
        ("serve", "--port", "99999"),
        ("evaluate", ".", "--pairs", "en"),
        ("evaluate", ".", "--plot", "found.pdf"),
        ("evaluate", ".", "--plot", "nowhere/found.png"),
        ("evaluate", ".", "--compare", "dense", "dense"),
        ("evaluate", ".", "--compare", "dense", "magic"),
        ("evaluate", ".", "--compare", "dense", "raw", "--answerable"),
        ("evaluate", ".", "--compare", "dense", "raw", "--plot", "found.svg"),
    ],
)
def test_wrong_usage_is_code_2(data: Path, articles: Path, arguments: tuple[str, ...]) -> None:
    """Wrong usage is told on standard error, without a traceback, and nothing is on standard output."""
    run("add", articles / "bank.txt")
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [("search", "water"), ("show", "a"), ("delete", "a"), ("status",), ("verify",)])
def test_no_library(data: Path, arguments: tuple[str, ...]) -> None:
    """Where there is no library one line says how to make one, and none is made."""
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"dragoman: there is no library in {data}; `dragoman add` makes one, --data names another\n"
    )
    assert not data.exists()


def test_a_library_of_another_model(data: Path, articles: Path) -> None:
    """The message names both models; exit code 1."""
    run("add", articles / "bank.txt")
    result = run("search", "water", "--model", "other/model")
    assert result.exit_code == 1
    assert "'toy'" in result.stderr
    assert "'other/model'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_failure_that_nobody_expected_is_one_line(
    data: Path, articles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours is one line too, and says how to see more."""
    run("add", articles / "bank.txt")

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(service.engine.Engine, "search", fail)
    result = run("search", "water")
    assert result.exit_code == 1
    assert result.stderr == ("dragoman: failed unexpectedly (ZeroDivisionError: oh); PYTHONDEVMODE=1 shows where\n")


def test_interrupted_adding_says_what_is_kept(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with what is kept and how to go on; what was told as added is found."""
    real = service.engine.Engine.add

    def interrupted(self: service.engine.Engine, *arguments: Any) -> Any:
        for number, outcome in enumerate(real(self, *arguments)):
            yield outcome
            if number == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(service.engine.Engine, "add", interrupted)
    lines = "".join(json.dumps({"id": str(number), "text": "вода"}) + "\n" for number in range(5))
    result = run("add", "-", stdin=lines)
    assert result.exit_code == 1
    assert "interrupted. 2 articles are kept; the same command again goes on after them" in result.stderr
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["0", "1"]
    assert run("show", "1").exit_code == 0


def test_show_delete_status_verify(data: Path, articles: Path) -> None:
    """An article is shown, deleted, and gone; the library tells its state and is in order."""
    run("add", articles / "flood.txt", articles / "more.jsonl")
    shown = run("show", "ru")
    assert shown.stdout.splitlines() == ["ru", "ru  1 passages", "", "вода"]
    assert run_json("show", "ru")["text"] == "вода"
    assert run_json("status")["articles"] == 2
    assert "languages" in run("status").stdout
    both = run("delete", "ru", "nobody")
    assert both.exit_code == 1
    assert both.stdout == "deleted ru\n"
    assert both.stderr == "dragoman: there is no article nobody\n"
    assert run_json("delete", "nobody", code=1) == {"deleted": [], "unknown": ["nobody"]}
    gone = run("show", "ru")
    assert gone.exit_code == 1
    assert "'ru'" in gone.stderr
    assert run("verify").stdout == "No problems were found.\n"
    assert run_json("verify") == {"problems": []}


def test_evaluate(data: Path) -> None:
    """The report is printed as a table, or as its JSON."""
    folder = ROOT / "seeds" / "judgments"
    report = run_json("evaluate", folder, "--queries-per-language", 2, "--pairs", "en:bn")
    assert list(report) == ["dataset", "model", "mode", "seconds", "pairs", "mono", "cross", "pooled"]
    assert report["dataset"] == "judgments"
    assert "en->bn" in run("evaluate", folder, "--pairs", "en:bn").stdout
    missing = run("evaluate", folder.parent)
    assert missing.exit_code == 1
    assert "corpus.jsonl is missing" in missing.stderr


def test_two_modes_are_compared(data: Path) -> None:
    """Both reports in their own form and what they come to, as JSON or as a table of modes side by side."""
    folder = ROOT / "seeds" / "judgments"
    both = run_json("evaluate", folder, "--pairs", "en:bn,bn:bn", "--compare", "dense", "hybrid")
    assert list(both) == ["a", "b", "comparison"]
    plain = run_json("evaluate", folder, "--pairs", "en:bn,bn:bn", "--mode", "hybrid")
    assert {**both["b"], "seconds": 0} == {**plain, "seconds": 0}
    told = both["comparison"]["pairs"]["bn->bn"]
    table = run("evaluate", folder, "--pairs", "en:bn,bn:bn", "--compare", "dense", "hybrid").stdout
    [row] = [line for line in table.splitlines() if "bn->bn" in line]
    shown = f"{told['a']:.3f} {told['b']:.3f} {told['difference']:+.3f} {told['p']:.5f} {told['p_holm']:.5f}"
    assert row.replace("│", " ").split() == ["bn->bn", str(told["queries"]), *shown.split()]


def test_of_many_pairs_those_that_differ_most_are_shown(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table of hundreds of pairs is for no reader: the most different, and how many are left."""
    from service.cli.reports import print_comparison

    figures = {"queries": 5, "a": 0.5, "p": 0.5, "p_holm": 1.0}
    pairs = {f"en->l{each:02}": {**figures, "b": 0.5, "difference": each / 1000} for each in range(-10, 11)}
    report = {"dataset": "d", "model": "m", "seconds": 1.0}
    compared = {"pairs": pairs, "mono": None, "cross": pairs["en->l01"], "pooled": pairs["en->l02"]}
    print_comparison({"a": {**report, "mode": "raw"}, "b": {**report, "mode": "dense"}, "comparison": compared})
    printed = capsys.readouterr().out
    shown = set(re.findall(r"en->l\S+", printed))
    assert shown == {f"en->l{each:02}" for each in range(-10, 11) if abs(each) > 5}
    assert "--json has the other 11" in printed


def test_a_picture_is_drawn(data: Path, tmp_path: Path) -> None:
    """`--plot` writes the picture beside the report, which says besides how far relevance is to be believed."""
    folder, picture = ROOT / "seeds" / "judgments", tmp_path / "found.SVG"
    report = run_json("evaluate", folder, "--pairs", "en:bn", "--plot", picture)
    assert list(report)[8:] == ["questions", "asked", "ece", "reliability"]
    drawn = picture.read_text(encoding="utf-8")
    assert f"{report['pairs']['en->bn']['ndcg@10']:.2f}</text>" in drawn
    assert f"{report['asked']} first hits: each pair of languages and all together" in drawn
    halved = run("evaluate", folder, "--answerable", "--plot", tmp_path / "halved.svg")
    assert halved.exit_code == 0
    assert "every second article left out" in (tmp_path / "halved.svg").read_text(encoding="utf-8")


def test_a_picture_without_its_library_is_refused_at_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where matplotlib is missing one line says how to install it, before anything is read."""
    from service.evaluation import plots

    monkeypatch.setattr(plots, "find_spec", lambda _: None)
    result = run("evaluate", "nowhere", "--plot", "found.png")
    assert result.exit_code == 1
    assert result.stderr == "dragoman: Pictures need matplotlib. Install it: pip install dragoman[plot]\n"


def test_measuring_without_a_picture_loads_no_matplotlib(data: Path) -> None:
    """An extra is loaded by who asks for it."""
    code = (
        "import service.engine; from tests.fakes import ToyEncoder; import sys\n"
        "service.engine.load_encoder = lambda *_, **__: ToyEncoder()\n"
        "from service.cli import app\n"
        "app(['evaluate', 'seeds/judgments', '--pairs', 'bn:bn'], standalone_mode=False)\n"
        "print('matplotlib' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "bn->bn" in done.stdout
    assert done.stderr.strip() == "False"


def test_start_up_imports_nothing_heavy() -> None:
    """`dragoman --help` loads no model, no index, no server and no parser."""
    code = (
        "import sys, service.cli; print(*sorted(set(sys.modules) & {'torch', 'numpy', 'faiss', 'openvino', "
        "'sentence_transformers', 'transformers', 'fastapi', 'uvicorn', 'httpx2', 'pydantic', 'trafilatura', "
        "'markdown_it', 'ir_measures', 'matplotlib', 'prometheus_client', 'rich'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_search_loads_no_server_and_no_parser(data: Path, articles: Path) -> None:
    """What a search does not need it does not load."""
    run("add", articles / "bank.txt")
    code = (
        "import service.engine; from tests.fakes import ToyEncoder; import sys\n"
        "service.engine.load_encoder = lambda *_, **__: ToyEncoder()\n"
        "from service.cli import app\n"
        "app(['search', 'bank'], standalone_mode=False)\n"
        "print(*sorted(set(sys.modules) & {'torch', 'sentence_transformers', 'transformers', 'fastapi', "
        "'uvicorn', 'httpx2', 'trafilatura', 'markdown_it', 'ir_measures', 'prometheus_client'}), "
        "file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "बैंक" in done.stdout
    assert done.stderr.strip() == ""


def test_a_process_ends_with_its_code_once_all_is_done(data: Path, articles: Path) -> None:
    """What was printed arrives, and what was left to be done at the end is done, though nothing is given back."""
    registering = WITH_TOY.replace("lambda *_, **__: ToyEncoder()", "lambda *_, **__: last() or ToyEncoder()")
    code = "import atexit\ndef last():\n    atexit.register(print, 'the last word')\n" + registering
    command = [sys.executable, "-c", code, "add", str(articles)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1  # a file that cannot be read
    assert len(done.stdout.splitlines()) == 4
    assert done.stdout.endswith("\nthe last word\n")


def start_serving(*arguments: str) -> subprocess.Popen[str]:
    """Run `serve` with the toy encoder in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", WITH_TOY, "serve", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_and_stops_gently(data: Path, signum: signal.Signals) -> None:
    """The address is printed, requests are answered there, and a signal ends it with exit code 0."""
    process = start_serving("--port", "0")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        [address] = re.findall(r"http://127\.0\.0\.1:\d+", line)
        transport = httpx2.HTTPTransport(retries=20)
        with httpx2.Client(base_url=address, transport=transport, timeout=20) as web:
            assert web.get("/livez").status_code == 200
        process.send_signal(signum)
        rest, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert (rest, errors) == ("", "")


def test_a_port_in_use_is_told(data: Path) -> None:
    """One line names the port and the option; exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--port", port)
    assert result.exit_code == 1
    assert result.stderr == f"dragoman: port {port} of 127.0.0.1 is in use; choose another with --port\n"


def test_serve_that_cannot_open_its_library_ends(data: Path, articles: Path) -> None:
    """A library of another model ends the service with one line instead of serving errors."""
    run("add", articles / "bank.txt")
    process = start_serving("--port", "0", "--model", "other/model")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "'other/model'" in errors
    assert "Traceback" not in errors


def test_every_command_and_option_is_documented() -> None:
    """docs/cli.md names every command and every option there is."""
    import typer

    text = DOCS.read_text(encoding="utf-8")
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        assert f"## {name}" in text, name
        section = text.split(f"## {name}\n")[1].split("\n## ")[0] + text.split("\n## ")[0]
        parameters = [
            *command.params,
            *(each for sub in getattr(command, "commands", {}).values() for each in sub.params),
        ]
        for parameter in parameters:
            for option in (each for each in parameter.opts if each.startswith("--") and each != "--help"):
                assert option in section, (name, option)


def every_command(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command there is, and those of each group."""
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from every_command(each, (*path, name))


def test_every_command_and_option_has_a_line_of_help() -> None:
    """`--help` leaves nothing unsaid, in groups of commands too."""
    import typer

    commands = list(every_command(typer.main.get_command(app)))
    assert len(commands) > 20
    for path, command in commands:
        assert (command.help or "").strip().endswith("."), path
        for parameter in command.params:
            assert (parameter.help or "").strip(), (path, parameter.name)


def completed(*words: str) -> list[str]:
    """What bash is offered after these words, the last of which is being typed."""
    environment = {
        "_DRAGOMAN_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    return CliRunner().invoke(app, [], prog_name="dragoman", env=environment).stdout.split()


def test_the_shell_completes_commands_options_and_words() -> None:
    """Every command, every long option, and the words of options that take one of a few."""
    import typer

    commands = dict(every_command(typer.main.get_command(app)))
    for path, command in commands.items():
        if names := list(getattr(command, "commands", {})):
            assert completed("dragoman", *path, "") == names
        for option in (each for parameter in command.params for each in parameter.opts if each.startswith("--")):
            if path:
                assert option in completed("dragoman", *path, option[:-1]), (path, option)
    for words in (
        ("search", "--mode", "hybrid dense lexical raw"),
        ("search", "--group", "none article story"),
        ("search", "--format", "trec"),
        ("search", "--backend", "auto openvino torch"),
        ("evaluate", "--compare", "hybrid dense lexical raw"),
        ("reembed", "--mode", "hybrid dense lexical raw"),
        ("status", "--generation", "serving other"),
        ("export", "--format", "jsonl parquet"),
        ("keys", "create", "--scope", "read write admin"),
    ):
        assert completed("dragoman", *words[:-1], "") == words[-1].split(), words
    assert completed("dragoman", "search", "--mode", "d") == ["dense"]
