"""The page in the reader's language, colours, width and way: other languages, the keyboard, the phone."""

import pytest
from playwright.sync_api import expect

from tests.service.page.conftest import Opens

pytestmark = pytest.mark.model


@pytest.mark.parametrize(
    ("locale", "direction", "search", "arabic"),
    [
        ("en-GB", "ltr", "Search", "Arabic"),
        ("bn-BD", "ltr", "খুঁজুন", "আরবি"),
        ("hi-IN", "ltr", "खोजें", "अरबी"),
        ("es-MX", "ltr", "Buscar", "árabe"),
        ("ru-RU", "ltr", "Найти", "арабский"),
        ("ar-EG", "rtl", "بحث", "العربية"),
        ("ur-PK", "rtl", "تلاش", "عربی"),
        ("fi-FI", "ltr", "Search", "Arabic"),  # there are no texts in Finnish
    ],
)
def test_the_page_speaks_the_readers_language(
    visit: Opens, locale: str, direction: str, search: str, arabic: str
) -> None:
    """As the browser says: its texts, its direction, and the names of languages."""
    page = visit(locale=locale)
    html = page.locator("html")
    expect(html).to_have_attribute("lang", locale[:2] if locale != "fi-FI" else "en")
    expect(html).to_have_attribute("dir", direction)
    expect(page.locator("#ask button")).to_have_text(search)
    expect(page.locator("#languages-held")).to_contain_text(arabic)


def test_another_language_may_be_chosen(visit: Opens) -> None:
    """It is remembered, and the question that was asked is asked again."""
    page = visit(q="bridge")
    page.get_by_label("Language of this page").select_option("bn")
    expect(page.locator("html")).to_have_attribute("lang", "bn")
    expect(page.locator("#hits > li > .hit").first).to_be_visible()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "bn")
    # The reader is told in Bengali, digits and all, whatever language the browser is in.
    expect(page.locator("#said")).to_contain_text("টি খবর")
    expect(page.locator("#hits time").first).to_contain_text("২০২৪")


def test_dark_and_light_follow_the_system_until_one_is_chosen(visit: Opens) -> None:
    """The choice is remembered before anything is drawn."""
    page = visit(scheme="dark")
    dark, light = "rgb(20, 23, 26)", "rgb(250, 249, 246)"
    expect(page.locator("body")).to_have_css("background-color", dark)
    theme = page.locator("#theme")
    expect(theme).to_have_attribute("aria-label", "Colours: \u2068as the system\u2069")
    theme.click()
    expect(page.locator("body")).to_have_css("background-color", light)
    page.reload()
    expect(page.locator("body")).to_have_css("background-color", light)
    theme.click()
    expect(page.locator("body")).to_have_css("background-color", dark)
    theme.click()
    page.emulate_media(color_scheme="light")
    expect(page.locator("body")).to_have_css("background-color", light)


def test_nothing_moves_for_who_asks_for_less_motion(visit: Opens) -> None:
    """No transition runs, and an article is at its passage at once."""
    page = visit(q="bridge")
    button = page.locator("#open-add")
    expect(button).to_have_css("transition-duration", "0s")
    page.emulate_media(reduced_motion="no-preference")
    expect(button).to_have_css("transition-duration", "0.12s, 0.12s")


def test_the_keyboard_alone_suffices(visit: Opens) -> None:
    """From the question along the hits, why and its like, into an article and back, and to the list of keys."""
    page = visit(q="How long will the repair of the bridge take?")
    hits = page.locator("#hits > li > .hit")
    expect(hits.first).to_be_visible()
    page.keyboard.press("j")
    expect(hits.nth(0)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(hits.nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(hits.nth(0)).to_be_focused()
    outline = hits.nth(0).evaluate("each => getComputedStyle(each).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("w")
    expect(hits.nth(0).locator("> .why .pairs")).to_be_visible()
    page.keyboard.press("m")
    expect(hits.nth(0).locator("> .similar .inner").first).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#reader .current")).to_be_focused()
    page.keyboard.press("Escape")
    expect(hits.nth(0)).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type("j?")  # what is typed is text
    expect(page.locator("#question")).to_have_value("j?")
    page.keyboard.press("ArrowDown")
    expect(hits.nth(0)).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).not_to_be_visible()


def test_the_first_tab_leads_past_the_header(visit: Opens) -> None:
    """The first thing that the keyboard meets leads to the content."""
    page = visit(q="bridge")
    expect(page.locator("#hits > li > .hit").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


@pytest.mark.parametrize("locale", ["en-GB", "bn-BD", "ar-EG", "ru-RU"])
def test_everything_fits_a_phone(visit: Opens, locale: str) -> None:
    """At 360 pixels nothing reaches beyond the side, and the filters open at a touch."""
    page = visit(q="How long will the repair of the bridge take?", locale=locale, width=360, height=740)

    def wide() -> int:
        found: int = page.evaluate("document.documentElement.scrollWidth")
        return found

    expect(page.locator("#hits > li > .hit").first).to_be_visible()
    assert wide() <= 360
    expect(page.locator("#filters")).not_to_be_visible()
    page.locator("#open-filters").click()
    expect(page.locator("#filters")).to_be_visible()
    page.locator(".sources summary").first.click()
    page.locator(".ask-why").first.click()
    expect(page.locator(".pairs").first).to_be_visible()
    assert wide() <= 360
    page.locator("#hits .open").first.click()
    expect(page.locator("#reader .current")).to_be_visible()
    assert wide() <= 360
    page.locator("#open-add").click()
    assert wide() <= 360
    box = page.locator("#adding").bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
