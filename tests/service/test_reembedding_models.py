"""From the default model to another real one and back, under a real server: six of its own twelve layers."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import platformdirs
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from typer.testing import CliRunner

from embed import Encoder
from embed.default_model import NAME
from embed.sources import find
from index import Library, generations
from service.cli import app
from tests.test_crash import write_articles

pytestmark = pytest.mark.model

JUDGMENTS = Path(__file__).parents[2] / "seeds" / "judgments"
LAYERS = 6
ARTICLES = 120


def shallow(folder: Path) -> Path:
    """Write the first six layers of the default model as a sentence-transformers folder of their own."""
    source = find(NAME, platformdirs.user_cache_path("dragoman")).folder
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("model.safetensors", "dragoman.json"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": LAYERS}))
    with safe_open(source / "model.safetensors", "np") as weights:
        deep = re.compile(r"encoder\.layer\.(\d+)\.")
        kept = [name for name in weights.keys() if not (at := deep.match(name)) or int(at[1]) < LAYERS]  # noqa: SIM118
        save_file({name: weights.get_tensor(name) for name in kept}, folder / "model.safetensors", {"format": "pt"})
    return folder


def run(*arguments: object) -> str:
    """Run a command with torch."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def command(*arguments: object) -> list[str]:
    """Return a command for a process of its own."""
    return [sys.executable, "-m", "service.cli", *map(str, arguments)]


def articles(data: Path, which: generations.Which) -> int:
    """Return how many articles a generation holds; none where it is not there yet."""
    if which == "other" and generations.read(data).other is None:
        return 0
    info = Library.describe(generations.folder(data, which))
    return info.articles if info else 0


def test_another_real_model_is_gone_over_to_and_back(
    model: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed half way it goes on; both generations answer the questions of the report, the deeper model better; a
    running server goes over and back by itself, and no request fails.
    """
    data, other = tmp_path / "library", shallow(tmp_path / "six-layers")
    monkeypatch.setenv("DRAGOMAN_DATA", str(data))
    monkeypatch.setenv("DRAGOMAN_BACKEND", "torch")
    lines = tmp_path / "articles.jsonl"
    write_articles(lines)
    some = lines.read_text(encoding="utf-8").splitlines(keepends=True)[:ARTICLES]
    with lines.open("w", encoding="utf-8") as stream:
        stream.writelines(some)
        for line in (JUDGMENTS / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            stream.write(json.dumps({"id": told["_id"], "text": told["text"], **told.get("metadata", {})}) + "\n")
    whole = len(lines.read_text(encoding="utf-8").splitlines())
    run("add", lines, "--json")

    with subprocess.Popen(command("reembed", "--model", other), stdout=subprocess.DEVNULL) as killed:
        try:
            while articles(data, "other") == 0:
                assert killed.poll() is None, "it ended without a word"
                time.sleep(0.1)
        finally:
            killed.send_signal(signal.SIGKILL)
    done = articles(data, "other")
    assert 0 < done < whole
    assert articles(data, "serving") == whole
    told = json.loads(run("reembed", "--json"))
    assert told["articles"] == whole - done
    for which, name in (("serving", NAME), ("other", str(other))):
        assert json.loads(run("status", "--generation", which, "--json"))["model"] == name
        assert "No problems" in run("verify", "--generation", which)

    report = json.loads(run("reembed", "--report", JUDGMENTS, "--json"))
    assert (report["a"]["model"], report["b"]["model"]) == (NAME, str(other))
    compared = report["comparison"]["pooled"]
    assert 0.3 < compared["b"] < compared["a"] <= 1

    with subprocess.Popen(
        command("serve", "--port", 0),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as server:
        try:
            assert server.stdout is not None
            [address] = re.findall(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
            with httpx2.Client(base_url=address, timeout=120) as web:
                for switch, name in (("--cut-over", str(other)), ("--back", NAME)):
                    run("reembed", switch)
                    article = {"id": f"new{switch}", "text": "A new bridge over the river.", "language": "en"}
                    assert web.post("/v1/articles", json=article).status_code == 201
                    assert web.get("/v1/status").json()["model"] == name
                    answer = web.get("/v1/search", params={"q": "bridge over the river", "limit": 1})
                    assert answer.json()["hits"][0]["article_id"].startswith("new")
        finally:
            server.kill()
    assert json.loads(run("status", "--json"))["articles"] == whole + 2
    assert "No problems" in run("verify")
