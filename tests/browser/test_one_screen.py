"""A rung's page at 1280 x 800, measured: what is in sight when Train is pressed, what stays where it is."""

import re

import pytest
from playwright.sync_api import Page, expect

from core.runs import reading
from core.runs.folder import State
from tests.browser.conftest import Visit
from tests.browser.test_newcomer import settled, wait_for_points

pytestmark = pytest.mark.browser

HIGHEST = 1900
"""Of a page with one view, px."""
PLACES = """() => Object.fromEntries([...document.querySelectorAll('.st-key-form, .st-key-bar')]
    .flatMap((part) => [...part.querySelectorAll('.stElementContainer[class*=st-key-]')])
    .map((each) => [each.className.match(/st-key-\\S+/)[0], each.getBoundingClientRect()])
    .map(([name, { left, top }]) => [name, [Math.round(left), Math.round(top)]]))"""
"""Where each control is, by its key."""


@pytest.fixture
def page(visit: Visit) -> Page:
    return visit()


def height(page: Page) -> int:
    """How high the page is, in or out of sight."""
    return int(page.locator("[data-testid=stMain]").evaluate("main => main.scrollHeight"))


def test_training_is_seen_without_scrolling_and_moves_no_control(page: Page, lab: str):
    """Two presses start one run; the chart with its first point is in sight; what one may press stays in its place."""
    page.goto(f"{lab}/mlp?preset=quick&set=train.steps=1000,train.eval_every=500")
    settled(page, "MLP")
    train = page.get_by_role("button", name="Train ·")
    train.dblclick()
    wait_for_points(page, 0)

    expect(page.get_by_role("button", name="Training …")).to_be_disabled()
    plot = page.locator(".curves .plot").first
    expect(plot).to_be_visible()
    box = plot.bounding_box()
    assert box and box["y"] > 0
    assert box["y"] + box["height"] <= 800
    assert page.locator("[data-testid=stMain]").evaluate("main => main.scrollTop") == 0
    running = page.evaluate(PLACES)
    assert {f"st-key-{key}" for key in ("mlp-train", "pause", "stop", "resume")} <= set(running)

    expect(train).to_be_enabled()  # it has ended
    settled(page)
    assert page.evaluate(PLACES) == running
    runs = reading.list_runs()
    assert [run.state for run in runs] == [State.FINISHED]
    assert height(page) < HIGHEST


def test_a_link_restores_the_settings_and_the_view(page: Page, lab: str):
    page.goto(f"{lab}/transformer?preset=good&set=model.n_head=2&tab=code")
    settled(page, "Transformer")

    expect(page.get_by_role("slider", name="Heads")).to_have_value("2")
    expect(page.get_by_role("radio", name="good")).to_be_checked()
    expect(page.get_by_role("radio", name="Code")).to_be_checked()
    expect(page.get_by_text("def forward")).to_be_visible()
    page.get_by_role("radio", name="The idea").click()
    settled(page)
    expect(page).not_to_have_url(re.compile(r"[?&]tab="))
    assert height(page) < HIGHEST


def test_on_a_phone_the_run_comes_first_while_it_trains(visit: Visit, lab: str):
    page = visit(400)
    page.goto(f"{lab}/bigram?preset=slowly")
    settled(page, "Bigram")
    above = (
        "() => document.querySelector('.st-key-run-view').getBoundingClientRect().top"
        " < document.querySelector('.st-key-form').getBoundingClientRect().top"
    )
    assert not page.evaluate(above)
    page.get_by_role("button", name="Train ·").click()
    wait_for_points(page, 0)
    page.wait_for_function(above)
    page.get_by_test_id("stMain").get_by_role("button", name="Stop", exact=True).click()
    page.wait_for_function(f"() => !({above})()")
