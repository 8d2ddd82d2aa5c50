"""The guard before Streamlit: whose requests are answered."""

from pathlib import Path
from typing import Any

import pytest
from streamlit import config, net_util
from streamlit.testing.v1 import AppTest

from pages import guard

FOLDER = Path(__file__).parents[2] / "pages"
HERE = "127.0.0.1:8501"


def scope(kind: str = "http", method: str = "GET", path: str = "/runs", **headers: str) -> dict[str, Any]:
    """One request."""
    named = [(name.encode(), value.encode()) for name, value in {"host": HERE, **headers}.items() if value]
    return {"type": kind, "method": method, "path": path, "headers": named}


@pytest.mark.parametrize("host", [HERE, "localhost:8501", "[::1]:8501", "LOCALHOST", "127.0.0.1"])
def test_the_servers_own_names_are_answered(host: str):
    assert not guard.refusal(scope(host=host))
    assert not guard.refusal(scope("websocket", host=host, origin=f"http://{host}"))


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8501", "127.0.0.1.evil.example", "x@127.0.0.1", ""])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_foreign_name_for_this_server_is_refused(kind: str, host: str):
    """What a page of the outside does that has had its own name led to this machine."""
    assert "allowedHosts" in guard.refusal(scope(kind, host=host, origin=f"http://{host}" if host else ""))


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:9999", "http://localhost:8501", "null"])
def test_a_foreign_page_opens_nothing_and_changes_nothing(origin: str):
    for found in (scope("websocket", origin=origin), *(scope("http", m, origin=origin) for m in ("POST", "DELETE"))):
        assert "another site" in guard.refusal(found)
    assert not guard.refusal(scope(origin=origin)), "a link is no danger"


def test_a_proxy_is_let_in_by_name(monkeypatch: pytest.MonkeyPatch):
    known = config.get_option
    lists = {"server.corsAllowedOrigins": ["https://lab.school.example"], "server.allowedHosts": ["*.school.example"]}
    monkeypatch.setattr(config, "get_option", lambda name: lists[name] if name in lists else known(name))
    found = scope("websocket", host="backend.school.example:8501", origin="https://lab.school.example")
    assert not guard.refusal(found)


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/_stcore/metrics/", "/lab/_stcore/metrics"])
def test_the_servers_figures_are_not_for_visitors(path: str):
    assert guard.refusal(scope(path=path))
    assert not guard.refusal(scope(path="/_stcore/health"))


def test_the_address_is_never_asked_of_the_outside(monkeypatch: pytest.MonkeyPatch):
    def ask(url: str, timeout: float = 5) -> None:
        raise AssertionError(f"asked {url}")

    monkeypatch.setattr(net_util, "_external_ip", None)
    monkeypatch.setattr(net_util, "_make_blocking_http_get", ask)
    guard.never_ask_outside()
    assert net_util.get_external_ip() == "127.0.0.1"


def test_no_page_asks_for_a_larger_file_than_the_server_takes():
    """Else a file that the page says it takes ends in an error of the connection."""
    limit = config.get_option("server.maxUploadSize")
    asked = {}
    for page in ("use/runs.py", "use/text.py"):
        app = AppTest.from_file(FOLDER / "frame.py", default_timeout=60).run().switch_page(page).run()
        asked[page] = [box.proto.max_upload_size_mb for box in app.get("file_uploader")]
    assert all(0 < size <= limit for sizes in asked.values() for size in sizes) and all(asked.values()), asked
