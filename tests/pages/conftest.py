"""Shared by the tests of pages."""

import pytest

from pages.ui.inside_views import knockout


@pytest.fixture(autouse=True)
def unasked(monkeypatch: pytest.MonkeyPatch) -> float:
    """Let the knock-out page start no ranking unasked; return how cheap one has to be for that."""
    usual = knockout.UNASKED
    monkeypatch.setattr(knockout, "UNASKED", 0.0)
    return usual
