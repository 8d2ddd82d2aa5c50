"""Several sessions on one running run: the crowd of `make faults` in a short form, without its timing."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import know_speed
from tests.faults import serving

pytestmark = pytest.mark.browser


def test_sessions_that_watch_one_run_all_see_it_grow(home: Path, speeds: Path, browser: Browser) -> None:
    know_speed(home, speeds)
    found = serving.crowd(sessions=4, blocks=1, seconds=3.0, browser=browser)
    assert found["nothing broke"], found
    assert found["what happened"]["FINISHED_SUCCESSFULLY"] == 4
    assert found["what happened"]["polls"] >= 8, found
