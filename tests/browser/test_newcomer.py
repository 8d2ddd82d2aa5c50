"""What somebody does who has just installed the product, in a real browser against the real app."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.runs import reading
from core.runs.folder import State
from pages.ui.navigation import hidden, page_table
from tests.browser.conftest import Serve, Visit
from tests.conftest import copied

pytestmark = pytest.mark.browser

COUNT = sum(len(section) for section in page_table().values()) - len(hidden())
"""Pages that the menu lists."""


@pytest.fixture
def page(visit: Visit) -> Page:
    """A page of 1280 × 900."""
    return visit(1280, 900)


def settled(page: Page, title: str | re.Pattern[str] = re.compile(".")) -> None:
    """Wait until the page has been drawn, without an exception."""
    expect(page.locator("[data-testid=stMain] h1")).to_have_text(title)
    expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.locator("[data-testid=stMain] [data-stale=true]")).to_have_count(0)
    expect(page.locator("[data-testid=stMain] [data-testid=stException]")).to_have_count(0)


def points(page: Page) -> int:
    """How many points the loss chart holds."""
    return int(page.locator(".curves").first.get_attribute("data-points") or 0)


def wait_for_points(page: Page, more_than: int) -> None:
    """Wait until the loss chart has more points than that."""
    page.wait_for_function(
        "n => [...document.querySelectorAll('[data-testid=stBidiComponentRegular], [data-testid^=stBidi]')]"
        ".concat([document.body]).some(e => { const c = (e.shadowRoot ?? e).querySelector?.('.curves');"
        " return c && Number(c.dataset.points) > n; })",
        arg=more_than,
        timeout=60_000,
    )


@pytest.mark.started
def test_a_deep_link_on_a_cold_server_opens_its_page(page: Page, serve: Serve, home: Path, tmp_path: Path):
    """The very first request of a new server goes to a page: it is drawn in its frame, without any dialog.

    The server says its address in one line and nothing else.
    """
    env = {"BARDLAB_HOME": str(home), "STREAMLIT_LOGGER_HIDE_WELCOME_MESSAGE": "true"}  # as .streamlit/config.toml says
    app = serve("app.py", env)
    page.goto(f"{app}/transformer")
    settled(page, "Transformer")

    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("[data-testid=stSidebarNav] a")).to_have_count(COUNT)
    assert (tmp_path / "streamlit-0.log").read_text() == f"Bardlab: {app}\n"


def test_a_newcomer_trains_watches_refreshes_and_stops(page: Page, lab: str):
    """Open, read, train the bigram, see the curve move and text appear, refresh in mid-run, look twice, stop."""
    page.goto(lab)
    settled(page, "The ladder")
    page.locator("[data-testid=stMain]").get_by_role("link", name="Bigram").click()
    settled(page, "Bigram")
    page.get_by_role("radio", name="slowly").click()
    steps = page.get_by_role("slider", name="Steps")
    expect(steps).to_have_attribute("aria-valuetext", "20,000")
    steps.press("End")  # so many that it is still under way at the end, however quick the machine
    expect(steps).not_to_have_attribute("aria-valuetext", "20,000")
    settled(page)
    page.get_by_role("button", name="Train").click()

    wait_for_points(page, 2)
    page.wait_for_url(re.compile(r"run=bigram-"))
    expect(page.get_by_text("untrained").first).to_be_visible()
    before = points(page)
    wait_for_points(page, before)

    page.reload()
    settled(page, "Bigram")
    wait_for_points(page, before)
    slug = re.search(r"run=([\w-]+)", page.url)[1]
    assert reading.find(slug).state is State.RUNNING

    other = page.context.new_page()
    other.goto(page.url)
    settled(other, "Bigram")
    wait_for_points(other, before)
    other.get_by_test_id("stMain").get_by_role("button", name="Stop", exact=True).click()

    for tab in (page, other):
        expect(tab.get_by_role("button", name="Resume")).to_be_enabled()
    run = reading.find(slug)
    assert run.state is State.STOPPED
    assert run.usable


def test_the_curve_keeps_its_zoom_while_it_grows(page: Page, lab: str):
    """Drag a box over the chart in mid-run: the zoom outlives the updates that follow."""
    page.goto(f"{lab}/bigram")
    settled(page, "Bigram")
    page.get_by_role("radio", name="slowly").click()
    expect(page.get_by_role("slider", name="Steps")).to_have_attribute("aria-valuetext", "20,000")
    settled(page)
    page.get_by_role("button", name="Train").click()
    wait_for_points(page, 10)
    plot = page.locator(".curves .plot").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 120, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 320, box["y"] + 200, steps=5)
    page.mouse.up()
    zoom = page.locator(".curves").first.get_attribute("data-zoom")
    wait_for_points(page, points(page) + 20)

    assert zoom
    assert page.locator(".curves").first.get_attribute("data-zoom") == zoom


def test_writing_streams_and_stops(page: Page, lab: str, trained: Path):
    """The text grows while it is written, and Stop keeps what there is."""
    run = copied(trained, trained.name)
    page.goto(f"{lab}/write?run={run.slug}")
    settled(page, "Write")
    page.get_by_role("slider", name="Characters to write").focus()
    page.keyboard.press("End")
    expect(page.get_by_text("20,000").first).to_be_visible()
    page.get_by_role("button", name="Write", exact=True).click()
    note = page.get_by_text(re.compile(r"[\d,]+ of 20,000 characters"))
    note.wait_for()
    first = note.inner_text()
    expect(note).not_to_have_text(first)
    page.get_by_test_id("stMain").get_by_role("button", name="Stop", exact=True).click()

    expect(note).to_have_count(0)
    expect(page.locator(".writing .paper")).to_contain_text("ROMEO:")
