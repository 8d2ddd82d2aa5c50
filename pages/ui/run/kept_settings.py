"""Settings kept under a name, and loaded: from a name, from any run, from an exported file."""

from collections.abc import Callable

import streamlit as st

from core.ladder import registry
from core.ladder.rung import Rung
from core.runs import reading, set_ups
from core.runs.set_ups import SetUp
from core.training.config import TrainConfig
from pages.ui import loaders, state
from pages.ui.choosers import mine
from pages.ui.choosers.run import narrowed
from pages.ui.choosers.runs import named


def kept_settings(rung: Rung, set_form: Callable[..., None]) -> None:
    """Draw the button behind which settings are kept and loaded; `set_form` moves the sliders."""

    def load(read: Callable[[], SetUp], what: str) -> None:
        _load(rung.key, read, what, set_form)

    with st.popover("Kept", help="Keep these settings under a name, or load others."):
        name_key, of_name, of_run, of_file = (f"{rung.key}.kept.{what}" for what in ("name", "of", "run", "file"))
        with st.form(f"{rung.key}.keep", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input(
                "Keep them as", key=name_key, max_chars=set_ups.LONGEST_NAME, help="Takes the place of its namesake."
            )
            st.form_submit_button("Keep", on_click=_keep, args=(rung.key, name_key), help="All settings of this form.")
        names = set_ups.saved_names(rung.key)
        if names:
            with st.container(horizontal=True, vertical_alignment="bottom"):
                asked = st.selectbox("Kept before", names, key=of_name, help="Settings of this rung that were kept.")
                st.button(
                    "Load",
                    key=f"{of_name}.load",
                    on_click=lambda: load(
                        lambda: set_ups.find(rung.key, st.session_state[of_name]), st.session_state[of_name]
                    ),
                    help="Sets the form to them.",
                )
                st.button(
                    "Forget",
                    key=f"{of_name}.forget",
                    on_click=_forget,
                    args=(rung.key, of_name),
                    disabled=not set_ups.may_change(rung.key, asked or ""),
                    help="Removes them. Who kept them, and who teaches, can.",
                )
        runs = {run.slug: run for run in mine.shown(loaders.listing()) if not run.damage}
        if runs:
            first = dict(sorted(runs.items(), key=lambda each: each[1].rung_key != rung.key))
            slugs = narrowed(first, [], f"{of_run}.find")
            with st.container(horizontal=True, vertical_alignment="bottom"):
                st.selectbox(
                    "From a run",
                    slugs,
                    format_func=lambda slug: named(runs[slug]) if slug in runs else slug,
                    key=of_run,
                    help="Of another rung, what this one has too.",
                )
                st.button(
                    "Load",
                    key=f"{of_run}.load",
                    on_click=lambda: load(
                        lambda: set_ups.of_run(reading.find(st.session_state[of_run])), st.session_state[of_run]
                    ),
                    help="Sets the form as that run was set.",
                )
        st.file_uploader(
            "From exported settings (.json)",
            type="json",
            max_upload_size=1,
            key=of_file,
            on_change=lambda: _uploaded(of_file, load),
            help="The file that Export makes on the page Runs.",
        )


def _keep(rung_key: str, name_key: str) -> None:
    rung = registry.get(rung_key)
    chosen = {
        group: {
            one.name: st.session_state[key]
            for one in kind.fields()
            if (key := state.setting_key(rung_key, group, one.name)) in st.session_state
        }
        for group, kind in (("model", rung.config), ("train", TrainConfig))
    }
    preset = st.session_state.get(state.preset_key(rung_key)) or rung.default_preset
    try:
        model, train = rung.settings(preset, chosen["model"], chosen["train"])
        name = set_ups.keep(st.session_state[name_key], rung, preset, model, train)
        state.say_next(f"Kept: {name}")
    except state.PROBLEMS as error:
        state.say_error(error)


def _load(rung_key: str, read: Callable[[], SetUp], what: str, set_form: Callable[..., None]) -> None:
    """Set the form; say what of it this rung does not take."""
    rung = registry.get(rung_key)
    try:
        wanted = read()
        fitted = set_ups.fit(rung, wanted)
        set_form(rung, fitted.preset, fitted.changes)
    except state.PROBLEMS as error:
        state.say_error(error)
        return
    if fitted.left_out:
        some = ", ".join(fitted.left_out[:6]) + (f" and {len(fitted.left_out) - 6} more" if fitted.left_out[6:] else "")
        state.say_error(f"Loaded, but {rung.title} takes no such setting or value: {some}")
    else:
        state.say_next(f"Loaded: {wanted.name or what}")


def _forget(rung_key: str, key: str) -> None:
    try:
        set_ups.forget(rung_key, st.session_state[key])
    except state.PROBLEMS as error:
        state.say_error(error)


def _uploaded(key: str, load: Callable[[Callable[[], SetUp], str], None]) -> None:
    file = st.session_state.get(key)
    if file is not None:
        content, name = file.getvalue(), file.name
        load(lambda: set_ups.of_json(content), name)
