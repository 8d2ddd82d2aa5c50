"""Healing: heads that are off stay off through training, resume and export; twins share all else."""

import pytest
import torch
from safetensors.torch import load_file

from core.errors import BardlabError
from core.inspect import ablation
from core.inspect.evaluation_set import evaluation_set
from core.jobs import control, rankings, work
from core.runs import checkpoints, layout
from core.runs.state import Run
from core.studies import healing, standings
from core.texts.corpus import load
from tests.core.runs.test_beginnings import brief


def silent(run: Run, step: int | None = None) -> bool:
    """True if head 0.1 is exactly zero at the place through which it speaks, and head 0.0 is not."""
    weights = load_file(layout.weights_path(run.path, step))["blocks.0.attention.proj.weight"]
    width = weights.shape[1] // run.need().model["n_head"]
    return bool((weights[:, width : 2 * width] == 0).all()) and bool((weights[:, :width] != 0).any())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_wound_stays_and_costs_what_the_board_says(optimizer: str):
    """At the start the wounded model is the knocked-out one; at the end the head is still silent; the twin is whole."""
    run = work.work(brief("transformer", optimizer=optimizer, weight_decay=0.1).path)
    made = healing.make(run, None, ["0.1"], 10, 1.0)
    pair = healing.Healing(*(work.work(control.claim(each).path) for each in (made.wounded, made.twin)))

    assert pair.wounded.broken and not pair.twin.broken and pair.wounded.need().train == pair.twin.need().train
    assert silent(pair.wounded) and silent(pair.wounded, 0) and not silent(pair.twin)
    model, _ = checkpoints.load_model(run)
    first, _ = checkpoints.load_model(pair.wounded, 0)
    data = evaluation_set(model, load(run.need().corpus))
    knocked = ablation.losses(model, data, ablation.interventions(ablation.chosen(model.parts(), ["0.1"])))
    torch.testing.assert_close(knocked, ablation.losses(first, data))
    assert healing.gap(pair, 0)[0] == pytest.approx(float((knocked - ablation.losses(model, data)).mean()), abs=1e-6)
    assert [step for step, _ in healing.losses_apart(pair)] == list(range(1, 11))
    assert [each.wounded.slug for each in healing.healings([pair.twin, run, pair.wounded])] == [pair.wounded.slug]
    ranked = [one.run.slug for one in standings.standings([pair.wounded, pair.twin], load(run.need().corpus)).values()]
    assert ranked == [pair.twin.slug]

    assert healing.takeovers(pair) == []
    for each, step in ((pair.wounded, 0), (pair.wounded, None), (pair.twin, None)):
        rankings.work(each, step, healing.METHOD, lambda _: None)
    found = healing.takeovers(pair)
    assert found and "0.1" not in {one.key for one in found}
    assert "nats a character" in healing.verdict(found, healing.gap(pair, 0), healing.gap(pair, None))


def test_only_heads_can_be_kept_off():
    run = work.work(brief("transformer").path)
    for keys, said in ((["0.mlp"], "choose heads"), (["9.9"], "no part"), ([], "nothing is switched off")):
        with pytest.raises(BardlabError, match=said):
            healing.make(run, None, keys, 10)
