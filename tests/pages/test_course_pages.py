"""Find the fault and Guess first: a broken training from start to answer, a guess from Train to its page."""

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs import control, work
from core.runs import editing, reading
from core.studies.course import faults, shelf
from core.studies.course.guess import Guess
from core.studies.course.progress import Progress
from core.texts.corpus import Corpus
from pages.ui.course import guess_strip, progress
from tests.conftest import make_run
from tests.pages.test_pages import draw, words

FAULT, GUESSES = "learn/fault.py", "learn/guesses.py"
FEW = {"steps": 6, "eval_every": 3, "sample_chars": 0, "batch_size": 4, "snapshots": 3}


def _shelf(app: AppTest) -> shelf.Shelf:
    return shelf.shelf(app.session_state[progress.PROGRESS].marks)


def test_a_fault_is_looked_for_missed_found_and_seen_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "start", control.claim)
    small = {key: replace(one, train={**one.train, **FEW}) for key, one in faults.FAULTS.items()}
    monkeypatch.setattr(faults, "FAULTS", small)
    number = shelf.shelf(()).order.index("leak") + 1
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
    assert "The saved weights, measured again" in [header.value for header in app.header]
    app.radio(key="broken.answer.leak").set_value("leak").run()
    app.button(key="broken.say").click().run()
    assert app.success[0].value.startswith("**The targets leak into the input.**") and "1 of 10 found" in words(app)
    assert app.query_params["plot"] in ("losses", ["losses"]) and _shelf(app).answers == {"leak": 2}

    app.button(key="broken.whole").click().run()
    whole = reading.list_runs()[0]
    assert not app.exception and not whole.broken and len(reading.list_runs()) == 2
    editing.delete(made[0])
    assert app.run().button(key="broken.start").label == "Start" and not app.exception


def test_a_learner_who_gives_up_is_told_and_it_does_not_count(monkeypatch: pytest.MonkeyPatch):
    small = {key: replace(one, train={**one.train, **FEW}) for key, one in faults.FAULTS.items()}
    monkeypatch.setattr(faults, "FAULTS", small)
    number = shelf.shelf(()).order.index("off-by-one") + 1
    work.work(editing.create(small["off-by-one"].config(number=number)).path, log=lambda line: None)
    app = draw(FAULT, broken=str(number), plot="nonsense")
    app.button(key="broken.tell").click().run()

    assert "The targets are one place off" in app.info[0].value and not _shelf(app).answers
    app.button(key="broken.again").click().run()
    assert app.radio and not _shelf(app).given_up


def test_a_guess_is_asked_for_kept_and_revealed(monkeypatch: pytest.MonkeyPatch, corpus: Corpus):
    monkeypatch.setattr(control, "start", control.claim)
    before = work.work(make_run("mlp").path, log=lambda line: None)
    app = draw("mlp", run=before.slug)
    app.number_input(key="mlp.guess.value").set_value(1.72).run()
    app.number_input(key="mlp.guess.within").set_value(0.2).run()
    app.button(key="mlp.train").click().run()
    run = next(each for each in reading.list_runs() if each.slug != before.slug)
    kept = app.session_state[progress.PROGRESS].guesses[run.slug]
    assert not app.exception and (kept.value, kept.within, kept.rival, kept.done) == (1.72, 0.2, "", 0.0)
    assert app.number_input(key="mlp.guess.value").value is None  # the next one begins anew
    control.stop(run)
    work.work(run.path, log=lambda line: None)

    app.query_params["run"] = before.slug
    app.run()
    app.button_group(key="mlp.guess.of").set_value(guess_strip.GAP).run()
    app.number_input(key="mlp.guess.gap").set_value(0.05).run()
    app.button(key="mlp.guess.off").click().run()
    assert not [each for each in app.number_input if each.key == "mlp.guess.value"]
    app.button(key="mlp.guess.on").click().run()
    assert app.button(key="mlp.guess.off")

    app.session_state[progress.PROGRESS] = Progress().guessed(Guess(before.slug, before.status.val_loss or 0.0, 0.1))
    shown = words(app.run())
    loss = f"{before.status.val_loss:.2f}"
    assert f"You said {loss} ± 0.10; it was {loss}. Within your guess." in shown


def test_on_compare_one_says_who_wins_until_both_have_ended(corpus: Corpus):
    """One run has ended, the other waits; the page of all guesses knows it too, and forgetting forgets it."""
    one = work.work(make_run("mlp").path, log=lambda line: None)
    other = make_run("mlp", seed=8)
    app = draw("use/compare.py", runs=f"{one.slug},{other.slug}")
    pair = f"{one.slug}|{other.slug}"
    assert app.button(key="pair.keep").disabled
    app.selectbox(key=f"pair.wins.{pair}").set_value(one.slug)
    app.number_input(key=f"pair.gap.{pair}").set_value(15.0).run()
    app.button(key="pair.keep").click().run()
    kept = app.session_state[progress.PROGRESS].guesses[pair]
    assert not app.exception and (kept.value, kept.done) == (-15.0, 0.5) and "ends lower by 15.00 ± 0.05" in words(app)
    assert not [each for each in app.button if each.key == "pair.keep"]

    work.work(other.path, log=lambda line: None)
    assert "You said better by 15.00 ± 0.05; it was" in words(app.run()) and "Outside your guess." in words(app)
    app.switch_page(GUESSES).run()
    assert "0 of 1" in words(app) and "1 guess, kept in this browser" in words(app)
    row = app.dataframe[0].value.iloc[0]
    assert (row["guess"], row["done"], row["within"]) == ("better by 15.00 ± 0.05", 0.5, "no")
    editing.delete(other)
    assert "no longer here" in app.run().dataframe[0].value["outcome"][0]
    app.switch_page("learn/progress.py").run()
    app.button(key="progress.forget").click().run()
    assert not app.session_state[progress.PROGRESS].guesses
    app.switch_page(GUESSES).run()
    assert "No guesses yet" in words(app)
