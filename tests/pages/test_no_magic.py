"""A text that stands by itself in a page's script is not shown."""

from streamlit import config


def test_bare_texts_are_not_shown():
    assert config.get_option("runner.magicEnabled") is False
