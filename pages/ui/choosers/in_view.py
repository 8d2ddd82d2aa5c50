"""What is chosen inside a view, kept in the address: a copied link opens the same picture.

A choice that the view takes by itself is left unsaid. What the address asks for and the view does not have is told in
its place; what was chosen here before and is not there any more, such as a layer of another run, is passed over.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import streamlit as st

from core.errors import BardlabError
from core.settings import LONGEST_TEXT, Settings
from pages.ui import state, tell
from pages.ui.address import say, whole_number
from pages.ui.choosers.prompt import begin

T = TypeVar("T")
WRITTEN = "in_view.written"
"""What was put into the address here, by the name of the parameter."""


def choice(
    widget: Callable[..., Any],
    label: str,
    options: Sequence[T],
    *,
    name: str,
    default: T | None = None,
    said: Callable[[T], str] = str,
    key: str | None = None,
    closes: bool = False,
    **about: Any,
) -> T:
    """Draw a widget that chooses one of the options, `name` in the address, where `said` says what each is called.

    Without a key the name is the widget's key as well; without a default the first option is it. A choice that `closes`
    is one between views: what was chosen inside the view that is left goes out of the address.
    """
    key = key or name
    by_text = {said(option): option for option in options}
    usual = options[0] if default is None else default
    asked = st.query_params.get(name)
    if asked in by_text:
        st.session_state[key] = by_text[asked]
    elif asked is not None:
        _lacking(name, label, asked)
    if st.session_state.get(key) not in options:
        st.session_state[key] = usual
    if form := about.pop("format_func", None):
        about["format_func"] = lambda option: form(option) if option in options else said(option)

    def changed() -> None:
        if closes:
            forget()
        _write(name, said(st.session_state[key]), said(usual))

    widget(label, list(options), key=key, on_change=changed, **about)
    chosen: T = st.session_state[key]
    if asked is None or asked in by_text:
        _write(name, said(chosen), said(usual))
    return chosen


def number(
    widget: Callable[..., Any], label: str, low: int, high: int, *, name: str, default: int, **about: Any
) -> int:
    """Draw a slider or a box of whole numbers from `low` to `high`, `name` in the address."""
    asked = st.query_params.get(name)
    if (fits := whole_number(asked, low, high)) is not None:
        st.session_state[name] = fits
    elif asked is not None:
        _lacking(name, label, asked)
    before = st.session_state.get(name)
    st.session_state[name] = before if isinstance(before, int) and low <= before <= high else default
    widget(
        label,
        low,
        high,
        key=name,
        on_change=lambda: _write(name, str(st.session_state[name]), str(default)),
        **about,
    )
    chosen = int(st.session_state[name])
    if asked is None or fits:
        _write(name, str(chosen), str(default))
    return chosen


def text(
    widget: Callable[..., Any], label: str, *, name: str, default: str, longest: int = LONGEST_TEXT, **about: Any
) -> str:
    """Draw a text box, `name` in the address; it begins with `default`."""
    begin(name, default, st.query_params.get(name), longest)
    widget(label, key=name, max_chars=longest, persist_state="session", **about)
    typed = str(st.session_state[name])
    _write(name, typed, default)
    st.session_state[f"{name}.asked"] = st.query_params.get(name)
    return typed


def settings(
    prefix: str, config: type[Settings], usual: Mapping[str, Any], draw: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """Let `draw` draw the widgets of a configuration, each setting by its own name in the address.

    `usual` says where the page departs from the configuration's own values.
    """
    base = config.parse(usual)
    for field in config.fields():
        key, asked = state.setting_key(prefix, "", field.name), st.query_params.get(field.name)
        st.session_state.setdefault(key, getattr(base, field.name))
        if asked is not None and asked != _written().get(field.name):
            try:
                st.session_state[key] = getattr(config.parse({field.name: asked}), field.name)
            except BardlabError as error:
                tell.caption(f"The link asks for what cannot be set: {error}")
    chosen = dict(draw())
    for name, value in chosen.items():
        _write(name, str(value), str(getattr(base, name)))
    return chosen


def forget() -> None:
    """Take out of the address what was chosen in a view that is closed."""
    for name in _written():
        say(name, None)


def _written() -> dict[str, str]:
    found: dict[str, str] = st.session_state.setdefault(WRITTEN, {})
    return found


def _write(name: str, value: str, default: str) -> None:
    _written()[name] = value
    say(name, None if value == default else value)


def _lacking(name: str, label: str, asked: str) -> None:
    if _written().get(name) == asked:
        st.query_params.pop(name, None)
    else:
        tell.caption(f"The link asks for {label.lower()} “{asked[:40]}”, which is not here; choose another.")
