"""A race in a real browser: started with one button, its leader seen."""

import pytest
from playwright.sync_api import expect

from core.runs import reading
from core.studies.races import race as racing
from core.texts import own as texts_own
from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser


def test_two_rungs_race_and_one_leads(visit: Visit, lab: str):
    text = texts_own.add(b"To be, or not to be, that is the question. " * 50, "Short").name
    page = visit()
    page.goto(f"{lab}/races?text={text}")
    entrants = page.locator(".st-key-race-entrants")
    for name in ("Recurrent network", "Transformer"):
        entrants.locator("span[data-tag-index]", has_text=name).get_by_role("button").click()
        expect(entrants.locator("span[data-tag-index]", has_text=name)).to_have_count(0)
    entrants.locator("input").fill("Bigram")
    page.get_by_role("option", name="Bigram", exact=True).click()
    page.get_by_role("radio", name="equal steps").click()
    steps = page.locator(".st-key-race-steps input")
    steps.fill("24")
    steps.press("Enter")
    expect(page.locator("table.race", has_text="The line-up")).to_contain_text("Bigram")
    page.get_by_role("button", name="Start the race").click()

    board = page.locator("table.race", has_text="Behind")
    expect(board.locator("tr.first")).to_be_visible()
    expect(board).to_contain_text("finished: 24 steps")
    expect(page.locator("h2", has_text="is first")).to_be_visible()
    (key,) = racing.races(reading.list_runs())
    assert f"race={key}" in page.url
    page.get_by_role("radio", name="flops").click()
    expect(page.locator("table.race caption")).to_contain_text("billion FLOPs")
