"""What goes wrong, in the browser: told in words, and tried again where that helps."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Route, expect

from service.engine import Engine
from service.keys import Keys
from service.settings import Settings
from service.web.app import create_app
from tests.service.conftest import served
from tests.service.page.conftest import Opens

pytestmark = pytest.mark.model


def test_what_the_service_does_not_take_is_told_with_its_reason(visit: Opens) -> None:
    """A language that is none: a heading in the reader's language, and the service's own sentence."""
    page = visit(q="bridge", language="nonsense", locale="es")
    trouble = page.locator("#trouble")
    expect(trouble.locator("strong")).to_have_text("El servicio no acepta esto.")
    expect(trouble.locator(".detail")).to_contain_text("nonsense")
    expect(trouble.locator(".detail")).to_have_attribute("lang", "en")
    expect(trouble.get_by_role("button")).to_have_count(0)  # the same again would be refused again
    expect(page.locator("#hits > li")).to_have_count(0)


def test_an_article_that_is_gone_is_told_so(visit: Opens) -> None:
    """And the way back is there."""
    page = visit(article="never-there")
    expect(page.locator("#reader [role=alert]")).to_contain_text("This is not here, or no longer.")
    expect(page.locator("#reader [role=alert]")).to_contain_text("There is no article 'never-there'")
    page.locator("#reader .back").click()
    expect(page.locator("#welcome")).to_be_visible()


def test_a_service_that_is_not_ready_is_asked_again(visit: Opens) -> None:
    """After as many seconds as it says, without a click."""
    page = visit()
    told = {"title": "Service Unavailable", "status": 503, "detail": "Not ready: the engine is being opened"}
    answers = iter([True])

    def busy(route: Route) -> None:
        if next(answers, False):
            route.fulfill(
                status=503,
                headers={"Retry-After": "1", "Content-Type": "application/problem+json"},
                body=json.dumps(told),
            )
        else:
            route.continue_()

    page.route("**/v1/search", busy)
    page.locator("#question").fill("bridge")
    page.keyboard.press("Enter")
    expect(page.locator("#trouble")).to_contain_text("The service is busy, or not ready yet.")
    expect(page.locator("#trouble")).to_contain_text("the engine is being opened")
    expect(page.locator("#trouble .left")).to_have_text(re.compile(r"again in \d second"))
    expect(page.locator("#hits > li > .hit").first).to_be_visible(timeout=10_000)
    expect(page.locator("#trouble")).to_be_empty()


def test_without_a_connection_the_page_waits_for_it(visit: Opens) -> None:
    """It says so, and asks as soon as the browser is online again."""
    page = visit()
    page.context.set_offline(True)
    page.locator("#question").fill("bridge")
    page.keyboard.press("Enter")
    expect(page.locator("#trouble strong")).to_have_text("The service does not answer.")
    page.context.set_offline(False)
    expect(page.locator("#hits > li > .hit").first).to_be_visible()
    expect(page.locator("#trouble")).to_be_empty()


@pytest.fixture
def locked(settings: Settings, toy_engine: Engine) -> Iterator[tuple[str, str]]:
    """The address of a service that asks for keys, and one that may read."""
    secret = Keys(settings.data).create("reader", "read")
    with served(create_app(replace(settings, keys=True), lambda: toy_engine)) as address:
        yield address, secret


def test_a_key_is_asked_for_where_the_service_needs_one(visit: Opens, locked: tuple[str, str]) -> None:
    """A wrong one is refused, a right one goes on with what was asked, and it is kept for this tab alone."""
    address, secret = locked
    page = visit(at=address, q="flood")
    expect(page.locator("#unlock")).to_be_visible()
    expect(page.locator("#trouble strong")).to_have_text("A right API key is needed.")
    page.locator("#key").fill("wrong")
    page.locator("#unlock").get_by_role("button").click()
    expect(page.locator("#unlock")).to_be_visible()
    page.locator("#key").fill(secret)
    page.keyboard.press("Enter")
    expect(page.locator(".nothing")).to_be_visible()
    expect(page.locator("#unlock")).not_to_be_visible()
    expect(page.locator("#trouble")).to_be_empty()
    assert page.evaluate("JSON.stringify(localStorage)").find(secret) == -1
    page.get_by_role("button", name="Add articles").click()
    page.get_by_role("tab", name="Text").click()
    page.locator("#add-text textarea").fill("A reader may not write.")
    page.locator("#add-text").get_by_role("button", name="Add").click()
    expect(page.locator("#outcomes > li")).to_contain_text("This is not allowed here.")
    expect(page.locator("#outcomes > li")).to_contain_text("this needs write")
