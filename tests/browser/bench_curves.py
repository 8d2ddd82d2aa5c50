"""Measure what a live update costs the browser: `python tests/browser/bench_curves.py`.

Ten curves of 10,000 points, one update a second, once sending only what is new and once everything. Main-thread time is
Chromium's own TaskDuration over some seconds, less that of the same page with the chart removed from it.
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path

from conftest import CHROMIUM, CHROMIUM_ARGS, start_app, stop_app, wait_until_up
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

UPDATES = 15
APP = "tests/browser/apps/bench.py"
LONG_TASKS = "new PerformanceObserver(l => (window.tasks ??= []).push(...l.getEntries().map(e => e.duration)))"


def task_ms(cdp: CDPSession) -> float:
    """Main-thread time of the page so far."""
    metrics = {m["name"]: m["value"] for m in cdp.send("Performance.getMetrics")["metrics"]}
    return 1000 * metrics["TaskDuration"]


def idle_ms_per_second(page: Page, cdp: CDPSession) -> float:
    """What the page costs without updates."""
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(3000)
    before = task_ms(cdp)
    page.wait_for_timeout(5000)
    return (task_ms(cdp) - before) / 5


def measure(browser: Browser, url: str) -> dict[str, float]:
    """Follow the live chart at `url`: medians over its updates."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    sizes: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: sizes.append(len(frame))))
    page.goto(url)
    chart = page.locator(".curves")
    chart.wait_for()
    page.wait_for_function("node => +node.dataset.updates >= 4", arg=chart.element_handle())
    page.evaluate(LONG_TASKS + ".observe({ entryTypes: ['longtask'] })")
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    sizes.clear()
    spent: list[float] = []
    sent: list[int] = []
    for _ in range(UPDATES):
        before, count = task_ms(cdp), int(chart.get_attribute("data-updates") or 0)
        page.wait_for_timeout(1000)
        after = int(chart.get_attribute("data-updates") or 0)
        if after > count:
            spent.append((task_ms(cdp) - before) / (after - count))
            sent.append(16 * int(chart.get_attribute("data-sent") or 0))
    largest = statistics.median(sorted(sizes)[-len(spent) :])  # one message an update carries the chart
    longest = page.evaluate("Math.max(0, ...(window.tasks ?? []))")
    idle = idle_ms_per_second(page, cdp)
    page.close()
    return {
        "updates": len(spent),
        "main_thread_ms": round(statistics.median(spent) - idle, 1),
        "worst_ms": round(max(spent) - idle, 1),
        "idle_ms_per_s": round(idle, 1),
        "longest_task_ms": round(longest, 1),
        "points_kb": round(statistics.median(sent) / 1024, 1),
        "message_kb": round(largest / 1024, 1),
    }


def main() -> int:
    """Print one line of JSON for each way of sending."""
    log = Path(tempfile.mkdtemp()) / "streamlit.log"
    process, url = start_app(APP, log)
    try:
        wait_until_up(process, url, log)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
            for name, query in (("incremental", ""), ("full resend", "?full=1")):
                print(json.dumps({"sent": name, **measure(browser, url + query)}))
            browser.close()
    finally:
        stop_app(process)
    return 0


if __name__ == "__main__":
    sys.exit(main())
