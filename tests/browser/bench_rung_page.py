"""Measure how soon a rung's page is there after a click in the menu: `python tests/browser/bench_rung_page.py`.

Wanted: usable (its title stands, Train can be pressed) within 0.5 s, complete (nothing is being drawn any more, the
chart is there) within 1 s. With the runs that ship, at 1280 x 800; each rung is opened ROUNDS times from another page,
and the first visit, on which the server computes what it keeps, is told apart.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from conftest import CHROMIUM, CHROMIUM_ARGS, ROOT, start_app, stop_app, wait_until_up
from playwright.sync_api import Page, sync_playwright

from core.ladder.registry import RUNGS

ROUNDS = 4
USABLE, COMPLETE = 0.5, 1.0
"""What is wanted, seconds."""
CLICK = """async ([key, title]) => {
    const link = [...document.querySelectorAll("[data-testid=stSidebarNavLink]")]
        .find((each) => new URL(each.href).pathname.endsWith(`/${key}`));
    const main = () => document.querySelector("[data-testid=stMain]");
    const fresh = (node) => node && !node.closest("[data-stale=true]");
    const began = performance.now();
    let usable = null;
    link.click();
    for (;;) {
        await new Promise(requestAnimationFrame);
        const now = (performance.now() - began) / 1000;
        const train = document.querySelector(`.st-key-${key}-train button`);
        const titled = main()?.querySelector("h1")?.textContent.trim() === title;
        if (usable === null && titled && fresh(train) && !train.disabled) usable = now;
        const still = document.querySelector("[data-testid=stApp]").dataset.testScriptState === "notRunning";
        const chart = [...main().querySelectorAll("*")].some((each) => each.shadowRoot?.querySelector(".curves .plot"));
        const drawn = chart && !main().querySelector("[data-stale=true]");
        if (usable !== null && still && drawn) return [usable, now];
        if (now > 15) return [usable ?? 15, 15];
    }
}"""


def opened(page: Page, key: str) -> tuple[float, float]:
    """Click a rung in the menu; return the seconds until its page is usable, and until it is complete."""
    usable, complete = page.evaluate(CLICK, [key, RUNGS[key].title])
    page.wait_for_timeout(300)
    return usable, complete


def away(page: Page) -> None:
    """Go to another page than a rung's."""
    page.locator("[data-testid=stSidebarNavLink][href$='/runs']").click()
    page.locator("[data-testid=stMain] h1", has_text="Runs").wait_for()
    page.locator("[data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(300)


def main() -> int:
    """Measure and print a table; the exit status says whether the medians are within what is wanted."""
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        env = {"BARDLAB_HOME": home, "PYTHONPATH": str(ROOT)}
        log = Path(home) / "app.log"
        process, url = start_app("app.py", log, env)
        try:
            wait_until_up(process, url, log)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"{url}/runs")
            page.locator("[data-testid=stMain] h1", has_text="Runs").wait_for()
            page.wait_for_timeout(3000)
            late = []
            print(f"{'seconds to':<14}{'usable':>8}{'complete':>10}{'first: usable':>16}{'complete':>10}")
            for key in RUNGS:
                times = []
                for _ in range(ROUNDS):
                    away(page)
                    times.append(opened(page, key))
                usable, complete = (statistics.median(each) for each in zip(*times[1:], strict=True))
                print(f"{key:<14}{usable:>8.2f}{complete:>10.2f}{times[0][0]:>16.2f}{times[0][1]:>10.2f}")
                late += [key] if usable > USABLE or complete > COMPLETE else []
            browser.close()
        finally:
            stop_app(process)
    print(f"too late: {', '.join(late)}" if late else "all in time")
    return int(bool(late))


if __name__ == "__main__":
    sys.exit(main())
