"""Names of session-state keys, and the little that is kept under them: ids, never data."""

from collections.abc import Callable, Iterable

import streamlit as st

from core.errors import BardlabError
from pages.ui.wording import plain

RUN = "run"
"""The chosen run's slug; also the name of the URL's query parameter."""
SHOWN = "shown"
"""The slug of the run that a rung's page was last drawn with."""
PROMPT = "prompt"
"""The text that is looked into; also the name of the URL's query parameter."""
TEXT = "text"
"""The chosen text's name; also the name of the URL's query parameter, which is left out for Tiny Shakespeare."""
RUNS = "runs"
"""Several runs' slugs, with commas between, in the URL."""

LOST = "lost"
"""Name of the URL's parameter for an address that no page has."""


def setting_key(rung: str, group: str, name: str) -> str:
    """Key of one slider of a rung's form."""
    return f"{rung}.{group}.{name}"


def preset_key(rung: str) -> str:
    """Key of a rung's preset chooser."""
    return f"{rung}.preset"


def show_run(slug: str) -> None:
    """Choose a run, before its picker is drawn."""
    st.query_params[RUN] = slug


def say_next(message: str, icon: str = ":material/check:") -> None:
    """Show a short notice on the next run of the script (callbacks cannot write to the page)."""
    st.session_state["notice"] = (message, icon)


PROBLEMS = (BardlabError, OSError)
"""What a callback has to expect: a refusal, or files that another tab has deleted or that nobody may write."""


def do_each(slugs: Iterable[str], act: Callable[[str], object]) -> int:
    """Do something to several runs, and say which refused, the first five of them. Returns how many did not."""
    done, problems = 0, []
    for slug in slugs:
        try:
            act(slug)
            done += 1
        except PROBLEMS as error:
            problems.append(told(error))
    if problems:
        say_error("; ".join(problems[:5]))
    return done


def say_error(problem: str | Exception) -> None:
    """Show an error, in one line, on the next run of the script."""
    st.session_state["problem"] = problem if isinstance(problem, str) else told(problem)


def told(problem: Exception) -> str:
    """Say in one line what went wrong, and what to do if it was the file system that refused."""
    if isinstance(problem, FileNotFoundError):
        return "it is no longer here: another tab or a terminal has changed or deleted it; look again"
    if isinstance(problem, OSError):
        return f"the files could not be changed ({problem.strerror or type(problem).__name__}); see to it and try again"
    return str(problem)


def notices() -> None:
    """Show what callbacks had to say."""
    if notice := st.session_state.pop("notice", None):
        st.toast(plain(notice[0]), icon=notice[1])
    if problem := st.session_state.pop("problem", None):
        st.error(plain(problem), icon=":material/error:")
