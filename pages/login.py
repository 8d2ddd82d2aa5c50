"""Who may come in. It is decided once, when the server starts, and a doubt keeps the door shut."""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.auth_util import is_authlib_installed
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.errors import BardlabError
from core.runs import owners
from core.runs.owners import Who

OPEN = "BARDLAB_OPEN"
"""Environment variable that says that anybody who can reach the server may use it."""
TEACHERS = "BARDLAB_TEACHERS"
"""Environment variable: the names of those who teach, as they log in, with commas between."""
SHARED = ("redirect_uri", "cookie_secret")
OF_PROVIDER = ("client_id", "client_secret", "server_metadata_url")


@dataclass(frozen=True)
class Login:
    """How visitors log in."""

    providers: tuple[str | None, ...]
    """Names as `st.login` takes them; None is the one in `[auth]` itself. Empty: no login is asked for."""
    allowed: tuple[str, ...] = ()
    """Patterns of mail addresses that may come in; empty: every account of the providers."""

    def admits(self, user: Mapping[str, Any]) -> bool:
        """Whether a visitor who has logged in may come in."""
        if not self.allowed:
            return True
        mail = _mail(user)
        return any(fnmatchcase(mail.lower(), pattern.lower()) for pattern in self.allowed) if mail else False


def _mail(user: Mapping[str, Any]) -> str:
    """The mail address of a visitor, unless the provider says that it may be another's."""
    mail = user.get("email")
    return mail if isinstance(mail, str) and user.get("email_verified", True) in (True, "true") else ""


def name_of(user: Mapping[str, Any]) -> str:
    """The name by which a visitor has logged in; empty if it has none."""
    name = _mail(user) or user.get("sub")
    return name if isinstance(name, str) else ""


def visitor() -> Who:
    """Who acts in the session at hand. Nobody in particular if there is none, who may change nothing."""
    if not login().providers:
        return owners.EVERYBODY
    if get_script_run_ctx(suppress_warning=True) is None:
        return Who()
    user = st.user.to_dict()
    if user.get("is_logged_in") is not True or not login().admits(user):
        return Who()
    name = name_of(user).strip().casefold()
    return Who(name, teaches=name in teachers()) if name else Who()


def teachers() -> frozenset[str]:
    """The names of those who teach."""
    names = (name.strip().casefold() for name in os.environ.get(TEACHERS, "").split(","))
    return frozenset(filter(None, names))


owners.told_by(visitor)


@cache
def login() -> Login:
    """What the secrets say, read once. Raises BardlabError, in one line, if they leave a doubt."""
    paths = [Path(path) for path in st.get_option("secrets.files")]
    return decide(_secrets(paths), st.get_option("server.address"), os.environ.get(OPEN) == "1")


def decide(secrets: Mapping[str, Any] | None, address: str | None, everybody: bool) -> Login:
    """Decide how visitors log in.

    `secrets` is what the secrets files hold, None without any; `address` what the server listens on, None for all of
    the machine's addresses. Without a login the server is for this machine only, unless it is meant for `everybody`.
    Raises BardlabError if secrets are there and name no login that works, or if the server would stand open.
    """
    if secrets is not None:
        found = _of(secrets)
        if found.providers:
            if not is_authlib_installed():
                raise BardlabError("the secrets name a login, which needs Authlib: pip install 'streamlit[auth]'")
            return found
        if not everybody:
            raise BardlabError(
                f"secrets.toml names no complete login: [auth] needs {', '.join((*SHARED, *OF_PROVIDER))}; complete "
                f"it, remove the file, or start with {OPEN}=1 for a server without a login"
            )
    if not everybody and not _loopback(address):
        raise BardlabError(
            f"anybody could use a server on {address or 'every address of this machine'} without a login: name one in "
            f".streamlit/secrets.toml, listen on 127.0.0.1, or start with {OPEN}=1"
        )
    return Login(())


def _secrets(paths: list[Path]) -> dict[str, Any] | None:
    """Read the files that are there, later ones over earlier ones, as Streamlit does."""
    found: dict[str, Any] | None = None
    for path in paths:
        try:
            if path.exists():
                found = {**(found or {}), **tomllib.loads(path.read_text(encoding="utf-8"))}
        except (OSError, ValueError) as error:
            why = " ".join(str(error).split())
            raise BardlabError(f"{path} cannot be read ({why}): mend it or remove it, it may hold the login") from None
    return found


def _of(secrets: Mapping[str, Any]) -> Login:
    auth = secrets.get("auth")
    if not isinstance(auth, Mapping) or not _filled(auth, SHARED):
        return Login(())
    names: list[str | None] = [None] if _filled(auth, OF_PROVIDER) else []
    names += [name for name, one in auth.items() if isinstance(one, Mapping) and _filled(one, OF_PROVIDER)]
    allowed = auth.get("allowed", ())
    if isinstance(allowed, str) or not all(isinstance(one, str) and one for one in allowed):
        raise BardlabError('[auth] allowed is a list of mail addresses or patterns, such as ["*@school.example"]')
    if "allowed" in auth and not allowed:
        raise BardlabError('[auth] allowed is empty, so nobody could log in; give patterns, as ["*@school.example"]')
    return Login(tuple(names), tuple(allowed))


def _filled(section: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return all(isinstance(section.get(name), str) and section[name].strip() for name in names)


def _loopback(address: str | None) -> bool:
    if not address:
        return False
    if address == "localhost" or address.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
