"""A tree of continuations: take another character than the model did, and see what it would have written."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from core.errors import BardlabError
from core.runs.openings import openings
from core.runs.state import Run
from core.texts import branches
from core.texts.branches import BranchSettings, Tree
from pages.ui import loaders, state, tell
from pages.ui.choosers import in_view, runs
from pages.ui.choosers.prompt import LONGEST, begin, known
from pages.ui.choosers.run import run_picker
from pages.ui.choosers.tree import (
    FILE,
    PAST,
    PROMPT,
    READ,
    TREE,
    Place,
    act,
    adopt,
    cut,
    grow,
    into_address,
    name_of_tree,
    opened,
    plant,
    readable,
    undo,
)
from pages.ui.components.texts.branch_text import branch_text
from pages.ui.components.texts.branch_tree import branch_tree
from pages.ui.inside_views import branching, links
from pages.ui.navigation import INSIDE, link_to_first_rung, section
from pages.ui.run.config_form import labelled_widget

SETTINGS = tuple(field.name for field in BranchSettings.fields())
TAIL = 2000
"""Characters of a text, its last ones, that the pages that look inside are asked with."""


def settings_row() -> dict[str, Any]:
    """Draw how the next branch is written, in one row."""
    with st.container(horizontal=True, gap="medium"):
        base = BranchSettings()
        return {field.name: labelled_widget("branches", field, base) for field in BranchSettings.fields()}


def toolbar(run: Run, tree: Tree, place: Place, how: BranchSettings, before: str, files: Callable[[], None]) -> None:
    """Draw what can be done with the chosen place, and where it opens."""
    branch, at = place
    last = tree.branches[branch].own - 1 if at is None else at
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="branches-bar"):
        st.button(
            "Go on from here",
            icon=":material/arrow_forward:",
            on_click=grow,
            args=(tree, how, branch, last, ""),
            key="branches.on",
            help="Rewinds to the chosen character and writes another branch after it, with the settings above.",
        )
        st.button(
            "Delete branch",
            icon=":material/content_cut:",
            on_click=cut,
            args=(tree, branch),
            disabled=branch == 0,
            key="branches.cut",
            help="Deletes the chosen branch and all that grows from it.",
        )
        st.button(
            "Undo",
            icon=":material/undo:",
            on_click=undo,
            disabled=not st.session_state.get(PAST),
            key="branches.undo",
            help="Takes the last change of the tree back.",
        )
        with st.popover("File", icon=":material/folder:", help="Save the tree, or open one."):
            files()
        for page in section(INSIDE):
            fits = links.FITS.get(page.url_path)
            if page.url_path in ("prediction", "attention") and (fits is None or fits(run)):
                st.page_link(page, query_params={state.RUN: run.slug, state.PROMPT: before[-TAIL:]})


def files(tree: Tree, own: list[str], run: Run) -> None:
    """Draw what saves the tree and what opens one."""
    st.download_button(
        "Save the tree (.json)",
        lambda: branches.to_json(tree, own, run.label),
        f"branches-{run.path.name}.json",
        "application/json",
        icon=":material/download:",
        on_click="ignore",
        key="branches.save",
        help="Prompt, branches with their settings, and what each of them reads.",
    )
    st.file_uploader(
        "Open a tree",
        type="json",
        max_upload_size=branches.LARGEST // 1_000_000,
        key=f"{FILE}.{st.session_state.get(FILE, 0)}",
        on_change=opened,
        help="A file that was saved here. The model that is chosen writes it again.",
    )


def differing(own: list[str]) -> None:
    """Say how much of a file's tree reads differently here."""
    read = st.session_state.get(READ)
    if read and len(read) == len(own):
        other = sum(1 for here, there in zip(own, read, strict=True) if there and here != there)
        if other:
            st.caption(
                f"{other:d} of the {len(own)} branches read differently in the file: another model, or other weights, "
                "wrote them. Here they are written by the model that is chosen."
            )


@st.fragment
def look() -> None:
    """Draw the page; what is done in it draws only this anew."""
    state.notices()
    usable = runs.usable_runs()
    if not usable:
        st.info("No model has been trained yet. Train one first: the bigram takes seconds.", icon=":material/edit_off:")
        link_to_first_rung()
        return
    linked = TREE not in st.query_params and any(name in st.query_params for name in (state.PROMPT, *SETTINGS))
    left, middle, right = st.columns([4, 6, 2], gap="medium", vertical_alignment="bottom")
    with left:
        best = runs.best_of_the_text(list(usable.values()))
        run = run_picker("Model", usable, best.slug, runs.named, "Any run with saved weights, finished or not.")
    try:
        model, tokenizer = loaders.model(run)
    except (BardlabError, OSError) as error:
        tell.error(f"{state.told(error)}. Choose another model above.", icon=":material/folder_off:")
        return
    default = openings(run).line
    begin(PROMPT, default, st.query_params.get(state.PROMPT))
    with middle:
        typed = st.text_area(
            "Prompt",
            key=PROMPT,
            persist_state="session",
            height=68,
            max_chars=LONGEST,
            help="The tree grows from here. The model knows the characters of its own text only.",
        )
    how = BranchSettings.parse(in_view.settings("branches", BranchSettings, {}, settings_row))
    prompt = known(typed, tokenizer, PROMPT, default)
    with right:
        st.button(
            "New tree",
            type="primary",
            icon=":material/play_arrow:",
            on_click=plant,
            args=(tokenizer, how),
            disabled=not prompt,
            key="branches.plant",
            width="stretch",
            help="Writes on from the prompt, with the settings below. Undo brings the tree before it back.",
        )
    if not prompt:
        return
    adopt(prompt, how, linked)
    found = readable(tokenizer)
    if found is None:
        found = branches.root(prompt, how), (0, None), ""
    tree, place, why = found
    into_address(tree, place, why)
    try:
        written = branching.grown(model, tokenizer, tree)
    except (BardlabError, OSError, RuntimeError) as error:
        tell.error(f"The model cannot write this tree: {str(error).splitlines()[0]}. Choose another above.")
        return
    draw(run, model, tokenizer, tree, place, why, how, written)


def draw(
    run: Run,
    model: Any,
    tokenizer: Any,
    tree: Tree,
    place: Place,
    why: str,
    how: BranchSettings,
    written: list[branching.Written],
) -> None:
    """Draw the text, the tree, and what is asked about them."""
    branch, at = place
    own = [each.text for each in written]
    before = tree.text(branch, own, at)
    toolbar(run, tree, place, how, before, lambda: files(tree, own, run))
    differing(own)
    told = branching.letters(tree, written, branch)
    stands = {(letter.branch, letter.place): i for i, letter in enumerate(told)}
    choice = None if at is None else written[branch].choices[at]
    name = name_of_tree(tree)

    def acted(done: dict[str, Any]) -> None:
        act(tree, tokenizer.chars, how, done)

    left, right = st.columns(2, gap="medium")
    with left:
        branch_text(
            tree.prompt,
            told,
            tokenizer.chars,
            of=name,
            branch=branch,
            forks=sorted(tree.forks(branch)),
            kept=None if at is None else stands[branch, at],
            everything=choice.rivals(tokenizer.size) if choice else (),
            act=acted,
            key="branches.text",
        )
    with right:
        if why and at is not None:  # what was just asked stands where it is seen, above the tree
            branching.why_not(run, model, tokenizer, before, own[branch][at], why)
        branch_tree(tree, own, of=name, branch=branch, place=at, act=acted, key="branches.tree")
        one = tree.branches[branch]
        cuts = f", top-k {one.top_k:d}" if one.top_k else ""
        count = f"{len(tree.branches)} branches" if len(tree.branches) > 1 else "1 branch"
        st.caption(
            f"{count}, of at most {branches.MOST:d}; the chosen one: {one.own:d} characters at temperature "
            f"{one.temperature:g}{cuts}, seed {one.seed:d}."
        )


look()
