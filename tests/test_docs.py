"""What the documentation shows is what happens: its sessions are run against a real server over the seeds."""

import doctest
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from embed import Encoder

pytestmark = pytest.mark.model

ROOT = Path(__file__).parent.parent
ADDRESS = "http://127.0.0.1:8000"
SAME = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(scope="module")
def server(model: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real `dragoman serve` over the two seed articles."""
    data = tmp_path_factory.mktemp("served")
    seeds = sorted(str(path) for path in (ROOT / "seeds").glob("*.txt"))
    dragoman = [sys.executable, "-m", "service.cli"]
    subprocess.run([*dragoman, "add", "--data", str(data), *seeds], check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*dragoman, "serve", "--data", str(data), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None
            try:
                if httpx2.get(f"{address}/readyz").status_code == 200:
                    break
            except httpx2.TransportError:
                pass
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def blocks(page: str, kind: str) -> list[str]:
    """Return the fenced blocks of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)


def sessions(page: str) -> list[tuple[str, str]]:
    """Return the commands of the page's console blocks with the output that is shown under each."""
    found = []
    for block in blocks(page, "console"):
        for told in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = told.partition("\n")
            while command.count("'") % 2:  # a quotation goes on over lines
                more, _, output = output.partition("\n")
                command += "\n" + more
            found.append((command, output))
    return found


PAGES = ["README.md", "docs/http-api.md", "docs/clients.md", "docs/tutorial.md"]
GUIDES = [f"docs/integrations/{name}.md" for name in ("haystack", "langchain", "llama-index", "mcp")]


@pytest.mark.parametrize("page", PAGES)
def test_the_sessions_of_a_page_print_what_it_shows(page: str, server: str, tmp_path: Path) -> None:
    """Each command of a console block is run, in order, in one place, and prints what stands under it."""
    shown = [(command, output) for command, output in sessions(page) if not command.startswith("make ")]
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name, what in (("dragoman", "-m service.cli"), ("python", "")):
        script = bin_folder / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {what} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    shutil.copytree(ROOT / "seeds", tmp_path / "seeds")
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DRAGOMAN_DATA": str(tmp_path / "data"),
    }

    for command, expected in shown:
        ran = subprocess.run(
            command.replace(ADDRESS, server),
            shell=True,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

        printed = ran.stdout + ran.stderr
        assert ran.returncode == 0, f"$ {command}\n{printed}"
        assert doctest.OutputChecker().check_output(expected, printed, SAME), f"$ {command}\n{printed}"


@pytest.mark.parametrize("page", [*PAGES, *GUIDES])
def test_the_python_of_a_page_runs(page: str, server: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The examples of the client run as they stand, and find something."""
    for block in blocks(page, "python"):
        exec(compile(block.replace(ADDRESS, server), page, "exec"), {})

    assert capsys.readouterr().out


DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "results.md", *ROOT.glob("docs/*.md")]
)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_links_and_commands_lead_somewhere(page: Path) -> None:
    """Every link within the repository is to a file that is there and a heading in it; benchmarks named exist."""
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", text):
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), (target, anchor)
    for module in re.findall(r"python -m (benchmarks\.\w+)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module


def test_the_readme_leads_to_every_page() -> None:
    """No page of the documentation is out of reach."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in ROOT.glob("docs/*.md") if f"(docs/{page.name})" not in text] == []
