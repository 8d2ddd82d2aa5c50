"""The page Claims: full on first open, honest when its evidence is damaged, and what its buttons do."""

from pathlib import Path

import pytest
import streamlit as st

from core.jobs import control, work
from core.runs import editing, reading
from core.studies.claims import evidence, registry, reproduction
from core.texts import own as texts_own
from pages.ui.wording import plain
from tests.core.studies.test_claims import SMALL
from tests.pages.test_pages import draw, words

PAGE = "ladder/claims.py"


def test_every_claim_is_there_with_its_evidence_and_nothing_is_made_by_looking():
    app = draw(PAGE)
    shown, known = words(app), evidence.read()

    labels = [each.label for each in app.expander if "badge" in each.label]
    assert [label.split("**")[1] for label in labels] == [plain(claim.title) for claim in registry.CLAIMS.values()]
    judged = [claim.judge(known[key].figures) for key, claim in registry.CLAIMS.items()]
    assert all(plain(one.deciding.number) in label for one, label in zip(judged, labels, strict=True))
    assert shown.count("The rule.") == len(registry.CLAIMS)
    assert shown.count("Shipped: measured on") == len(known) == len(registry.CLAIMS)
    assert shown.count("95 % interval") > len(known)
    assert all(app.button(key=f"claims.{key}.go").label == "Reproduce" for key in registry.CLAIMS)
    assert not reading.list_runs() and not texts_own.listing()


def test_a_claim_is_begun_cancelled_and_shown_as_measured_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "start", control.claim)  # queued, by this process
    monkeypatch.setattr(registry, "CLAIMS", {SMALL.key: SMALL})
    app = draw(PAGE)
    app.button(key="claims.small.go").click().run()
    made = reading.list_runs()
    assert not app.exception and len(made) == 4 and app.toast[0].value == "Queued 4 runs"
    app.button(key="claims.small.cancel").click().run()
    for run in made:
        work.work(run.path, log=lambda line: None)

    app.run()
    assert app.button(key="claims.small.go").label == "Go on" and "is stopped" in words(app)
    reproduction.reproduce(SMALL, "tinyshakespeare", 2, lambda line: None)
    shown = words(app.run())
    assert "Measured here: 4 runs" in shown and "95 % interval" in shown
    assert app.button(key="claims.small.more").label == "More seeds" and len(app.get("plotly_chart")) == 1
    editing.delete(reading.list_runs()[0])
    assert "deleted" in words(app.run())
    app.button(key="claims.small.go").click().run()
    assert app.toast[0].value == "Queued 1 run"


def test_damaged_evidence_and_a_short_text_are_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "evidence.json"
    whole = evidence.FILE.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    monkeypatch.setattr(evidence, "FILE", file)
    app = draw(PAGE)
    assert [each.value for each in app.warning if "is damaged" in each.value] and "Nothing is measured yet" in words(
        app
    )
    own = texts_own.add(b"To be, or not to be. " * 100, "Short")
    app = draw(PAGE, text=own.name)
    app.button(key="claims.memory.go").click().run()
    assert "choose a longer one" in app.error[0].value


def test_a_slow_machine_is_told_before(monkeypatch: pytest.MonkeyPatch):
    st.cache_data.clear()
    monkeypatch.setattr(reproduction, "expected_seconds", lambda claim, text, seeds: 600.0)
    app = draw(PAGE)
    assert words(app).count("about 10 min instead of 2 min or less") == 10
