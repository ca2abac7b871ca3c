"""A real server is started, told to stop while it answers, and watched."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from benchmarks import served_kills
from benchmarks.kills import State
from service.cli import app
from service.keys import Keys
from tests.service.conftest import wait_until

ROOT = Path(__file__).parents[2]
# The engine takes its time for each question, and a file says that it has begun.
SERVE = """
import sys, time
from pathlib import Path
from service.cli.server import run
from service.settings import Settings
from tests.service.test_server import open_toy

def slow():
    engine = open_toy(Path(sys.argv[1]))
    search = engine.library.search
    def slowly(*asked, **more):
        Path(sys.argv[1], "begun").touch()
        time.sleep(float(sys.argv[2]))
        return search(*asked, **more)
    engine.library.search = slowly
    return engine

run(Settings.from_environment(data=Path(sys.argv[1]), port=0), slow)
"""


@contextmanager
def serving(folder: Path, seconds: float, **settings: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Serve a toy library whose searches take so many seconds; yield the address and the process."""
    script = folder / "serve.py"
    script.write_text(SERVE, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder / "library"), str(seconds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        [address] = re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert httpx2.get(f"{address}/readyz").status_code == 200  # it says where it is when it is ready
        yield address, process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.communicate()


def test_a_stop_is_told_first_and_lets_requests_finish(tmp_path: Path) -> None:
    """At SIGTERM /readyz says 503 with the reason while it still answers; what was begun is answered; exit 0."""
    with serving(tmp_path, 2.5, DRAGOMAN_DRAIN_SECONDS="2") as (address, process), ThreadPoolExecutor(1) as pool:
        running = pool.submit(httpx2.post, f"{address}/v1/search", json={"query": "river"}, timeout=30)
        wait_until(lambda: (tmp_path / "library" / "begun").exists())
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: httpx2.get(f"{address}/readyz").status_code == 503)
        told = httpx2.get(f"{address}/readyz").json()["detail"]
        alive = httpx2.get(f"{address}/livez").status_code

        assert running.result().status_code == 200
        _, errors = process.communicate(timeout=30)
    assert (told, alive) == ("Not ready: the service is being stopped", 200)
    assert (process.returncode, errors) == (0, "")


def test_logs_are_json_lines_that_name_the_request(tmp_path: Path) -> None:
    """Each request is a JSON object with its id, route, status and time, and nothing of what was asked."""
    with serving(tmp_path, 0, DRAGOMAN_LOG_FORMAT="json") as (address, process):
        httpx2.get(f"{address}/v1/search", params={"q": "secretword"}, headers={"X-Request-ID": "mine"})
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    lines = [json.loads(line) for line in errors.splitlines()]
    [line] = [line for line in lines if line["request_id"] == "mine"]
    assert (line["method"], line["route"], line["status"], line["level"]) == ("GET", "/v1/search", 200, "info")
    assert line["took_ms"] > 0
    assert "secretword" not in errors


def test_serving_others_without_a_key_is_refused(tmp_path: Path) -> None:
    """On another address than a loopback one, without a key, the command says how to make one."""
    ran = CliRunner().invoke(app, ["serve", "--host", "0.0.0.0", "--data", str(tmp_path / "none")])
    assert ran.exit_code == 1
    assert "dragoman keys create NAME --scope write" in ran.stderr


def test_keys_on_the_command_line(tmp_path: Path) -> None:
    """A key is made and printed once, listed without its secret, and revoked."""

    def keys(*arguments: str) -> str:
        ran = CliRunner().invoke(app, ["keys", *arguments, "--data", str(tmp_path)])
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    secret = keys("create", "desk", "--scope", "write").strip()
    found = Keys(tmp_path).find(secret)
    assert found is not None
    assert (found.name, found.scope) == ("desk", "write")
    assert re.match(r"desk +write", keys("list"))
    assert secret not in keys("list")
    listed = json.loads(keys("list", "--json"))["keys"]
    assert [(each["name"], each["scope"]) for each in listed] == [("desk", "write")]
    keys("revoke", "desk")
    assert Keys(tmp_path).find(secret) is None
    assert CliRunner().invoke(app, ["keys", "revoke", "desk", "--data", str(tmp_path)]).exit_code == 1
    assert CliRunner().invoke(app, ["keys", "create", "a", "--scope", "all", "--data", str(tmp_path)]).exit_code == 2


@pytest.mark.model
def test_nothing_acknowledged_is_lost_when_a_server_is_killed(tmp_path: Path) -> None:
    """Clients add, replace and delete over HTTP until a real server is killed: all that was acknowledged is there and
    found, nothing is half there, and verify is clean.
    """
    [found] = served_kills.rounds(tmp_path / "library", 1, seed=2)

    assert found.acknowledged > 2
    assert found.under_way > 0


def test_the_proof_over_http_sees_what_is_lost(address: str) -> None:
    """The check fails where an acknowledged write is gone, one is half there, or one is there that nobody made."""
    state: State = {"c0-1": 3, "c0-2": 5}
    with httpx2.Client(base_url=address) as web:
        for id, version in state.items():
            served_kills.write(web, {id: version}).raise_for_status()
    assert served_kills.check(address, dict(state), []) == 0
    assert served_kills.check(address, dict(state), [{"c0-1": 3}]) == 1
    wrongs: list[tuple[State, list[State]]] = [
        (state | {"c0-3": 1}, []),
        (state | {"c0-2": 4}, []),
        (state | {"c0-2": None}, []),
        ({"c0-1": 3}, []),
        (state | {"c0-2": 4}, [{"c0-1": 4, "c0-2": 5}]),
    ]
    for wrong, under_way in wrongs:
        with pytest.raises(AssertionError):
            served_kills.check(address, dict(wrong), under_way)
