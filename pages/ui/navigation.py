"""Every page, once: the frame draws the navigation from this table, tests walk it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from core.ladder import registry
from core.ladder.registry import RUNGS
from core.runs import owners

INSIDE = "Look inside"
"""The section of the pages that show what a trained model does with a text."""


HOME = "ladder"
"""Name of the first page."""

RUNG_FOLLOWS = frozenset(RUNGS)
"""The pages, by url_path, whose live view follows a run by itself."""


def _page(script: str | Callable[[], None], *, url_path: str, **about: Any) -> "partial[StreamlitPage]":
    """Declare a page; it is made for a visitor, by calling it."""
    return partial(st.Page, script, url_path=url_path, **about)


def addresses() -> frozenset[str]:
    """What may follow the server's name in the URL; can be asked before there is a visitor. The first page has `/`."""
    return frozenset(about["url_path"] for about in _declared() if not about.get("default"))


def hidden() -> frozenset[str]:
    """The addresses of pages that the menu does not list; can be asked before there is a visitor."""
    return frozenset(about["url_path"] for about in _declared() if about.get("visibility") == "hidden")


def _declared() -> list[dict[str, Any]]:
    return [page.keywords for page in pages().values()]


def draw_rung(key: str) -> None:
    """Draw the page of one rung."""
    from pages.ui.run.rung_page import draw  # a rung's page leads to other pages, which this table lists

    draw(registry.get(key))


def rung_page(key: str) -> StreamlitPage:
    """The page of one rung."""
    return _rung(key)()


def link_to_first_rung() -> None:
    """Lead whoever has trained nothing yet to where it takes seconds."""
    rung = next(iter(RUNGS.values()))
    st.page_link(rung_page(rung.key), label=f"Train a {rung.title}: it takes seconds", icon=":material/play_arrow:")


def gradient_descent_page() -> StreamlitPage:
    """The page before the first rung: what learning is."""
    return _gradient_descent()()


def page_table() -> dict[str, list[StreamlitPage]]:
    """The pages by section, in the order of the sidebar. Each is made anew: whoever wants one asks for that."""
    return {title: section(title) for title in _table()}


def section(title: str) -> list[StreamlitPage]:
    """The pages of one section."""
    return [page() for page in _table()[title]]


def pages() -> "dict[str, partial[StreamlitPage]]":
    """How to make each page, by what follows the server's name in the URL; the first one by `HOME`."""
    return {page.keywords["url_path"]: page for section in _table().values() for page in section}


def page_at(address: str) -> StreamlitPage:
    """The page of an address that is here."""
    return pages()[address]()


def _rung(key: str) -> "partial[StreamlitPage]":
    rung = RUNGS[key]
    return _page(partial(draw_rung, key), title=rung.title, icon=rung.icon, url_path=key, help=rung.idea)


def _gradient_descent() -> "partial[StreamlitPage]":
    return _page(
        "ladder/gradient_descent.py",
        title="Gradient descent",
        icon=":material/landslide:",
        url_path="gradient_descent",
        help="How anything here learns: values, gradients, steps.",
    )


def _table() -> "dict[str, list[partial[StreamlitPage]]]":
    ladder = _page(
        "ladder/overview.py",
        title="The ladder",
        icon=":material/stairs_2:",
        url_path=HOME,
        default=True,
        help="All rungs, from the bigram to the Transformer, on one text and one loss.",
    )
    paper = _page(
        "ladder/paper.py",
        title="Paper and model",
        icon=":material/article:",
        url_path="paper",
        help="Point by point: Attention is all you need, and the Transformer of this ladder.",
    )
    claims = _page(
        "ladder/claims.py",
        title="Claims",
        icon=":material/science:",
        url_path="claims",
        help="What ten papers claim, reproduced here in minutes, with a verdict.",
    )
    progress = _page(
        "learn/progress.py",
        title="Your path",
        icon=":material/route:",
        url_path="progress",
        help="What you have done, what comes next, and a lab report of what you found.",
    )
    glossary = _page(
        "learn/glossary.py",
        title="Glossary",
        icon=":material/dictionary:",
        url_path="glossary",
        help="The terms of the field, one sentence each, and where each can be seen.",
    )
    fault = _page(
        "learn/fault.py",
        title="Find the fault",
        icon=":material/troubleshoot:",
        url_path="fault",
        help="Ten trainings, each broken in one way: say from the plots what is wrong.",
    )
    guessed = _page(
        "learn/guesses.py",
        title="Your guesses",
        icon=":material/casino:",
        url_path="guesses",
        help="What you said before your runs began, and what came of it.",
        visibility="hidden",  # from Your path it is one click
    )
    class_ = _page(
        "learn/classroom.py",
        title="The class",
        icon=":material/school:",
        url_path="class",
        help="Who trains, who waits, how far each is, and links for a lesson.",
        visibility="visible" if owners.acting().teaches and owners.acting() != owners.EVERYBODY else "hidden",
    )
    return {
        "Climb": [ladder, _gradient_descent(), *(_rung(key) for key in RUNGS), paper],
        "Learn": [progress, claims, fault, guessed, glossary, class_],
        INSIDE: [
            _page(
                "inside/attention.py",
                title="Attention",
                icon=":material/grid_view:",
                url_path="attention",
                help="Every head of a Transformer at once: who looks at whom, how strongly, and what it is worth.",
            ),
            _page(
                "inside/prediction.py",
                title="Prediction",
                icon=":material/bar_chart:",
                url_path="prediction",
                help="From logits to a character, layer by layer and part by part.",
            ),
            _page(
                "inside/surprise.py",
                title="Surprise",
                icon=":material/border_color:",
                url_path="surprise",
                help="How many bits each character of a passage costs, and which rung earns it.",
            ),
            _page(
                "inside/embeddings.py",
                title="Embeddings",
                icon=":material/bubble_chart:",
                url_path="embeddings",
                help="Where a model puts characters and positions: maps, neighbours, similarities.",
            ),
            _page(
                "inside/time.py",
                title="Time machine",
                icon=":material/history:",
                url_path="time",
                help="One slider over a run's snapshots moves everything: loss, vectors, predictions, samples, heads.",
            ),
            _page(
                "inside/knockout.py",
                title="Knock-out and patching",
                icon=":material/toggle_off:",
                url_path="knockout",
                help="Switch off heads, layers or skips, or carry activations over, and see what it does.",
            ),
            _page(
                "inside/side_by_side.py",
                title="Side by side",
                icon=":material/view_column:",
                url_path="stage",
                help="All rungs write from one prompt, each character tinted by its own model's surprise.",
            ),
        ],
        "Use": [
            _page(
                "use/write.py",
                title="Write",
                icon=":material/edit_note:",
                url_path="write",
                help="Let a trained model write, with temperature, top-k and top-p.",
            ),
            _page(
                "use/branches.py",
                title="Branches",
                icon=":material/account_tree:",
                url_path="branches",
                help="Take another character than the model did: a tree of continuations grows.",
            ),
            _page(
                "use/runs.py",
                title="Runs",
                icon=":material/list_alt:",
                url_path="runs",
                help="All runs: open, name, note, pin, stop, resume, repeat with a change, export, delete.",
            ),
            _page(
                "use/compare.py",
                title="Compare",
                icon=":material/compare_arrows:",
                url_path="compare",
                help="Runs side by side: curves, what changed, and what it is worth over seeds.",
            ),
            _page(
                "use/sweeps.py",
                title="Sweeps",
                icon=":material/grid_view:",
                url_path="sweeps",
                help="Many runs over one or two settings, and loss against cost.",
            ),
            _page(
                "use/races.py",
                title="Races",
                icon=":material/flag:",
                url_path="races",
                help="Rungs against each other at equal parameters, time or steps, with a leader board.",
            ),
            _page(
                "use/text.py",
                title="The text",
                icon=":material/menu_book:",
                url_path="text",
                help="What the models read: Tiny Shakespeare or a text of your own, and how characters become numbers.",
            ),
        ],
    }
