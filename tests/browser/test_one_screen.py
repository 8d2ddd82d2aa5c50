"""A rung's page at 1280 x 800, measured: what is in sight when Train is pressed, what stays where it is; and how little
is drawn again while nothing changes, there and on other pages."""

import re
import time
from collections import Counter
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect

from core.runs import reading
from core.runs.folder import State
from pages.feeds import PATH as FEED
from tests.browser.conftest import Visit, go
from tests.browser.test_newcomer import points, settled, wait_for_points
from tests.conftest import copied

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


COUNT = """() => {
    const roots = [document, ...[...document.querySelectorAll("*")].flatMap((node) => node.shadowRoot ?? [])];
    const seen = { changes: 0, strokes: 0, asked: 0 };
    const counts = ({ attributeName }) => !attributeName?.startsWith("data-"); // by which components tell these tests
    const observer = new MutationObserver((changes) => { seen.changes += changes.filter(counts).length; });
    for (const root of roots)
        observer.observe(root, { subtree: true, childList: true, attributes: true, characterData: true });
    const pen = CanvasRenderingContext2D.prototype;
    for (const name of ["stroke", "fill", "fillRect", "fillText", "clearRect", "drawImage", "putImageData"]) {
        const draw = pen[name].bardlab ?? pen[name];
        pen[name] = function (...given) { seen.strokes += 1; return draw.apply(this, given); };
        pen[name].bardlab = draw;
    }
    const ask = window.fetch.bardlab ?? window.fetch;
    window.fetch = (...given) => { seen.asked += 1; return ask(...given); };
    window.fetch.bardlab = ask;
    window.bardlabSeen = seen;
}"""
"""Counts from now on what changes on a page, what is drawn on its canvases, and what it fetches."""


def counted(page: Page) -> dict[str, int]:
    """What was counted so far, and the animations that are under way."""
    return page.evaluate(
        """() => ({ ...window.bardlabSeen,
        moving: document.getAnimations().filter(({ playState }) => playState === "running").length })"""
    )


def messages(page: Page) -> Counter[str]:
    """Count what the page and the server's script send each other, from now on."""
    found: Counter[str] = Counter()
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    for way in ("Sent", "Received"):
        devtools.on(f"Network.webSocketFrame{way}", lambda _, way=way: found.update([way]))
    return found


def test_of_a_run_under_way_only_what_moves_is_drawn_again(page: Page, lab: str):
    """Its curves grow, its lines say how far it is, and nothing else on the page is drawn anew for that."""
    page.goto(f"{lab}/mlp?set=train.steps=100000,train.eval_every=10000,model.d_hidden=1024")
    settled(page, "MLP")
    page.get_by_role("button", name="Train ·").click()
    expect(page.get_by_text("untrained").first).to_be_visible()  # its first evaluation is over
    wait_for_points(page, 2)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Continue")).to_be_enabled()
    settled(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if FEED in request.url else None)
    chart, headline = page.locator(".curves").first, page.locator(".st-key-headline .live-line")
    sent = messages(page)
    updates = "([node, n]) => +node.dataset.updates >= n"

    def looks(count: int) -> None:
        until = int(chart.get_attribute("data-updates") or 0) + count
        page.wait_for_function(updates, arg=[chart.element_handle(), until])

    looks(4)  # the strip in the sidebar has heard of it too
    settled(page)
    sent.clear()
    page.evaluate(COUNT)
    looks(3)
    held = counted(page)
    assert held["asked"] >= 3 and not sent
    assert (held["changes"], held["strokes"]) == (0, 0)

    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("button", name="Pause")).to_be_enabled()
    settled(page)
    looks(4)
    settled(page)
    sent.clear()
    said, there = headline.inner_text(), points(page)
    wait_for_points(page, there)
    looks(2)
    assert headline.inner_text() != said
    assert not sent
    page.get_by_test_id("stMain").get_by_role("button", name="Stop", exact=True).click()

    place = asked[-1].partition("?")[0]
    assert (answer_of(place), answer_of(place[:-1]), answer_of(f"{lab}{FEED}")) == (200, 404, 404)
    page.close()  # with the session ends what it was told
    until = time.monotonic() + 60
    while answer_of(place) != 404:
        assert time.monotonic() < until
        time.sleep(0.1)


def answer_of(address: str) -> int:
    """The status with which the server answers."""
    try:
        with urlopen(address, timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_a_page_that_nobody_touches_rests(page: Page, lab: str, trained: Path):
    """It asks the server for one number now and then, and draws nothing."""
    run = copied(trained, "transformer-at-rest").slug
    page.goto(lab)
    sent = messages(page)
    for where in ("", f"transformer?run={run}", f"attention?run={run}", f"write?run={run}", "runs", "gradient_descent"):
        go(page, f"{lab}/{where}")
        settled(page)
        for _ in range(20):  # what has just been drawn may settle first
            sent.clear()
            page.evaluate(COUNT)
            page.wait_for_timeout(1500)
            seen = counted(page)
            if rests := seen.pop("asked") <= 1 and not any(seen.values()) and not sent:
                break
        assert rests, (where, seen, sent)
