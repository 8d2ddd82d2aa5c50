"""Several sessions on one running run: the crowd of `make faults` in a short form, without its timing."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import know_speed
from tests.faults import serving

pytestmark = pytest.mark.browser


def test_sessions_that_watch_one_run_all_see_it_grow(home: Path, speeds: Path, browser: Browser) -> None:
    know_speed(home, speeds)
    found = serving.crowd(sessions=4, blocks=2, seconds=0.5, browser=browser)
    assert found["ok"], found
