"""What axe-core finds against the page in every state: nothing. And pictures of the same, for eyes."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.service.page.conftest import Opens

pytestmark = pytest.mark.model

REPAIR = "How long will the repair of the bridge take?"


def check(page: Page) -> None:
    """Fail with axe's own report where it finds a violation."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize(
    ("name", "locale", "scheme", "width"),
    [
        ("light", "en-GB", "light", 1280),
        ("dark", "en-GB", "dark", 1280),
        ("arabic", "ar-EG", "light", 1280),
        ("phone", "en-GB", "light", 360),
    ],
)
def test_nothing_is_found_against_the_page(
    visit: Opens, screenshots: Path, name: str, locale: str, scheme: str, width: int
) -> None:
    """At the beginning, among results with everything open, where nothing answers, in an article, in the dialogs."""
    height = 740 if width < 500 else 900
    page = visit(locale=locale, scheme=scheme, width=width, height=height)
    expect(page.locator("#languages-held li").first).to_be_visible()
    check(page)
    page.screenshot(path=screenshots / f"{name}-beginning.png")
    page.locator("#question").fill(REPAIR)
    page.keyboard.press("Enter")
    expect(page.locator("#hits > li > .hit").first).to_be_visible()
    page.locator("#question").blur()
    page.screenshot(path=screenshots / f"{name}.png")
    if width < 500:
        page.locator("#open-filters").click()
    page.locator(".sources summary").first.click()
    page.locator(".further summary").first.click()
    page.locator(".ask-why").first.click()
    page.locator(".ask-similar").first.click()
    page.locator(".pairs button").first.click()
    expect(page.locator(".similar .inner").first).to_be_visible()
    check(page)
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=screenshots / f"{name}-open.png", full_page=True)
    page.locator("#question").fill("How do I bake bread?")
    page.keyboard.press("Enter")
    expect(page.locator(".nothing")).to_be_visible()
    check(page)
    page.locator("#question").fill("digital copies of the papyri for researchers")
    page.keyboard.press("Enter")
    page.locator("#hits > li:first-child > .hit > .passage[lang=ar]").wait_for()
    page.locator("#hits .open").first.click()
    expect(page.locator("#reader .current")).to_be_visible()
    page.locator("#reader .ask-why").click()
    expect(page.locator("#reader .pairs")).to_be_visible()
    check(page)
    page.screenshot(path=screenshots / f"{name}-right-to-left-article.png")
    page.locator("#open-add").click()
    expect(page.locator("#adding")).to_be_visible()
    check(page)
    page.locator("#tab-text").click()
    check(page)
    page.screenshot(path=screenshots / f"{name}-adding.png")


def test_nothing_is_found_against_what_is_told_of_trouble(visit: Opens) -> None:
    """An error, an article that is gone, the list of keys."""
    page = visit(q="bridge", language="nonsense")
    expect(page.locator("#trouble .detail")).to_be_visible()
    check(page)
    page = visit(article="never-there")
    expect(page.locator("#reader .trouble")).to_be_visible()
    page.locator("#open-help").click()
    check(page)
