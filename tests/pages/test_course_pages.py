"""Find the fault and Guess first: a broken training from start to answer, a guess from Train to its page."""

from dataclasses import replace

import pytest

from core.jobs import control, work
from core.runs import editing, guess, reading
from core.studies.course import faults, guesses, shelf
from core.texts.corpus import Corpus
from pages.ui.course import guess_strip
from tests.conftest import make_run
from tests.pages.test_pages import draw, words

FAULT, GUESSES = "learn/fault.py", "learn/guesses.py"
FEW = {"steps": 6, "eval_every": 3, "sample_chars": 0, "batch_size": 4, "snapshots": 3}


def test_a_fault_is_looked_for_missed_found_and_seen_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "start", control.claim)
    small = {key: replace(one, train={**one.train, **FEW}) for key, one in faults.FAULTS.items()}
    monkeypatch.setattr(faults, "FAULTS", small)
    number = shelf.read().order.index("leak") + 1
    app = draw(FAULT, broken="77")
    assert "There is no broken training “77”" in words(app) and "0 of 10 found" in words(app)
    assert not reading.list_runs()

    app.button(key=f"broken.{number}").click().run()
    app.button(key="broken.start").click().run()
    made = reading.list_runs()
    assert not app.exception and [run.name for run in made] == [f"broken training {number}"]
    assert "leak" not in words(app).lower() and not app.radio
    work.work(made[0].path, log=lambda line: None)
    app.run()
    assert app.button(key="broken.say").disabled
    app.radio(key="broken.answer.leak").set_value("rate").run()
    app.button(key="broken.say").click().run()
    assert "Not this: The learning rate is 100 times too high" in words(app) and "times its size at most" in words(app)
    for plot in ("gradients", "updates", "layers", "again"):
        app.button_group(key="broken.plot").set_value(plot).run()
        assert not app.exception
    assert "measured again" in words(app).lower()
    app.radio(key="broken.answer.leak").set_value("leak").run()
    app.button(key="broken.say").click().run()
    assert app.success[0].value.startswith("**The targets leak into the input.**") and "1 of 10 found" in words(app)
    assert app.query_params["plot"] == ["losses"] and shelf.faults_found() == {"leak": 2}

    app.button(key="broken.whole").click().run()
    whole = reading.list_runs()[0]
    assert not app.exception and not whole.broken and len(reading.list_runs()) == 2
    editing.delete(made[0])
    assert app.run().button(key="broken.start").label == "Start" and not app.exception


def test_a_learner_who_gives_up_is_told_and_it_does_not_count(monkeypatch: pytest.MonkeyPatch):
    small = {key: replace(one, train={**one.train, **FEW}) for key, one in faults.FAULTS.items()}
    monkeypatch.setattr(faults, "FAULTS", small)
    number = shelf.read().order.index("off-by-one") + 1
    work.work(editing.create(small["off-by-one"].config(number=number)).path, log=lambda line: None)
    app = draw(FAULT, broken=str(number), plot="nonsense")
    app.button(key="broken.tell").click().run()

    assert "The targets are one place off" in app.info[0].value and not shelf.faults_found()
    app.button(key="broken.again").click().run()
    assert app.radio and not shelf.read().given_up


def test_a_guess_is_asked_for_kept_with_the_run_and_revealed(monkeypatch: pytest.MonkeyPatch, corpus: Corpus):
    monkeypatch.setattr(control, "start", control.claim)
    before = work.work(make_run("mlp").path, log=lambda line: None)
    app = draw("mlp", run=before.slug)
    app.number_input(key="mlp.guess.value").set_value(1.72).run()
    app.number_input(key="mlp.guess.within").set_value(0.2).run()
    app.button(key="mlp.train").click().run()
    run = next(each for each in reading.list_runs() if each.slug != before.slug)
    kept = guess.read(run.path)
    assert not app.exception and kept and (kept.value, kept.within, kept.rival) == (1.72, 0.2, "")
    assert app.number_input(key="mlp.guess.value").value is None  # the next one begins anew
    control.stop(run)
    work.work(run.path, log=lambda line: None)

    app = draw("mlp", run=before.slug)
    app.button_group(key="mlp.guess.of").set_value(guess_strip.GAP).run()
    app.number_input(key="mlp.guess.gap").set_value(0.05).run()
    app.button(key="mlp.guess.off").click().run()
    assert app.query_params["guess"] == ["off"]
    assert not [each for each in app.number_input if each.key == "mlp.guess.value"]
    app.button(key="mlp.guess.on").click().run()
    assert "guess" not in app.query_params and app.button(key="mlp.guess.off")

    ended = work.work(make_run("mlp", seed=7).path, log=lambda line: None)
    guess.keep(ended, guess.Guess(ended.status.val_loss or 0.0, 0.1))
    rivalry = work.work(make_run("mlp", seed=8).path, log=lambda line: None)
    guess.keep(rivalry, guess.Guess(-15.0, 0.01, ended.slug))
    page = draw(GUESSES)
    assert "1 of 2" in words(page) and "better by 15.00 ± 0.01" in str(page.dataframe[0].value)
    assert "has no end to compare with" in str(page.dataframe[0].value["outcome"].tolist())
    shown = words(draw("mlp", run=ended.slug))
    assert (
        f"You said {ended.status.val_loss:.2f} ± 0.10; it was {ended.status.val_loss:.2f}. Within your guess." in shown
    )
    editing.delete(ended)
    assert "no longer here" in guesses.guesses()[-1].why and len(guesses.guesses()) == 2


def test_no_guess_yet():
    app = draw(GUESSES)
    assert "No guesses yet" in words(app)
