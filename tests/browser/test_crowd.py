"""Several sessions on one running run: the crowd of `make faults` in a short form, without its timing."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from core.runs.state import Run
from tests.browser.conftest import Serve, know
from tests.faults import rush, serving

pytestmark = pytest.mark.browser


def test_sessions_that_watch_one_run_all_see_it_grow(home: Path, known: Path, browser: Browser) -> None:
    know(home, known)
    found = serving.crowd(sessions=4, blocks=2, seconds=0.5, settling=0.2, browser=browser)
    assert found["ok"], found


def test_a_class_that_opens_a_page_at_once_sees_it(serve: Serve, home: Path, finished: Run) -> None:
    """More than are drawn at a time, on a page nobody has visited: all see it, and the server answers meanwhile."""
    url = serve("app.py", {"BARDLAB_HOME": str(home)})
    with ThreadPoolExecutor(1) as apart:  # this thread may have an event loop already, that of the browser
        for page in ("write", "attention"):
            asked = f"{url}/{page}?run={finished.slug}"
            found = apart.submit(lambda asked: asyncio.run(rush.rush(asked, 10)), asked).result()
            assert found["what happened"] == {"FINISHED_SUCCESSFULLY": 10}, found
            assert found["health asked"] > 0
