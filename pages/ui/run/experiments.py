"""A rung's experiments as small buttons beside Train: the first click sets the form, the second trains."""

import streamlit as st

from core.ladder import registry
from core.ladder.rung import Experiment, Rung
from core.runs import plan
from pages.ui import teaching
from pages.ui.run.config_form import set_form
from pages.ui.run.setting_names import name_of
from pages.ui.run.starting import SetUp, start
from pages.ui.wording import plain


def experiments(wanted: SetUp | None, rung: Rung, needed: float, *, ready: bool) -> None:
    """Draw the buttons. `wanted` is what the form holds, `ready` whether Train may be pressed."""
    if not teaching.shown("experiments"):
        return
    number = _set_up_now(wanted, rung)
    with st.container(key="experiments", horizontal=True, gap="xsmall"):
        for each, experiment in enumerate(rung.experiments):
            is_set = each == number and wanted is not None
            st.button(
                experiment.title,
                key=f"{rung.key}.try.{each}",
                type="primary" if is_set else "secondary",
                disabled=(is_set and not ready) or any(map(teaching.locked, ("preset", *experiment.changes))),
                on_click=start if is_set else _set,
                args=(wanted, needed) if is_set else (rung.key, each),
            )
    with st.container(key="experiment-told"):
        if number is None:
            st.caption("One click sets the form, the next one trains.")
        else:
            experiment = rung.experiments[number]
            st.caption(f"{plain(difference(rung, experiment))}. {experiment.look_for}")


def difference(rung: Rung, experiment: Experiment) -> str:
    """Say in what an experiment differs from its preset."""
    base = dict(zip(("model", "train"), rung.settings(experiment.preset, {}, {}), strict=True))
    told = []
    for name, value in experiment.changes.items():
        group, _, field = name.partition(".")
        told.append(f"{name_of(field)} {getattr(base[group], field)} → {value}")
    return f"{rung.title_of_preset(experiment.preset)}" + (": " if told else "") + ", ".join(told)


def _set_up_now(wanted: SetUp | None, rung: Rung) -> int | None:
    """The number of the experiment that the form holds; None if it holds none."""
    if wanted is None:
        return None
    held = wanted.model, wanted.train
    for number, each in enumerate(rung.experiments):
        if rung.settings(each.preset, *plan.split_settings(each.changes)) == held:
            return number
    return None


def _set(rung_key: str, number: int) -> None:
    rung = registry.get(rung_key)
    experiment = rung.experiments[number]
    set_form(rung, experiment.preset, dict(experiment.changes))
