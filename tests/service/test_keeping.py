import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import service.engine
from service.cli import app
from tests.fakes import ToyEncoder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of two articles, made on the command line with the toy encoder."""
    monkeypatch.setattr(service.engine, "load_encoder", lambda *_, **__: ToyEncoder())
    monkeypatch.setenv("DRAGOMAN_DATA", str(tmp_path / "library"))
    lines = [
        {"id": "flood", "text": "river flood", "language": "en"},
        {"id": "bank", "text": "money", "language": "en"},
    ]
    result = CliRunner().invoke(app, ["add", "-"], input="\n".join(map(json.dumps, lines)))
    assert result.exit_code == 0, result.output
    return tmp_path / "library"


def run(*arguments: object, code: int = 0) -> Result:
    """Run a command."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_backed_up_and_restored(data: Path, tmp_path: Path) -> None:
    """A backup tells what it holds; restored elsewhere, and over what is there with --force, it is found again."""
    told = json.loads(run("backup", tmp_path / "kept", "--json").stdout)
    assert (told["articles"], told["model"]) == (2, "toy")
    assert "new folder" in run("backup", tmp_path / "kept", code=1).stderr
    assert "2 articles" in run("restore", tmp_path / "kept", "--data", tmp_path / "new").stdout
    assert "flood" in run("search", "flood", "--data", tmp_path / "new").stdout

    run("delete", "flood")
    assert "--force" in run("restore", tmp_path / "kept", code=1).stderr
    told = json.loads(run("restore", tmp_path / "kept", "--force", "--json").stdout)
    assert run("show", "flood").stdout
    assert "no article" in run("show", "flood", "--data", told["set_aside"], code=1).stderr


def test_keys_and_the_audit_log_are_in_no_backup(data: Path, tmp_path: Path) -> None:
    """A backup has the library and its manifest alone; a restore says where the keys of before are."""
    run("keys", "create", "desk")
    (data / "audit.jsonl").write_text("{}\n")
    (data / "questions.sqlite").touch()
    run("backup", tmp_path / "kept")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["library.sqlite", "manifest.json"]
    told = run("restore", tmp_path / "kept", "--force").stdout
    [aside] = tmp_path.glob(f"{data.name}.replaced-*")
    assert "copy keys.json from" in told
    assert "copy questions.sqlite from" in told
    assert (aside / "keys.json").exists()
    assert not (data / "keys.json").exists()


def test_repaired(data: Path) -> None:
    """Damage that can be mended is; what cannot is named, until the article is added again."""
    assert "0 articles were encoded again" in run("repair").stdout
    connection = sqlite3.connect(data / "library.sqlite")
    connection.execute("UPDATE passages SET vector = zeroblob(128) WHERE row = 1")
    connection.execute("UPDATE articles SET text = 'coins' WHERE id = 'bank'")
    connection.commit()
    connection.close()
    result = run("repair", "--json", code=1)
    told = json.loads(result.stdout)
    assert told["mended"] == ["flood"]
    assert "article bank" in [problem["where"] for problem in told["problems"]]
    assert "add the articles again" in result.stderr
    line = json.dumps({"id": "bank", "text": "money", "language": "en"})
    assert "replaced bank" in CliRunner().invoke(app, ["add", "-"], input=line).stdout
    assert "No problems" in run("verify").stdout


def test_nothing_to_look_after(tmp_path: Path) -> None:
    """Where there is no library each command says so."""
    for command in (["backup", tmp_path / "kept"], ["repair"], ["reembed", "--model", "toy"]):
        assert "no library" in run(*command, "--data", tmp_path / "none", code=1).stderr.lower()
