"""When a view of a component begins and ends, in a real browser without a server."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from pages.ui.components.shared import toolkit
from tests.browser.conftest import ROOT, Serve, Visit

pytestmark = pytest.mark.browser

LIVES = """async (bytes) => {
    const { component } = await import("/component.js");
    const pressed = [];
    const call = component((view) => view.on(view.root, "click", () => pressed.push(view.path)), () => {});
    const place = document.body.appendChild(document.createElement("div"));
    place.innerHTML = "<p class='inside'></p>";
    const later = () => new Promise((done) => setTimeout(done, 10));
    const press = () => place.firstChild.click() ?? pressed.length;
    const data = Uint8Array.from(bytes);
    const [first, last] = [1, 2].map(() => call({ data, parentElement: place, setTriggerValue: () => {} }));
    const counts = [press()];
    last(); // the calls' ends may come in any order while the view is there
    await later();
    first();
    await later();
    counts.push(press());
    const { firstChild } = place;
    place.innerHTML = "<p class='inside'></p>";
    call({ data, parentElement: place, setTriggerValue: () => {} });
    firstChild.click();
    counts.push(press());
    place.remove();
    const end = call({ data, parentElement: place, setTriggerValue: () => {} });
    end();
    await later();
    counts.push(press());
    document.body.append(place);
    call({ data, parentElement: place, setTriggerValue: () => {} });
    return [...counts, press()];
}"""
"""How many presses a component has heard: of two calls, after their ends, of another content, off the page, back."""

LEFT = """async (bytes) => {
    const { component } = await import("/component.js");
    const call = component((view) => view.poll(0, () => 1, { retry: 20 }), () => {});
    const place = document.body.appendChild(document.createElement("div"));
    place.innerHTML = "<p class='inside'></p>";
    let asked = 0;
    call({ data: Uint8Array.from(bytes), parentElement: place, setTriggerValue: () => asked++ });
    const later = (ms) => new Promise((done) => setTimeout(done, ms));
    const asks = async () => {
        const before = asked;
        await later(300);
        return asked > before;
    };
    const answers = [await asks()];
    for (const href of ["/", "https://example.org/other", "/other"]) {
        const link = document.body.appendChild(document.createElement("a"));
        Object.assign(link, { href, innerHTML: "<span></span>", onclick: (event) => event.preventDefault() });
        link.firstChild.click();
        answers.push(await asks());
    }
    while (!(await asks())); // nobody came
    dispatchEvent(new PopStateEvent("popstate"));
    return [...answers, await asks()];
}"""
"""Whether a component asks on: first, after presses on links to this page, elsewhere, to the next one, after Back."""


@pytest.fixture
def bare(visit: Visit) -> Iterator[Page]:
    """An empty page that can load what components share."""
    page = visit()
    shared = ROOT / "pages" / "ui" / "components" / "shared"

    def served(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        script = {"path": shared / name, "content_type": "text/javascript"}
        route.fulfill(**script if name.endswith(".js") else {"body": "<!doctype html>", "content_type": "text/html"})

    page.route("**", served)
    page.goto("http://127.0.0.1/")
    yield page
    page.close()


def test_a_component_lives_as_long_as_it_is_on_the_page(bare: Page):
    """Streamlit ends a call late that the next one has overtaken, and may set another content in the same place."""
    assert bare.evaluate(LIVES, list(toolkit.message({}))) == [1, 2, 3, 3, 4]


def test_a_component_asks_nothing_while_its_page_is_left(bare: Page):
    """Streamlit would join both calls into one for the page that is left, and the press on the menu would be lost."""
    assert bare.evaluate(LEFT, list(toolkit.message({}))) == [True, True, True, False, False]


CLICKS = """async (grid, keys) => {
    const seen = [];
    for (const key of keys) {
        grid.querySelector(`[data-key=${key}]`).click();
        seen.push([...grid.querySelectorAll("[aria-pressed=true]")].map((cell) => cell.dataset.key).join(""));
        await new Promise((done) => setTimeout(done, 60));
    }
    return seen;
}"""
"""Clicks switches faster than the server answers; what is off after each."""


def test_of_switches_clicked_in_a_row_none_is_lost(visit: Visit, shared: Serve) -> None:
    """Streamlit keeps of what waits for a busy script only the last: each click tells of those before it too."""
    page = visit()
    page.goto(shared("tests/browser/apps/switches.py"))
    expect(page.get_by_text("off: .")).to_be_visible()
    grid = page.get_by_role("grid", name="Switches")

    assert grid.evaluate(CLICKS, "abcdea") == ["a", "ab", "abc", "abcd", "abcde", "bcde"]
    expect(page.get_by_text("off: bcde.")).to_be_visible()
    assert grid.evaluate(CLICKS, "b") == ["cde"]
    expect(page.get_by_text("off: cde.")).to_be_visible()
