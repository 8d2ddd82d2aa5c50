"""The tour from its first station to its last, as a learner walks it, and what the browser keeps of it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.jobs import control
from core.runs import reading
from core.studies.course.tour import STATIONS
from tests.browser.conftest import Visit, go
from tests.browser.test_newcomer import settled
from tests.conftest import copied

pytestmark = pytest.mark.browser

IN_SIGHT = """selector => {
    const target = document.querySelector(selector).getBoundingClientRect();
    const strip = document.querySelector(".st-key-tour").getBoundingClientRect();
    const head = document.querySelector("[data-testid=stMain]").getBoundingClientRect();
    return target.top >= head.top && target.top < strip.top && (target.bottom <= strip.top || target.top < 200);
}"""
"""Whether what is pointed at can be seen above the strip: all of it, or its upper part if it is higher than that."""
PLACE_OF = """word => [...CSS.highlights.get("bardlab-term")]
    .find((range) => range.toString().toLowerCase() === word).getBoundingClientRect().toJSON()"""
OUTLINE = """selector => getComputedStyle(document.querySelector(selector)).outlineWidth"""


def _first(page: Page) -> None:
    page.get_by_role("button", name="Train one yourself").click()
    expect(page.get_by_role("button", name="Training:")).to_be_visible()


def _type(page: Page) -> None:
    box = page.get_by_role("textbox", name="Type something")
    box.fill("Ada")
    box.press("Enter")


def _reproduce(page: Page) -> None:
    page.locator("[class*=st-key-claims-] summary").first.click()
    page.get_by_role("button", name="Reproduce").first.click()
    page.get_by_role("button", name="Cancel").first.click()


ACTS: dict[str, Callable[[Page], None]] = {
    "first": _first,
    "text": _type,
    "descent": lambda page: page.get_by_role("slider", name="Learning rate").press("ArrowRight"),
    "pairs": lambda page: page.get_by_role("radio", name="The table").click(),
    "memory": lambda page: page.get_by_role("radio", name="Memory span").click(),
    "reach": lambda page: page.get_by_role("slider", name="Layers").first.press("ArrowRight"),
    "skips": lambda page: page.get_by_role("slider", name="Skip").press("ArrowLeft"),
    "attention": lambda page: page.locator(
        ".st-key-attention [data-query], .st-key-attention .text span"
    ).first.click(),
    "prediction": lambda page: page.get_by_role("radio", name="Logit lens").click(),
    "knockout": lambda page: page.locator(".st-key-knockout-board-0 td button").first.click(),
    "write": lambda page: page.get_by_role("button", name="Write", exact=True).click(),
    "claims": _reproduce,
}


@pytest.mark.long
def test_the_tour_is_walked_from_the_first_station_to_the_last(visit: Visit, lab: str, trained: Path):
    """From the first page in one click; each station shows what it points at, and is done by the act it asks for."""
    copied(trained, trained.name)
    page = visit(reduced_motion="reduce")
    page.goto(lab)
    settled(page, "The ladder")
    page.get_by_role("link", name="Take the tour").click()
    strip = page.locator(".st-key-tour")
    assert ACTS.keys() == STATIONS.keys()
    for number, (key, station) in enumerate(STATIONS.items(), 1):
        expect(strip).to_contain_text(f"{number} of {len(STATIONS)} · {station.title}.")
        expect(page.locator(station.points_at).first).to_be_visible()
        settled(page)
        page.wait_for_function(IN_SIGHT, arg=station.points_at)
        assert page.evaluate(OUTLINE, station.points_at) == "3px"
        expect(strip.get_by_role("button", name="Skip")).to_have_count(int(number < len(STATIONS)))
        ACTS[key](page)
        expect(strip).to_contain_text("check_circle")  # done; drawn anew, the strip might miss the key
        if number < len(STATIONS):
            strip.get_by_role("button", name="Next").press("Enter")
    for run in reading.list_runs():
        if run.state.active:
            control.stop(run)
    strip.get_by_role("link", name="See how far you are").click()
    settled(page, "Your path")
    expect(page.get_by_text("12 of 12", exact=True)).to_be_visible()
    page.get_by_role("button", name="Leave the tour").click()
    expect(strip).to_have_count(0)

    again = page.context.new_page()
    again.goto(f"{lab}/progress")
    expect(again.get_by_text("12 of 12", exact=True)).to_be_visible()
    again.get_by_role("button", name="Forget my progress").click()
    expect(again.get_by_text("0 of 12", exact=True)).to_be_visible()
    again.wait_for_function("!localStorage.getItem('bardlab.progress').includes('station')")
    page.goto(lab)
    expect(page.get_by_role("link", name="Take the tour")).to_be_visible()


def test_on_a_phone_the_strip_covers_nothing_and_a_station_whose_page_changed_is_passed(visit: Visit, lab: str):
    page = visit(400, reduced_motion="reduce")
    page.goto(f"{lab}/residual?tour=skips")
    settled(page, "Residual network")
    page.wait_for_function(IN_SIGHT, arg=STATIONS["skips"].points_at)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")

    go(page, f"{lab}/prediction?tour=prediction")  # without any run its page has nothing to point at
    settled(page, "Prediction")
    strip = page.locator(".st-key-tour")
    expect(strip).to_contain_text("is not on this page as it is now")
    strip.get_by_role("button", name="Skip").click()
    expect(strip).to_contain_text("10 of 12")


def test_a_term_is_read_where_it_stands(visit: Visit, lab: str):
    """Pointed at, a word says what it means and where that is seen; Escape and leaving it take that away."""
    page = visit()
    page.goto(f"{lab}/transformer")
    settled(page, "Transformer")
    page.wait_for_function("CSS.highlights.get('bardlab-term').size > 3")
    box = page.evaluate(
        "[...CSS.highlights.get('bardlab-term')].find((r) => /^heads$/i.test(r)).getBoundingClientRect()"
    )
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    note = page.get_by_role("tooltip")
    expect(note).to_contain_text("Attention head: One of several attentions of a layer")
    expect(note.get_by_role("link")).to_have_attribute("href", re.compile("^attention"))
    page.keyboard.press("Escape")
    expect(note).to_be_hidden()
