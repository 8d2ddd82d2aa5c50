"""Sliders drawn from a configuration class: range, step, help and default all come from its fields."""

from itertools import cycle
from typing import Any

import streamlit as st

from core.ladder.rung import Rung
from core.runs import plan
from core.settings import FieldInfo, Settings
from core.training import devices
from core.training.config import TrainConfig
from pages.ui import state


def config_form(rung: Rung) -> tuple[str, Settings, TrainConfig]:
    """Draw the preset chooser and the sliders of a rung. Returns (preset, model settings, training settings).

    Raises BardlabError, one line, when the sliders contradict each other.
    """
    preset = _preset(rung)
    base_model, base_train = rung.settings(preset, {}, {})
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Model**")
        model = {f.name: _widget(rung.key, "model", f, base_model) for f in rung.config.fields() if not f.advanced}
    with right:
        st.markdown("**Training**")
        train = {f.name: _widget(rung.key, "train", f, base_train) for f in TrainConfig.fields() if not f.advanced}
    with st.expander("More settings"):
        columns = cycle(st.columns(2, gap="large"))
        for group, config, values in (("model", base_model, model), ("train", base_train, train)):
            for field in (f for f in config.fields() if f.advanced):
                with next(columns):
                    values[field.name] = _widget(rung.key, group, field, config)
    model_config, train_config = rung.settings(None, model, train)
    return preset, model_config, train_config


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


def set_form(rung: Rung, preset: str, changes: dict[str, Any] | None = None) -> None:
    """Move every slider of a rung to a preset, with `changes` (dotted names) laid over it. For callbacks."""
    model_changes, train_changes = plan.split_settings(changes or {})
    model, train = rung.settings(preset, model_changes, train_changes)
    st.session_state[state.preset_key(rung.key)] = preset
    for group, config in (("model", model), ("train", train)):
        for name, value in config.model_dump().items():
            st.session_state[state.setting_key(rung.key, group, name)] = value


def settings_widgets(prefix: str, config: type[Settings]) -> dict[str, Any]:
    """Draw the widgets of a configuration that belongs to no rung. Returns their values by name."""
    base = config()
    return {field.name: _widget(prefix, "", field, base) for field in config.fields()}


def setting_widget(prefix: str, group: str, field: FieldInfo, base: Settings) -> Any:
    """Draw the widget of one setting, which starts from its value in `base`. Returns its value."""
    return _widget(prefix, group, field, base)


def _preset(rung: Rung) -> str:
    key = state.preset_key(rung.key)
    st.session_state.setdefault(key, rung.default_preset)

    def apply() -> None:
        set_form(rung, st.session_state[key] or rung.default_preset)

    chosen = st.segmented_control(
        "Preset",
        list(rung.presets),
        key=key,
        on_change=apply,
        required=True,
        persist_state="session",
        help="\n".join(f"- **{name}**: {preset.help}" for name, preset in rung.presets.items()),
    )
    preset = chosen or rung.default_preset
    st.caption(rung.presets[preset].help)
    return preset


def _widget(rung: str, group: str, field: FieldInfo, base: Settings) -> Any:
    key = state.setting_key(rung, group, field.name)
    st.session_state.setdefault(key, getattr(base, field.name))
    value = st.session_state[key]
    label = field.name
    common: dict[str, Any] = {
        "key": key,
        "help": field.help,
        "persist_state": "session",
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
