"""An article in full: the passage in its place, an address to share, the way back, and right-to-left."""

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.service.page.conftest import Opens

pytestmark = pytest.mark.model


def in_view(page: Page, selector: str) -> bool:
    """Return whether all of an element is within the window."""
    inside: bool = page.locator(selector).evaluate(
        "each => { const { top, bottom } = each.getBoundingClientRect(); return top >= 0 && bottom <= innerHeight; }"
    )
    return inside


def test_the_passage_is_in_its_place_and_back_leads_to_the_results(visit: Opens) -> None:
    """The article opens at the passage that was found; the back button leads to the very hit."""
    page = visit(q="What do the aircraft plants in Belarus make?", height=700)
    hit = page.locator("#hits > li > .hit[data-passage]").first
    passage = hit.get_attribute("data-passage")
    page.locator("#hits .open").first.click()
    current = page.locator("#reader .current")
    expect(current).to_contain_text("विमान निर्माण संयंत्र")
    expect(current).to_be_focused()
    assert in_view(page, "#reader .current")
    assert f"passage={passage}" in page.url
    expect(page.locator("#reader .passage")).to_have_count(7)
    expect(page.locator("#reader .text > p")).to_have_count(7)
    expect(current.locator("mark")).to_be_visible()
    expect(page.locator("#hits")).not_to_be_visible()
    page.go_back()
    expect(hit).to_be_visible()
    expect(hit).to_be_focused()
    page.go_forward()
    expect(current).to_contain_text("विमान निर्माण संयंत्र")


def test_the_address_of_an_article_can_be_shared(visit: Opens) -> None:
    """Who opens it sees the same passage; back leads to the results, which were never shown before."""
    page = visit(q="What do the aircraft plants in Belarus make?")
    page.locator("#hits .open").first.click()
    expect(page.locator("#reader .current")).to_be_visible()
    told = dict(pair.split("=") for pair in page.url.partition("?")[2].split("&"))
    other = visit(q="aircraft plants", article=told["article"], passage=told["passage"], height=600)
    expect(other.locator("#reader .current")).to_contain_text("विमान निर्माण संयंत्र")
    assert in_view(other, "#reader .current")
    other.locator("#reader .back").click()
    expect(other.locator("#hits > li > .hit").first).to_be_visible()
    assert other.url.endswith("?q=aircraft+plants")


def test_the_text_is_that_of_the_article(visit: Opens, address: str) -> None:
    """Every character of it, paragraph by paragraph."""
    page = visit(article="solar-en")
    expect(page.locator("#reader h1")).to_have_text("Desert plant to power 600,000 homes")
    expect(page.locator("#reader .text > p")).to_have_count(2)
    told = httpx2.get(f"{address}/v1/articles/solar-en").json()["text"]
    assert page.locator("#reader .text").inner_text().split() == told.split()
    expect(page.locator("#reader time")).to_have_text("2024")


def test_passages_that_may_answer_follow_one_another(visit: Opens) -> None:
    """The steps below the article, and j and k, lead from one to the next, and round."""
    page = visit(q="joint military exercises of Russia and Belarus")
    page.locator("#hits .open").first.click()
    expect(page.locator("#reader .match").nth(1)).to_be_visible()
    count = page.locator("#reader .match").count()
    said = page.locator(".steps [role=status]")
    first = page.locator("#reader .match").first
    for _ in range(count):  # from wherever the first hit was
        page.locator(".steps").get_by_role("button", name="Next").click()
        if "current" in (first.get_attribute("class") or ""):
            break
    expect(said).to_have_text(f"1 of {count}")
    page.keyboard.press("j")
    expect(said).to_have_text(f"2 of {count}")
    expect(page.locator("#reader .match").nth(1)).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("k")
    expect(said).to_have_text(f"{count} of {count}")


def test_a_right_to_left_article_is_set_so(visit: Opens) -> None:
    """In an English page its text begins at the right, and what the page says of it at the left."""
    page = visit(q="digital copies of the papyri for researchers")
    passage = page.locator("#hits > li > .hit > .passage").first
    expect(passage).to_have_attribute("lang", "ar")
    expect(passage).to_have_css("direction", "rtl")
    page.locator("#hits .open").first.click()
    paragraph = page.locator("#reader .text > p").first
    expect(paragraph).to_have_css("direction", "rtl")
    expect(page.locator("#reader h1")).to_have_css("direction", "rtl")
    expect(page.locator("#reader .tools")).to_have_css("direction", "ltr")
    box = paragraph.bounding_box()
    assert box
    right = page.locator("#reader .text .passage").first.evaluate(
        """passage => { const range = document.createRange(); range.setStart(passage.firstChild, 0);
        range.setEnd(passage.firstChild, 1); return range.getBoundingClientRect().right; }"""
    )
    assert right == pytest.approx(box["x"] + box["width"], abs=2)


def test_what_an_article_says_never_becomes_markup(visit: Opens, address: str) -> None:
    """Neither its text nor its title; and an address that is a script is no link."""
    page = visit(article="solar-en")
    expect(page.locator("#reader h1")).to_be_visible()
    expect(page.locator("#reader a[href^=javascript]")).to_have_count(0)
    expect(page.locator("#reader .original")).to_have_count(0)
    text = "<script>document.title = 'taken'</script> <b>bold</b> words"
    article = {"id": "markup", "title": "<img src=x onerror=alert(1)> & markup", "text": text}
    assert httpx2.post(f"{address}/v1/articles", json=article).status_code == 201
    marked = visit(article="markup")
    expect(marked.locator("#reader h1")).to_have_text("<img src=x onerror=alert(1)> & markup")
    expect(marked.locator("#reader .text")).to_contain_text("<b>bold</b> words")
    expect(marked.locator("#reader :is(img, b, script)")).to_have_count(0)
    httpx2.delete(f"{address}/v1/articles/markup")


def test_characters_beyond_the_first_plane_do_not_shift_what_is_marked(visit: Opens, address: str) -> None:
    """The service counts code points, JavaScript's strings count some of them twice."""
    told = "🌋 Scientists measured 41 tremors below the volcano. They sleep in tents."
    article = {"id": "astral", "language": "en", "text": f"🌋🌋🌋 The volcano is calm today.\n\n{told}"}
    assert httpx2.post(f"{address}/v1/articles", json=article).status_code == 201
    page = visit(q="How many tremors below the volcano were measured?", article="astral")
    match = page.locator("#reader .match", has_text="tremors")
    expect(match).to_have_text(told)
    expect(match.locator("mark")).to_have_text("🌋 Scientists measured 41 tremors below the volcano.")
    httpx2.delete(f"{address}/v1/articles/astral")
