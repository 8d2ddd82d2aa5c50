"""The pages on which runs are kept, compared, repeated and swept, and the one on which a text is added."""

import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence

import pytest
from streamlit.testing.v1 import AppTest

from core import files, system
from core.errors import BardlabError
from core.jobs import overdue, queue
from core.runs import editing, folder, reading, records, requests, state
from core.runs.folder import State
from core.runs.state import Run
from core.texts import own as texts_own
from core.training.watch import Alert
from tests.conftest import make_run
from tests.core.studies.test_compare import ended
from tests.message import unpack
from tests.pages.test_live_run import queued
from tests.pages.test_pages import draw, under_way, words

OWN = "to be, or not to be: that is the question\n" * 40


def choose(app: AppTest, listed: Sequence[Run], *rows: int) -> AppTest:
    """Choose rows of the table of runs, which shows `listed`."""
    key = f"runs.table.{zlib.crc32(' '.join(run.slug for run in listed).encode())}"
    app.session_state[key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    app.run()
    assert not app.exception, app.exception[0].message
    return app


# --- Runs ------------------------------------------------------------------------------------------------------------


def test_the_runs_page_shows_how_far_runs_are_and_who_waits():
    waiting = make_run("mlp")
    with under_way(make_run("bigram", steps=1000), step=250) as run, folder.hold(waiting.path):
        queued(waiting, 1.0)
        app = draw("use/runs.py")
        (bar,) = app.get("progress")
        assert bar.proto.value == 25 and run.name in bar.proto.text
        assert "**Waiting for a device:** 1 run" in words(app)
        app.button(key=f"runs.queue.cancel.{waiting.slug}").click().run()

        assert folder.stop_requested(waiting.path) and not folder.stop_requested(run.path)


def test_a_paused_run_is_stopped_from_the_runs_page():
    with under_way(make_run("bigram")) as run:
        state.write_status(run.path, run.status.model_copy(update={"state": State.PAUSED}))
        app = choose(draw("use/runs.py"), [run], 0)
        app.button(key="runs.stop").click().run()

        assert folder.stop_requested(run.path)


@pytest.mark.parametrize("script", ["use/runs.py", "use/compare.py", "use/sweeps.py"])
def test_a_stop_that_is_ignored_is_enforced_by_every_page_that_shows_the_run(script: str):
    """The worker here is a process that looks at nothing; this test holds the run's lock in its place."""
    made = make_run("bigram")
    config = made.need().model_copy(update={"group": "sweep-abc"})
    files.replace(made.path / folder.CONFIG, config.model_dump_json().encode())
    with (
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as worker,
        under_way(made) as run,
    ):
        born = system.born(worker.pid)
        state.write_status(run.path, run.status.model_copy(update={"pid": worker.pid, "born": born}))
        requests.request_stop(run)
        long_ago = time.time() - overdue.STOP_GRACE - 1
        os.utime(run.path / folder.STOP, (long_ago, long_ago))
        draw(script)
        try:
            assert worker.wait(10) == -signal.SIGTERM
        finally:
            worker.kill()


def test_deleting_several_runs_asks_first_and_counts_them():
    first, second = make_run("bigram"), make_run("mlp")
    ended(first, 2.5), ended(second, 2.0)
    listed = reading.list_runs()
    app = choose(draw("use/runs.py"), listed, 0, 1)
    assert app.button(key="runs.delete-all").disabled
    (sure,) = [box for box in app.checkbox if "2 runs" in box.label]
    sure.check().run()
    app.button(key="runs.delete-all").click().run()

    assert reading.list_runs() == [] and app.toast[0].value == "Deleted 2 runs"


def test_a_fork_is_queued_with_its_twins_from_the_runs_page(finished: Run, taken: list[Run]):
    app = choose(draw("use/runs.py"), [finished], 0)
    app.selectbox(key=f"fork.{finished.slug}.setting").set_value("model.n_layer").run()
    assert app.button(key=f"fork.{finished.slug}.go").disabled  # nothing would change
    next(slider for slider in app.slider if str(slider.key).endswith("n_layer")).set_value(3).run()
    app.number_input(key=f"fork.{finished.slug}.seeds").set_value(3).run()
    app.button(key=f"fork.{finished.slug}.go").click().run()

    seeds = sorted(run.need().train.seed for run in taken)
    assert seeds == [1337, 1338, 1338, 1339, 1339]
    assert all(run.need().parent == finished.slug for run in taken)


# --- Compare ---------------------------------------------------------------------------------------------------------


def test_a_finding_is_told_with_its_uncertainty_and_alerts_are_flags():
    base = [ended(make_run("bigram", seed=seed), 2.5 + seed / 1000) for seed in (1, 2, 3)]
    other = [ended(make_run("bigram", seed=seed, batch_size=8), 2.4 + seed / 1000) for seed in (1, 2, 3)]
    records.append(base[0].path, Alert(2, "plateau", "it has not improved"))
    app = draw("use/compare.py", runs=",".join(run.slug for run in [*base, *other]))

    answer = "## Sequences a step 4 → 8 makes it **better** by 0.100 ± 0.000 nats (3 seeds)"
    kinds = ["answer" if e.type == "markdown" and e.value == answer else e.type for e in app.main]
    assert kinds.index("answer") < len(kinds) - 1 - kinds[::-1].index("bidi_component")
    chart = next(c for c in app.get("bidi_component") if "compare-loss" in c.proto.id)
    assert b"it has not improved" in chart.proto.bytes


def test_a_run_deleted_in_another_tab_leaves_the_others_on_the_chart(monkeypatch: pytest.MonkeyPatch):
    kept, gone = ended(make_run("bigram"), 2.5), ended(make_run("mlp"), 2.0)
    find = reading.find

    def no_longer(slug: str) -> Run:
        if slug == gone.slug:
            raise BardlabError("no such run")
        return find(slug)

    monkeypatch.setattr(reading, "find", no_longer)
    draw("use/compare.py", runs=f"{kept.slug},{gone.slug}")


# --- Sweeps ----------------------------------------------------------------------------------------------------------


def test_a_sweep_is_queued_and_its_result_is_shown(taken: list[Run]):
    app = draw("use/sweeps.py")
    app.selectbox(key="sweep.rung").set_value("mlp").run()
    app.selectbox(key="sweep.first").set_value("model.d_hidden").run()
    app.text_input(key="values.model.d_hidden").set_value("32, 64, x").run()
    assert "d_hidden: x is not accepted" in app.error[0].value
    assert "sweep.go" not in [button.key for button in app.button]
    app.text_input(key="values.model.d_hidden").set_value("32, 64, 128").run()
    app.button(key="sweep.go").click().run()
    assert [run.need().model["d_hidden"] for run in taken] == [32, 64, 128]

    for run, parameters in zip(taken, (1000, 2000, 4000), strict=True):
        ended(run, 2.1 * (parameters / 4000) ** -0.1)
        status = state.read_status(run.path)
        state.write_status(run.path, status.model_copy(update={"parameters": parameters}))
    app = draw("use/sweeps.py")

    assert "Hidden units 128: lowest, 2.1000" in words(app)
    assert "Power law: loss falls as the power" in words(app)
    assert len(app.get("plotly_chart")) == 1
    sent = [unpack(each.proto.bytes) for each in app.get("bidi_component") if each.proto.bytes]
    (chart,) = [each for each in sent if each.get("x_label") == "parameters"]
    assert [(each["kind"], each["n"]) for each in chart["curves"]] == [("fit", 40), ("points", 3)]
    assert len(chart["curves"][0]["band"]) == 80 and len(set(chart["curves"][1]["names"])) == 3

    named = {"preset": "reference", "first": "model.order", "values.model.order": "2, 3", "second": "train.seed"}
    for name, value in {"rung": "mlp", **named, "how": "search", "points": "5"}.items():
        linked = draw("use/sweeps.py", **{name: value})  # what a link sets is not hidden below what there is already
        assert [form.proto.expanded for form in (*app.expander, *linked.expander)] == [False, True], name
    linked = draw("use/sweeps.py", rung="mlp")
    linked.selectbox(key="sweep.rung").set_value("bigram").run()
    assert not {"rung", "first"} & set(linked.run().query_params) and linked.expander[0].proto.expanded


def test_a_link_draws_up_the_sweep_it_was_copied_from():
    """All of its form stands in the address, but what is as the page would have it; what does not fit is told."""
    app = draw("use/sweeps.py")
    assert not app.query_params
    app.selectbox(key="sweep.rung").set_value("mlp").run()
    app.selectbox(key="sweep.first").set_value("model.d_hidden").run()
    app.text_input(key="values.model.d_hidden").set_value("32, 64").run()
    app.selectbox(key="sweep.second").set_value("train.seed").run()
    app.segmented_control(key="sweep.method").set_value("search").run()
    app.number_input(key="points").set_value(5).run()
    link = {name: "".join(value) for name, value in app.query_params.items()}
    assert link == {
        "rung": "mlp",
        "first": "model.d_hidden",
        "values.model.d_hidden": "32, 64",
        "second": "train.seed",
        "how": "search",
        "points": "5",
    }
    again = draw("use/sweeps.py", **link)
    assert [each.value for each in again.text_input] == [each.value for each in app.text_input]
    assert again.button(key="sweep.go").label == app.button(key="sweep.go").label == "Queue 5 runs"

    again.selectbox(key="sweep.rung").set_value("bigram").run()
    assert set(again.query_params) == {"second", "how", "points"}
    assert "is not here" in words(draw("use/sweeps.py", rung="mlp", first="model.no_such"))


# --- a text of one's own ---------------------------------------------------------------------------------------------


def test_a_pasted_text_is_previewed_kept_offered_and_deleted():
    app = draw("use/text.py")
    app.text_area(key="texts.paste.0").set_value("short").run()
    assert "give at least 1,000" in app.error[0].value
    app.text_area(key="texts.paste.0").set_value("a" * 2000).run()
    assert "there is nothing to predict" in app.error[0].value
    app.text_area(key="texts.paste.0").set_value(OWN).run()
    assert OWN[:600] in [code.value for code in app.code]
    assert f"{len(OWN):,}" in [metric.value for metric in app.metric]
    app.text_input(key="texts.title.0.My text").set_value("The question").run()
    app.button(key="texts.keep").click().run()
    (own,) = texts_own.listing()
    assert own.title == "The question" and app.selectbox(key="text").value == own.name
    assert draw("ladder/bigram.py", text=own.name).selectbox(key="text").value == own.name

    app = draw("use/text.py", text=own.name)
    assert app.button(key="texts.delete").disabled
    app.checkbox(key=f"texts.sure.{own.name}").check().run()
    app.button(key="texts.delete").click().run()
    assert texts_own.listing() == [] and not app.error


def test_runs_on_different_texts_are_never_listed_together(finished: Run):
    own = texts_own.add(OWN.encode(), "The question")
    config = make_run("bigram").need().model_copy(update={"corpus": own.name, "corpus_sha256": "0" * 64})
    other = ended(editing.create(config), 0.5)
    app = draw("use/runs.py", text=own.name)

    assert list(app.dataframe[0].value["validation"]) == [other.status.val_loss]
    assert finished.name not in list(app.dataframe[0].value["name"])
    assert list(app.dataframe[0].value)[:2] == ["validation", "name"], "a phone shows no more"
    app = draw("use/compare.py", runs=f"{finished.slug},{other.slug}")
    assert "so their losses are not compared" in words(app)
    assert len(app.multiselect(key="compare.runs").value) == 1
    assert queue.queue() == []
