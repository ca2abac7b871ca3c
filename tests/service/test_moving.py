"""A library moved to Milvus (its double) and back: the same answers, nothing encoded, every passage compared."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from index import Library, LibraryAbsent, MilvusLibrary, MilvusPlace, Mode, ModelMismatch, Origin, generations
from service.cli import app
from service.engine import Answer, Engine
from service.errors import ExchangeFailed
from service.exchange import Moved, move
from service.settings import Settings
from service.web.app import create_app
from tests.milvus import Milvus
from tests.service.conftest import wait_until
from tests.service.test_exchange import WORDS, Hashed, drafts


@pytest.fixture
def place(tmp_path: Path) -> MilvusPlace:
    """Where the double of Milvus keeps its files."""
    return MilvusPlace(str(tmp_path / "milvus.db"), prefix="moved", words="process")


def opened(origin: Origin, place: Path | MilvusPlace) -> Library | MilvusLibrary:
    """Open the library that another is moved to."""
    given: dict[str, Any] = {"model": origin.model, "fingerprint": origin.fingerprint, "dim": origin.dim}
    return Library.open(place, **given) if isinstance(place, Path) else MilvusLibrary.open(place, **given)


def on_disk(folder: Path) -> Engine:
    """Open an engine over a folder."""
    model = Hashed()
    return Engine(model, Library.open(folder, model=model.name, fingerprint=model.fingerprint, dim=model.dim))


def in_milvus(place: MilvusPlace) -> Engine:
    """Open an engine over the double."""
    model = Hashed()
    return Engine(model, MilvusLibrary.open(place, model=model.name, fingerprint=model.fingerprint, dim=model.dim))


def told(answer: Answer) -> list[Any]:
    """Return all that an answer says, but how long it took, to seven digits."""
    hits = [(hit.passage, hit.article, hit.row, hit.rank) for hit in answer.hits]
    numbers = [(hit.similarity, hit.raw, hit.relevance or 0.0, answer.relevance or 0.0) for hit in answer.hits]
    return [hits, np.round(np.array(numbers), 7).tolist(), answer.sentences, answer.found]


def test_moved_there_and_back_it_answers_the_same(tmp_path: Path, place: MilvusPlace) -> None:
    """Fifty questions, in all modes, with filters and groups, are answered the same from the folder, from Milvus, and
    from another folder that it was moved back to.
    """
    with on_disk(tmp_path / "a") as engine:
        list(engine.add(drafts(120)))
    assert move(tmp_path / "a", lambda origin: opened(origin, place)) == Moved(120, 0, 0, 120)
    assert move(place, lambda origin: opened(origin, tmp_path / "b")) == Moved(120, 0, 0, 120)
    rng = np.random.default_rng(1)
    asked = [" ".join(rng.choice(WORDS, 3)) for _ in range(50)]
    answers = []
    for engine in (on_disk(tmp_path / "a"), in_milvus(place), on_disk(tmp_path / "b")):
        with engine:
            found = []
            for number, question in enumerate(asked):
                mode: Mode = get_args(Mode)[number % 4]
                more: dict[str, Any] = {"languages": ["bn", "ru"]} if number % 3 == 1 else {}
                more |= {"group": "article"} if number % 5 == 2 else {}
                found.append(told(engine.search(question, limit=7, mode=mode, query_language="en", **more)))
            answers.append((found, engine.library.facets(), engine.library.contents()))
    assert answers[1][1] == answers[0][1]
    assert [len(each[0][0]) for each in answers] == [4] * 3
    for number, question in enumerate(asked):
        assert answers[1][0][number] == answers[0][0][number], question
        assert answers[2][0][number] == answers[0][0][number], question
    assert answers[0][2] == answers[1][2] == answers[2][2]


def test_moving_goes_on_where_it_was(tmp_path: Path, place: MilvusPlace) -> None:
    """Interrupted on the way, what had arrived stays, and the same again brings the rest, with its rows."""
    with on_disk(tmp_path / "a") as engine:
        list(engine.add(drafts(600)))

    def interrupt(stage: str, done: float) -> None:
        if stage == "moving" and done > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(tmp_path / "a", lambda origin: opened(origin, place), interrupt)
    arrived = MilvusLibrary.describe(place)
    assert arrived is not None
    assert 256 <= arrived.articles < 600
    done = move(tmp_path / "a", lambda origin: opened(origin, place))
    assert (done.added + done.unchanged, done.unchanged, done.compared) == (600, arrived.articles, 600)
    with on_disk(tmp_path / "a") as one, in_milvus(place) as other:
        some = list(one.library.contents())[::7]
        here, there = one.library.holdings(some), other.library.holdings(some)
        assert len(some) == len(here) == 86
        assert {id: each.rows for id, each in here.items()} == {id: each.rows for id, each in there.items()}


def test_what_differs_is_told(tmp_path: Path, place: MilvusPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vector that did not arrive as it was is found, and the article named."""
    with on_disk(tmp_path / "a") as engine:
        list(engine.add(drafts(3)))
    arrives = MilvusLibrary.holdings

    def changed(library: MilvusLibrary, ids: list[str]) -> Any:
        found = arrives(library, ids)
        first = next(each for each in found.values() if each.rows[0] == 1)
        return found | {first.article.id: replace(first, vectors=-first.vectors)}

    monkeypatch.setattr(MilvusLibrary, "holdings", changed)
    with pytest.raises(ExchangeFailed, match=r"1 articles are not the same.*has other vectors"):
        move(tmp_path / "a", lambda origin: opened(origin, place))


def test_the_commands_work_on_a_library_in_milvus(
    tmp_path: Path, place: MilvusPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its address in the environment `status`, `show`, `verify`, `export` and `delete` are of the library there;
    what is for a folder says so.
    """
    with on_disk(tmp_path / "a") as engine:
        list(engine.add(drafts(10)))
        first = next(iter(engine.library.contents()))
    move(tmp_path / "a", lambda origin: opened(origin, place))
    monkeypatch.setenv("DRAGOMAN_MILVUS", place.address)
    monkeypatch.setenv("DRAGOMAN_MILVUS_COLLECTION", place.prefix)
    run = CliRunner()
    for command, said in (
        (["status"], "articles                 10"),
        (["verify"], "No problems were found"),
        (["show", first], "passages"),
        (["export", str(tmp_path / "out")], "holds 10 articles"),
        (["delete", first], f"deleted {first}"),
    ):
        outcome = run.invoke(app, command)
        assert outcome.exit_code == 0, outcome.output
        assert said in outcome.output
    for command in (["backup", str(tmp_path / "b")], ["reembed", "--model", "x"], ["status", "--generation", "other"]):
        outcome = run.invoke(app, command)
        assert outcome.exit_code == 1
        assert "is for a library on disk" in outcome.output
    monkeypatch.setenv("DRAGOMAN_MILVUS_COLLECTION", "nobody")
    outcome = run.invoke(app, ["status"])
    assert outcome.exit_code == 1
    assert "add articles to it first" in outcome.output


@pytest.mark.milvus
def test_two_servers_on_one_milvus(tmp_path: Path, milvus: Milvus) -> None:
    """An article that is added through one server is found through the other, and gone from both when it is deleted."""
    place = MilvusPlace(milvus.address, prefix="shared")
    with in_milvus(place):
        pass
    apps = [create_app(Settings(data=tmp_path / name), lambda: in_milvus(place)) for name in ("one", "two")]
    with TestClient(apps[0]) as one, TestClient(apps[1]) as two:
        for each in (one, two):
            wait_until(lambda each=each: each.get("/readyz").status_code == 200)  # type: ignore[misc]
        added = one.post("/v1/articles", json={"id": "a", "text": "river flood", "language": "en"})
        assert added.status_code == 201, added.text

        def found(by: TestClient) -> list[str]:
            answer = by.get("/v1/search", params={"q": "river flood"})
            assert answer.status_code == 200, answer.text
            hits = answer.json()["hits"]
            return [hit["article_id"] for hit in hits]

        # By the one that wrote it at once, by the other as soon as its Milvus has taken it in.
        assert found(one) == ["a"]
        wait_until(lambda: found(two) == ["a"], 5)
        assert two.delete("/v1/articles/a").status_code == 204
        assert found(two) == []
        wait_until(lambda: found(one) == [], 5)
        assert one.get("/v1/articles/a").status_code == 404


def test_a_library_of_another_model_is_not_taken_in(tmp_path: Path, place: MilvusPlace) -> None:
    """The commands say which model each has; nothing is written."""
    with on_disk(tmp_path / "a") as engine:
        list(engine.add(drafts(2)))
    with MilvusLibrary.open(place, model="other", fingerprint="1", dim=384):
        pass
    outcome = CliRunner().invoke(app, ["move", str(tmp_path / "a"), "http://127.0.0.1:1"])
    assert outcome.exit_code == 1
    assert "does not answer" in outcome.output
    with pytest.raises(LibraryAbsent):
        move(tmp_path / "none", lambda origin: opened(origin, place))
    with pytest.raises(ModelMismatch, match="other"):
        move(generations.folder(tmp_path / "a"), lambda origin: opened(origin, place))
