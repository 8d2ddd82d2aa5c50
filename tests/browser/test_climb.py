"""The way up in a real browser: addresses without a page, a graph stepped through, a race started elsewhere."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

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
