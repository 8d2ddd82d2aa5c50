"""Numbers that stand in an address, which anybody can write: what is none, or out of range, is passed over."""

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
