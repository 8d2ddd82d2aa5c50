"""A tree of continuations, drawn: a line a branch, as long as what it wrote, from the place where it leaves another."""

from collections.abc import Callable, Sequence
from typing import Any

from core.texts.branches import Tree
from pages.ui.components.shared.toolkit import declare, heard, message

_component = declare("branch_tree", "The tree")
SNIPPET = 28
"""Characters of a branch that stand on its line."""


def branch_tree(
    tree: Tree,
    own: Sequence[str],
    *,
    of: str,
    branch: int,
    place: int | None,
    act: Callable[[dict[str, Any]], None],
    key: str,
) -> None:
    """Draw a tree, the own characters of each branch given, with one branch or place chosen.

    `act` is called, before the page is drawn again, with `{"kind": "choose", "of": ..., "branch": 2, "place": 5}`; a
    place of None is the whole branch.
    """

    def acted() -> None:
        if done := heard(key, "act"):
            act(done)

    branches = [
        {
            "parent": one.parent,
            "start": start,
            "own": one.own,
            "taken": one.taken,
            "label": text[len(one.taken) :][:SNIPPET],
            "temperature": one.temperature,
            "top_k": one.top_k,
            "seed": one.seed,
        }
        for one, start, text in zip(tree.branches, tree.starts, own, strict=True)
    ]
    way = [each for each, _ in tree.way(branch)]
    data = {"of": of, "branches": branches, "branch": branch, "place": place, "way": way}
    _component(key=key, data=message(data), on_act_change=acted)
