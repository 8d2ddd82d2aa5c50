"""What a teacher's link hides, locks or leaves alone: `?hide=settings,terminal`, `?lock=model.n_head`, `?only=picture`.

It is a help to keep to what a lesson is about, no barrier: whoever wants everything back gets it with one click. A link
is kept for the visit, from page to page.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from typing import ParamSpec
from urllib.parse import urlencode

import streamlit as st

from core.ladder.registry import RUNGS
from core.training.config import TrainConfig
from pages.ui import tell

HIDE, LOCK, ONLY = "hide", "lock", "only"
PICTURE = "picture"
ALL = "all"
PARTS = {
    "sidebar": "the menu",
    "title": "the page's title",
    "idea": "what a rung is, in words",
    "settings": "presets and settings",
    "text": "the choice of the text",
    "train": "Train and what it takes",
    "guess": "the guess before Train",
    "experiments": "the experiments beside Train",
    "terminal": "the command line",
    "link": "Copy link",
    "buttons": "pause, step, stop, resume",
    "compare": "other runs on the chart",
    "samples": "the two texts below the chart",
    "views": "everything below the run",
    "replay": "the film on the first page",
    "ladder": "the rungs with their losses",
    "measured": "how the ladder is measured",
    "graph": "a loss as a graph of values",
    "race": "optimisers on one surface",
    "net": "the net of single values",
    "rule": "what decides a claim",
    "reproduce": "the buttons that reproduce a claim",
    "prices": "what each part of a model is worth",
    "off": "what follows from switching parts off",
    "parts": "who says so, part by part",
    "map": "the map of the vectors",
    "resemblance": "who resembles whom",
    "worth": "what a difference is worth",
    "curves": "the curves of the runs compared",
    "changed": "the settings that differ",
    "result": "what came of a sweep",
    "sweep": "the form of a new sweep",
    "scaling": "loss against cost",
    "entry": "the form of a new race",
    "board": "the curves and the leader board of a race",
    "numbers": "characters as numbers",
    "frequencies": "how often each character occurs",
    "reader": "the text, page by page",
    "add": "adding a text",
    "card": "what can be done with a run",
    "import": "bringing in a run",
    "models": "the choice of run and weights",
    "prompt": "the texts that a model is asked with",
    "notes": "explanations in small letters",
    "tables": "numbers in rows",
    "files": "what can be saved",
    "next": "links to other pages",
    "help": "the question marks",
}
"""The parts of pages that can be hidden; each view of a rung goes by its name in the address as well."""
EVERYWHERE = {
    "models": ":is(.st-key-run, .st-key-looking, .st-key-compare-runs, .st-key-sweep-shown, [class*='st-key-weights-'],"
    " [class*='st-key-attention-step'], [class*='st-key-knockout-step'])",
    "prompt": ":is(.st-key-prompt, .st-key-prediction-prompt, .st-key-surprise-text, .st-key-stage-prompt,"
    " .st-key-write-prompt, .st-key-branches-prompt, .st-key-a, .st-key-b)",
    "notes": "[data-testid=stMain] [data-testid=stElementContainer]:has([data-testid=stCaptionContainer])"
    ":not(.st-key-as-set *)",
    "tables": "[data-testid=stDataFrame]",
    "files": "[data-testid=stDownloadButton]",
    "next": "[data-testid=stMain] [data-testid=stPageLink]",
    "help": "[data-testid=stMain] [data-testid=stTooltipIcon]",
}
"""The parts that are the same on every page, by what they are in the browser; the others are not drawn at all."""
LONGEST = 2000
_KEY = "teaching"
P = ParamSpec("P")
_NO_SIDEBAR = "[data-testid=stSidebar], [data-testid=stExpandSidebarButton] { display: none; }"
_ONLY_PICTURES = """
[data-testid=stHeader], [data-testid=stSidebar], [data-testid=stExpandSidebarButton] { display: none; }
.stMainBlockContainer.stMainBlockContainer { padding: 0.4rem; }
[data-testid=stElementContainer]:not(:has([data-testid^=stBidiComponent], [data-testid=stPlotlyChart], .back)),
[data-testid=stColumn]:not(:has([data-testid^=stBidiComponent], [data-testid=stPlotlyChart])),
[data-testid=stExpander] { display: none; }
.back { font-size: 0.75rem; opacity: 0.75; }
"""


@dataclass(frozen=True)
class Lesson:
    """What one link asks for."""

    hide: frozenset[str] = frozenset()
    lock: frozenset[str] = frozenset()
    only: str = ""

    def __bool__(self) -> bool:
        return bool(self.hide or self.lock or self.only)


@cache
def lockable() -> frozenset[str]:
    """What can be locked: the settings by their dotted names, the preset, the text, all of them."""
    fields = {f"model.{field.name}" for rung in RUNGS.values() for field in rung.config.fields()}
    return frozenset(fields | {f"train.{field.name}" for field in TrainConfig.fields()} | {ALL, "preset", "text"})


@cache
def _views() -> frozenset[str]:
    return frozenset({"code", "log", "exercises", *(name for rung in RUNGS.values() for name in rung.views)})


def hideable() -> dict[str, str]:
    """What can be hidden, by its name in the address, with what it is in words."""
    return {**PARTS, **{name: f"the view {name}" for name in sorted(_views() - PARTS.keys())}}


def _names(parameter: str) -> list[str]:
    text = st.query_params.get(parameter, "")[:LONGEST]
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def adopt() -> list[str]:
    """Take over what the address asks for, at the top of every page; return the names in it that nothing here has.

    A page whose address says nothing goes on as the one before; its address then says so too.
    """
    asked = {
        HIDE: (_names(HIDE), PARTS.keys() | _views()),
        LOCK: (_names(LOCK), lockable()),
        ONLY: (_names(ONLY), {PICTURE}),
    }
    if any(names for names, _ in asked.values()):
        found = {name: [each for each in names if each in known] for name, (names, known) in asked.items()}
        only = PICTURE if found[ONLY] else ""
        st.session_state[_KEY] = Lesson(frozenset(found[HIDE]), frozenset(found[LOCK]), only)
    elif kept := lesson():
        said = {HIDE: kept.hide, LOCK: kept.lock, ONLY: {kept.only} - {""}}
        for name, values in said.items():
            if values:
                st.query_params[name] = ",".join(sorted(values))
    return [f"{name}={each}" for name, (names, known) in asked.items() for each in names if each not in known]


def lesson() -> Lesson:
    """What is asked for now."""
    found: Lesson = st.session_state.get(_KEY, Lesson())
    return found


def shown(part: str) -> bool:
    """Whether a part is to be drawn."""
    return part not in lesson().hide


def part(name: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make what a function draws a part of its page that can be hidden."""
    if name not in PARTS:
        raise ValueError(f"no part {name!r}")

    def of(draw: Callable[P, None]) -> Callable[P, None]:
        @wraps(draw)
        def drawn(*args: P.args, **named: P.kwargs) -> None:
            if shown(name):
                draw(*args, **named)

        return drawn

    return of


def locked(setting: str) -> bool:
    """Whether a setting, by its dotted name, is to stay as it is."""
    return bool(lesson().lock & {setting, ALL})


def only_picture() -> bool:
    """Whether nothing but pictures is to be seen."""
    return lesson().only == PICTURE


def frame(problems: Sequence[str]) -> None:
    """Hide what is common to all pages, offer the way back, and say in one line what of the address is not here."""
    now = lesson()
    if only_picture():
        st.html(f"<style>{_ONLY_PICTURES}</style>")
        return
    if not shown("sidebar"):
        st.html(f"<style>{_NO_SIDEBAR}</style>")
    if hidden := [selector for name, selector in EVERYWHERE.items() if not shown(name)]:
        st.html(f"<style>{', '.join(hidden)} {{ display: none !important; }}</style>")
    if now:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="as-set"):
            st.caption("Shown as your teacher set it.", width="content")
            st.button("Show all", type="tertiary", key="show-all", on_click=_show_all, help="Hides and locks nothing.")
    more = [f"and {len(problems) - 5:,} more"] if len(problems) > 5 else []
    not_here([each if len(each) <= 60 else f"{each[:60]}…" for each in problems[:5]] + more)


def not_here(problems: Sequence[str]) -> None:
    """Say in one line what a link asks for and what is not here, if it is anything; call it at the top of a page."""
    if told := "; ".join(filter(None, problems)):
        tell.warning(f"The link asks for what is not here: {told}", icon=":material/link_off:")


def way_back() -> None:
    """Below a picture alone, a link to the page that it is of."""
    rest = {name: value for name, value in st.query_params.to_dict().items() if name != ONLY}
    address = html.escape(f"?{urlencode(rest)}")
    st.html(f'<a class="back" href="{address}" target="_blank" rel="noopener">Open in Bardlab</a>')


def _show_all() -> None:
    st.session_state.pop(_KEY, None)
    for name in (HIDE, LOCK, ONLY):
        st.query_params.pop(name, None)
