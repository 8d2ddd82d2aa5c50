"""The tree of continuations in hand: kept in the address and the session, changed by what the learner does to it."""

import re
from typing import Any

import streamlit as st

from core.errors import BardlabError
from core.texts import branches
from core.texts.branches import BranchSettings, Tree
from core.texts.labels import listed
from pages.ui import state, tell
from pages.ui.address import whole_number
from pages.ui.choosers.prompt import LONGEST
from pages.ui.choosers.weights import into_url
from pages.ui.wording import inline

PROMPT, FILE = "branches.prompt", "branches.file"
GROWN, PAST, WRITTEN, ACTED = "branches.grown", "branches.past", "branches.written", "branches.acted"
READ = "branches.read"
"""What each branch reads according to the file that was opened last."""
TREE, AT, WHY = "tree", "at", "why"
"""The address's names for the branches, the chosen place, and the rival that is asked about."""
UNDONE = 50
"""Trees that can be gone back to."""
Place = tuple[int, int | None]
"""A branch, and one of its own characters, or None for all of it."""


# --- what the learner does: before the page is drawn again -----------------------------------------------------------


def keep(tree: Tree, place: Place = (0, None), why: str = "") -> None:
    """Go on with a tree, a place in it, and a rival that is asked about."""
    st.session_state[GROWN] = (tree.prompt, tree.line(), place, why)
    st.session_state[ACTED] = True


def change(tree: Tree, place: Place) -> None:
    """The same, with another tree than before, which can be undone."""
    remember()
    st.session_state.pop(READ, None)
    keep(tree, place)


def remember() -> None:
    """Let the tree in hand be gone back to."""
    if before := st.session_state.get(GROWN):
        st.session_state[PAST] = [*st.session_state.get(PAST, []), before][-UNDONE:]


def undo() -> None:
    """Take the last change back."""
    if past := st.session_state.get(PAST):
        st.session_state[GROWN] = past.pop()
        st.session_state[PROMPT] = st.session_state[GROWN][0]
        st.session_state[ACTED] = True


def plant(tokenizer: Any, how: BranchSettings) -> None:
    """Begin a new tree; the same as now would be the same text again, so it takes the next seed."""
    prompt = tokenizer.drop_unknown(st.session_state[PROMPT])
    try:
        tree = branches.root(prompt, how)
        if (prompt, tree.line()) == st.session_state.get(GROWN, ())[:2]:
            seed = (how.seed + 1) % 2**31
            st.session_state[state.setting_key("branches", "", "seed")] = seed
            tree = branches.root(prompt, how.model_copy(update={"seed": seed}))
        change(tree, (0, None))
    except state.PROBLEMS as error:
        state.say_error(error)


def grow(tree: Tree, how: BranchSettings, branch: int, place: int, taken: str) -> None:
    """Let a branch grow at a place, and choose it."""
    try:
        larger = tree.grow(branch, place, taken, how)
        change(larger, (len(larger.branches) - 1, None))
    except state.PROBLEMS as error:
        state.say_error(error)


def cut(tree: Tree, branch: int) -> None:
    """Delete a branch and all that grows from it; choose the place that it left."""
    one = tree.branches[branch]
    smaller = tree.without(tree.below(branch))
    change(smaller, (one.parent, min(one.at, smaller.branches[one.parent].own - 1)))


def act(tree: Tree, characters: str, how: BranchSettings, done: dict[str, Any]) -> None:
    """Do what was done in a drawing, if the tree is still the one that was drawn there."""
    kind, branch, place, character = (done.get(name) for name in ("kind", "branch", "place", "character"))
    if done.get("of") != name_of_tree(tree) or not tree.has(branch, place) or branch is None:
        state.say_error("the tree has changed meanwhile; look at it and choose again")
    elif kind == "choose":
        keep(tree, (branch, place))
    elif place is None or not isinstance(character, str) or len(character) != 1 or character not in characters:
        state.say_error("this model does not know that character; choose one of those listed")
    elif kind == "take":
        grow(tree, how, branch, place, character)
    elif kind == "why":
        keep(tree, (branch, place), character)


def opened() -> None:
    """Go on with the tree of a file."""
    key = f"{FILE}.{st.session_state.get(FILE, 0)}"
    file = st.session_state.get(key)
    if file is None:
        return
    st.session_state[FILE] = st.session_state.get(FILE, 0) + 1  # an empty place for the next one
    try:
        tree, read = branches.from_json(file.getvalue())
        change(tree, (0, None))
        st.session_state[PROMPT] = tree.prompt
        st.session_state[READ] = read
    except state.PROBLEMS as error:
        state.say_error(error)


# --- the tree in hand ------------------------------------------------------------------------------------------------


def name_of_tree(tree: Tree) -> str:
    """Tells one tree from another."""
    return f"{tree.line()} {tree.prompt}"


def place_in(tree: Tree, asked: str | None) -> Place:
    """Read a place, such as 2-15, or 2 for a whole branch; the root if there is no such place."""
    found = re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,4}))?", asked or "")
    branch, place = (whole_number(part, 0, branches.DEEPEST) for part in found.groups()) if found else (None, None)
    return (branch, place) if branch is not None and tree.has(branch, place) else (0, None)


def adopt(prompt: str, how: BranchSettings, linked: bool) -> None:
    """Take over the tree that the address asks for, unless the learner has just changed it here; else plant one."""
    asked = (st.query_params.get(state.PROMPT), st.query_params.get(TREE), st.query_params.get(AT))
    acted = st.session_state.pop(ACTED, False)
    as_before = asked[1] is None or asked == st.session_state.get(WRITTEN)
    if acted or (GROWN in st.session_state and as_before and not linked):
        return
    tree, why = None, st.query_params.get(WHY, "")[:1]
    if asked[1] is not None:
        try:
            tree = branches.from_line((asked[0] or prompt)[:LONGEST], asked[1])
        except BardlabError as error:
            tell.warning(f"The link asks for a tree that cannot grow: {error}. This is a new one.")
    tree = tree or branches.root(prompt, how)
    remember()
    st.session_state[GROWN] = (tree.prompt, tree.line(), place_in(tree, asked[2]), why)


def readable(tokenizer: Any) -> tuple[Tree, Place, str] | None:
    """The tree in hand as this model can write it: without what is not in its alphabet, which is named."""
    prompt, line, (branch, place), why = st.session_state[GROWN]
    whole = branches.from_line(prompt, line)
    known_prompt = tokenizer.drop_unknown(whole.prompt)
    if not known_prompt:
        return None
    tree = Tree(known_prompt, whole.branches)
    if gone := tree.strangers(tokenizer.chars):
        taken = "".join(dict.fromkeys(tree.branches[each].taken for each in sorted(gone)))
        never = inline(listed(tokenizer.unknown(taken)))
        st.warning(
            f"This model has never seen {never}: of the {len(tree.branches)} branches the {len(gone)} that take it, or "
            "grow from there, are left out.",
            icon=":material/spellcheck:",
        )
        tree, (branch, place) = tree.without(gone), (0, None)
    if not tree.has(branch, place):
        branch, place = 0, None
    usable = len(why) == 1 and why in tokenizer.chars and place is not None
    return tree, (branch, place), why if usable else ""


def into_address(tree: Tree, place: Place, why: str) -> None:
    """Say in the address all that it takes to see the same again."""
    branch, at = place
    into_url(state.PROMPT, tree.prompt)
    st.query_params[TREE] = tree.line()
    into_url(AT, f"{branch}" if at is None else f"{branch}-{at}", "0")
    into_url(WHY, why or None)
    st.session_state[f"{PROMPT}.asked"] = st.query_params.get(state.PROMPT)
    st.session_state[WRITTEN] = tuple(st.query_params.get(name) for name in (state.PROMPT, TREE, AT))
