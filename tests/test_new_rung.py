"""A rung that exists in this file alone is trained, drawn and looked into like any other: nothing else names it."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.cli.main import main
from core.evaluation import evaluate
from core.exchange import export
from core.inspect.activations import health
from core.inspect.embeddings import tables
from core.inspect.evaluation_set import evaluation_set
from core.inspect.interventions.ablation import rank
from core.inspect.receptive import measured_field
from core.jobs import work
from core.ladder import cost
from core.ladder.exercises import Exercise, Number
from core.ladder.registry import RUNGS
from core.ladder.rung import Experiment, Preset, Rung
from core.models.answers import Nonlinearity, Part, VectorTable, embedding_table, layer_part, unembedding_table
from core.models.contract import LanguageModel, Tap
from core.runs import checkpoints, editing, requests
from core.runs import plan as runs_plan
from core.runs.folder import State
from core.runs.metrics import TRAIN_LOSS, VAL_LOSS, MetricsReader
from core.runs.state import Run
from core.sampling import SamplingConfig, generate
from core.settings import Settings, setting
from core.texts.corpus import Corpus
from pages.ui.course import progress
from pages.ui.inside_views import knockout
from pages.ui.navigation import addresses
from tests.conftest import SHORT
from tests.pages.test_pages import draw, words


class PairConfig(Settings):
    """Size of the toy."""

    d_embed: int = setting(4, "Numbers that describe each character.", ge=2, le=32, step=1)


class Pair(LanguageModel):
    """The current character and the one before it, as vectors, through a ReLU."""

    slides = True

    def __init__(self, config: PairConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        self.token_embedding = nn.Embedding(vocab_size, config.d_embed)
        self.both = nn.Linear(2 * config.d_embed, 8)
        self.head = nn.Linear(8, vocab_size)
        self.embed, self.post, self.logits = Tap(), Tap(), Tap()
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    @property
    def context(self) -> int:
        """Two characters."""
        return 2

    def forward(self, ids: Tensor, cache: None = None) -> Tensor:
        """Map ids (B, T) to logits (B, T, V)."""
        now = self.embed(self.token_embedding(ids))  # (B, T, E)
        before = nn.functional.pad(now, (0, 0, 1, 0))[:, :-1]  # (B, T, E)
        hidden = self.post(torch.relu(self.both(torch.cat((before, now), dim=-1))))  # (B, T, 8)
        logits: Tensor = self.logits(self.head(hidden))  # (B, T, V)
        return logits

    def parts(self) -> list[Part]:
        """The hidden layer."""
        return [layer_part("0.layer", "the hidden layer", 0, "layer", "post")]

    def nonlinearities(self) -> list[Nonlinearity]:
        """The hidden layer."""
        return [Nonlinearity("both", "post", "relu")]

    def embeddings(self) -> list[VectorTable]:
        """Characters as read and as written."""
        return [embedding_table(self.token_embedding), unembedding_table(self.head)]


PAIR = Rung(
    key="pair",
    title="Pair",
    idea="Two characters say more than one.",
    new="A toy.",
    paper="Nobody (2026)",
    paper_url="https://doi.org/10.1002/j.1538-7305.1948.tb01338.x",
    config=PairConfig,
    model=Pair,
    presets={"seconds": Preset("Short.", {"d_embed": 6}, {**SHORT, "eval_every": 2})},
    equation=r"p = \mathrm{softmax}(W\,[x_{t-1}, x_t])",
    code=Pair.forward,
    experiments=(Experiment("Wider", "Is it better?", "seconds", {"model.d_embed": 16}),),
    exercises=(
        Exercise(
            "Predict",
            "How many numbers enter the hidden layer?",
            Number(lambda facts: 2 * facts.settings.d_embed),
            "Two vectors.",
            "Twice the width.",
        ),
    ),
    ships="seconds",
)


@pytest.fixture(autouse=True)
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rung]:
    """Register the rung for one test."""
    monkeypatch.setitem(RUNGS, PAIR.key, PAIR)
    yield PAIR


def plan(**train: object) -> Run:
    return editing.create(runs_plan.plan("pair", preset="seconds", train=train, device="cpu"))


@pytest.fixture
def done() -> Run:
    """A finished run of the toy."""
    run = work.work(plan().path)
    assert run.state is State.FINISHED, run.status.message
    return run


def test_it_has_a_page_with_a_form_an_estimate_and_experiments():
    app = draw("ladder/pair.py")

    assert "pair" in addresses()
    assert app.title[0].value == "Pair"
    assert any(widget.key == "pair.model.d_embed" for widget in [*app.slider, *app.select_slider, *app.number_input])
    assert app.button(key="pair.train").disabled is False
    assert app.button(key="pair.try.0").label == "Wider"


def test_its_exercise_is_checked_and_counts():
    app = draw("ladder/pair.py", tab="exercises")
    app.number_input(key="pair.exercise.0.answer").set_value(12.0).run()

    assert "It is 12." in [message.value for message in app.success]
    assert app.session_state[progress.PROGRESS].has("exercise.pair.0")


def test_its_run_is_drawn_with_every_view_that_fits_it(done: Run):
    shown = ""
    for name in PAIR.views:
        app = draw("ladder/pair.py", run=done.slug, tab=name)
        assert not app.warning and not app.error
        shown += words(app) + "\n".join(heading.value for heading in app.header)
    assert f"{cost.cost(PAIR, done.need().model_config_, done.need().train, 65).parameters:,}" in shown
    assert "Which characters are alike" in shown


@pytest.mark.parametrize("page", ["prediction", "surprise", "embeddings", "knockout", "time"])
def test_the_pages_that_look_inside_take_it(page: str, done: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(knockout, "UNASKED", 0.0)  # another process does not know the rung
    app = draw(f"inside/{page}.py", run=done.slug)

    assert not app.error
    assert done.name in words(app) or any(done.slug in str(box.value) for box in app.selectbox)


def test_curves_stop_and_resume(done: Run):
    reader = MetricsReader(done.path).refresh()
    run = plan(steps=6)
    requests.request_stop(run)
    stopped = work.work(run.path)
    editing.queue_again(stopped)
    again = work.work(stopped.path)

    assert len(reader.curve(TRAIN_LOSS)[0]) and len(reader.curve(VAL_LOSS)[0]) == 2
    assert stopped.state is State.STOPPED
    assert again.state is State.FINISHED and again.status.step == 6


def test_the_command_line_trains_evaluates_and_samples_it(capsys: pytest.CaptureFixture[str]):
    main(["train", "pair", "--set", "train.steps=4", "--device", "cpu", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    slug = next(row["run"] for row in reversed(rows) if "run" in row)
    main(["evaluate", slug, "--json"])
    loss = json.loads(capsys.readouterr().out.splitlines()[-1])
    main(["sample", slug, "--tokens", "12"])

    assert "Pair" in PAIR.title and loss["val_loss"] < 4.3
    assert len(capsys.readouterr().out) >= 12
    main(["stages"])
    assert "pair" in capsys.readouterr().out


def test_it_is_measured_switched_off_and_exported(done: Run, corpus: Corpus):
    model, tokenizer = checkpoints.load_model(done)
    ids = corpus.val_ids[:65]
    *_, (_, ranked) = rank(model, evaluation_set(model, corpus), model.parts(), "zero")
    field = measured_field(model, corpus.val_ids[:4000], 8)

    assert ranked is not None and "0.layer" in ranked.effects
    assert evaluate(model, corpus.val_ids).loss == pytest.approx(done.status.val_loss, abs=1e-4)
    assert len(list(generate(model, tokenizer.encode("\n"), SamplingConfig(tokens=8)))) == 8
    assert field.gradient[:2].min() > 0 and np.all(field.gradient[2:] == 0)
    assert [layer.name for layer in health(model, ids[None, :-1], ids[None, 1:])] == ["both"]
    assert [table.key for table in tables(model)] == ["token", "output"]
    for write in (export.training_plot, export.curves_csv, export.config_json, export.weights):
        assert write(done).stat().st_size > 100
