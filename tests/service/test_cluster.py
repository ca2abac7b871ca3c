import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cluster import encoding
from embed import Encoder
from index import AnyLibrary, Library
from service import cluster
from service.engine import Engine
from service.errors import ClusterFailed, ExtraMissing
from service.pools import Pool
from service.reading import Draft

pytestmark = pytest.mark.filterwarnings("default")  # Ray warns of its own deprecations and unclosed sockets

SUBJECTS = ("trade", "aircraft", "bombers", "elections", "harvests", "rivers", "railways", "medicine")


def drafts(count: int) -> Iterator[Draft]:
    """Yield articles of three paragraphs, no two alike."""
    for number in range(count):
        subject = SUBJECTS[number % len(SUBJECTS)]
        paragraphs = [
            f"Report {number}, part {part}: what the ministry said of {subject} in {1900 + number}."
            for part in range(3)
        ]
        yield Draft(id=f"a{number}", text="\n\n".join(paragraphs), language="en")


def held(library: AnyLibrary) -> dict[str, list[tuple[str, int, int]]]:
    """Return by article the ids and spans of its passages."""
    return {id: [(each.id, each.start, each.end) for each in library.passages(id)] for id in library.contents()}


@pytest.fixture
def library_of(model: Encoder, tmp_path: Path) -> Iterator[dict[str, Engine]]:
    """Give two empty libraries of the default model."""

    def empty(name: str) -> Library:
        return Library.open(tmp_path / name, model=model.name, fingerprint=model.fingerprint, dim=model.dim)

    with Engine(model, empty("plain")) as plain, Engine(model, empty("clustered")) as clustered:
        yield {"plain": plain, "clustered": clustered}


@pytest.mark.model
def test_two_workers_of_which_one_is_killed_make_the_library_that_one_process_makes(
    library_of: dict[str, Engine], tmp_path: Path
) -> None:
    """Articles, passages and answers are the same; the worker that is killed is begun anew."""
    plain, clustered = library_of["plain"], library_of["clustered"]
    expected = [(each.article_id, each.action, each.passages) for each in plain.add(drafts(120))]
    killed: list[int] = []

    def kill_one() -> None:
        deadline = time.monotonic() + 120
        while not killed and time.monotonic() < deadline:
            if any((tmp_path / "scratch" / "done").glob("*.parquet")) and (workers := encoding(os.getpid())):
                os.kill(workers[0], signal.SIGKILL)
                killed.append(workers[0])
            time.sleep(0.02)

    watch = threading.Thread(target=kill_one)
    watch.start()
    added = cluster.add(clustered, drafts(120), cluster.LOCAL, tmp_path / "scratch", workers=2)
    found = [(each.article_id, each.action, each.passages) for each in added]
    watch.join()

    assert killed
    assert found == expected
    assert held(clustered.library) == held(plain.library)
    assert clustered.library.verify() == []
    for question in ("What was said of bombers?", "নির্বাচন সম্পর্কে কী বলা হয়েছিল?", "report 77"):
        theirs, ours = (engine.search(question).hits for engine in (plain, clustered))
        assert [hit.passage.id for hit in ours] == [hit.passage.id for hit in theirs]
        np.testing.assert_allclose([hit.similarity for hit in ours], [hit.similarity for hit in theirs], atol=1e-3)
    assert not any((tmp_path / "scratch").rglob("*.parquet"))


@pytest.mark.model
def test_what_was_encoded_before_is_not_encoded_again(library_of: dict[str, Engine], tmp_path: Path) -> None:
    """As it is after the command was killed: all pools are planned, and the first is encoded."""
    engine = library_of["clustered"]
    job = cluster.Job(tmp_path / "scratch", engine.library.model, engine.library.fingerprint, late=True)
    assert job.plan(engine.pools.plan(drafts(40))) == 2
    cluster.Worker(job, "auto")({"pool": [0]})
    before = job.done(0).stat().st_mtime_ns
    asked: list[int] = []

    added = cluster.add(engine, drafts(40), cluster.LOCAL, tmp_path / "scratch", workers=1, advance=asked.append)
    first = next(added)
    assert first.article_id == "a0"
    assert job.done(0).stat().st_mtime_ns == before
    assert {each.article_id for each in added} == {f"a{number}" for number in range(1, 40)}
    assert asked == [120 - 48]
    assert [each.action for each in engine.add(drafts(40))] == ["unchanged"] * 40


def test_a_plan_of_another_model_is_refused(tmp_path: Path) -> None:
    """What another model would have encoded is of no use, and may be somebody's."""
    cluster.Job(tmp_path, "one", "f1", late=False).plan([])

    with pytest.raises(ClusterFailed, match=r"planned for 'one', another model than the library's \('two'\)"):
        cluster.Job(tmp_path, "two", "f2", late=False).planned()


def test_a_plan_that_was_not_finished_is_none(tmp_path: Path) -> None:
    """A command that is killed while it plans begins again."""
    job = cluster.Job(tmp_path, "one", "f1", late=False)

    def interrupted() -> Iterator[Pool]:
        yield []
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.plan(interrupted())
    assert job.planned() is None
    assert job.plan([[], []]) == 2
    assert job.planned() == 2


def test_a_plan_that_cannot_be_read_says_what_to_remove(tmp_path: Path) -> None:
    """A torn file, and one that lacks its count, are told apart from no file."""
    (tmp_path / cluster.PLAN).write_text("{")
    with pytest.raises(ClusterFailed, match="remove"):
        cluster.Job(tmp_path, "one", "f1", late=False).planned()
    (tmp_path / cluster.PLAN).write_text(json.dumps({"model": "one", "fingerprint": "f1", "late": False}))
    with pytest.raises(ClusterFailed, match="planned for 'one'"):
        cluster.Job(tmp_path, "one", "f1", late=False).planned()


def test_a_cluster_that_is_not_there_is_named(toy_engine: Engine, tmp_path: Path) -> None:
    """The address is in the message, and nothing is added."""
    added = cluster.add(toy_engine, drafts(1), "127.0.0.1:9", tmp_path / "scratch")
    with pytest.raises(ClusterFailed, match=r"no Ray cluster at '127\.0\.0\.1:9'"):
        next(added)


def test_without_ray_the_extra_is_named(toy_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is large, and most have no cluster."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'dragoman\[ray\]'"):
        next(cluster.add(toy_engine, drafts(1), cluster.LOCAL, tmp_path / "scratch"))
