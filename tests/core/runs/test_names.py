"""Names that are taken, and those that are made when one is."""

import itertools
import json
import re

import pytest

from core import paths
from core.errors import BardlabError
from core.runs import editing, names
from tests.conftest import make_run


def test_a_fresh_name_gets_a_number_when_words_run_out():
    found = [path.name for path in itertools.islice(names.fresh_path("mlp"), 24)]

    assert all(re.fullmatch(r"mlp-[a-z]+-[a-z]+", name) for name in found[:21])
    assert [name.rpartition("-")[2] for name in found[21:]] == ["21", "22", "23"]
    assert next(names.fresh_path("mlp")).parent == paths.runs()
    assert len(list(names.fresh_path("mlp"))) == 1000


def test_a_name_is_kept_in_one_line_and_never_hides_another_run():
    run, other = make_run("bigram"), editing.rename(make_run("bigram"), "The second")

    assert names.check_name(" a \n b ") == "a b"
    assert names.check_name("a" * 60) == "a" * 60
    assert names.check_name("The second", other) == "The second"
    assert names.check_name(other.slug, other) == other.slug
    for taken in ("The second", other.slug):
        with pytest.raises(BardlabError, match=r"\Aanother run is called .*; give another name\Z"):
            names.check_name(taken, run)
        with pytest.raises(BardlabError, match="another run"):
            names.check_name(taken)
    for address in ("pretrained/bigram", "pretrained/"):
        with pytest.raises(BardlabError, match="ships with the product"):
            names.check_name(address)


def test_a_name_that_is_wanted_is_made_free():
    run = make_run("bigram")

    assert names.free_name("My run") == "My run"
    assert names.free_name(" <My>  run\n/ ") == "My run"
    assert names.free_name("") == names.free_name("|") == "imported"
    assert names.free_name("b" * 99) == "b" * 55
    assert names.free_name(run.slug) == f"{run.slug} 2"
    (run.path / "label.json").write_text(json.dumps({"name": f"{run.slug} 2"}))
    assert names.free_name(f"{run.slug} 2") == f"{run.slug} 2 2"
    assert names.free_name(run.slug) == f"{run.slug} 3"
