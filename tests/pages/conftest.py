"""Shared by the tests of pages."""

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import local_script_runner as running

from pages.ui.inside_views import knockout


@pytest.fixture(scope="session", autouse=True)
def joined() -> Iterator[None]:
    """Wait for the end of a page's script: asking a thousand times a second, as AppTest does, slows the script."""
    usual = running.require_widgets_deltas

    def wait(runner: running.LocalScriptRunner, timeout: float) -> None:
        if runner._script_thread is not None:
            runner._script_thread.join(timeout)
        usual(runner, timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "require_widgets_deltas", wait)
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled() -> Iterator[None]:
    """Compile each page once, as a server does: AppTest would do so for each app."""
    kept = running.ScriptCache()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "ScriptCache", lambda: kept)
        yield


@pytest.fixture(autouse=True)
def unasked(monkeypatch: pytest.MonkeyPatch) -> float:
    """Let the knock-out page start no ranking unasked; return how cheap one has to be for that."""
    usual = knockout.UNASKED
    monkeypatch.setattr(knockout, "UNASKED", 0.0)
    return usual
