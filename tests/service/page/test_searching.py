"""Asking in the browser: hits, stories, why, similar passages, filters, pages, and nothing that answers."""

import re

import pytest
from playwright.sync_api import expect

from service.engine import Engine
from service.reading import Draft
from service.settings import Settings
from service.web.app import create_app
from tests.service.conftest import served
from tests.service.page.conftest import Opens

pytestmark = pytest.mark.model

REPAIR = "How long will the repair of the bridge take?"


def test_a_question_is_answered_from_another_language(visit: Opens) -> None:
    """Typed and sent, an English question finds the Hindi passage, told in words, its best sentence marked."""
    page = visit()
    expect(page.locator("#held")).to_have_text(re.compile(r"^\d+ articles in \d languages$"))
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type("By how much did trade between Russia and Belarus grow?")
    page.keyboard.press("Enter")
    hit = page.locator("#hits > li > .hit").first
    expect(hit.locator("> .about .language")).to_have_text("Hindi")
    passage = hit.locator("> .passage")
    expect(passage).to_have_attribute("lang", "hi")
    expect(passage).to_contain_text("36 प्रतिशत")
    expect(passage.locator("mark")).to_be_visible()
    expect(hit.locator("> .about .relevance")).to_have_text(re.compile("^(very likely|likely)$"))
    assert "q=By+how+much" in page.url
    assert page.title().startswith("By how much")


def test_a_story_that_five_tell_is_one_result_with_its_sources(visit: Opens) -> None:
    """The five articles about the bridge are one hit; opened, it shows the other four, each in its own language."""
    page = visit(q=REPAIR)
    hit = page.locator("#hits > li > .hit").first
    sources = hit.locator("> .sources")
    expect(sources.locator("summary").first).to_contain_text("The same story in 4 other articles:")
    expect(sources.locator(".inner").first).not_to_be_visible()
    sources.locator("summary").first.click()
    expect(sources.locator(".inner")).to_have_count(4)
    first = hit.locator("> .passage").get_attribute("lang")
    others = sources.locator(".inner > .passage").evaluate_all("all => all.map(each => each.lang)")
    assert {first, *others} == {"en", "bn", "hi", "ar", "es"}
    page.locator("#group label", has_text="Articles").click()
    expect(page.locator(".sources")).to_have_count(0)
    expect(page.locator("#said")).to_contain_text("10 articles")
    page.locator("#group label", has_text="Passages").click()
    expect(page.locator("#said")).to_contain_text("10 passages")
    page.go_back()
    page.go_back()
    expect(page.locator(".sources").first).to_be_visible()
    expect(page.get_by_label("Stories", exact=True)).to_be_checked()


def test_why_shows_which_words_met_and_what_each_adds(visit: Opens) -> None:
    """Every token is tinted by its share, and a pair of words that is pointed at lights up both."""
    page = visit(q=REPAIR, language="es", group="none")
    hit = page.locator(".hit", has_text="Los ingenieros")
    why = hit.get_by_role("button", name="Why?")
    expect(why).to_have_attribute("aria-expanded", "false")
    why.click()
    expect(why).to_have_attribute("aria-expanded", "true")
    pair = hit.locator(".pairs button", has_text="repair")
    expect(pair).to_contain_text("reparación")
    shares = hit.locator(".token").evaluate_all(
        "all => all.map(each => Number(each.style.getPropertyValue('--share')))"
    )
    assert min(shares) == 0
    assert max(shares) == 1
    pair.focus()
    expect(hit.locator(".token.lit").first).to_be_visible()
    assert "reparación" in "".join(hit.locator(".token.lit").all_inner_texts())
    expect(hit.locator(".asked .lit")).to_have_text("repair")
    assert hit.locator("> .passage").inner_text().startswith("Los ingenieros dijeron que la reparación durará 12 días")
    why.click()
    expect(hit.locator(".token")).to_have_count(0)
    expect(hit.locator("> .passage mark")).to_be_visible()


def test_more_like_this_comes_in_other_languages(visit: Opens) -> None:
    """Below a passage stand the nearest of other articles, none of them in its own language."""
    page = visit(q=REPAIR, language="en", group="none")
    hit = page.locator(".hit", has_text="repair would take 12 days").first
    hit.get_by_role("button", name="More like this in other languages").click()
    alike = hit.locator(".similar .inner")
    expect(alike).to_have_count(5)
    languages = alike.locator(".passage").evaluate_all("all => all.map(each => each.lang)")
    assert "en" not in languages
    assert {"bn", "hi", "ar", "es"} <= set(languages)
    expect(alike.first.locator(".bar")).to_have_count(0)


def test_filters_and_counts_obey_each_other(visit: Opens) -> None:
    """A language leaves its sources, a date leaves its languages; the address tells all, and one button ends it."""
    page = visit(q="bridge")
    languages, sources = page.locator("#language"), page.locator("#source")
    expect(sources.get_by_label("River Post")).to_be_visible()
    languages.get_by_label("Arabic").check()
    expect(sources.locator("li")).to_have_count(2)
    expect(sources).to_contain_text("صحيفة النيل")
    expect(page.locator("#hits > li > .hit > .passage[lang=ar]")).to_have_count(2)
    expect(page.locator("#hits > li > .hit > .passage:not([lang=ar])")).to_have_count(0)
    expect(languages.get_by_label("Arabic")).to_be_focused()
    sources.get_by_label("أخبار النهر").check()
    expect(page.locator("#hits > li > .hit")).to_have_count(1)
    expect(languages.locator("label")).to_have_count(1)
    page.locator("#from").fill("2024-07-19")
    expect(page.locator("#said")).to_contain_text("Nothing here answers this.")
    assert page.url.endswith(
        "?q=bridge&language=ar&source=%D8%A3%D8%AE%D8%A8%D8%A7%D8%B1+%D8%A7%D9%84%D9%86%D9%87%D8%B1&from=2024-07-19"
    )
    page.reload()
    expect(page.locator("#from")).to_have_value("2024-07-19")
    expect(languages.get_by_label("Arabic")).to_be_checked()
    page.locator("#clear").click()
    expect(page.locator("#hits > li > .hit").nth(2)).to_be_visible()
    years = page.locator("#years")
    years.get_by_role("button", name="2023").click()
    expect(page.locator("#from")).to_have_value("2023-01-01")
    expect(years.get_by_role("button", name="2023")).to_have_attribute("aria-pressed", "true")
    expect(years.get_by_role("button", name="2023")).to_be_focused()
    expect(years.get_by_role("button", name="2023")).to_have_text("20233")  # three articles
    expect(years.get_by_role("button", name="2024")).to_be_visible()
    expect(sources.locator("li")).to_have_count(3)
    years.get_by_role("button", name="2023").click()
    expect(page.locator("#from")).to_have_value("")
    page.locator("#from").fill("2024-07-17")
    page.locator("#to").fill("2024-07-17")
    expect(languages.locator("label")).to_have_count(2)
    expect(languages).to_contain_text("English")
    expect(languages).to_contain_text("Bangla")


def test_more_results_come_by_cursor(visit: Opens) -> None:
    """The next page follows below, no passage twice, and the first of it has the focus."""
    page = visit(q="what happened", group="none")
    expect(page.locator("#hits > li > .hit")).to_have_count(10)
    page.locator("#more").click()
    expect(page.locator("#hits > li > .hit")).to_have_count(20)
    expect(page.locator("#hits > li > .hit").nth(10)).to_be_focused()
    passages = page.locator("#hits > li > .hit").evaluate_all("all => all.map(each => each.dataset.passage)")
    assert len(set(passages)) == 20


def test_what_nothing_answers_is_said_so(visit: Opens) -> None:
    """The nearest passages are shown as just that; and asked for likely answers only, there is none."""
    page = visit(q="How do I bake bread?")
    expect(page.locator(".nothing")).to_have_text("Nothing here answers this. The nearest passages are:")
    levels = page.locator("#hits > li[data-level]").evaluate_all("all => all.map(each => each.dataset.level)")
    assert levels
    assert set(levels) == {"unlikely"}
    page.get_by_label("Only likely answers").check()
    expect(page.locator("#hits > li")).to_have_count(0)
    expect(page.locator(".nothing")).to_have_text("Nothing here answers this.")


def test_a_line_parts_what_may_answer_from_what_hardly_does(visit: Opens) -> None:
    """After the last hit that may answer."""
    page = visit(q=REPAIR)
    expect(page.locator(".divider")).to_have_text("Unlikely to answer")
    after = page.locator(".divider ~ li").evaluate_all("all => all.map(each => each.dataset.level)")
    before = page.locator("#hits > li:has(~ .divider)").evaluate_all("all => all.map(each => each.dataset.level)")
    assert set(after) == {"unlikely"}
    assert before[-1] != "unlikely"


def test_another_question_begins_at_the_top(visit: Opens) -> None:
    """Asked from far down in the results of the one before; and back leads to that one."""
    page = visit(q="what happened", group="none", height=500)
    expect(page.locator("#hits > li > .hit")).to_have_count(10)
    page.evaluate("scrollTo(0, 1500)")
    page.locator("#question").fill(REPAIR)
    page.keyboard.press("Enter")
    expect(page.locator("#hits > li > .hit").first).to_contain_text("12")
    assert page.evaluate("scrollY") == 0
    page.go_back()
    expect(page.locator("#question")).to_have_value("what happened")


def test_of_a_model_without_calibration_there_is_the_similarity_alone(
    visit: Opens, settings: Settings, toy_engine: Engine
) -> None:
    """Nobody knows what is likely, so nothing is said to be, nor offered as a filter."""
    list(toy_engine.add([Draft("নদী পানি বন্যা", id="flood", title="বন্যা", language="bn")]))
    with served(create_app(settings, lambda: toy_engine)) as address:
        page = visit(at=address, q="flood")
        expect(page.locator("#hits .relevance")).to_have_text(re.compile(r"^similarity .?[\d.]+.?$"))
        expect(page.locator(".nothing")).to_have_count(0)
        expect(page.locator("#likely")).not_to_be_visible()
        page.get_by_role("button", name="Why?").click()
        expect(page.locator(".pairs button")).to_have_text("flood meets বন্যা")
