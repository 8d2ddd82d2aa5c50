"""For everybody: what axe-core finds on every page, light and dark, wide and narrow; the keyboard; stillness; a thumb.

The pages are walked by the menu of one window, which loads once. What only Streamlit can mend is listed in `THEIRS`; an
entry that nothing needs any more fails as well.
"""

import itertools
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from core.jobs import work
from core.ladder.registry import RUNGS
from pages.ui.navigation import hidden
from pages.ui.rung_views.table import title_of
from tests.browser.conftest import Visit, go
from tests.browser.test_newcomer import COUNT, settled
from tests.conftest import copied, make_run

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
MOST_STOPS = 20
"""Presses of Tab and Enter from the top of a rung's page to Train."""
THUMB = 38
"""The least height of what is pressed on a phone, px: 40 with the frame of its box."""

THEIRS: dict[tuple[str, str], str] = {
    ("list", "[data-testid=stSidebarNavItems]"): "the menu's sections stand between its list and its items",
    ("listitem", "[data-testid=stSidebarNavItems] li"): "the same",
}
"""(rule, selector): the reason why it is Streamlit's."""
COLOUR = ["color-contrast", "link-in-text-block"]
"""The rules that depend on the theme."""
PARTS = 4
State = tuple[str, int]
"""Theme, and width in px."""
STATES: tuple[State, ...] = (("light", 1280), ("light", 400), ("dark", 400), ("dark", 1280))
"""In this order or from its end, so that the window need not go back to the first of them for the next page."""

LOOK = """async ([theirs, rules, where]) => {
    const app = document.querySelector("[data-testid=stApp]");
    const plain = ({ className, firstElementChild }) => !className.endsWith("-plaintext") && !firstElementChild;
    const uncoloured = () => [...document.querySelectorAll("[data-testid=stCode] code")].some(plain);
    const stale = () => document.querySelector("[data-testid=stMain] [data-stale=true]"); // drawn anew: faint
    const options = { resultTypes: ["violations"], preload: false, elementRef: true };
    const look = async () => {
        for (let i = 0; i < 600 && stale(); i++) await new Promise(window.realFrame);
        for (let i = 0; i < 20 && uncoloured(); i++) await new Promise(window.realFrame);
        for (const each of document.getAnimations())
            if (Number.isFinite(each.effect.getComputedTiming().endTime)) each.finish(); // a colour on its way
        const unrolled = document.head.appendChild(document.createElement("style"));
        unrolled.textContent = // what is scrolled away is not seen
            ".stApp, .stApp :has([data-testid=stMainBlockContainer]) { overflow: visible !important }";
        const { violations } = await axe.run(where ?? document, rules ? { ...options, runOnly: rules } : options);
        unrolled.remove();
        const [ours, needed] = [[], []];
        for (const { id, impact, nodes } of violations.filter((each) => each.impact !== "minor"))
            for (const { element, target, failureSummary } of nodes) {
                const excuse = theirs.findIndex(([rule, selector]) => rule === id && element.matches(selector));
                const why = failureSummary.replace(/\\s+/g, " ");
                if (excuse >= 0) needed.push(excuse);
                else ours.push(`${id} (${impact}): ${target.flat().join(" ")}: ${why}`);
            }
        return [ours, needed];
    };
    for (let tries = 9; ; tries--) {
        let drawn = false; // by a page that has measured something, say
        const watch = new MutationObserver(() => { drawn = true; });
        watch.observe(app, { attributeFilter: ["data-test-script-state"] });
        const [ours, needed] = await look();
        watch.disconnect();
        if (ours.length === 0 || !drawn || tries === 0) return [ours, needed];
    }
}"""
"""What axe finds, as [what is ours, the places in THEIRS]; looked for again if the page was drawn meanwhile."""
COUNT_FRAMES = """(() => {
    window.realFrame = window.requestAnimationFrame.bind(window);
    window.asked = 0;
    window.requestAnimationFrame = (draw) => { window.asked++; return window.realFrame(draw); };
})()"""
"""Counts who asks for a frame."""
STILL = """async () => {
    const before = window.asked;
    for (let i = 0; i < 12; i++) await new Promise(window.realFrame);
    const moving = document.getAnimations().filter(({ effect }) => effect.target?.closest(".inside"));
    return window.asked - before < 12 && moving.length === 0;
}"""
"""Whether nothing of ours moves: no script asks for frame after frame, no part has an animation."""

HEIGHTS = """buttons => buttons
    .filter(button => button.checkVisibility({ visibilityProperty: true }))
    .map(button => [button.ariaLabel || button.innerText, button.getBoundingClientRect().height])"""
"""The name and the height of each button in sight, of all at one moment."""


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core's script. Without npm there is none, and the test is skipped unless BARDLAB_NEEDS_NODE is set."""
    if not AXE.exists():
        if shutil.which("npm") is None and not os.environ.get("BARDLAB_NEEDS_NODE"):
            pytest.skip("npm is missing: whether everybody can use the pages is not checked")
        pytest.fail("axe-core is not installed; run: npm ci", pytrace=False)
    return AXE.read_text("utf-8")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A finished tiny run of every rung."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BARDLAB_HOME", str(tmp_path_factory.mktemp("runs")))
        return [work.work(make_run(key).path).path for key in RUNGS]


class Problems(list[str]):
    """What a window's console and requests tell that they should not."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        page.on("console", self.said)
        page.on("pageerror", lambda error: self.append(f"{page.url}: {error}"))
        page.on("request", lambda request: self.asked(request.url))

    def said(self, message: ConsoleMessage) -> None:
        """Note an error; Streamlit asks for its health under the page's address at first, and gets a 404."""
        if message.type == "error" and not message.location["url"].endswith(
            ("/_stcore/health", "/_stcore/host-config")
        ):
            self.append(f"{self.page.url}: {message.text} {message.location}")

    def asked(self, url: str) -> None:
        """Note a request to another host."""
        if not url.startswith((self.url, self.url.replace("http", "ws"), "data:", "blob:")):
            self.append(f"{self.page.url} asks for {url}")


@contextmanager
def window(visit: Visit, url: str) -> Iterator[tuple[Page, Problems]]:
    """A window that counts frames, of a visitor who wants nothing to move."""
    page = visit(reduced_motion="reduce")
    page.add_init_script(COUNT_FRAMES)
    yield page, Problems(page, url)
    page.close()


def in_state(page: Page, theme: str, width: int) -> None:
    """Give the window a theme and a width, and wait until the page has taken them."""
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 800})
    paper = {"light": "rgb(253, 252, 249)", "dark": "rgb(23, 22, 26)"}[theme]
    expect(page.locator(".stApp")).to_have_css("background-color", paper)
    settled(page)
    page.evaluate("new Promise(done => realFrame(() => realFrame(done)))")


NO_MENU = {"exclude": [["[data-testid=stSidebar]"]]}
VIEW = {"include": [[".st-key-views"]]}
"""What axe looks at where it does not look at all of a page."""


def look(
    page: Page, axe: str, states: Sequence[State], menus: set[State], view: bool = False
) -> tuple[list[str], set[int]]:
    """Return what axe finds on the page in these states that is ours, and which entries of THEIRS it took.

    All rules once for each width; in the other theme those of colour. The menu is left out in states in which it was
    looked at already, which are kept in `menus`; what stands around a `view` is left out as soon as the menu is.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    found, needed, widths = [], set[int](), set[int]()
    for theme, width in states:
        in_state(page, theme, width)
        rules = COLOUR if width in widths else None
        where = None if (theme, width) not in menus else VIEW if view else NO_MENU
        ours, excused = page.evaluate(LOOK, [[list(entry) for entry in THEIRS], rules, where])
        found += [f"{urlsplit(page.url).path} {theme} {width}: {each}" for each in ours]
        needed |= set(excused)
        widths.add(width)
        menus.add((theme, width))
        if not page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"):
            found.append(f"{page.url} {theme} {width}: wider than the screen")
    return found, needed


def views() -> list[tuple[str, str]]:
    """Every view of a run once, with a rung that shows it, and every page that the menu does not list."""
    rungs = {name: rung.key for rung in RUNGS.values() for name in (*rung.views, "samples", "code", "log")}
    order = list(RUNGS)
    shown = sorted(((rung, name) for name, rung in rungs.items()), key=lambda view: order.index(view[0]))
    return [*shown, *((path, "") for path in sorted(hidden()))]


Stop = tuple[bool, int] | tuple[str, str]
"""A page by its place in the menu, with or without runs there; or a rung's view."""


def parts(count: int) -> list[list[Stop]]:
    """The whole walk, cut into parts that take about as long: a page with runs is looked at in every state."""
    walk: list[Stop] = [(with_runs, i) for with_runs in (False, True) for i in range(COUNT)]
    walk += views()
    weights = [len(STATES) if stop[0] is True else 2 for stop in walk]
    ends = list(itertools.accumulate(weights))
    return [
        [stop for stop, end in zip(walk, ends, strict=True) if part * ends[-1] < end * count <= (part + 1) * ends[-1]]
        for part in range(count)
    ]


@pytest.mark.long
@pytest.mark.parametrize("part", parts(PARTS), ids=range(PARTS))
def test_every_page_is_for_everybody(visit: Visit, lab: str, axe: str, runs: list[Path], part: list[Stop]):
    """Without runs and with them, every page and every view: nothing above minor, nothing that moves or goes wrong."""
    found, needed, menus = [], set[int](), set[State]()
    there: list[Path] | None = None
    at, before = STATES[0], None
    with window(visit, lab) as (page, problems):
        links = page.locator("[data-testid=stSidebarNav] a")
        for what, where in part:
            wanted = runs if what else []
            if there != wanted:
                there = [copied(run, run.name).path for run in wanted] and wanted
                page.goto(lab)
                expect(links).to_have_count(COUNT)
            if isinstance(where, str):
                if what != before:
                    go(page, f"{lab}/{what}?tab={where}")
                if where:
                    tab = page.get_by_role("radio", name=title_of(where), exact=True)
                    if what == before:
                        tab.click()
                        page.wait_for_url(re.compile(rf"[?&]tab={where}\b"))  # the server has begun to draw the view
                    expect(tab).to_be_checked()
                states = (STATES[0], STATES[-1])
            else:
                links.nth(where).click()
                expect(links.nth(where)).to_have_attribute("aria-current", "page")
                states = STATES if what else STATES[:1]
            settled(page)
            order = states if states[0] == at else states[::-1]
            more, excused = look(page, axe, order, menus, view=isinstance(where, str) and where != "")
            at, before = order[-1], what
            found, needed = found + more, needed | excused
            if not any(page.evaluate(STILL) for _ in range(5)):  # what has just been drawn may settle first
                found.append(f"{page.url}: something moves")
    assert "\n".join(found + problems) == ""
    assert [entry for i, entry in enumerate(THEIRS) if i not in needed] == []


@pytest.mark.parametrize("rung", ["bigram", "transformer"])
def test_few_presses_lead_to_train(visit: Visit, lab: str, rung: str):
    """By the link that skips the menu; a "?" button is no stop, and the key leads to it from its control."""
    with window(visit, lab) as (page, _):
        page.goto(f"{lab}/{rung}")
        settled(page, RUNGS[rung].title)
        expect(page.locator("[data-testid=stTooltipIcon] button[aria-label^=Help]:not([tabindex='-1'])")).to_have_count(
            0
        )
        page.keyboard.press("Tab")
        expect(page.get_by_test_id("stSkipToContent")).to_be_focused()
        page.keyboard.press("Enter")
        train = page.get_by_role("button", name="Train ·")
        stops = 2
        while not train.evaluate("node => node === document.activeElement"):
            page.keyboard.press("Tab")
            stops += 1
            assert stops <= MOST_STOPS

        page.get_by_role("slider", name="Steps").focus()
        page.keyboard.press("?")
        expect(page.get_by_test_id("stTooltipContent")).to_be_visible()


def test_a_thumb_can_press_what_writes_and_attends(visit: Visit, lab: str, runs: list[Path]):
    """On a phone every button of the two pages is high enough, and no page is wider than the screen."""
    copied(runs[list(RUNGS).index("transformer")], "transformer-mine")
    with window(visit, lab) as (page, _):
        page.set_viewport_size({"width": 400, "height": 800})
        for path, title in (("write", "Write"), ("attention", "Attention")):
            go(page, f"{lab}/{path}?run=transformer-mine")
            settled(page, title)
            main = page.get_by_test_id("stMain")
            expect(main.get_by_role("button").first).to_be_visible()
            heights = main.get_by_role("button").evaluate_all(HEIGHTS)
            pressed = {name: height for name, height in heights if not name.startswith("Help")}
            assert pressed and min(pressed.values()) >= THUMB, pressed
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")


def test_without_javascript_a_sentence_says_what_to_do(visit: Visit, lab: str):
    page = visit(java_script_enabled=False)
    page.goto(f"{lab}/transformer")
    expect(page).to_have_title("Bardlab")
    assert "JavaScript: switch it on" in (page.locator("noscript").text_content() or "")
