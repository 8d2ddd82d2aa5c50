"""A rung's settings in the address: `?preset=` and `?set=model.n_head=1,train.steps=50`, and the link to them."""

from urllib.parse import quote, unquote, urlencode

import streamlit as st

from core.errors import BardlabError
from core.ladder.rung import Rung
from core.settings import LONGEST_TEXT, Settings
from core.training.config import TrainConfig
from pages.ui import state, tell
from pages.ui.choosers.text import DEFAULT
from pages.ui.run.config_form import set_form

PRESET, SET = "preset", "set"


def take_from_address(rung: Rung) -> None:
    """Set the form as the address says, once for each address; what cannot be set is told in one line."""
    preset, changes = st.query_params.get(PRESET, ""), st.query_params.get(SET, "")
    taken = f"{rung.key}.taken"
    if not (preset or changes) or (preset, changes) == st.session_state.get(taken):
        return
    st.session_state[taken] = (preset, changes)
    preset = {rung.title_of_preset(name): name for name in rung.presets}.get(preset, preset)
    try:
        set_form(rung, preset or rung.default_preset, _read(changes))
    except BardlabError as error:
        tell.warning(f"The link asks for what is not here: {error}", icon=":material/link_off:")


def to_address(rung: Rung, preset: str, model: Settings, train: TrainConfig, run: str) -> None:
    """Put the settings of the form and the run shown into the address, as one step of its history."""
    said = _said(rung, preset, model, train)
    st.session_state[f"{rung.key}.taken"] = (preset, said.get(SET, ""))
    kept = {name: value for name, value in st.query_params.to_dict().items() if name != SET}
    st.query_params.from_dict({**kept, **said, state.RUN: run})


def link_to(rung: Rung, preset: str, model: Settings, train: TrainConfig, text: str) -> str:
    """Return the address at which the form stands as it stands now."""
    query = _said(rung, preset, model, train)
    if text != DEFAULT:
        query[state.TEXT] = text
    return f"{st.context.url or rung.key}?{urlencode(query, safe=',=')}"


def _said(rung: Rung, preset: str, model: Settings, train: TrainConfig) -> dict[str, str]:
    changes = rung.changes(preset, model, train)
    changed = ",".join(f"{name}={quote(_text(value), safe='')}" for name, value in changes.items())
    return {PRESET: preset, SET: changed} if changed else {PRESET: preset}


def _read(changes: str) -> dict[str, str]:
    if len(changes) > 2 * LONGEST_TEXT:
        raise BardlabError("the settings in the address are too long")
    found = {}
    for part in filter(None, changes.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise BardlabError(f"{name[:60]!r} gives no value; write model.NAME=VALUE, with commas between")
        found[name.strip()] = unquote(value)
    return found


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
