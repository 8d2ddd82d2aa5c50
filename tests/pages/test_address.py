"""What pages say in their address, and what the browser hears of it."""

import pytest
import streamlit as st

from pages.ui.address import say


class Address(dict[str, str]):
    """An address as the browser told it, and what is sent to the browser about it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, str]] = []

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name, value)
        self.sent.append(dict(self))

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self.sent.append(dict(self))


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Address:
    address = Address()
    monkeypatch.setattr(st, "query_params", address)
    monkeypatch.setattr(st, "session_state", {})
    return address


def test_what_the_browser_has_is_not_sent_again(address: Address):
    say("back", "3")
    say("back", "3")
    say("view", None)
    assert address.sent == [{"back": "3"}]


@pytest.mark.parametrize(("first", "second"), [("3", "4"), ("3", None), (None, "3")])
def test_the_last_word_is_right_though_the_browser_had_not_heard_the_one_before(
    first: str | None, second: str | None, address: Address
):
    """There and back again: the browser asks with the address of before."""
    for value in (first, second):
        say("back", value)
    dict.clear(address)
    dict.update(address, {"back": first} if first else {})
    say("back", first)

    assert address.sent[-1] == ({"back": first} if first else {})
