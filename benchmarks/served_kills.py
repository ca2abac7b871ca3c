"""Kill a server at random moments while clients add, replace, delete and search over HTTP: `benchmarks.kills --serve`.

`dragoman serve` with the default model, on one library all the while. Each client has articles of its own, and notes
each write before it is sent and when it was acknowledged; some are of several articles. The server is killed with
SIGKILL, verified by itself, and started again. Then, over HTTP:

- what was acknowledged is there as it was written, and what was deleted is not;
- of the write that each client had under way all or nothing is there, and nothing else differs;
- searches find of each article all its passages, and nothing else.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.kills import IDS, THREADS, TOGETHER, Round, State, Told, written
from index import Library

MOST = 40  # writes that are acknowledged before a kill, at most
LONGEST = 0.2  # seconds from the last of these to the kill, at most


def sent(id: str, version: int) -> dict[str, Any]:
    """Return a version of an article as it is sent."""
    article = written(id, version)
    return {"id": id, "text": article.text, "language": article.language, "source": id}


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Serve the library, and yield the address and the process once it is ready; it is killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "service.cli", "serve", "--port", "0", "--data", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            told = re.search(r"http://\S+", process.stdout.readline())
            assert told, "the server did not start"
            yield told[0], process
        finally:
            process.kill()


def client(address: str, name: str, seed: int, state: State, told: Told) -> None:
    """Write and search until the server is gone, and note what was acknowledged and what was under way."""
    chance = random.Random(f"{seed} {name}")
    mine: State = {id: version for id, version in state.items() if id.startswith(f"{name}-")}
    with httpx2.Client(base_url=address, timeout=60) as web:
        while True:
            some = chance.sample(range(IDS), TOGETHER if chance.random() < 0.25 else 1)
            changed: State = {f"{name}-{number}": None for number in some}
            if len(some) > 1 or mine.get(f"{name}-{some[0]}") is None or chance.random() > 0.35:
                changed = {id: (mine.get(id) or 0) + chance.randrange(1, 9) for id in changed}
            told.under_way[name] = changed
            try:
                answer = write(web, changed)
            except httpx2.TransportError:
                return
            del told.under_way[name]
            if answer.status_code == 503:
                continue
            answer.raise_for_status()
            told.acknowledged += 1
            told.state |= changed
            mine |= changed
            if chance.random() < 0.3:
                try:
                    web.get("/v1/search", params={"q": f"{name} goes on"}).raise_for_status()
                except httpx2.TransportError:
                    return


def write(web: httpx2.Client, changed: State) -> httpx2.Response:
    """Send one write: of one article or several, or a deletion."""
    articles = [sent(id, version) for id, version in changed.items() if version is not None]
    if not articles:
        return web.delete(f"/v1/articles/{next(iter(changed))}")
    if len(articles) > 1:
        return web.post("/v1/articles", json=articles)
    return web.put(f"/v1/articles/{articles[0]['id']}", json=articles[0])


def there(web: httpx2.Client, id: str, version: int | None) -> bool:
    """Tell whether the server has this version of an article, and finds it; or does not have it at all (None)."""
    answer = web.get(f"/v1/articles/{id}")
    paragraphs = [] if version is None else written(id, version).text.split("\n\n")
    if answer.status_code == 404:
        right = version is None
    else:
        answer.raise_for_status()
        right = version is not None and answer.json()["text"] == written(id, version).text
    if not right:
        return False
    asked = {"query": f"{id} goes on", "filter": {"source": id}, "limit": 100}
    hits = web.post("/v1/search", json=asked).raise_for_status().json()["hits"]
    assert sorted(hit["text"] for hit in hits) == sorted(paragraphs), f"{id} is found as {hits}"
    return True


def check(address: str, state: State, under_way: list[State]) -> int:
    """Raise AssertionError where the server has not what it must have; return how many writes under way it has."""
    kept = 0
    with httpx2.Client(base_url=address, timeout=60) as web:
        for changed in under_way:
            whole = [there(web, id, version) for id, version in changed.items()]
            assert all(whole) or all(there(web, id, state.get(id)) for id in changed), f"half there: {changed}"
            if all(whole):
                state |= changed
                kept += 1
        for id, version in state.items():
            assert there(web, id, version), f"{id} is not what was acknowledged, version {version}"
        status = web.get("/v1/status").raise_for_status().json()
    assert status["articles"] == sum(version is not None for version in state.values()), "there is what nobody wrote"
    return kept


def verified(folder: Path) -> None:
    """Raise AssertionError where `verify` finds something."""
    info = Library.describe(folder)
    assert info is not None
    with Library.open(folder, model=info.model, fingerprint=info.fingerprint, dim=info.dim, read_only=True) as library:
        assert library.verify() == [], library.verify()


def rounds(folder: Path, kills: int, seed: int) -> Iterator[Round]:
    """Yield what each kill left; the check of one is done by the server that is killed next."""
    chance, state = random.Random(seed), State()
    told: list[Told] = []
    for number in range(kills + 1):
        with server(folder) as (address, process):
            if number:
                under_way = [changed for each in told for changed in each.under_way.values()]
                kept = check(address, state, under_way)
                yield Round(sum(each.acknowledged for each in told), len(under_way), kept, 1)
            if number == kills:
                return
            told = [Told() for _ in range(THREADS)]
            each_seed = chance.randrange(1 << 30)
            with ThreadPoolExecutor(THREADS) as pool:
                clients = [
                    pool.submit(client, address, f"c{n}", each_seed, dict(state), one) for n, one in enumerate(told)
                ]
                wanted = chance.randrange(MOST)
                while sum(one.acknowledged for one in told) < wanted and not any(one.done() for one in clients):
                    time.sleep(0.002)
                time.sleep(chance.uniform(0, LONGEST))
                process.send_signal(signal.SIGKILL)
            for running in clients:
                running.result()
        for one in told:
            state |= one.state
        verified(folder)
