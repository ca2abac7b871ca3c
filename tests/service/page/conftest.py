"""A real browser before a real server: the default model over the seeds and the articles of `articles.jsonl`.

These tell one story in five languages, and other things in others.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from embed import Encoder
from index import Library
from service.engine import Engine
from service.reading import Draft, read_path
from service.settings import Settings
from service.web.app import create_app
from tests.service.conftest import served

ROOT = Path(__file__).parents[3]
SCREENSHOTS = ROOT / "screenshots"
taken: list[Path] = []  # the folder, once a test takes pictures
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@pytest.fixture(scope="package")
def address(model: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the service over the seeds and the articles of these tests."""
    data = tmp_path_factory.mktemp("page")
    library = Library.open(data, model=model.name, fingerprint=model.fingerprint, dim=model.dim)
    engine = Engine(model, library)
    paths = [*sorted((ROOT / "seeds").glob("*.txt")), Path(__file__).parent / "articles.jsonl"]
    read = [draft for path in paths for draft in read_path(path)]
    list(engine.add(draft for draft in read if isinstance(draft, Draft)))
    with served(create_app(Settings(data=data), lambda: engine)) as address:
        yield address


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, without a window; the tests are skipped where there is none."""
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = own if own.exists() else next((path for each in BROWSERS if (path := shutil.which(each))), None)
        if found is None:
            pytest.skip("no Chromium here: install the system's `chromium`, or run `playwright install chromium`")
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


Opens = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Opens]:
    """Open the page: `visit(q=..., locale=..., scheme=..., width=...)` of the service, or of the one `at` an address.

    Whatever a test does, nothing else is asked than the service it visits, and no script fails and no policy is
    broken on the page.
    """
    asked: list[str] = []
    wrong: list[str] = []
    contexts = []

    def visit(
        *,
        at: str = address,
        locale: str = "en-GB",
        scheme: str = "light",
        width: int = 1280,
        height: int = 900,
        **told: str | list[str],
    ) -> Page:
        context = browser.new_context(
            locale=locale,
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
            timezone_id="UTC",
        )
        context.set_default_timeout(10_000)
        contexts.append(context)

        def note(request: Request) -> None:
            asked.append(request.url)

        def hear(message: ConsoleMessage) -> None:
            # A browser logs every answer of 400 and more, and a host that is not there: what the page is to tell.
            if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
                wrong.append(message.text)

        context.on("request", note)
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{at}/?{urlencode(told, doseq=True)}" if told else f"{at}/")
        page.wait_for_selector("html:not(.loading)")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not wrong
    assert {urlsplit(each).hostname for each in asked} <= {"127.0.0.1"}


@pytest.fixture(scope="package")
def screenshots() -> Path:
    """The folder of the pictures that the tests take."""
    taken.append(SCREENSHOTS)
    SCREENSHOTS.mkdir(exist_ok=True)
    for old in SCREENSHOTS.glob("*.png"):
        old.unlink()
    return SCREENSHOTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the pictures are."""
    for folder in taken:
        names = ", ".join(sorted(each.stem for each in folder.glob("*.png")))
        terminalreporter.write_line(f"screenshots of the page: {folder} ({names})")
