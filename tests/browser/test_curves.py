"""The live chart in a real browser: only new points travel, and nothing the learner has set is lost."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from pages.ui.components.charts.curves import LONGEST, Curve, pack
from tests import message
from tests.browser.conftest import Serve, Visit

pytestmark = pytest.mark.browser
APP = "tests/browser/apps/growing.py"
PER_UPDATE = 2 * 5  # points of two training curves; validation adds at most two more


@pytest.fixture
def page(visit: Visit) -> Iterator[Page]:
    """A page at desktop size; an error in it fails the test."""
    page = visit(1280, 900)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    page.close()
    assert not errors


@pytest.fixture
def growing(shared: Serve) -> str:
    """The address of the growing app; each visit begins anew."""
    return shared(APP)


@pytest.fixture
def chart(page: Page, growing: str) -> Locator:
    """The chart of the growing app, with data."""
    page.goto(growing)
    found = page.locator(".curves")
    found.wait_for(timeout=60_000)
    after_updates(found, 2)
    return found


def number(chart: Locator, name: str) -> int:
    return int(chart.get_attribute(f"data-{name}") or 0)


def after_updates(chart: Locator, count: int, since: int | None = None) -> None:
    """Wait for `count` more messages than there are now, or than there were when `since` were counted."""
    until = (number(chart, "updates") if since is None else since) + count
    chart.page.wait_for_function(
        "([node, until]) => +node.dataset.updates >= until", arg=[chart.element_handle(), until], timeout=60_000
    )


def seen(chart: Locator) -> dict[str, int]:
    """How often the chart has asked and been answered, and what it holds, at one moment."""
    found: dict[str, int] = chart.evaluate(
        "node => Object.fromEntries(['polls', 'updates', 'points', 'sent'].map((name) => [name, +node.dataset[name]]))"
    )
    return found


def quiet(chart: Locator) -> None:
    """Wait until the chart has neither asked nor been answered for one and a half seconds, many of its intervals."""
    chart.page.wait_for_function(
        """node => { const now = performance.now(), state = `${node.dataset.polls} ${node.dataset.updates}`;
                     if (node.lastState !== state) [node.lastState, node.since] = [state, now];
                     return now - node.since > 1500; }""",
        arg=chart.element_handle(),
        timeout=60_000,
    )


def drag(chart: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag over the plot; places are fractions of its width and height."""
    box = chart.locator(".plot").bounding_box()
    assert box
    mouse = chart.page.mouse
    mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    mouse.down()
    mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=4)
    mouse.up()


def shown(chart: Locator, name: str) -> Locator:
    return chart.get_by_role("button", name=name, exact=True)


def axes(chart: Locator) -> None:
    """Open what lies behind the button Axes."""
    if chart.locator(".panel").is_hidden():
        shown(chart, "Axes").click()


def ids(chart: Locator) -> list[str]:
    return json.loads(chart.get_attribute("data-curves") or "[]")


def switch(page: Page, name: str) -> None:
    page.get_by_test_id("stCheckbox").filter(has_text=name).locator("label").click()


def test_only_new_points_travel_and_the_node_stays(chart: Locator) -> None:
    chart.evaluate("node => node.seen = true")
    for _ in range(5):
        before = seen(chart)
        after_updates(chart, 1)
        after = seen(chart)
        updates, more = after["updates"] - before["updates"], after["points"] - before["points"]
        assert 0 < after["sent"] < after["points"] / 2
        assert PER_UPDATE * updates <= more <= (PER_UPDATE + 2) * updates
    assert chart.evaluate("node => node.seen")
    assert number(chart, "mounts") == 1


def test_a_full_rerun_sends_everything_and_polling_goes_on(page: Page, growing: str) -> None:
    page.goto(growing + "?interval=1.5")  # slow enough that no poll is under way when the button is pressed
    chart = page.locator(".curves")
    chart.wait_for(timeout=60_000)
    after_updates(chart, 2)
    page.get_by_role("button", name="rerun the page").click()
    page.wait_for_function(
        "node => +node.dataset.sent === +node.dataset.points && +node.dataset.updates > 2", arg=chart.element_handle()
    )
    after_updates(chart, 2)
    assert number(chart, "sent") < number(chart, "points") / 2
    assert number(chart, "mounts") == 1


def test_zoom_survives_updates_and_fit_follows_again(chart: Locator) -> None:
    fit = shown(chart, "Fit")
    expect(fit).to_be_disabled()
    drag(chart, (0.3, 0.2), (0.6, 0.8))
    zoom = chart.get_attribute("data-zoom")
    assert zoom and zoom.count(",") == 3
    after_updates(chart, 3)
    assert chart.get_attribute("data-zoom") == zoom
    drag_with_shift(chart)
    assert chart.get_attribute("data-zoom") not in ("", zoom)
    fit.click()
    expect(fit).to_be_disabled()
    label = chart.locator(".plot").get_attribute("aria-label")
    after_updates(chart, 2)
    assert chart.get_attribute("data-zoom") == ""
    assert chart.locator(".plot").get_attribute("aria-label") != label
    drag(chart, (0.3, 0.2), (0.6, 0.8))
    chart.locator(".plot").dblclick()
    assert chart.get_attribute("data-zoom") == ""


def drag_with_shift(chart: Locator) -> None:
    chart.page.keyboard.down("Shift")
    drag(chart, (0.5, 0.5), (0.4, 0.5))
    chart.page.keyboard.up("Shift")


def test_only_the_wheel_with_ctrl_or_alt_zooms(page: Page, chart: Locator) -> None:
    page.evaluate("document.body.append(Object.assign(document.createElement('div'), {style: 'height: 3000px'}))")
    chart.locator(".plot").hover()
    page.mouse.wheel(0, 80)
    assert chart.get_attribute("data-zoom") == ""
    page.keyboard.down("Alt")
    page.mouse.wheel(0, -80)
    page.keyboard.up("Alt")
    expect(chart).not_to_have_attribute("data-zoom", "")


def test_settings_survive_updates_and_a_refresh(page: Page, chart: Locator) -> None:
    axes(chart)
    chart.get_by_label("Smoothing").fill("0.9")
    chart.get_by_label("x axis").select_option("characters")
    shown(chart, "log y").click()
    shown(chart, "second").click()
    chart.get_by_role("button", name="val", exact=True).first.click()
    drag(chart, (0.3, 0.2), (0.6, 0.8))
    zoom = chart.get_attribute("data-zoom") or ""
    after_updates(chart, 3)

    def unchanged() -> None:
        axes(chart)
        expect(chart.get_by_label("Smoothing")).to_have_value("0.9")
        expect(chart.get_by_label("x axis")).to_have_value("characters")
        expect(shown(chart, "log y")).to_have_attribute("aria-pressed", "true")
        expect(shown(chart, "log x")).to_have_attribute("aria-pressed", "false")
        expect(shown(chart, "first")).to_have_attribute("aria-pressed", "true")
        expect(shown(chart, "second")).to_have_attribute("aria-pressed", "false")
        expect(chart.get_by_role("button", name="val", exact=True).first).to_have_attribute("aria-pressed", "false")
        expect(chart).to_have_attribute("data-zoom", zoom)

    unchanged()
    page.reload()
    after_updates(chart, 2)
    unchanged()


def test_a_double_click_shows_one_run_alone_and_again_all(chart: Locator) -> None:
    shown(chart, "first").dblclick()
    expect(shown(chart, "first")).to_have_attribute("aria-pressed", "true")
    expect(shown(chart, "second")).to_have_attribute("aria-pressed", "false")
    shown(chart, "first").dblclick()
    expect(shown(chart, "second")).to_have_attribute("aria-pressed", "true")


def test_polling_stops_when_no_longer_live(page: Page, chart: Locator) -> None:
    switch(page, "live")
    quiet(chart)
    switch(page, "live")
    after_updates(chart, 2)


def test_polling_stops_while_hidden(page: Page, chart: Locator) -> None:
    hide = """hidden => { Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
                          document.dispatchEvent(new Event("visibilitychange")); }"""
    page.evaluate(hide, True)
    quiet(chart)
    page.evaluate(hide, False)
    after_updates(chart, 2)


def test_one_poll_at_a_time(chart: Locator) -> None:
    before = seen(chart)
    after_updates(chart, 5)
    after = seen(chart)
    assert abs((after["polls"] - before["polls"]) - (after["updates"] - before["updates"])) <= 1


def test_a_missed_message_is_asked_for_again(page: Page, chart: Locator) -> None:
    """Even when no longer live: the chart must not stay incomplete."""
    switch(page, "live")
    quiet(chart)
    before = seen(chart)
    page.get_by_role("button", name="lose a message").click()
    after_updates(chart, 2, before["updates"])  # the one that does not fit, and what was asked for
    quiet(chart)
    assert number(chart, "polls") == before["polls"] + 1
    n = 40 + 5 * int(page.get_by_text("runs ").inner_text().split()[1])
    assert number(chart, "points") == 2 * (n + -(-n // 10))


def test_a_new_theme_reaches_the_legend(page: Page, chart: Locator) -> None:
    colour = "button => getComputedStyle(button.querySelector('i')).backgroundColor"
    before = shown(chart, "first").evaluate(colour)
    page.emulate_media(color_scheme="dark")
    switch(page, "live")
    page.wait_for_function(
        f"([button, before]) => ({colour})(button) !== before",
        arg=[shown(chart, "first").element_handle(), before],
        timeout=60_000,
    )
    assert number(chart, "mounts") == 1


def test_a_finger_reads_values_and_does_not_zoom(visit: Visit, growing: str) -> None:
    page = visit(400, has_touch=True, is_mobile=True)
    page.goto(growing)
    chart = page.locator(".curves")
    chart.wait_for(timeout=60_000)
    after_updates(chart, 2)
    chart.locator(".plot").tap()
    expect(chart.locator(".tip")).to_be_visible()
    assert chart.get_attribute("data-zoom") == ""
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_curves_no_longer_listed_are_dropped(page: Page, chart: Locator) -> None:
    colour = "button => getComputedStyle(button.querySelector('i')).backgroundColor"
    first = shown(chart, "first").evaluate(colour)
    second = shown(chart, "second").evaluate(colour)
    assert first != second
    switch(page, "second")
    expect(shown(chart, "second")).to_have_count(0)
    assert ids(chart) == ["first:train", "first:val"]
    switch(page, "second")
    expect(shown(chart, "second")).to_have_count(1)
    assert shown(chart, "first").evaluate(colour) == first
    assert shown(chart, "second").evaluate(colour) == second
    assert len(ids(chart)) == 4


def test_values_that_are_not_numbers_do_not_break(page: Page, chart: Locator) -> None:
    switch(page, "broken")
    after_updates(chart, 2)
    box = chart.locator(".plot").bounding_box()
    assert box
    for at in (0.1, 0.15, 0.3, 0.7):
        page.mouse.move(box["x"] + at * box["width"], box["y"] + box["height"] / 2)
    tip = chart.locator(".tip")
    expect(tip).to_be_visible()
    expect(tip).not_to_contain_text("NaN")
    expect(tip).not_to_contain_text("Infinity")
    axes(chart)
    shown(chart, "log x").click()
    shown(chart, "log y").click()
    after_updates(chart, 1)
    assert "NaN" not in (chart.locator(".plot").get_attribute("aria-label") or "")


def test_the_tooltip_names_every_curve(page: Page, chart: Locator) -> None:
    chart.locator(".plot").hover()
    rows = chart.locator(".tip tr")
    expect(rows).to_have_count(5)  # a heading and four curves
    expect(chart.locator(".tip tr.near")).to_have_count(1)
    after_updates(chart, 2)
    expect(rows).to_have_count(5)
    page.mouse.move(1, 1)
    expect(chart.locator(".tip")).to_be_hidden()


def test_no_points_yet(page: Page, growing: str) -> None:
    page.goto(growing + "?empty=1&interval=5")
    chart = page.locator(".curves")
    chart.wait_for(timeout=60_000)
    after_updates(chart, 3)  # within the 5 s of the interval: polls are quick until there is a point
    expect(chart.locator(".plot")).to_have_attribute(
        "aria-label", "Chart of loss (nats per character) by step. No points yet."
    )
    assert number(chart, "points") == 0


def test_every_control_has_help_and_can_be_reached_by_keyboard(chart: Locator) -> None:
    for control in chart.locator(".controls :is(button, label, .help), .legend button").all():
        assert control.get_attribute("title")
    axes(chart)
    chart.get_by_label("Smoothing").focus()
    chart.page.keyboard.press("ArrowRight")
    expect(chart.get_by_label("Smoothing")).to_have_value("0.61")
    chart.page.keyboard.press("Tab")
    expect(chart.get_by_label("x axis")).to_be_focused()
    chart.page.keyboard.press("Escape")
    expect(shown(chart, "Axes")).to_be_focused()
    expect(chart.locator(".panel")).to_be_hidden()


def test_the_points_are_there_as_a_table(page: Page, chart: Locator) -> None:
    """Thinned curve by curve, with a heading for each column."""
    switch(page, "live")
    shown(chart, "Table").click()
    table = chart.get_by_role("table")
    expect(table.get_by_role("columnheader")).to_have_text(
        ["curve", "kind", "step", "seconds", "characters", "value", "smoothed"]
    )
    expect(table.get_by_role("row").nth(1)).to_contain_text("first")
    assert table.get_by_role("row").count() <= 4 * 40 + 1
    shown(chart, "Table").click()
    expect(table).to_have_count(0)


def test_the_keyboard_walks_along_the_points_and_says_them(chart: Locator) -> None:
    plot, tip, spoken = chart.locator(".plot"), chart.locator(".tip"), chart.locator(".spoken")
    plot.focus()
    chart.page.keyboard.press("Home")
    expect(tip).to_be_visible()
    expect(spoken).to_have_text(re.compile(r"first train: 4\.\d+, step 0, 0\.0 s"))
    chart.page.keyboard.press("Shift+ArrowRight")
    expect(spoken).to_contain_text("step 10,")
    chart.page.keyboard.press("ArrowDown")
    expect(spoken).to_have_text(re.compile(r"first val: .* step 10,"))
    after_updates(chart, 2)
    expect(tip).to_be_visible()
    chart.page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    expect(spoken).to_be_empty()


def saved(chart: Locator, kind: str) -> bytes:
    with chart.page.expect_download() as download:
        shown(chart, kind).click()
    return Path(download.value.path()).read_bytes()


def test_a_chart_is_saved_as_numbers_and_as_pictures(page: Page, chart: Locator) -> None:
    switch(page, "live")
    quiet(chart)
    rows = list(csv.DictReader(io.StringIO(saved(chart, "CSV").decode())))
    assert len(rows) == number(chart, "points")
    assert {row["kind"] for row in rows} == {"train", "val"}
    assert saved(chart, "PNG").startswith(b"\x89PNG")
    drawing = ElementTree.fromstring(saved(chart, "SVG"))
    labels = {node.text: node for node in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert {"first (train, val)", "second (train, val)", "bigram"} <= set(labels)
    ends = [float(line.get("x2") or 0) for line in drawing.iter("{http://www.w3.org/2000/svg}line")]
    widest = sorted(ends)[-4]  # but for the strokes that lead to labels
    for name in ("bigram", "uniform: ln 65 = 4.174"):
        assert float(labels[name].get("x") or 0) > widest - 10, "a label lies over the curves"


# ---- the messages, without a browser -------------------------------------------------------------------------------


def curve(n: int) -> Curve:
    step = np.arange(n, dtype=float)
    return Curve("a", "a", "train", "a", step, step, step, np.sin(step))


def unpack(packed: bytes) -> tuple[dict, np.ndarray]:
    about = message.unpack(packed)["curves"][0]
    return about, about["columns"].reshape(4, -1)


def test_a_message_starts_where_the_browser_is() -> None:
    about, columns = unpack(pack({}, [curve(100)], {"a": 97}))
    assert (about["from"], about["n"]) == (97, 3)
    assert columns[0].tolist() == [97, 98, 99]
    assert unpack(pack({}, [curve(100)], {"a": 500}))[0]["from"] == 100
    assert unpack(pack({}, [curve(0)], {}))[1].shape == (4, 0)


@pytest.mark.parametrize("n", [LONGEST + 1, 3 * LONGEST + 7, 10 * LONGEST])
def test_thinning_keeps_extremes_and_never_changes_what_was_sent(n: int) -> None:
    long = curve(n)
    long.value[n // 2] = 9.0
    long.value[n // 3] = np.nan
    about, columns = unpack(pack({}, [long], {}))
    assert columns.shape[1] <= LONGEST
    assert columns[3][np.isfinite(columns[3])].max() == 9.0
    assert (np.diff(columns[0]) >= 0).all()
    have = about["n"] // 3
    later, rest = unpack(pack({}, [long], {about["id"]: have}))
    assert (rest == columns[:, later["from"] :])[:, 2:].all()
    assert later["from"] <= have
    shorter = replace(long, **{name: getattr(long, name)[: n - 100] for name in ("step", "value")})
    shorter = replace(shorter, seconds=shorter.step, characters=shorter.step)
    earlier, start = unpack(pack({}, [shorter], {}))
    if earlier["id"] == about["id"]:
        assert np.array_equal(start, columns[:, : start.shape[1]], equal_nan=True)
