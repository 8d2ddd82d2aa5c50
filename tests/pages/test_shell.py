"""The page before any script: Streamlit's own file, as Bardlab serves it."""

from pathlib import Path

from streamlit import file_util

from pages.shell import own


def test_it_says_what_to_do_without_scripts_and_asks_for_no_font():
    given = (Path(file_util.get_static_dir()) / "index.html").read_bytes()
    html = own(given).decode()
    assert "<title>Bardlab</title>" in html
    assert html.count("<noscript>") == 1
    assert "switch it on" in html
    assert "agents" not in html
    assert 'as="font"' in given.decode()
    assert 'as="font"' not in html
    assert '<div id="root"></div>' in html
