"""Adding in the browser: a text, files that are chosen and dropped, what cannot be read, and stopping."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.service.page.conftest import Opens

pytestmark = pytest.mark.model


def begin(page: Page) -> None:
    """Open the dialog."""
    page.get_by_role("button", name="Add articles").click()
    expect(page.locator("#adding")).to_be_visible()


def test_a_pasted_text_is_found_at_once(visit: Opens) -> None:
    """With its title, source and date; the results that are shown are asked for anew."""
    page = visit(q="Who won the chess tournament in Tbilisi?")
    expect(page.locator(".nothing")).to_be_visible()
    begin(page)
    page.get_by_role("tab", name="Text").click()
    page.get_by_label("Title", exact=True).fill("Schachturnier in Tiflis")
    page.locator("#add-text textarea").fill(
        "Das Schachturnier in Tiflis gewann die Georgierin Nino Beridse mit 9 Punkten."
    )
    page.locator("#add-text").get_by_label("Source").fill("Tageblatt")
    page.locator("#add-text").get_by_label("Date").fill("2024-05-01")
    page.locator("#add-text").get_by_role("button", name="Add").click()
    expect(page.locator("#outcomes > li")).to_have_class("added")
    expect(page.locator("#outcomes > li")).to_contain_text("added · 1 passage · German")
    expect(page.locator("#counted")).to_have_text("1 of 1 done")
    page.keyboard.press("Escape")
    expect(page.locator("#adding")).not_to_be_visible()
    hit = page.locator("#hits > li > .hit").first
    expect(hit).to_contain_text("Nino Beridse")
    expect(hit.locator("> .about")).to_contain_text("Tageblatt")
    expect(hit.locator("> .about time")).to_have_text("1 May 2024")


def test_several_files_are_added_one_after_the_other(visit: Opens, tmp_path: Path) -> None:
    """Each is told of; the one that is no text is refused with the reason, and the rest goes on."""
    (tmp_path / "kaffee.txt").write_text("Der Kaffeepreis in Hamburg stieg auf 7 Euro das Pfund.", encoding="utf-8")
    (tmp_path / "noise.txt").write_bytes(b"\x00\x01\x02\xff\xfe" * 20)
    (tmp_path / "harbour.txt").write_text("The harbour of Rotterdam was closed by fog for 9 hours.", encoding="utf-8")
    page = visit()
    begin(page)
    page.locator("#files").set_input_files([tmp_path / name for name in ("kaffee.txt", "noise.txt", "harbour.txt")])
    expect(page.locator("#counted")).to_have_text("3 of 3 done")
    outcomes = page.locator("#outcomes > li")
    expect(outcomes.nth(0)).to_have_class("added")
    expect(outcomes.nth(1)).to_have_class("refused")
    expect(outcomes.nth(1)).to_contain_text(re.compile("binary data"))
    expect(outcomes.nth(2)).to_have_class("added")
    expect(page.locator("#stop")).not_to_be_visible()
    page.keyboard.press("Escape")
    page.locator("#question").fill("coffee price in Hamburg")
    page.keyboard.press("Enter")
    expect(page.locator("#hits > li > .hit").first).to_contain_text("Kaffeepreis")


def test_files_may_be_dropped_anywhere(visit: Opens) -> None:
    """The page says so while they are held over it, and adds them where they are let go."""
    page = visit()
    dropped = page.evaluate_handle(
        """() => { const held = new DataTransfer();
        held.items.add(new File(["Le festival de la lavande a Valensole a attiré 12 000 visiteurs."], "lavande.txt"));
        return held; }"""
    )
    page.dispatch_event("body", "dragover", {"dataTransfer": dropped})
    expect(page.locator("#dropping")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": dropped})
    expect(page.locator("#dropping")).not_to_be_visible()
    expect(page.locator("#outcomes > li")).to_have_class("added")
    expect(page.locator("#outcomes > li")).to_contain_text("lavande.txt")
    expect(page.locator("#outcomes > li")).to_contain_text("French")


def test_what_is_at_an_address_is_added_or_refused_with_the_reason(visit: Opens) -> None:
    """Each address by itself; one that is not public is not fetched from."""
    page = visit()
    begin(page)
    page.get_by_role("tab", name="Address").click()
    page.locator("#add-address textarea").fill("http://127.0.0.1:9/news\nhttp://localhost/")
    page.locator("#add-address").get_by_role("button", name="Add").click()
    expect(page.locator("#counted")).to_have_text("2 of 2 done")
    expect(page.locator("#outcomes > .refused")).to_have_count(2)
    expect(page.locator("#outcomes > li").nth(0)).to_contain_text("http://127.0.0.1:9/news")
    expect(page.locator("#outcomes > li").nth(1)).to_contain_text("not a public address")
    # What was refused may be mended and sent again.
    expect(page.locator("#add-address textarea")).to_have_value(re.compile("localhost"))


def test_adding_can_be_stopped(visit: Opens, tmp_path: Path) -> None:
    """What is under way is let go, and what waits is not begun."""
    files = [tmp_path / f"{number}.txt" for number in range(3)]
    for path in files:
        path.write_text(f"Nothing of {path.stem} should be kept.", encoding="utf-8")
    page = visit()
    page.route(re.compile("/v1/(articles|files)"), lambda _: None)  # never answered
    begin(page)
    page.locator("#files").set_input_files(files)
    expect(page.locator("#outcomes .running")).to_have_count(1)
    page.locator("#stop").click()
    expect(page.locator("#counted")).to_have_text("3 of 3 done")
    expect(page.locator("#outcomes")).to_have_text(re.compile("(stopped.*){3}", re.S))


def test_the_tabs_obey_the_arrow_keys(visit: Opens) -> None:
    """As tabs do: the arrows choose among those there are."""
    page = visit()
    begin(page)
    page.get_by_role("tab", name="Files").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Text")).to_be_focused()
    expect(page.locator("#add-text")).to_be_visible()
    expect(page.locator("#add-files")).not_to_be_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tab", name="Address")).to_be_focused()
