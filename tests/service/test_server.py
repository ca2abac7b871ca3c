import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx2

from index import Library
from service.engine import Engine
from tests.fakes import ToyEncoder

ROOT = Path(__file__).parents[2]
SERVE = """
import os, signal, sys, threading
from functools import partial
from pathlib import Path
from service.cli.server import run
from service.settings import Settings
from tests.service.test_server import open_toy
def with_the_test():
    sys.stdin.read()  # until it ends, however it ends
    os.killpg(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    if os.getpid() == os.getpgrp():
        threading.Thread(target=with_the_test, daemon=True).start()
    folder = Path(sys.argv[1])
    run(Settings(data=folder, port=0, workers=2), partial(open_toy, folder))
"""


def open_toy(folder: Path) -> Engine:
    """Open the toy engine over a library in a folder."""
    return Engine(ToyEncoder(), Library.open(folder, model="toy", fingerprint="toy-1", dim=32))


def test_workers_serve_one_library_count_together_and_stop_together(tmp_path: Path) -> None:
    """Whichever of two processes is asked knows what was acknowledged, /metrics tells the requests of both, and one
    signal ends both.
    """
    script = tmp_path / "serve.py"
    script.write_text(SERVE, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "library")],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        [address] = re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())

        def send(method: str, path: str, body: object = None) -> httpx2.Response:
            # A connection each, so that either worker may take it.
            with httpx2.Client(base_url=address, timeout=30) as web:
                return web.request(method, path, json=body)

        def ready() -> int:
            try:
                return send("GET", "/readyz").status_code
            except httpx2.TransportError:
                return 0

        assert ready() == 200
        for number in range(10):
            article = {"id": f"flood-{number}", "text": "river flood", "language": "en"}
            assert send("POST", "/v1/articles", article).status_code == 201
            asked = {"query": "flood", "query_language": "en", "limit": 100}
            found = [send("POST", "/v1/search", asked).json()["hits"] for _ in range(4)]
            assert [len(hits) for hits in found] == [number + 1] * 4
        told = send("GET", "/metrics").text
        assert 'dragoman_requests_total{method="POST",route="/v1/search",status="200"} 40.0' in told
        assert "dragoman_search_seconds_count 40.0" in told
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        told, errors = process.stdout.read(), process.stderr.read() if process.stderr else ""
    finally:
        with suppress(ProcessLookupError):  # where all ended, as they should
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert (process.returncode, told, errors) == (0, "", "")
    assert ready() == 0


def test_workers_of_a_library_that_cannot_be_opened_are_not_begun(tmp_path: Path) -> None:
    """What is wrong is raised by the command itself, and nothing serves."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "library.sqlite").write_bytes(b"no database" * 100)
    script = tmp_path / "serve.py"
    script.write_text(SERVE, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "library")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "DamagedLibrary" in done.stderr
