"""A rung's settings in the address: `?preset=` and `?set=model.n_head=1,train.steps=50`."""

from urllib.parse import quote, unquote

import streamlit as st

from core.errors import BardlabError
from core.ladder.rung import Rung
from core.runs import plan
from core.settings import LONGEST_TEXT, Settings
from core.training.config import TrainConfig
from pages.ui.run.config_form import set_form

PRESET, SET = "preset", "set"
REMEMBERED = 50
MOST = 200
"""Settings in one address."""


def take_from_address(rung: Rung) -> str:
    """Set the form as the address says, once for each address; return in a line what cannot be set.

    An address that this form has had before is not taken again: it may be a little behind the form.
    """
    address = (st.query_params.get(PRESET, ""), st.query_params.get(SET, ""))
    if not any(address):
        return ""
    taken = _taken(rung)
    if address not in taken:
        _remember(rung, address, _set(rung, *address))
    return _taken(rung)[address]


def to_address(rung: Rung, preset: str, model: Settings, train: TrainConfig) -> None:
    """Let the address say what the form says; a form as it is at first goes without saying."""
    said = _said(rung, preset, model, train)
    now = {name: st.query_params[name] for name in (PRESET, SET) if name in st.query_params}
    usual = said == {PRESET: rung.default_preset}
    asked = (now.get(PRESET, ""), now.get(SET, ""))
    linked: dict[tuple[str, str], dict[str, str]] = st.session_state.setdefault(f"{rung.key}.linked", {})
    if now == said or (usual and not now) or (_taken(rung).get(asked) and linked.setdefault(asked, said) == said):
        return  # what was asked for and is not here goes on standing there, and being told, until something is changed
    _remember(rung, (said[PRESET], said.get(SET, "")), "")
    kept = {name: value for name, value in st.query_params.to_dict().items() if name not in (PRESET, SET)}
    st.query_params.from_dict({**kept, **({} if usual else said)})


def _taken(rung: Rung) -> dict[tuple[str, str], str]:
    """The addresses that the form has had, and what of each is not here."""
    found: dict[tuple[str, str], str] = st.session_state.get(f"{rung.key}.taken", {})
    return found


def _remember(rung: Rung, address: tuple[str, str], problem: str) -> None:
    latest = [*((old, told) for old, told in _taken(rung).items() if old != address), (address, problem)]
    st.session_state[f"{rung.key}.taken"] = dict(latest[-REMEMBERED:])


def _set(rung: Rung, preset: str, changes: str) -> str:
    """Set the form as far as that can be done; return what cannot, in a line."""
    preset = {rung.title_of_preset(name): name for name in rung.presets}.get(preset, preset) or rung.default_preset
    problems = []
    if preset not in rung.presets:
        problems.append(f"there is no preset {preset[:60]!r}")
        preset = rung.default_preset
    try:
        asked = _read(changes)
    except BardlabError as error:
        asked, problems = {}, [*problems, str(error)]
    try:
        set_form(rung, preset, asked, by_link=True)
    except BardlabError:  # one by one, then: what fits is set
        fitting: dict[str, str] = {}
        for name, value in asked.items():
            try:
                rung.settings(preset, *plan.split_settings({**fitting, name: value}))
                fitting[name] = value
            except BardlabError as error:
                problems.append(str(error))
        set_form(rung, preset, fitting, by_link=True)
    more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
    return f"{problems[0][:300]}{more}" if problems else ""


def _said(rung: Rung, preset: str, model: Settings, train: TrainConfig) -> dict[str, str]:
    changes = rung.changes(preset, model, train)
    changed = ",".join(f"{name}={quote(_text(value), safe='')}" for name, value in changes.items())
    return {PRESET: preset, SET: changed} if changed else {PRESET: preset}


def _read(changes: str) -> dict[str, str]:
    if len(changes) > 2 * LONGEST_TEXT or changes.count(",") > MOST:
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
