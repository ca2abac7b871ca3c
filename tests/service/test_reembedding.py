import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient
from typer.testing import CliRunner

import service.engine
from index import Library, LibraryAbsent, ModelMismatch, Superseded, generations
from service import reembedding
from service.cli import app
from service.cli.commands import _serving
from service.engine import Engine
from service.errors import ReembeddingFailed
from service.reading import Draft
from service.settings import Settings
from service.web.app import create_app
from tests.fakes import ToyEncoder
from tests.service.conftest import wait_until

ROOT = Path(__file__).parents[2]
TEXTS = ["river flood rain", "bank money\n\nmarket trade", "school teacher", "doctor hospital", "army aircraft"]


class Deaf(ToyEncoder):
    """A worse toy of other dimensions: it knows the first eight meanings only, and turns what it knows round."""

    name = "deaf"
    fingerprint = "deaf-1"
    dim = 8

    def _vector(self, text: str) -> NDArray[np.float32]:
        vector = ToyEncoder()._pooled(text).vector[:8][::-1] + 0.001
        unit: NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
        return unit

    def encode_queries(self, texts: Any, keep: Any = None) -> NDArray[np.float32]:  # noqa: ARG002
        """Encode questions: (n, 8)."""
        return np.stack([self._vector(text) for text in texts]) if texts else np.zeros((0, self.dim), np.float32)


TOYS: dict[str, type[ToyEncoder]] = {"toy": ToyEncoder, "deaf": Deaf}


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.engine, "load_encoder", lambda name, *_, **__: TOYS[name]())


def draft(number: int, text: str = "") -> Draft:
    """Return a draft of one of the texts, or of another."""
    return Draft(
        text or TEXTS[number % len(TEXTS)] + f" {number}", id=f"a{number}", language="en", metadata={"n": number}
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A library of ten articles."""
    with Engine.open(tmp_path / "library", model="toy") as engine:
        list(engine.add(map(draft, range(10))))
    return tmp_path / "library"


def source(data: Path, *, read_only: bool = True) -> Callable[[], Library]:
    """Return what opens the generation that serves, without a model."""

    def opened() -> Library:
        place = generations.folder(data)
        info = Library.describe(place)
        assert info is not None
        return Library.open(
            place, model=info.model, fingerprint=info.fingerprint, dim=info.dim, create=False, read_only=read_only
        )

    return opened


def other(data: Path, model: str | None = None) -> Callable[[], Engine]:
    """Return what opens the other generation, to follow."""
    return lambda: Engine.open(data, model=model, generation="other", following=True)


def texts(engine: Engine, query: str, **options: Any) -> list[str]:
    """Return the passages that a search finds."""
    return [hit.passage.text for hit in engine.search(query, query_language="en", **options).hits]


def same(data: Path) -> None:
    """Assert that both generations hold the same articles, and are sound."""
    found = []
    for which in ("serving", "other"):
        with Engine.open(data, generation=which, read_only=True) as engine:
            assert engine.library.verify() == []
            found.append({id: engine.library.get(id) for id in engine.library.contents()})
    assert found[0] == found[1]


def test_built_beside_and_switched_to_and_back(data: Path) -> None:
    """All is encoded anew while the old one serves; either can be asked; the switch and the way back are whole."""
    stages: list[tuple[str, float]] = []
    assert reembedding.reembed(data, source(data), other(data, "deaf"), lambda *told: stages.append(told)) == 10
    assert stages[-1] == ("encoding anew", 1.0)
    same(data)
    with Engine.open(data) as old, Engine.open(data, generation="other", read_only=True) as new:
        assert (old.encoder.name, new.encoder.name) == ("toy", "deaf")
        assert new.library.dim == 8
        for engine in (old, new):
            assert texts(engine, "river flood", limit=1, mode="raw")[0].startswith("river flood")

    assert reembedding.cut_over(data, source(data, read_only=False), other(data)) == 0
    with Engine.open(data) as engine:
        assert engine.encoder.name == "deaf"
        list(engine.add([draft(3, "a new river"), draft(11)]))
        engine.delete("a0")
    # What came since goes back too.
    assert reembedding.back(data, source(data, read_only=False), other(data)) == 3
    with Engine.open(data) as engine:
        assert engine.encoder.name == "toy"
        assert engine.library.get("a3").text == "a new river"
        assert texts(engine, "river", mode="raw", limit=1) == ["a new river"]
        assert "a0" not in engine.library.contents()
    same(data)


def test_what_is_written_meanwhile_is_followed(data: Path) -> None:
    """Articles added, replaced and deleted while it is encoded anew, and between that and the switch, come along."""
    with Engine.open(data) as serving:

        def meddle(stage: str, done: float) -> None:
            if done == 1.0 and serving.library.status().articles < 13:
                number = 20 + serving.library.status().articles
                list(serving.add([draft(number), draft(1, f"rain {number}")]))
                serving.delete("a2")

        reembedding.reembed(data, source(data), other(data, "deaf"), meddle)
        same(data)
        list(serving.add([draft(50), draft(4, "doctor")]))
        assert reembedding.cut_over(data, source(data, read_only=False), other(data)) == 2
        same(data)
        with pytest.raises(Superseded, match="restart"):
            list(serving.add([draft(51)]))


def test_nothing_is_lost_when_it_is_switched_under_writes(data: Path) -> None:
    """A thread adds all the while: what it was told is kept is in the generation that serves then, all of it."""
    reembedding.reembed(data, source(data), other(data, "deaf"))
    kept: list[str] = []
    refused, ended = threading.Event(), threading.Event()

    def write() -> None:
        with Engine.open(data) as serving:
            for number in itertools.count(100):
                if ended.is_set():
                    return
                try:
                    kept.extend(outcome.article_id for outcome in serving.add([draft(number)]))
                except Superseded:
                    refused.set()
                    return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        # A writer that opened the library after the switch would never be refused.
        wait_until(lambda: bool(kept))
        reembedding.cut_over(data, source(data, read_only=False), other(data))
        wait_until(refused.is_set)
    finally:
        ended.set()
        writer.join()
    with Engine.open(data) as engine:
        assert engine.encoder.name == "deaf"
        assert set(kept) <= set(engine.library.contents())
        assert engine.library.verify() == []


def test_a_server_goes_over_by_itself_and_no_request_fails(data: Path) -> None:
    """Clients search and add all the while it is switched and switched back: every answer is right, every add is kept,
    and the engines that serve no more are closed.
    """
    reembedding.reembed(data, source(data), other(data, "deaf"))
    application = create_app(Settings(data=data), lambda: Engine.open(data))
    kept: list[str] = []
    wrong: list[object] = []
    ended = threading.Event()

    with TestClient(application) as web:
        wait_until(lambda: web.get("/readyz").status_code == 200)
        first = application.state.service.engine

        def search() -> None:
            while not ended.is_set():
                answer = web.get("/v1/search", params={"q": "river", "language": "en"})
                if answer.status_code != 200 or not answer.json()["hits"]:
                    wrong.append(answer.text)

        def write() -> None:
            for number in itertools.count(100):
                if ended.is_set():
                    return
                article = {"id": f"a{number}", "text": f"river {number}", "language": "en"}
                answer = web.post("/v1/articles", json=article)
                if answer.status_code != 201:
                    wrong.append(answer.text)
                kept.append(article["id"])

        def serves(model: str) -> bool:
            return bool(web.get("/v1/status").json()["model"] == model)

        clients = [threading.Thread(target=work) for work in (search, search, write)]
        for client in clients:
            client.start()
        try:
            for switch, model in ((reembedding.cut_over, "deaf"), (reembedding.back, "toy")):
                switch(data, source(data, read_only=False), other(data))
                wait_until(lambda model=model: serves(model))  # type: ignore[misc]
                so_far = len(kept)
                wait_until(lambda so_far=so_far: len(kept) > so_far + 2)  # type: ignore[misc]
        finally:
            ended.set()
            for client in clients:
                client.join()
        assert wrong == []
        assert web.get("/readyz").status_code == 200
        assert web.get("/v1/articles/a100").json()["text"] == "river 100"
        wait_until(lambda: first.library._closed and application.state.service.current._before == [])
        assert not application.state.service.engine.library._closed
    with Engine.open(data) as engine:
        assert set(kept) <= set(engine.library.contents())
        assert engine.library.verify() == []


def test_a_server_that_cannot_go_over_says_so(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not ready, with the reason; it answers searches from what it has, and refuses to write."""
    reembedding.reembed(data, source(data), other(data, "deaf"))
    application = create_app(Settings(data=data), lambda: Engine.open(data))
    with TestClient(application) as web:
        wait_until(lambda: web.get("/readyz").status_code == 200)
        reembedding.cut_over(data, source(data, read_only=False), other(data))
        monkeypatch.delitem(TOYS, "deaf")
        article = {"id": "new", "text": "river", "language": "en"}
        refused = web.post("/v1/articles", json=article)
        assert refused.status_code == 403
        assert "restart the server" in refused.json()["detail"]
        unready = web.get("/readyz")
        assert unready.status_code == 503
        assert "could not be opened: 'deaf'" in unready.json()["detail"]
        assert web.get("/v1/search", params={"q": "river", "language": "en"}).json()["hits"]


def test_a_model_that_was_set_before_is_left_aside_by_a_server(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What served until the switch may be named in the settings still; a library that never went over wants its own."""
    with pytest.raises(ModelMismatch):
        _serving(Settings(data=data, model="deaf"), create=True, generation="serving")
    reembedding.reembed(data, source(data), other(data, "deaf"))
    reembedding.cut_over(data, source(data, read_only=False), other(data))
    with _serving(Settings(data=data, model="toy"), create=True, generation="serving") as engine:
        assert engine.encoder.name == "deaf"
    assert "went over to the model deaf; toy, which is set, is left aside" in capfd.readouterr().err


KILLED = """
import sys
from pathlib import Path
import service.engine
from service import reembedding
from tests.service import test_reembedding as toys
service.engine.load_encoder = lambda name, *_, **__: toys.TOYS[name]()
data = Path(sys.argv[1])
def told(stage, done):
    print(done, flush=True)
    if done >= 0.5:
        sys.stdin.read()
reembedding.reembed(data, toys.source(data), toys.other(data, "deaf"), told)
"""


def test_killed_half_way_it_goes_on(data: Path) -> None:
    """What was encoded before it was killed is not encoded again; the old one serves all the while."""
    with Engine.open(data) as engine:
        list(engine.add(map(draft, range(10, 900))))
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(data)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if float(line) >= 0.5:
                break
        process.send_signal(signal.SIGKILL)
    with Engine.open(data) as engine:
        assert engine.encoder.name == "toy"
        assert engine.library.status().articles == 900
    left = reembedding.reembed(data, source(data), other(data))
    assert 0 < left <= 450
    same(data)


def test_what_cannot_be(data: Path) -> None:
    """The same model again, a way back that there is not, a switch to nothing, a model that is not to be had."""
    with pytest.raises(ReembeddingFailed, match="already"):
        reembedding.reembed(data, source(data), other(data, "toy"))
    assert generations.read(data).other is None
    with pytest.raises(KeyError):
        reembedding.reembed(data, source(data), other(data, "none"))
    assert generations.read(data).other is None
    with pytest.raises(LibraryAbsent):
        reembedding.cut_over(data, source(data), other(data))
    reembedding.reembed(data, source(data), other(data, "deaf"))
    with pytest.raises(ReembeddingFailed, match="never served"):
        reembedding.back(data, source(data), other(data))
    with Engine.open(data) as engine:
        assert engine.encoder.name == "toy"


def judgments(folder: Path) -> Path:
    """Write questions, and grades of the library's own articles."""
    (folder / "qrels").mkdir(parents=True)
    asked = {"q1": ("flood", "a0"), "q2": ("school teacher 7", "a7"), "q3": ("doctor", "a3"), "q4": ("nothing", "gone")}
    lines = [json.dumps({"_id": id, "text": text, "metadata": {"language": "en"}}) for id, (text, _) in asked.items()]
    (folder / "queries.jsonl").write_text("\n".join(lines))
    (folder / "qrels" / "test.tsv").write_text("".join(f"{id}\t{found}\t1\n" for id, (_, found) in asked.items()))
    return folder


def run(*arguments: object, code: int = 0) -> str:
    """Run a command."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.stdout if "--json" in arguments else result.output


def test_on_the_command_line(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built, asked, compared, switched to, returned from and discarded, each by its option."""
    monkeypatch.setenv("DRAGOMAN_DATA", str(data))
    monkeypatch.setenv("COLUMNS", "120")
    assert "name the model" in run("reembed", code=2)
    assert "at a time" in run("reembed", "--back", "--discard", code=2)
    assert "10 articles" in run("reembed", "--model", "deaf")
    assert json.loads(run("status", "--generation", "other", "--json"))["model"] == "deaf"
    assert json.loads(run("status", "--json"))["model"] == "toy"
    assert "No problems" in run("verify", "--generation", "other")
    assert json.loads(run("search", "flood", "--generation", "other", "--json"))["hits"]
    assert "serving or other" in run("search", "flood", "--generation", "newest", code=2)

    told = json.loads(run("reembed", "--report", judgments(tmp_path / "judgments"), "--mode", "raw", "--json"))
    assert (told["a"]["model"], told["b"]["model"]) == ("toy", "deaf")
    compared = told["comparison"]["pooled"]
    assert compared["queries"] == 3
    # What only the better of the two knows it loses.
    assert compared["a"] > compared["b"]
    assert compared["difference"] == pytest.approx(compared["b"] - compared["a"], abs=1e-5)
    shown = run("reembed", "--report", tmp_path / "judgments", "--mode", "raw")
    assert "toy" in shown
    assert "deaf" in shown

    assert "by itself" in run("reembed", "--cut-over")
    assert json.loads(run("status", "--json"))["model"] == "deaf"
    run("backup", tmp_path / "kept")
    assert json.loads((tmp_path / "kept" / "manifest.json").read_text())["model"] == "deaf"
    assert json.loads(run("reembed", "--back", "--json"))["serving"] == ""
    assert json.loads(run("status", "--json"))["model"] == "toy"
    assert "removed" in run("reembed", "--discard")
    assert "no other generation" in run("search", "flood", "--generation", "other", code=1)
