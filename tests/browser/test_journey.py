"""From page to page: the chosen run stays, Back leads to what was seen, and what trains is told everywhere."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from core.jobs import control
from core.runs import editing, folder
from tests.browser.conftest import Visit
from tests.browser.test_newcomer import settled
from tests.conftest import copied, make_run
from tests.pages.test_pages import under_way

pytestmark = pytest.mark.browser

NOTE_MOTION = """() => {
    const animate = Element.prototype.animate;
    window.lasted = [];
    Element.prototype.animate = function (...how) {
        const motion = animate.apply(this, how);
        window.lasted.push(motion.effect.getTiming().duration);
        return motion;
    };
}"""
"""Keeps for how many milliseconds each thing moves from now on."""


@pytest.fixture
def page(visit: Visit) -> Page:
    """A page of 1280 × 800."""
    return visit()


def menu(page: Page, title: str) -> None:
    """Go to another page by the sidebar's menu."""
    page.locator("[data-testid=stSidebarNav]").get_by_role("link", name=title, exact=True).click()
    settled(page, title)


def test_the_chosen_run_is_kept_on_every_page_and_back_leads_to_what_was_seen(page: Page, lab: str, trained: Path):
    """Two runs, the worse by name chosen: each page shows it, one history entry a page, and Back returns to it."""
    mine, other = copied(trained, "transformer-mine"), copied(trained, "transformer-other")
    for run in (mine, other):
        editing.rename(run, run.slug.removeprefix("transformer-"))
    page.goto(f"{lab}/attention?run={mine.slug}")
    settled(page, "Attention")
    looking = page.locator(".st-key-looking")
    before = page.evaluate("history.length")
    titles = ["Prediction", "Embeddings", "Time machine", "Write", "Transformer", "Surprise"]
    for title in titles:
        menu(page, title)
        expect(looking).to_contain_text("mine")
        page.wait_for_url(re.compile(f"run={mine.slug}"))

    assert page.evaluate("history.length") == before + len(titles)
    for title in reversed(["Attention", *titles[:-1]]):
        page.go_back()
        settled(page, title)
        assert f"run={mine.slug}" in page.url


def test_a_dead_link_is_told_at_the_top(page: Page, lab: str, trained: Path):
    """Before anything else the page says that the run is not here, and where to go."""
    copied(trained, trained.name)
    page.goto(f"{lab}/prediction?run=bigram-gone-away")
    settled(page, "Prediction")
    told = page.get_by_text("There is no run “bigram-gone-away” here")

    expect(told).to_be_in_viewport()
    page.wait_for_function("() => document.querySelector('.st-key-gone').getBoundingClientRect().top < 160")
    expect(page.get_by_role("link", name="Train a Bigram again")).to_be_visible()


def test_what_trains_is_told_on_other_pages_and_stopped_there(page: Page, lab: str):
    """The strip names the run and counts its steps; Stop ends it, the strip goes, and a toast says so."""
    run = control.start(make_run("bigram", steps=100_000, eval_every=1000))
    page.goto(f"{lab}/text")
    settled(page, "The text")
    strip = page.locator(f".st-key-strip-{run.slug}")
    expect(strip).to_contain_text(re.compile(r"[\d,]+/100,000"))
    first = strip.inner_text()
    expect(strip).not_to_have_text(first)
    strip.get_by_role("button", name="Stop").click()

    expect(strip).to_have_count(0)
    expect(page.get_by_test_id("stToast").get_by_text(run.name)).to_be_visible()


def test_a_phones_menu_closes_over_the_page_that_was_chosen(visit: Visit, lab: str):
    """Below 768 px a tap on a page closes the menu, one that comes before the app's own script is loaded too."""
    page = visit(400)
    late: list[Route] = []
    page.route(re.compile(r"/static/js/Html\..*\.js"), lambda route: late.append(route))
    page.goto(lab)
    settled(page, "The ladder")
    button = page.get_by_test_id("stExpandSidebarButton")
    button.click()
    expect(button).to_have_count(0)
    menu(page, "Bigram")
    assert late and button.count() == 0
    for route in late:
        route.continue_()
    expect(button).to_be_visible()

    button.click()
    expect(button).to_have_count(0)
    menu(page, "MLP")
    expect(button).to_be_visible()


def test_what_opens_opens_at_once(page: Page, lab: str):
    """Or a button below it moves away from under the pointer."""
    page.goto(f"{lab}/progress")
    settled(page, "Your path")
    page.evaluate(NOTE_MOTION)
    page.get_by_text("The exercises", exact=True).click()
    page.wait_for_function("window.lasted.length > 0")

    assert set(page.evaluate("window.lasted")) == {0}


def test_a_view_fills_as_soon_as_a_run_has_taken_what_it_shows(page: Page, lab: str, trained: Path):
    """Of a run under way, which by itself writes nothing here: nobody presses anything but to choose the view."""
    run = copied(trained, trained.name)
    samples, (points,) = run.path / folder.SAMPLES, run.path.glob("events.*")
    taken, measured = samples.read_bytes().splitlines(keepends=True), points.read_bytes()
    for file in (samples, points):
        file.unlink()
    with under_way(run):
        page.goto(f"{lab}/transformer?run={run.slug}&tab=samples")
        settled(page, "Transformer")
        expect(page.get_by_text("No samples yet")).to_be_visible()
        samples.write_bytes(taken[0])
        cards = page.locator(".st-key-view").get_by_role("listitem")
        expect(cards).to_have_count(1)
        samples.write_bytes(b"".join(taken[:2]))
        expect(cards).to_have_count(2)

        page.get_by_role("radio", name="Updates").click()
        expect(page.get_by_text("No sizes of updates yet")).to_be_visible()
        points.write_bytes(measured)
        expect(page.get_by_role("heading", name="How far each step moves the weights")).to_be_visible()
