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

from core.errors import BardlabError

OPEN = "BARDLAB_OPEN"
"""Environment variable that says that anybody who can reach the server may use it."""
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
        mail = user.get("email")
        verified = user.get("email_verified", True) in (True, "true")
        return isinstance(mail, str) and verified and any(fnmatchcase(mail.lower(), p.lower()) for p in self.allowed)


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
