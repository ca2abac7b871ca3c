"""A service whose disk fills up, or can only be read."""

from pathlib import Path

from service.reading import Draft
from tests.index.test_store import in_a_mount
from tests.service.test_server import open_toy

FULL = """
import json, pathlib, sys
from starlette.testclient import TestClient
from service.settings import Settings
from service.web.app import create_app
from tests.service.conftest import wait_until
from tests.service.test_server import open_toy
folder = pathlib.Path(sys.argv[1])
ballast = folder / "ballast"
ballast.write_bytes(bytes(300_000))
data, kept = folder / "library", []
with TestClient(create_app(Settings(data=data), lambda: open_toy(data))) as web:
    wait_until(lambda: web.get("/readyz").status_code == 200)
    def add(number):
        text = " ".join(f"river{number}x{each}" for each in range(400))
        answer = web.post("/v1/articles", json={"id": f"a{number}", "text": text, "language": "en"})
        if answer.status_code == 201:
            kept.append(f"a{number}")
        return answer
    for number in range(1000):
        refused = add(number)
        if refused.status_code != 201:
            break
    def sound():
        assert web.get("/readyz").status_code == 200
        assert web.get("/v1/status").json()["articles"] == len(kept)
        hits = web.get("/v1/search", params={"q": "river", "limit": 100}).json()["hits"]
        assert {hit["article_id"] for hit in hits} <= set(kept)
        assert web.get(f"/v1/articles/{kept[-1]}").status_code == 200
        assert web.get(f"/v1/articles/a{number}").status_code == (200 if kept[-1] == f"a{number}" else 404)
    sound()
    print(refused.status_code, refused.headers["content-type"], refused.json()["detail"])
    ballast.unlink()
    assert add(number).status_code == 201
    sound()
    told = [json.loads(line) for line in (data / "audit.jsonl").read_text().splitlines()]
    assert told[-1]["articles"] == [{"id": kept[-1], "action": "added"}]
with open_toy(data) as engine:
    assert engine.library.verify() == []
print("kept", len(kept))
"""

READ_ONLY = """
import pathlib, sys
from starlette.testclient import TestClient
from service.settings import Settings
from service.web.app import create_app
from tests.service.conftest import wait_until
from tests.service.test_server import open_toy
data = pathlib.Path(sys.argv[1])
with TestClient(create_app(Settings(data=data), lambda: open_toy(data))) as web:
    wait_until(lambda: web.get("/readyz").status_code == 200)
    [hit] = web.get("/v1/search", params={"q": "river"}).json()["hits"]
    assert hit["article_id"] == "a"
    article = {"id": "b", "text": "river", "language": "en"}
    refused = [web.post("/v1/articles", json=article), web.delete("/v1/articles/a")]
    assert web.get("/v1/articles/a").status_code == 200
    print([answer.status_code for answer in refused], refused[0].json()["detail"])
"""


def test_a_full_disk_is_told_and_nothing_that_was_acknowledged_is_lost(tmp_path: Path) -> None:
    """A write gets 507 with what to do, searches go on, and so do writes once there is room."""
    told = in_a_mount(f"mount -t tmpfs -o size=1500k none {tmp_path}", FULL, tmp_path)

    assert told.startswith("507 application/problem+json ")
    assert "free some space" in told.lower() or "not full" in told
    assert int(told.split()[-1]) > 3


def test_a_disk_that_can_only_be_read_is_searched(tmp_path: Path) -> None:
    """Searches are answered; what would write gets 403 and says why."""
    with open_toy(tmp_path) as engine:
        list(engine.add([Draft("river", id="a", language="en")]))
    told = in_a_mount(f"mount --bind {tmp_path} {tmp_path}\nmount -o remount,bind,ro {tmp_path}", READ_ONLY, tmp_path)

    assert told.startswith("[403, 403] ")
    assert "searched only" in told
