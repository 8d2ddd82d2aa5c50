"""Starts a run from a rung's page: no second one of the same settings, and none that hides a run under way."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.errors import BardlabError
from core.jobs import control
from core.ladder.rung import Rung
from core.runs import plan, reading
from core.runs.folder import State
from core.runs.metrics import TRAIN_LOSS
from core.runs.state import Run, RunConfig
from core.settings import Settings
from core.training.config import TrainConfig
from pages.ui import loaders, state
from pages.ui.choosers import mine
from pages.ui.course import guess_strip

WAITING = "waiting"
"""Session state: slugs of the runs started here that have not begun, which are shown when they do."""
GHOSTS = "ghosts"
"""Session state: by the slug of a run started here, the run that was shown before it."""


@dataclass(frozen=True)
class SetUp:
    """What the form of a rung asks for."""

    rung: Rung
    preset: str
    model: Settings
    train: TrainConfig
    text: str
    device: str

    def plan(self, model: Mapping[str, Any] | None = None) -> RunConfig:
        """Return the run's configuration, with some settings of the model changed. Raises BardlabError."""
        return plan.plan(
            self.rung.key,
            preset=self.preset,
            model={**self.model.model_dump(), **(model or {})},
            train=self.train.model_dump(),
            device=self.device,
            corpus_name=self.text,
        )


def under_way(wanted: RunConfig) -> Run | None:
    """One's own run of exactly these settings that runs or waits, if there is one."""
    same = {"rung_key", "model", "train", "corpus_sha256", "device", "fault"}
    asked = wanted.model_dump(include=same, by_alias=False)
    for run in mine.own(loaders.listing()):
        if run.config and run.state.active and run.config.model_dump(include=same, by_alias=False) == asked:
            now = reading.read(run.path)  # the listing does not see a worker's death
            if now.state.active:
                return now
    return None


def start(wanted: SetUp, needed: float) -> None:
    """Start a run of these settings and show it, or let it wait in sight of the one under way. For callbacks."""
    try:
        config = wanted.plan()
        if there := under_way(config):  # the second press came before the page could say so
            state.show_run(there.slug)
            return
        run = control.begin(config.model_copy(update={"memory_needed": needed}))
        guess_strip.keep(run)
    except state.PROBLEMS as error:
        state.say_error(error)
        return
    _give_it_a_moment(run)
    before, shown = _shown_before(run), run
    if before and not before.shipped:
        st.session_state[GHOSTS] = {**st.session_state.get(GHOSTS, {}), run.slug: before.slug}
    if before and before.state is State.RUNNING and reading.read(run.path).state is State.QUEUED:
        st.session_state[WAITING] = [*st.session_state.get(WAITING, []), run.slug]
        state.say_next(f"{run.name} waits until {before.name} has ended", ":material/hourglass_empty:")
        shown = before
    state.show_run(shown.slug)


def waits() -> tuple[str, ...]:
    """The slugs of the runs that were started here and wait while another one is shown."""
    return tuple(st.session_state.get(WAITING, ()))


def begun() -> Run | None:
    """The first of the runs that waited here and have begun by now; it is forgotten with that."""
    waiting: list[str] = st.session_state.get(WAITING, [])
    for slug in list(waiting):
        try:
            run = reading.find(slug)
        except BardlabError:  # deleted meanwhile
            waiting.remove(slug)
            continue
        if run.state is not State.QUEUED:
            waiting.remove(slug)
            if run.state.active or run.status.step:
                return run
    return None


def ghost_of(run: Run) -> Run | None:
    """The run that was shown when this one was started, if it learns the same text."""
    slug = st.session_state.get(GHOSTS, {}).get(run.slug)
    try:
        before = reading.find(slug) if slug else None
    except BardlabError:
        return None
    same_text = before and not before.damage and before.need().corpus_sha256 == run.need().corpus_sha256
    return before if same_text else None


def _shown_before(run: Run) -> Run | None:
    """The run of the same rung that the page shows now."""
    slug = st.session_state.get(state.SHOWN)
    try:
        before = reading.find(slug) if slug else None
    except BardlabError:
        return None
    return before if before and before.rung_key == run.rung_key and not before.damage else None


def _give_it_a_moment(run: Run) -> None:
    """Wait for the first point of a worker that stands ready, so that the chart is drawn with it; no longer than that.

    The browser takes half a second to draw the chart; without a point in it, a second drawing has to follow.
    """
    until = time.monotonic() + 0.3
    while time.monotonic() < until and not len(loaders.reader(run).curve(TRAIN_LOSS)[0]):
        time.sleep(0.02)
