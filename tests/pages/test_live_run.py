"""The live view of a run under way: its controls, the queue, what the worker noticed; and how the app is served."""

from pathlib import Path

from streamlit import config

from core.jobs import queue
from core.jobs.usage import Meter
from core.runs import folder, records, requests, state
from core.runs.folder import State
from core.runs.state import Run
from core.training.watch import Alert
from tests.conftest import make_run
from tests.pages.test_pages import draw, under_way, words


def queued(run: Run, since: float) -> None:
    """Make a run look as it does while its worker waits; the caller holds its lock."""
    update = {"device": "cpu", "queued": since, "message": "waiting for the cpu"}
    state.write_status(run.path, run.status.model_copy(update=update))


def test_pause_step_and_continue_leave_their_requests():
    with under_way(make_run("bigram")) as run:
        app = draw("ladder/bigram.py", run=run.slug)
        app.button(key="pause").click().run()
        assert requests.hold_from(run.path) == 0
        state.write_status(run.path, run.status.model_copy(update={"state": State.PAUSED, "step": 7}))
        app = draw("ladder/bigram.py", run=run.slug)
        app.button(key="step").click().run()
        assert requests.hold_from(run.path) == 8
        app.button(key="continue").click().run()
        assert requests.hold_from(run.path) is None
        assert not app.exception


def test_the_learning_rate_is_changed_from_the_page():
    with under_way(make_run("bigram", learning_rate=0.01)) as run:
        app = draw("ladder/bigram.py", run=run.slug)
        assert app.number_input(key=f"rate.{run.slug}").value == 0.01
        app.number_input(key=f"rate.{run.slug}").set_value(0.003)
        app.button(key="rate.set").click().run()
        made = requests.take_order(run.path, run.need().train, 5)

        assert [change.text for change in made] == ["learning_rate changed from 0.01 to 0.003"]


def test_the_queue_is_shown_moved_and_cancelled():
    """Only while something waits; the order is that of the workers."""
    first, second = make_run("bigram"), make_run("mlp")
    with under_way(make_run("bigram")) as run, folder.hold(first.path), folder.hold(second.path):
        assert "Waiting for a device" not in words(draw("ladder/bigram.py", run=run.slug))
        queued(first, 1.0)
        queued(second, 2.0)
        app = draw("ladder/bigram.py", run=run.slug)
        assert "2 runs" in words(app) and app.button(key=f"live.queue.first.{first.slug}").disabled
        app.button(key=f"live.queue.first.{second.slug}").click().run()
        assert [r.slug for r in queue.queue()] == [second.slug, first.slug]
        app.button(key=f"live.queue.cancel.{first.slug}").click().run()
        assert folder.stop_requested(first.path) and not folder.stop_requested(second.path)


def test_alerts_meters_and_damaged_curves_are_told(finished: Run):
    records.append(finished.path, Alert(2, "overfit", "this is what overfitting looks like"))
    events = next(finished.path.glob("events.out.tfevents.*"))
    events.write_bytes(events.read_bytes()[:400])
    shown = words(draw("ladder/transformer.py", run=finished.slug))
    assert "Step 2: this is what overfitting looks like" in shown
    assert "curves are damaged: they end at step" in shown

    with under_way(make_run("bigram")) as run:
        state.write_status(run.path, run.status.model_copy(update={"meters": Meter("cpu").read()}))
        assert "of a core" in words(draw("ladder/bigram.py", run=run.slug))


def test_resume_says_from_where():
    run = make_run("bigram")
    update = {"state": State.STOPPED, "step": 30, "checkpoint_step": None}
    state.write_status(run.path, run.status.model_copy(update=update))

    button = draw("ladder/bigram.py", run=run.slug).button(key="resume")
    assert not button.disabled and "from the start" in button.help


def test_the_server_stays_at_home_and_protects_against_forged_requests():
    """As the app's own configuration leaves it; `--server.address` opens it on purpose."""
    assert (Path(__file__).parents[2] / ".streamlit" / "config.toml").samefile(
        config.get_config_files("config.toml")[-1]
    )
    assert config.get_option("server.address") == "127.0.0.1"
    assert config.get_option("server.enableXsrfProtection") is True
    assert config.get_option("server.enableCORS") is True
