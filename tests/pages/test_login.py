"""The door: it is shut in doubt, before the server has answered anybody."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from streamlit import user_info
from streamlit.testing.v1 import AppTest

from core.errors import BardlabError
from pages import login
from pages.login import Login, decide

ROOT = Path(__file__).parents[2]
PROVIDER = {"client_id": "x", "client_secret": "x", "server_metadata_url": "https://id.example/.well-known"}
SHARED = {"redirect_uri": "http://localhost:8501/oauth2callback", "cookie_secret": "x"}


@pytest.fixture(autouse=True)
def authlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were installed, which only a school's server needs."""
    monkeypatch.setattr(login, "is_authlib_installed", lambda: True)


@pytest.mark.parametrize(
    ("auth", "providers"),
    [
        ({**SHARED, **PROVIDER}, (None,)),
        ({**SHARED, "google": PROVIDER}, ("google",)),
        ({**SHARED, **PROVIDER, "google": PROVIDER}, (None, "google")),
    ],
)
def test_a_complete_login_is_asked_for_wherever_the_server_listens(auth: dict[str, Any], providers: tuple[str | None]):
    for address in ("127.0.0.1", "0.0.0.0", None):
        for everybody in (False, True):
            assert decide({"auth": auth}, address, everybody).providers == providers


@pytest.mark.parametrize(
    "secrets",
    [
        {},
        {"auth": {}},
        {"auth": "on"},
        {"Auth": {**SHARED, **PROVIDER}},
        {"auth": SHARED},
        {"auth": PROVIDER},
        {"auth": {**SHARED, "google": {"client_id": "x"}}},
        {"auth": {**SHARED, **PROVIDER, "cookie_secret": " "}},
        {"auth": {**SHARED, **PROVIDER, "client_secret": 3}},
    ],
)
def test_secrets_that_name_no_complete_login_end_the_start(secrets: dict[str, Any]):
    with pytest.raises(BardlabError, match="names no complete login") as told:
        decide(secrets, "127.0.0.1", False)
    assert "\n" not in str(told.value) and "client_id" in str(told.value)
    assert decide(secrets, "127.0.0.1", True) == Login(())


def test_a_login_without_authlib_ends_the_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(login, "is_authlib_installed", lambda: False)
    with pytest.raises(BardlabError, match="Authlib"):
        decide({"auth": {**SHARED, **PROVIDER}}, "127.0.0.1", True)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_for_this_machine_alone_no_login_is_needed(address: str):
    assert decide(None, address, False) == Login(())


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.7", "lab.school.example", "", None])
def test_for_others_it_is_unless_it_is_meant_for_everybody(address: str | None):
    with pytest.raises(BardlabError, match="BARDLAB_OPEN=1"):
        decide(None, address, False)
    assert decide(None, address, True) == Login(())


@pytest.mark.parametrize(
    ("user", "admitted"),
    [
        ({"email": "ann@school.example"}, True),
        ({"email": "Ann@School.Example", "email_verified": True}, True),
        ({"email": "guest@elsewhere.example"}, True),
        ({"email": "ann@school.example", "email_verified": False}, False),
        ({"email": "ann@school.example.evil.example"}, False),
        ({"email": "ann@evil.example"}, False),
        ({"name": "ann@school.example"}, False),
        ({}, False),
    ],
)
def test_only_those_on_the_list_come_in(user: dict[str, Any], admitted: bool):
    auth = {**SHARED, **PROVIDER, "allowed": ["*@school.example", "guest@elsewhere.example"]}
    assert decide({"auth": auth}, "127.0.0.1", False).admits(user) is admitted


@pytest.mark.parametrize("allowed", [[], "*@school.example", [3], [""]])
def test_a_list_that_is_none_ends_the_start(allowed: object):
    with pytest.raises(BardlabError, match="allowed is"):
        decide({"auth": {**SHARED, **PROVIDER, "allowed": allowed}}, "127.0.0.1", False)


@pytest.mark.parametrize("content", ['[auth]\nclient_id = x"\n', "[auth", None])
def test_a_file_that_cannot_be_read_ends_the_start_in_one_line(content: str | None, tmp_path: Path):
    """A folder stands for whatever else cannot be read."""
    path = tmp_path / "secrets.toml"
    path.write_text(content) if content else path.mkdir()
    with pytest.raises(BardlabError, match="cannot be read") as told:
        login._secrets([tmp_path / "none.toml", path])
    assert "\n" not in str(told.value) and str(path) in str(told.value)


def test_the_server_itself_ends_with_that_line(tmp_path: Path):
    path = tmp_path / "secrets.toml"
    path.write_text("[auth]\n")
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.port", "1"]
    ended = subprocess.run(
        [*command, "--secrets.files", str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert [line for line in ended.stderr.splitlines() if line.startswith("Bardlab does not start: secrets.toml names")]


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ({}, "Log in"),
        ({"is_logged_in": False}, "Log in"),
        ({"is_logged_in": True, "email": "x@evil.example"}, "Log out"),
        ({"is_logged_in": True, "email": "ann@school.example"}, ""),
    ],
)
@pytest.mark.parametrize("name", [None, "google"])
def test_the_login_stands_before_every_page(
    user: dict[str, Any], shown: str, name: str | None, monkeypatch: pytest.MonkeyPatch
):
    """Also if Streamlit knows nothing of a login."""
    monkeypatch.setattr(login, "login", lambda: Login((name,), ("*@school.example",)))
    monkeypatch.setattr(user_info, "_get_user_info", lambda: user)
    app = AppTest.from_file(ROOT / "pages" / "frame.py", default_timeout=60).run()

    assert not app.exception
    assert app.title[0].value == ("Bardlab" if shown else "The ladder")
    if shown:
        assert [button.label for button in app.button] == [shown] and not app.sidebar.button
    else:
        assert [button.label for button in app.sidebar.button] == ["Log out"]
