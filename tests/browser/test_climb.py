"""The way up in a real browser: addresses without a page, a graph stepped through, a race of two rungs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.runs import reading
from core.studies.races import race as racing
from core.texts import own as texts_own
from tests.browser.conftest import Serve, Visit, go

pytestmark = pytest.mark.browser


@pytest.fixture
def page(visit: Visit) -> Page:
    return visit(1280, 900)


def test_the_first_rung_and_addresses_without_a_page(serve: Serve, page: Page, home: Path):
    url = serve("app.py", {"BARDLAB_HOME": str(home)})

    page.goto(f"{url}/nosuchrung")  # on a server that nobody has visited yet
    expect(page.get_by_text("There is no page “nosuchrung”")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)

    page.goto(f"{url}/ladder?run=some-run")
    expect(page.locator("[data-testid=stMain] h1")).to_have_text("The ladder")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("There is no page")).to_have_count(0)

    go(page, f"{url}/gradient_descent?expression=p*q&surface=Bowl&rate=0.1")
    graph = page.locator(".graph-steps")
    result = graph.locator("g.node", has=page.locator("text.name", has_text="f"))
    expect(graph.locator(".where")).to_have_text("1 values, 3 gradients")
    graph.get_by_role("button", name="Next").click()
    expect(result).to_contain_text("value 1")
    expect(result).to_contain_text("grad  ·")
    graph.get_by_role("button", name="Next").click()
    expect(result).to_contain_text("grad  1")
    graph.get_by_role("button", name="Next").click()
    expect(graph.locator(".told")).to_contain_text("local derivative ∂f/∂")

    race = page.locator(".descent").first
    steps = page.locator(".katex-html", has_text="∇f")
    before = steps.inner_text()
    expect(race).to_have_attribute("data-step", "200")
    legend = race.locator(".legend")
    ended = legend.text_content() or ""
    canvas = race.locator("canvas.picture")
    canvas.click(position={"x": 120, "y": 60})
    expect(steps).not_to_have_text(before)
    expect(legend).not_to_have_text(ended)  # the race itself comes after the text above it
    expect(race).to_have_attribute("data-step", "200")
    race.get_by_role("button", name="«").click()
    expect(race).to_have_attribute("data-step", "0")
    race.get_by_role("button", name="Play").click()
    expect(race).to_have_attribute("data-step", "200")


@pytest.fixture
def short() -> Iterator[str]:
    """The name of a text that is quickly learned and measured."""
    text = texts_own.add(b"To be, or not to be, that is the question. " * 50, "Short")
    yield text.name
    texts_own.delete(text.name)


def test_two_rungs_race_and_the_address_shows_it_again(visit: Visit, lab: str, short: str):
    """Chosen, started with one press; two lines grow, one rung is ahead, and whoever has the link sees it."""
    page = visit()
    page.goto(f"{lab}/races?text={short}")
    page.get_by_role("button", name="Remove Transformer").click()
    line_up = page.locator("table.race", has_text="The line-up")
    expect(line_up.locator("tbody tr")).to_have_count(2)
    steps = page.get_by_role("spinbutton", name="Steps")
    steps.fill("24")
    steps.press("Enter")
    page.get_by_role("button", name="Start the race").click()

    chart, board = page.locator(".curves"), page.locator("table.race", has_text="Behind")
    expect(board.locator("tbody tr")).to_have_count(2)
    expect(chart).to_have_attribute("data-points", "24")  # twelve evaluations of each
    assert (chart.get_attribute("data-curves") or "").count(":steps:") == 2
    expect(board.locator("caption")).to_contain_text("At 24 steps")
    expect(board.locator("tr.first")).to_be_visible()
    won = page.locator("h2", has_text="is first")
    expect(won).to_be_visible()
    (key,) = racing.races(reading.list_runs())
    assert f"race={key}" in page.url

    other = visit(400, 800)
    other.goto(f"{lab}/races?race={key}")
    expect(other.locator("h2")).to_have_text(won.inner_text())
    expect(other.locator(".curves")).to_have_attribute("data-points", "24")
