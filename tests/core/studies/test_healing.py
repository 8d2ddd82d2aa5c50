"""Healing: heads that are off stay off through training, resume and export; twins share all else."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.errors import BardlabError
from core.inspect import heads, history
from core.inspect.evaluation_set import evaluation_set
from core.inspect.interventions import ablation, price_list
from core.jobs import control, rankings, work
from core.runs import checkpoints, layout
from core.runs.state import Run
from core.studies import careers, healing, standings
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

    assert careers.prices(pair) is None and careers.moments(pair) == list(range(11))
    wanted = careers.to_price(pair)
    assert [step for _, step in wanted] == [0, 0, 2, 2, 5, 5, 8, 8, None, None]
    for each, step in (*wanted[:2], *wanted[-2:]):
        rankings.work(each, step, healing.METHOD, lambda _: None)
    prices = careers.prices(pair)
    assert prices and prices.steps == (0, 10) and "0.1" not in prices.heads and set(prices.lost) == {"0.1"}
    listed = price_list.read(pair.twin, None, healing.METHOD)
    assert listed and prices.twin[-1, prices.at("0.0")] == listed.parts["0.0"].delta
    found = careers.takeovers(prices)
    assert [one.key for one in found] == prices.leaders
    assert found[0].more[0] == pytest.approx(prices.apart[-1].max())
    assert "nats a character" in healing.verdict(found, healing.gap(pair, 0), healing.gap(pair, None))


@pytest.mark.parametrize("gain", [0.2, -0.2])
def test_careers_name_who_took_over(gain: float):
    """Two moments, three heads that were left; the second of them gains most."""
    twin = np.array([[0.1, 0.3, 0.2], [0.1, 0.3, 0.2]])
    healed = twin + np.array([[0, 0, 0], [gain - 0.3, gain, gain - 0.1]])
    found = careers.Careers(
        "previous", "previous character", "", (0, 200), ("0.0", "1.0", "1.1"), healed, twin, {"0.1": 0.4}
    )
    assert found.leaders == ["1.0", "1.1", "0.0"]
    said = careers.told(found)
    assert "What went, of “previous character”: head 0.1 at 0.400. 200 steps later, " in said
    assert ("head 1.0, +0.200 (0.500 against 0.300)" in said) == (gain > 0) == ("no head is above" not in said)


def test_roles_are_those_of_the_time_machine():
    run = work.work(brief("transformer").path)
    pair = healing.make(run, None, ["0.1"], 10)
    model, tokenizer = checkpoints.load_model(run)
    asked = heads.probe(
        "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak.\n" * 9, tokenizer, model.context
    )
    portraits = [history.portrait(model, step, asked) for step in (0, 5)]
    found = careers.roles(pair, portraits, portraits)

    score = heads.head_scores(model, asked)
    kinds = [kind.key for kind in score.kinds]
    for each in found:
        assert each.healed[0, each.at("0.0")] == pytest.approx(score.lift[kinds.index(each.key), 0, 0])
        assert each.lost["0.1"] == pytest.approx(score.lift[kinds.index(each.key), 0, 1])
    most = max((each for each in found if each.key != "self"), key=lambda each: each.lost["0.1"])
    assert careers.first_role(found) == most.key


def test_only_heads_can_be_kept_off():
    run = work.work(brief("transformer").path)
    for keys, said in ((["0.mlp"], "choose heads"), (["9.9"], "no part"), ([], "nothing is switched off")):
        with pytest.raises(BardlabError, match=said):
            healing.make(run, None, keys, 10)
