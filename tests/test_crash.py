"""`dragoman add`, killed: the whole path with the real model, from JSON lines to the durable library."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from embed import Encoder
from index import ArticleNotFound, Library

pytestmark = pytest.mark.model

ARTICLES = 500
KILLS = 20
SUBJECTS = ["trade", "flood", "election", "hospital", "aircraft", "school", "market", "army"]


def write_articles(path: Path) -> None:
    """Write 500 short articles, no two of which say the same."""
    with path.open("w", encoding="utf-8") as lines:
        for number in range(ARTICLES):
            text = f"Report {number}: the {SUBJECTS[number % 8]} of district {number * 7919 % 1000} was discussed."
            lines.write(json.dumps({"id": f"report-{number}", "text": text, "language": "en"}) + "\n")


def add_and_kill(articles: Path, data: Path, after: int, pause: float) -> tuple[list[str], int]:
    """Start `dragoman add`, kill it `pause` seconds after it acknowledged `after` articles.

    Return the ids it acknowledged, in order, and its exit status.
    """
    command = [sys.executable, "-m", "service.cli", "add", str(articles), "--data", str(data)]
    acknowledged: list[str] = []
    reached = threading.Event()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None

        def kill() -> None:
            reached.wait(timeout=120)
            time.sleep(pause)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        for line in process.stdout:
            verb, article, *_ = line.split()
            assert verb == "added"
            acknowledged.append(article)
            if len(acknowledged) >= after:
                reached.set()
        reached.set()
        killer.join()
    return acknowledged, process.returncode


def test_what_was_acknowledged_survives_twenty_kills(model: Encoder, tmp_path: Path) -> None:
    """Killed with SIGKILL at 20 random moments of adding 500 articles, the library is clean each time.

    Every acknowledged article is there and is found; besides them there is at most the one that was in flight.
    """
    articles = tmp_path / "articles.jsonl"
    write_articles(articles)
    chance = random.Random(20)
    killed = 0
    for number in range(KILLS):
        data = tmp_path / f"library-{number}"
        acknowledged, status = add_and_kill(
            articles, data, after=chance.randrange(1, ARTICLES - 60), pause=chance.uniform(0, 0.05)
        )
        killed += status == -signal.SIGKILL
        with Library.open(data, model=model.name, fingerprint=model.fingerprint, dim=model.dim) as library:
            assert library.verify() == []
            present = {f"report-{n}" for n in range(ARTICLES) if library_has(library, f"report-{n}")}
            assert present >= set(acknowledged)
            assert len(present) - len(acknowledged) <= 1
            for article in chance.sample(acknowledged, min(5, len(acknowledged))):
                passage = library.passages(article)[0]
                vector = model.encode_passages([passage.text])[0]
                hits = library.search(vector, {"en": 1.0}, limit=1, mode="raw").hits
                assert hits[0].passage.id == passage.id
    assert killed == KILLS


def library_has(library: Library, article_id: str) -> bool:
    """Tell whether the library holds the article."""
    try:
        library.get(article_id)
    except ArticleNotFound:
        return False
    return True
