"""Sliders drawn from a configuration class: range, step, help and default all come from its fields."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import cycle
from typing import Any

import streamlit as st

from core.jobs import timing
from core.jobs.launchers import launcher
from core.ladder.rung import Rung
from core.runs import plan
from core.settings import FieldInfo, Settings
from core.training import devices
from core.training.config import TrainConfig
from pages.ui import state, teaching
from pages.ui.components.pictures.picture import picture
from pages.ui.drawings.schedule import drawing
from pages.ui.run.kept_settings import kept_settings
from pages.ui.run.setting_names import name_of


def config_form(rung: Rung, times: Callable[[], Mapping[str, str]]) -> tuple[str, Settings, TrainConfig]:
    """Draw the presets, each with its time, and the settings: a few at once, the rest behind a button.

    Returns (preset, model settings, training settings). Raises BardlabError, one line, when the settings contradict
    each other.
    """
    chosen: dict[str, dict[str, Any]] = {"model": {}, "train": {}}
    if not teaching.shown("settings"):
        preset = st.session_state.setdefault(state.preset_key(rung.key), rung.default_preset)
        for group, base in zip(chosen, rung.settings(preset, {}, {}), strict=True):
            for name, value in base.model_dump().items():
                chosen[group][name] = st.session_state.get(state.setting_key(rung.key, group, name), value)
        return preset, *rung.settings(None, chosen["model"], chosen["train"])
    preset = _preset(rung, times())
    bases = dict(zip(("model", "train"), rung.settings(preset, {}, {}), strict=True))
    rest = []
    for group, base in bases.items():
        at_once = rung.shown_at_once(group)
        fields = {field.name: field for field in base.fields()}
        for name in at_once:
            chosen[group][name] = _labelled(rung.key, group, fields[name], base)
        others = (_here(rung, group, field) for name, field in fields.items() if name not in at_once)
        rest += [(group, field) for field in others if field]
    with st.container(horizontal=True, gap="xsmall", key="all-settings"):
        more = st.popover("All settings", width="stretch", help="The other settings of this rung.")
        kept_settings(rung, set_form)
    with more:
        for title, group in (("Model", "model"), ("Training", "train")):
            fields_there = [field for of, field in rest if of == group]
            if fields_there:
                st.markdown(f"**{title}**")
            course = st.container() if group == "train" else None
            columns = cycle(st.columns(2, gap="medium"))
            for field in fields_there:
                with next(columns):
                    chosen[group][field.name] = _labelled(rung.key, group, field, bases[group])
    model, train = rung.settings(None, chosen["model"], chosen["train"])
    if course is not None:
        with course:
            picture(*drawing(train), key=f"{rung.key}.schedule")
    return preset, model, train


def _labelled(prefix: str, group: str, field: FieldInfo, base: Settings) -> Any:
    """Draw a setting under its word, its own name small beside it."""
    return _widget(prefix, group, field, base, label_of(field))


def label_of(field: FieldInfo) -> str:
    """A setting's word, its own name small beside it, as Markdown."""
    word = name_of(field.name)
    told = word.lower() == field.name.replace("_", " ")
    return word if told else f"{word} :small[:gray[{field.name}]]"


def _here(rung: Rung, group: str, field: FieldInfo) -> FieldInfo | None:
    """A setting as far as this machine can follow it; None if it leaves nothing to choose."""
    if (group, field.name) != ("train", "devices"):
        return field
    there = launcher.chosen()
    most = there.most(device_chosen(rung) if there.here else device_wanted(rung))
    return replace(field, ticks=tuple(tick for tick in field.ticks or () if tick <= most)) if most > 1 else None


def device_choice(rung: Rung) -> str:
    """Draw the choice of the device, where there is one. Returns its name."""
    there = devices.present()
    if len(there) == 1:
        return "auto"
    return st.segmented_control(
        "Device",
        ["auto", *there],
        default="auto",
        key=state.setting_key(rung.key, "run", "device"),
        required=True,
        persist_state="session",
        help="Where it is computed. auto takes the GPU if it works, else the processor.",
    )


def device_chosen(rung: Rung) -> str:
    """The device on which a run of the form would be computed, before its choice is drawn."""
    chosen = device_wanted(rung)
    return timing.best_device() if chosen == "auto" else chosen


def device_wanted(rung: Rung) -> str:
    """What the form says of the device, before its choice is drawn."""
    return str(st.session_state.get(state.setting_key(rung.key, "run", "device")) or "auto")


def set_form(rung: Rung, preset: str, changes: Mapping[str, Any] | None = None, *, by_link: bool = False) -> None:
    """Move every slider of a rung to a preset, with `changes` (dotted names) laid over it. For callbacks.

    What a teacher's link locks is moved by a link alone.
    """
    model_changes, train_changes = plan.split_settings(changes or {})
    model, train = rung.settings(preset, model_changes, train_changes)
    st.session_state[state.preset_key(rung.key)] = preset
    for group, config in (("model", model), ("train", train)):
        for name, value in config.model_dump().items():
            if by_link or not teaching.locked(f"{group}.{name}"):
                st.session_state[state.setting_key(rung.key, group, name)] = value


def labelled_widget(prefix: str, field: FieldInfo, base: Settings) -> Any:
    """Draw the widget of one setting that belongs to no rung, under its word. Returns its value."""
    return _labelled(prefix, "", field, base)


def setting_widget(prefix: str, group: str, field: FieldInfo, base: Settings) -> Any:
    """Draw the widget of one setting, which starts from its value in `base`. Returns its value."""
    return _widget(prefix, group, field, base)


def _preset(rung: Rung, times: Mapping[str, str]) -> str:
    key = state.preset_key(rung.key)
    st.session_state.setdefault(key, rung.default_preset)

    def apply() -> None:
        set_form(rung, st.session_state[key] or rung.default_preset)

    chosen = st.segmented_control(
        "Preset",
        list(rung.presets),
        format_func=lambda name: f"{rung.title_of_preset(name)} :small[:gray[{times.get(name, '')}]]",
        key=key,
        on_change=apply,
        required=True,
        persist_state="session",
        disabled=teaching.locked("preset"),
        help="\n".join(
            f"- **{rung.title_of_preset(name)}** (`{name}`): {preset.help}" for name, preset in rung.presets.items()
        ),
    )
    return chosen or rung.default_preset


def _widget(rung: str, group: str, field: FieldInfo, base: Settings, label: str = "") -> Any:
    key = state.setting_key(rung, group, field.name)
    st.session_state.setdefault(key, getattr(base, field.name))
    value = st.session_state[key]
    label = label or field.name
    common: dict[str, Any] = {
        "key": key,
        "help": field.help,
        "persist_state": "session",
        "disabled": bool(group) and teaching.locked(f"{group}.{field.name}"),
    }
    if field.kind == "bool":
        return st.toggle(label, **common)
    if field.choices:
        return st.segmented_control(label, list(field.choices), required=True, **common)
    if field.kind == "text":
        shown = st.text_input(label, max_chars=field.longest, **common)
        return shown if shown else value
    if field.ticks:
        options = sorted({*field.ticks, value})
        return st.select_slider(label, options, format_func=_short, **common)
    number = int if field.kind == "int" else float
    if field.step is None or (field.high or 0) > 100_000:
        return st.number_input(
            label, number(field.low or 0), number(field.high or 0), step=number(field.step or 1), **common
        )
    return st.slider(label, number(field.low or 0), number(field.high or 0), step=number(field.step), **common)


def _short(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
