import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

import service.engine
from service.cli import app
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
    assert re.match(r" 1  \(0\.\d\d\)  bn  flood-[0-9a-f]{8}\n    নদী পানি বন্যা\n", printed.stdout)
    answer = run_json("search", "river flood", "--limit", 1, "--language", "hi,ru")
    assert [hit["language"] for hit in answer["hits"]] == ["hi"]
    assert answer["query_language"]["code"] == "en"


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


def test_start_up_imports_nothing_heavy() -> None:
    """`dragoman --help` loads no model, no index, no server and no parser."""
    code = (
        "import sys, service.cli; print(*sorted(set(sys.modules) & {'torch', 'numpy', 'faiss', 'openvino', "
        "'sentence_transformers', 'transformers', 'fastapi', 'uvicorn', 'httpx2', 'pydantic', 'trafilatura', "
        "'markdown_it', 'ir_measures', 'prometheus_client', 'rich'}))"
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
        for parameter in command.params:
            for option in (each for each in parameter.opts if each.startswith("--") and each != "--help"):
                assert option in section, (name, option)
