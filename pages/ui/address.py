"""What stands in an address. Anybody can write one: a number that is none, or out of range, is passed over."""

import re

import streamlit as st


def whole_number(text: object, low: int, high: int) -> int | None:
    """Read a whole number from `low` to `high`, written in plain digits; None for everything else."""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,18}", text):
        return None
    number = int(text)
    return number if low <= number <= high else None


def number_from_url(name: str, low: int = 0, high: int = 10**9) -> int | None:
    """The number that the address gives a parameter, if it is one from `low` to `high`."""
    return whole_number(st.query_params.get(name), low, high)


SAID = "address.said"
"""What was last said here of each parameter, by its name."""


def say(name: str, value: str | None) -> None:
    """Put a parameter into the address; None takes it out.

    If the browser has it so already, nothing is sent to it, unless the last word was another one: that may still have
    been on its way when the browser asked.
    """
    said: dict[str, str | None] = st.session_state.setdefault(SAID, {})
    last, said[name] = said.get(name, value), value
    if st.query_params.get(name) == value == last:
        return
    if value is not None:
        st.query_params[name] = value
        return
    if last is not None and name not in st.query_params:
        st.query_params[name] = last  # only what is there can be taken out
    del st.query_params[name]
