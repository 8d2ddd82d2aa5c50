"""Every page, drawn through the frame, with no runs, a finished one, a running one and damaged ones."""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from core.jobs import work
from core.ladder.registry import RUNGS
from core.runs import folder, layout, reading, state
from core.runs.folder import State
from core.runs.state import Run
from pages.ui.navigation import addresses, page_table
from tests.conftest import copied, make_run
from tests.message import unpack

RUNG_PAGES = [f"ladder/{key}.py" for key in RUNGS]


FOLDER = Path(__file__).parents[2] / "pages"
FILES = sorted(f"{file.parent.name}/{file.name}" for file in FOLDER.glob("*/*.py") if file.parent.name != "ui")
PAGES = [*FILES, *RUNG_PAGES]
VIEWS = [(f"ladder/{key}.py", tab) for key, rung in RUNGS.items() for tab in (*rung.views, "samples", "code", "log")]
"""Every view of every rung's page but the first, which is open unless the address names another."""


BESIDE_VIEWS = {"hide": "settings,train,guess,experiments,terminal,buttons,compare"}
"""Leaves what is above a view and the same for all away, as a teacher's link does: the page without a view draws it."""


manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)
"""At each drawing AppTest reads the metadata of every installed package, a tenth of a second: once is enough."""


ADDRESSES = {"inside/side_by_side.py": "stage", "learn/classroom.py": "class"}
"""Pages whose address is not their file's name."""


def draw(script: str, **query: str) -> AppTest:
    """Run a page through the frame."""
    app = AppTest.from_file(FOLDER / "frame.py", default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    if (address := ADDRESSES.get(script) or Path(script).stem) in {*RUNGS, *ADDRESSES.values()}:
        app._page_hash = calc_hash(address)  # a rung's page is drawn by a function, which has an address but no file
    elif script != "ladder/overview.py":
        app.switch_page(script)
    app.run()
    assert not app.exception, app.exception[0].message
    assert (app.title[0].value == "The ladder") == (script == "ladder/overview.py")
    return app


def open_view(app: AppTest) -> list[str]:
    """What kinds of elements the open view of a rung's page consists of."""
    found = []

    def walk(node: Any, inside: bool) -> None:
        key = getattr(getattr(node, "proto", None), "id", "")
        inside = inside or (isinstance(key, str) and key.endswith("-view") and not key.endswith("-run-view"))
        for child in getattr(node, "children", {}).values():
            walk(child, inside)
        if inside and not getattr(node, "children", None) and node.type != "flex_container":
            found.append(node.type)

    walk(app.main, False)
    return found


def words(app: AppTest) -> str:
    """All text that the page shows."""
    shown = [
        *app.markdown,
        *app.caption,
        *app.info,
        *app.warning,
        *app.error,
        *app.metric,
        *app.title,
        *app.code,
        *app.text,
    ]
    moving = [
        unpack(each.proto.bytes)["line"]["pieces"] for each in app.get("bidi_component") if "-line." in each.proto.id
    ]
    lines = ["".join(piece["text"] for piece in pieces) for pieces in moving]
    return "\n".join([*(str(getattr(element, "value", "")) for element in shown), *lines])


def to_the_end(app: AppTest) -> AppTest:
    """Let the page Write come to the end of its texts, as a browser does that asks for more."""
    for _ in range(1000):
        if app.session_state["writing"]:
            app.run()
    return app


@contextmanager
def under_way(run: Run, step: int = 2) -> Iterator[Run]:
    """Make a run look as it does while a worker is busy with it: this process holds its lock."""
    with folder.hold(run.path):
        update = {"state": State.RUNNING, "step": step, "device": "cpu", "train_loss": 3.0, "steps_per_second": 50.0}
        state.write_status(run.path, run.status.model_copy(update=update))
        yield reading.read(run.path)


def damage(run: Run, how: str) -> None:
    """Spoil one file of a run."""
    file = run.path / {"config": folder.CONFIG, "status": folder.STATUS, "weights": layout.WEIGHTS}[how]
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def test_every_rung_has_a_page_and_every_page_is_in_the_navigation():
    app = draw("ladder/overview.py")
    listed = [page for section in page_table().values() for page in section]

    assert addresses() >= set(RUNGS)
    assert len(listed) == len(PAGES)
    assert app.title[0].value == "The ladder"


@pytest.mark.parametrize("script", PAGES)
def test_without_runs(script: str):
    """An empty house: every page says what it is, and none fails."""
    app = draw(script)

    assert len(app.title) == 1
    assert not app.error


@pytest.mark.parametrize("script", PAGES)
def test_with_a_finished_run(script: str, finished: Run):
    app = draw(script)

    assert not app.error
    if script in ("use/write.py", "ladder/transformer.py"):
        assert app.selectbox(key="run").value == finished.slug


@pytest.mark.parametrize("script", PAGES)
def test_with_a_running_run(script: str):
    with under_way(make_run("transformer")):
        app = draw(script)

        assert not app.error


@pytest.mark.parametrize("script", PAGES)
@pytest.mark.parametrize("how", ["config", "status", "weights"])
def test_with_a_damaged_run_beside_a_good_one(script: str, how: str, trained: Path, finished: Run):
    """A damaged run is named as such where it is chosen; the good one and all else go on working."""
    damage(copied(trained, "transformer-bad-run"), how)
    app = draw(script)

    if script == "use/runs.py":
        assert list(app.dataframe[0].value["state"]).count("damaged") == 1
    if script in ("ladder/transformer.py", "use/write.py"):
        assert any(finished.name in option for option in app.selectbox(key="run").options)


@pytest.mark.parametrize(("message", "shown"), [(state.COMPILING, True), (state.TRAINING, False)])
def test_the_headline_says_what_a_running_run_waits_for(message: str, shown: bool):
    with under_way(make_run("transformer")) as running:
        state.write_status(running.path, running.status.model_copy(update={"message": message}))
        app = draw("ladder/transformer.py", run=running.slug)

        sent = [unpack(each.proto.bytes) for each in app.get("bidi_component") if "line.headline" in each.proto.id]
        pieces = sent[0]["line"]["pieces"]
        assert pieces[0] == {"text": running.name, "kind": "strong", "icon": ""} and pieces[2]["text"] == "running"
        assert pieces[-1]["text"].endswith(f": {message}") == shown


def test_a_live_page_offers_stop_and_a_stopped_one_resume():
    run = make_run("transformer")
    with under_way(run) as running:
        app = draw("ladder/transformer.py", run=running.slug)
        assert app.button(key="resume").disabled
        app.button(key="stop").click().run()
        assert folder.stop_requested(run.path)
    status = reading.read(run.path).status
    folder.clear_requests(run.path)
    state.write_status(run.path, status.model_copy(update={"state": State.STOPPED}))
    app = draw("ladder/transformer.py", run=run.slug)

    assert not app.button(key="resume").disabled and app.button(key="stop").disabled


def test_a_run_that_died_says_so_and_offers_resume():
    run = make_run("transformer")
    state.write_status(run.path, run.status.model_copy(update={"state": State.RUNNING, "step": 3}))
    app = draw("ladder/transformer.py", run=run.slug)

    assert "the worker died" in words(app)
    assert not app.button(key="resume").disabled


def test_an_unknown_run_in_the_address_is_named(finished: Run):
    app = draw("ladder/transformer.py", run="no-such-run")

    assert "no-such-run" in app.warning[0].value
    assert app.selectbox(key="run").value == finished.slug


def test_a_damaged_run_in_the_address_says_why(trained: Path, finished: Run):
    """Even if its configuration is gone, so that nobody knows its rung."""
    bad = copied(trained, "transformer-bad-run")
    damage(bad, "config")
    app = draw("ladder/transformer.py", run=bad.slug)

    assert "transformer-bad-run” is damaged: config.json is not valid" in app.warning[0].value
    assert app.selectbox(key="run").value == finished.slug


def test_the_form_refuses_sizes_that_contradict_each_other():
    """Five heads do not share a width of 64: one line says which numbers do, and Train is off."""
    app = draw("ladder/transformer.py")
    app.slider(key="transformer.model.n_head").set_value(5).run()

    assert "model.n_head 5" in app.error[0].value and "give n_head one of" in app.error[0].value
    assert app.button(key="transformer.train").disabled


def test_a_preset_moves_the_sliders_and_the_command():
    """The preview is the command line of exactly these settings."""
    app = draw("ladder/transformer.py")
    app.segmented_control(key="transformer.preset").set_value("reference").run()

    assert app.slider(key="transformer.model.n_layer").value == 6
    assert "10,788,929" in app.button(key="transformer.train").label
    assert app.code[0].value == "python -m core train transformer --preset reference"

    app.slider(key="transformer.model.n_layer").set_value(3).run()

    assert app.code[0].value == "python -m core train transformer --preset reference --set model.n_layer=3"


@pytest.mark.parametrize("script", RUNG_PAGES)
def test_an_experiment_sets_the_sliders(script: str):
    """Each button leads to a command line that names exactly its change, and says what to look for; its link too."""
    rung = RUNGS[Path(script).stem]
    for number, experiment in enumerate(rung.experiments):
        app = draw(script)
        app.button(key=f"{rung.key}.try.{number}").click().run()
        shown = next(code.value for code in app.code if code.value.startswith("python -m core"))

        assert f"--preset {experiment.preset}" in shown
        assert shown.count("--set") == len(experiment.changes)
        assert all(f"{name}={value}" in shown for name, value in experiment.changes.items())

        link = {name: "".join(value) for name, value in app.query_params.items()}
        assert all(experiment.look_for in words(each) for each in (app, draw(script, **link)))


def test_train_starts_a_job_and_the_page_shows_it(home: Path):
    """The button makes a run folder, and the page moves to that run."""
    from core.jobs import control

    app = draw("ladder/bigram.py")
    app.segmented_control(key="bigram.preset").set_value("counted").run()
    app.button(key="bigram.train").click().run()
    run = reading.list_runs()[0]

    assert app.selectbox(key="run").value == run.slug
    assert run.config and run.config.model["fit"] == "count"
    ended = control.wait(run, 60)
    assert ended.state is State.FINISHED, ended.status.message


def test_the_parameter_table_is_read_off_the_model(finished: Run):
    app = draw("ladder/transformer.py", run=finished.slug, tab="parameters")
    table = next(frame.value for frame in app.dataframe if "parameters" in frame.value)

    assert table["parameters"].sum() == finished.status.parameters
    assert set(table["part"]) == {"token_embedding", "position_embedding", "blocks", "ln_final", "lm_head"}


def test_writing_is_the_same_for_the_same_seed(finished: Run):
    from core.runs import checkpoints
    from core.sampling import SamplingConfig, generate

    app = draw("use/write.py", run=finished.slug)
    app.select_slider(key="write..tokens").set_value(50).run()
    to_the_end(app.button(key="write.go").click().run())
    model, tokenizer = checkpoints.load_model(finished)
    expected = [c.id for c in generate(model, tokenizer.encode("ROMEO:\n"), SamplingConfig(tokens=50, temperature=0.8))]

    assert app.session_state["written"] == tokenizer.decode(expected)


def test_written_again_it_takes_the_next_seed_and_the_address_holds_prompt_and_temperature(finished: Run):
    app = draw("use/write.py", run=finished.slug, prompt="JULIET:", temperature="1.5")
    assert app.text_area(key="write.prompt").value == "JULIET:"
    assert app.slider(key="write..temperature").value == 1.5
    app.select_slider(key="write..tokens").set_value(50).run()
    to_the_end(app.button(key="write.go").click().run())
    first, seed = app.session_state["written"], app.number_input(key="write..seed").value
    to_the_end(app.button(key="write.go").click().run())

    assert app.number_input(key="write..seed").value == seed + 1
    assert app.session_state["written"] != first
    app.slider(key="write..temperature").set_value(0.5).run()
    assert app.query_params["temperature"] == "0.5"


def test_the_chosen_run_outlives_pages_that_cannot_show_it(finished: Run):
    """Only choosing changes the choice: not a page without runs, nor one on which another has to stand in."""
    bigram = work.work(make_run("bigram").path)
    app = draw("use/write.py", run=bigram.slug)
    for script in ("use/text.py", "inside/attention.py", "inside/knockout.py"):
        app.query_params.clear()
        app.switch_page(script).run()
        assert bigram.name in app.sidebar.markdown[0].value
    app.query_params.clear()
    app.switch_page("inside/prediction.py").run()
    assert app.selectbox(key="run").value == bigram.slug
    app.selectbox(key="run").set_value(finished.slug).run()

    assert finished.name in app.sidebar.markdown[0].value


def test_a_prompt_with_strange_letters_is_explained(finished: Run):
    app = draw("use/write.py", run=finished.slug)
    app.text_area(key="write.prompt").set_value("Рим").run()

    assert "has never seen" in app.warning[0].value
    assert "empty" in app.info[0].value


def test_the_runs_page_renames_and_deletes_only_after_asking(finished: Run):
    app = draw("use/runs.py")
    table = f"runs.table.{zlib.crc32(finished.slug.encode())}"
    app.session_state[table] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    app.run()
    app.text_input(key=f"runs.name.{finished.slug}").set_value("my first")
    next(b for b in app.button if b.label == "Rename").click().run()

    assert reading.read(finished.path).name == "my first"
    assert app.button(key="runs.delete").disabled

    app.checkbox(key=f"runs.sure.{finished.slug}").check().run()
    app.button(key="runs.delete").click().run()

    assert reading.list_runs() == []


def test_the_runs_page_offers_the_reference_weights_of_a_model_that_fits_them(finished: Run):
    app = draw("use/runs.py")
    app.session_state[f"runs.table.{zlib.crc32(finished.slug.encode())}"] = {"selection": {"rows": [0]}}
    app.run()

    assert not app.exception
    assert {"Curves (.csv)", "Weights (.pth)"} <= {button.label for button in app.get("download_button")}


def test_the_text_page_encodes_what_is_typed():
    app = draw("use/text.py")
    app.text_input(key="corpus.ids").set_value("18 47 56 57 999").run()

    assert "0 to 64" in app.error[0].value

    app.text_input(key="corpus.ids").set_value("18 47 56 57 58").run()

    assert "First" in [c.value for c in app.code]


def test_twenty_runs_are_listed_with_their_figures(finished: Run):
    for _ in range(19):
        make_run("bigram")
    app = draw("use/runs.py")

    assert len(app.dataframe[0].value) == 20
    status = json.loads((finished.path / folder.STATUS).read_text())
    assert status["val_loss"] in list(app.dataframe[0].value["validation"])
