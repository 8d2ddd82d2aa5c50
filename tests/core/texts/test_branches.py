"""A tree of continuations: it grows, is cut, and comes back from a line and from a file; the rest is told."""

import json
import random

import pytest

from core.errors import BardlabError
from core.settings import LONGEST_TEXT
from core.texts import branches
from core.texts.branches import Branch, BranchSettings, Tree, from_json, from_line, root, to_json

HOW = BranchSettings(temperature=0.8, top_k=0, tokens=6, seed=1337)
HOT = BranchSettings(temperature=1.25, top_k=5, tokens=4, seed=7)


@pytest.fixture
def tree() -> Tree:
    """The root (0) writes abcdef; 1 takes X at its place 2; 2 goes on after place 3 of 1; 3 takes Y at place 4 of 0."""
    grown = root("P:", HOW).grow(0, 2, "X", HOT)
    return grown.grow(1, 3, "", HOW).grow(0, 4, "ץ", HOW)


OWN = ("abcdef", "Xghij", "klmnop", "Yqrstu")


def test_a_branch_has_the_text_that_leads_to_it(tree: Tree):
    assert tree.text(0, OWN) == "P:abcdef"
    assert tree.text(1, OWN) == "P:abXghij"
    assert tree.text(2, OWN) == "P:abXghi" + "klmnop"
    assert tree.text(2, OWN, 2) == "P:abXghikl" and tree.text(3, OWN, 0) == "P:abcd"
    assert tree.way(2) == [(0, 2), (1, 4), (2, 6)]
    assert tree.starts == (0, 2, 6, 4)
    assert [one.own for one in tree.branches] == [6, 5, 6, 7]


def test_where_a_text_could_go_on_otherwise(tree: Tree):
    assert tree.forks(0) == {2, 4} and tree.forks(3) == {2, 4}
    assert tree.forks(1) == tree.forks(2) == {2, 6}  # what leaves the root later is not on this way


def test_in_the_place_of_a_branchs_first_character_its_sibling_grows(tree: Tree):
    sibling = tree.grow(1, 0, "Z", HOW).branches[-1]
    assert (sibling.parent, sibling.at, sibling.taken) == (0, 2, "Z")
    of_a_sibling = tree.grow(2, 0, "Z", HOW).branches[-1]
    assert (of_a_sibling.parent, of_a_sibling.at) == (1, 4)
    first = tree.grow(0, 0, "Z", HOW)
    assert first.branches[-1].at == 0 and first.text(4, (*OWN, "Z")) == "P:Z"


def test_asked_again_a_branch_takes_the_next_seed(tree: Tree):
    again = tree.grow(0, 2, "X", HOT).grow(0, 2, "X", HOT)
    assert [one.seed for one in again.branches[-2:]] == [8, 9]
    other = tree.grow(0, 2, "X", HOW).branches[-1]
    assert other.seed == HOW.seed


def test_what_grows_from_a_branch_goes_with_it(tree: Tree):
    assert tree.below(1) == {1, 2} and tree.below(0) == {0, 1, 2, 3}
    smaller = tree.without(tree.below(1))
    assert smaller.branches == (tree.branches[0], tree.branches[3])
    kept = tree.grow(3, 6, "", HOT).without(tree.below(1))
    assert kept.branches[-1].parent == 1
    assert tree.without(tree.below(0)) == root("P:", HOW)


def test_branches_with_strange_characters_are_named_with_what_grows_from_them(tree: Tree):
    assert tree.strangers("PX") == {3}
    assert tree.strangers("P") == {1, 2, 3}
    assert tree.strangers("Xץ") == frozenset()


def test_places(tree: Tree):
    assert tree.has(0, 5) and tree.has(2, None)
    for branch, place in (
        (4, 0),
        (-1, 0),
        (0, 6),
        (0, -1),
        ("0", 0),
        (0, "0"),
        (True, 0),
        (0, True),
        (0.0, 0),
        (None, 0),
    ):
        assert not tree.has(branch, place)
    with pytest.raises(BardlabError, match="no longer in the tree"):
        tree.grow(4, 0, "X", HOW)


def test_a_tree_comes_back_from_a_line_and_from_a_file(tree: Tree):
    line = tree.line()
    assert line == "6-0.8-0-1337_0-2-58-4-1.25-5-7_1-4--6-0.8-0-1337_0-4-5e5"
    assert from_line("P:", line) == tree
    read, texts = from_json(to_json(tree, OWN, "mine"))
    assert (read, tuple(texts)) == (tree, OWN)


def test_any_tree_comes_back():
    """Trees that grow as dice say, up to the most."""
    dice = random.Random(3)
    tree = root("\u202eשלום <b>&", HOW)
    while len(tree.branches) < branches.MOST:
        branch = dice.randrange(len(tree.branches))
        how = BranchSettings(
            temperature=dice.randrange(61) / 20,
            top_k=dice.randrange(9),
            tokens=dice.randrange(1, 9),
            seed=dice.randrange(99),
        )
        tree = tree.grow(branch, dice.randrange(tree.branches[branch].own), dice.choice(["", "\n", "é", "😀"]), how)
    assert from_line(tree.prompt, tree.line()) == tree and len(tree.line()) < 8000
    assert from_json(to_json(tree, ["x"] * branches.MOST, "m"))[0] == tree
    starts = [tree.starts[one.parent] + one.at for one in tree.branches[1:]]
    assert list(tree.starts[1:]) == starts
    with pytest.raises(BardlabError, match="200 branches, as many as it can have; delete"):
        tree.grow(0, 0, "", HOW)


def test_a_tree_has_an_end():
    how = BranchSettings(tokens=400)
    tree = root("a", how)
    for branch in range(9):
        tree = tree.grow(branch, 399, "", how)
    with pytest.raises(BardlabError, match="more than 4,000 characters after the prompt; go on from an earlier place"):
        tree.grow(9, 399, "", how)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", None),
        ("6", None),
        ("x", "whole number"),
        ("6-0.8-0-1337-1", "cannot be read"),
        ("6-0.8-0-1337_", "whole number"),
        ("6_1-0-58", "branch 1, which is not there"),
        ("6_0-0-58_5-0-58", "branch 5, which is not there"),
        ("6_0-6-58", "at most 5"),
        ("6_0-7", "at most 6"),
        ("6_0-0-110000", "no character"),
        ("6_0-0-d800", "no character"),
        ("6_0-0-ffffffff", "no character"),
        ("6_0-0-<b>", "no character"),
        ("6-9", "0 to 3"),
        ("6-nan", "temperature"),
        ("6-1e9", "temperature"),
        ("٣", "whole number"),
        ("9" * 5000, "cannot be read"),
        ("9999999999", "1 to 400"),
        ("6-1-0-9999999999", "2.14748"),
        ("6_" * 201, "202 branches"),
        ("6" + "_0-0-58" * 200, "201 branches"),
    ],
)
def test_a_bad_line_is_told_in_one(line: str, told: str | None):
    if told is None:
        assert len(from_line("P", line).branches) == 1
        return
    with pytest.raises(BardlabError, match=told) as error:
        from_line("P", line)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


def file(**changes: object) -> bytes:
    """A good file, changed."""
    good = json.loads(to_json(root("P", HOW).grow(0, 2, "X", HOT), ("abcdef", "Xghij"), "mine"))
    return json.dumps({**good, **changes}).encode()


BRANCH = {"parent": 0, "at": 1, "taken": "X", "tokens": 4}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no JSON"),
        (b"[]", "no tree"),
        (b'{"format": 1}', "no tree"),
        (b" " * (branches.LARGEST + 1), "at most 4,000,000"),
        (file(format="other"), "no tree"),
        (file(prompt=3), "lacks"),
        (file(prompt=""), "no prompt"),
        (file(prompt="\ud800"), "surrogate"),
        (file(prompt="a" * (LONGEST_TEXT + 1)), "4,001 characters"),
        (file(branches={}), "lacks"),
        (file(branches=[]), "1 to 200"),
        (file(branches=[3]), "lacks"),
        (file(branches=[{}] * 201), "201 branches"),
        (file(branches=[BRANCH]), "goes on from the prompt"),
        (file(branches=[{}, {**BRANCH, "parent": 1}]), "branch 1, which is not there"),
        (file(branches=[{}, {**BRANCH, "parent": -1}]), "branch -1, which is not there"),
        (file(branches=[{}, {**BRANCH, "at": 80}]), "at most 79"),
        (file(branches=[{}, {**BRANCH, "taken": "XY"}]), "taken"),
        (file(branches=[{}, {**BRANCH, "taken": "\ud800"}]), "surrogate"),
        (file(branches=[{}, {**BRANCH, "tokens": float("nan")}]), "tokens"),
        (file(branches=[{}, {**BRANCH, "temperature": float("inf")}]), "temperature"),
        (file(branches=[{}, {**BRANCH, "<b>": 1}]), "more than a branch has"),
    ],
)
def test_a_bad_file_is_told_in_one_line(content: bytes, told: str):
    with pytest.raises(BardlabError, match=told) as error:
        from_json(content)
    assert "\n" not in str(error.value) and len(str(error.value)) < 250


def test_what_a_file_says_of_texts_may_be_anything():
    tree, texts = from_json(file(branches=[{"text": 3}, {**BRANCH, "text": "<b>"}]))
    assert texts == ["", "<b>"] and tree.branches[1] == Branch(parent=0, at=1, taken="X", tokens=4)
