"""A knock-out is what it says it is, and its price is measured right."""

import copy
import shutil
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch

from core import files
from core.errors import BardlabError
from core.inspect import evaluation_set as inspect_evaluation_set
from core.inspect.evaluation_set import evaluation_set
from core.inspect.interventions import ablation, price_list, ranking
from core.inspect.interventions.ablation import Bench, chosen, effect, interventions, losses, means, rank, redundancy
from core.inspect.trace import intervening, taps
from core.ladder.registry import RUNGS
from core.models.answers import Part
from core.models.contract import LanguageModel
from core.models.transformer import Transformer, TransformerConfig
from core.runs import checkpoints, layout
from core.runs.state import Run
from core.texts.character_classes import text_classes
from core.texts.corpus import Corpus
from tests.conftest import TINY

LADDER = ["mlp", "recurrent", "wavenet", "residual", "transformer"]


def build(rung: str, **changes: object) -> LanguageModel:
    torch.manual_seed(3)
    entry = RUNGS[rung]
    model = entry.build(entry.config.parse({**TINY[rung]["model"], **changes}, "model."), 65).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def small(model: LanguageModel, corpus: Corpus) -> inspect_evaluation_set.EvaluationSet:
    return evaluation_set(model, corpus, 6 * 256 if model.slides else 6 * 16)


@pytest.mark.parametrize("rung", LADDER)
def test_nothing_off_changes_nothing(rung: str, corpus: Corpus):
    """No intervention gives a change of exactly 0, and the windows are those of the one evaluation."""
    model = build(rung)
    data = small(model, corpus)
    base = ablation.by_class(losses(model, data), data.classes)
    found = effect(base, ablation.by_class(losses(model, data, interventions([])), data.classes), data.counts())

    assert found.delta == 0 and found.se == 0 and not found.windows.any()
    window = data.inputs.shape[1]
    assert len(data.inputs) == 6
    for k, numbers in enumerate(data.counts().T):
        assert numbers.tolist() == (data.classes == k).sum(1).tolist()
    for inputs, targets in zip(data.inputs, data.targets, strict=True):
        starts = range(0, len(corpus.val_ids) - window, window)
        assert any(torch.equal(corpus.val_ids[i : i + window], inputs) for i in starts)
        assert torch.equal(inputs[1:], targets[:-1])


def test_a_short_split_is_measured_in_two_halves_and_long_windows_one_at_a_time(corpus: Corpus):
    short = Corpus("short", "", corpus.text[:1000], "", corpus.tokenizer)

    assert evaluation_set(build("mlp"), short).inputs.shape == (2, 49)
    long = torch.zeros(3, 3000, dtype=torch.long)
    assert list(inspect_evaluation_set.EvaluationSet(long, long, long).batches()) == [slice(i, i + 1) for i in range(3)]


def test_losses_are_those_without_dropout(corpus: Corpus):
    model = build("mlp", dropout=0.5)
    data = small(model, corpus)
    expected = losses(model, data)

    assert torch.equal(losses(model.train(), data), expected)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_head_off_equals_zeroed_columns_of_its_projection(positions: str, corpus: Corpus):
    model = build("transformer", positions=positions)
    data = small(model, corpus)
    off = losses(model, data, interventions(chosen(model.parts(), ["1.0"])))
    edited = copy.deepcopy(model)
    with torch.no_grad():
        edited.blocks[1].attention.proj.weight[:, :8] = 0  # type: ignore[union-attr, operator]

    torch.testing.assert_close(off, losses(edited, data), atol=1e-6, rtol=0)
    assert not torch.allclose(off, losses(model, data))


def test_positions_off_equals_a_model_without_positions(corpus: Corpus):
    """Undone rotary turns, and zero position vectors, leave the model that was built with none."""
    for positions in ("rotary", "learned", "sinusoidal"):
        model = build("transformer", positions=positions)
        data = small(model, corpus)
        without = Transformer(TransformerConfig.parse({**TINY["transformer"]["model"], "positions": "none"}), 65).eval()
        without.load_state_dict({k: v for k, v in model.state_dict().items() if k != "position_embedding.weight"})
        off = losses(model, data, interventions(chosen(model.parts(), ["pos"])))

        torch.testing.assert_close(off, losses(without, data), atol=1e-5, rtol=0)
    assert not [part for part in without.parts() if part.key == "pos"]


def test_the_table_off_equals_a_table_of_zeros(corpus: Corpus):
    model = build("transformer", trigrams=20)
    data = small(model, corpus)
    off = losses(model, data, interventions(chosen(model.parts(), ["trigrams"])))
    edited = copy.deepcopy(model)
    edited.trigram_embedding.weight.data.zero_()  # type: ignore[union-attr, operator]

    torch.testing.assert_close(off, losses(edited, data), atol=1e-6, rtol=0)
    assert not torch.allclose(off, losses(model, data))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_skip_off_leaves_only_the_branch(norm: str, corpus: Corpus):
    """Without the skip around attention, the stream after it is what attention adds (normalised, for post-norm)."""
    from core.inspect.trace import trace

    model = build("transformer", norm=norm)
    data = small(model, corpus)
    run = trace(model, data.inputs, interventions=interventions(chosen(model.parts(), ["1.attn_skip"])))
    added = run["blocks.1.attn_out"]

    expected = added if norm == "pre" else model.blocks[1].ln1(added)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(run["blocks.1.resid_mid"], expected, atol=1e-6, rtol=0)


def test_the_mean_is_the_mean_over_the_evaluation_set(corpus: Corpus):
    """A head that hands on its mean hands on the same everywhere; its neighbours are untouched."""
    from core.inspect.trace import trace

    model = build("transformer")
    data = small(model, corpus)
    z = trace(model, data.inputs, "blocks.0.*.z")["blocks.0.attention.z"]  # (W, H, T, D)
    part = chosen(model.parts(), ["0.1"])
    change = interventions(part, means(model, data, part))
    changed = trace(model, data.inputs, "blocks.0.*.z", change)["blocks.0.attention.z"]

    torch.testing.assert_close(changed[:, 0], z[:, 0])
    torch.testing.assert_close(changed[:, 1], z[:, 1].mean((0, 1)).expand_as(z[:, 1]))


def test_standard_error_against_a_naive_computation():
    """For equal windows it is the standard deviation of the windows' means over √W; in general, the ratio's."""
    rng = np.random.default_rng(5)
    kinds = len(inspect_evaluation_set.CLASSES)
    base, changed = rng.random((9, kinds)), rng.random((9, kinds))
    equal = np.full((9, kinds), 4.0)
    found = effect(base, changed, equal)
    per_window = (changed - base).sum(1) / (4 * kinds)

    assert found.delta == pytest.approx(per_window.mean())
    assert found.se == pytest.approx(per_window.std(ddof=1) / 3)

    counts = rng.integers(1, 9, 9).astype(float)
    sums = counts * 0.3 + rng.normal(0, 0.1, 9)
    mean, se = ablation.mean_and_se(sums, counts)
    rest = [s - sums.sum() / counts.sum() * n for s, n in zip(sums, counts, strict=True)]

    assert mean == pytest.approx(sums.sum() / counts.sum())
    assert se == pytest.approx((9 / 8 * sum(r * r for r in rest)) ** 0.5 / counts.sum())


@pytest.mark.parametrize("rung", LADDER)
@pytest.mark.parametrize("method", ablation.METHODS)
def test_ranking_from_a_prefix_equals_full_runs(rung: str, method: ablation.Method, corpus: Corpus):
    """Every part's price, found by beginning at its layer, is that of the whole model run anew."""
    model = build(rung)
    data = small(model, corpus)
    board = model.parts()
    *_, (share, found) = rank(model, data, board, method)
    assert share == 1 and found and found.windows == len(data.inputs) and set(found.effects) == {p.key for p in board}
    base = ablation.by_class(losses(model, data), data.classes)
    filling = means(model, data, board) if method == "mean" else None
    for part in board:
        off = losses(model, data, interventions([part], filling))
        whole = effect(base, ablation.by_class(off, data.classes), data.counts())
        assert found.effects[part.key].delta == pytest.approx(whole.delta, abs=1e-5), part
        assert found.effects[part.key].se == pytest.approx(whole.se, abs=1e-5), part
    assert sum(abs(e.delta) > 1e-4 for e in found.effects.values()) >= len(board) / 2


def test_classes_know_where_a_character_stands():
    text = "ROMEO:\nAy: so.\n\nFirst Citizen:\nO!\nNurse:\n"
    kinds = "".join({"speaker name": "S", "newline": "n", "space": "_"}.get(k, k[0]) for k in text_classes(text))

    assert kinds == "SSSSSSnccp_cvpnnSSSSSSSSSSSSSSncpncvccvpn"


def test_interventions_act_in_their_own_thread_alone(corpus: Corpus):
    """A model shared by two visitors: one switches a head off, the other sees the model as it is."""
    model = build("transformer")
    data = small(model, corpus)
    base = losses(model, data)
    seen: list[torch.Tensor] = []
    with intervening(model, interventions(chosen(model.parts(), ["0.0", "1.mlp"]))):
        other = threading.Thread(target=lambda: seen.append(losses(model, data)))
        other.start()
        other.join()
        assert not torch.equal(losses(model, data), base)

    assert torch.equal(seen[0], base)
    assert not any(tap.observed for tap in taps(model).values())


def test_what_does_not_exist_is_refused(corpus: Corpus):
    model = build("transformer")
    with pytest.raises(BardlabError, match=r"no part 0\.9, x; choose"):
        chosen(model.parts(), ["x", "0.9", "0.1"])
    with pytest.raises(BardlabError, match="has changed since"):
        evaluation_set(RUNGS["bigram"].build(RUNGS["bigram"].config(), 64), corpus)
    assert build("bigram").parts() == []


def test_every_part_of_every_rung_acts_on_taps_that_pass(corpus: Corpus):
    """No part is listed that could not be switched off, and addresses are unique."""
    from core.inspect.trace import trace

    for rung, changes in [*((s, {}) for s in LADDER), ("wavenet", {"variant": "fuse", "skip_channels": 128})]:
        model = build(rung, **changes)
        board: list[Part] = model.parts()
        passed = trace(model, small(model, corpus).inputs).activations

        assert {tap for part in board for tap in part.taps} <= set(passed)
        assert len({part.key for part in board}) == len(board)


def test_prices_are_kept_with_the_run_until_its_weights_change(finished: Run):
    """Ranked and kept, invalid for other weights, and no trouble when damaged."""
    assert price_list.prices(finished) is None
    ranked(finished)
    listed = price_list.read(finished, None, "zero")
    assert listed is not None and listed.whole
    assert price_list.read(finished, None, "mean") is None
    model, _ = checkpoints.load_model(finished)
    assert set(listed.parts) == {part.key for part in model.parts()}
    heads = price_list.prices(finished)
    assert heads is not None and set(heads) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert heads[1, 0] == (listed.parts["1.0"].delta, listed.parts["1.0"].se)

    step = layout.snapshot_steps(finished.path)[0]
    weights = layout.snapshot_path(finished.path, step).read_bytes()
    assert checkpoints.fingerprint(finished, step) != checkpoints.fingerprint(finished)
    files.replace(finished.path / layout.WEIGHTS, weights)
    assert price_list.read(finished, None, "zero") is None and price_list.prices(finished) is None

    layout.knockouts_path(finished.path, None, "zero").write_text("{")
    assert price_list.prices(finished) is None
    (finished.path / layout.WEIGHTS).unlink()
    assert price_list.prices(finished) is None
    with pytest.raises(BardlabError, match="no weights yet"):
        price_list.read(finished, None, "zero")


def ranked(run: Run, should_stop: Callable[[], bool] = lambda: False) -> list[float]:
    """Rank a run's parts by zero ablation; the shares on the way."""
    layout.ranking_path(run.path, None, "zero").mkdir(parents=True, exist_ok=True)
    return list(ranking.rank(run, None, "zero", torch.device("cpu"), should_stop))


def test_an_ended_ranking_keeps_what_it_has_seen_and_goes_on_to_the_same_prices(finished: Run):
    """After the first batch of windows there are prices, marked as partial; before it there are none."""
    whole = ranked(finished)
    file = layout.knockouts_path(finished.path, None, "zero")
    content = file.read_bytes()
    file.unlink()

    assert ranked(finished, lambda: True) == whole[:1]
    assert price_list.read(finished, None, "zero") is None

    rest = ranked(finished, lambda: price_list.read(finished, None, "zero") is not None)
    listed = price_list.read(finished, None, "zero")
    assert listed is not None and not listed.whole and 0 < listed.windows < listed.of
    assert rest[0] == whole[1]

    assert ranked(finished)[0] > rest[-1]
    assert file.read_bytes() == content


def test_redundant_heads_cost_more_together_than_apart(corpus: Corpus):
    """Two heads that write the same are worth nothing alone if either suffices; the bench measures all of it."""
    model = build("transformer")
    bench = Bench(model, corpus)
    alone = [bench.effect([key], "zero") for key in ("0.0", "0.1")]
    together = bench.effect(["0.1", "0.0"], "zero")
    extra, se = redundancy(together, alone)

    assert extra == pytest.approx(together.delta - alone[0].delta - alone[1].delta, abs=1e-9)
    per_window = together.windows - alone[0].windows - alone[1].windows
    assert se == pytest.approx(per_window.std(ddof=1) / len(per_window) ** 0.5)
    assert bench.loss + together.delta == pytest.approx(
        float(losses(model, bench.data, bench.changes(["0.0", "0.1"], "zero")).double().mean())
    )
    assert together.delta == pytest.approx(
        sum(
            d * bench.counts[:, inspect_evaluation_set.CLASSES.index(k)].sum() for k, (d, _) in together.classes.items()
        )
        / bench.counts.sum()
    )


def test_two_windows_have_a_standard_error_and_one_has_none():
    mean, se = ablation.mean_and_se(np.array([1.0, 3.0]), np.ones(2))

    assert (mean, se) == (2.0, pytest.approx(1.0))
    assert np.isnan(ablation.mean_and_se(np.ones(1), np.ones(1))[1])


def test_prices_that_cannot_be_kept_are_told_in_a_line(finished: Run):
    price = price_list.Price(delta=0.1, se=0.01, classes={}, windows=[0.1, 0.3])
    prices = price_list.PriceList(weights="w", method="zero", base=2.0, windows=2, of=2, parts={"0.0": price})
    file = layout.knockouts_path(finished.path, None, "zero")
    price_list.write(finished, None, prices)
    assert price_list.PriceList.model_validate_json(file.read_bytes()) == prices
    assert price.effect().windows.mean() == pytest.approx(0.2)

    shutil.rmtree(file.parent)
    file.parent.write_text("in the way")
    with pytest.raises(BardlabError, match=r"prices of .* cannot be kept"):
        price_list.write(finished, None, prices)
    file.parent.unlink()
    place = layout.ranking_path(finished.path, None, "zero")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("in the way")
    with pytest.raises(BardlabError, match=r"prices of .* cannot be kept"):
        list(ranking.rank(finished, None, "zero", torch.device("cpu"), lambda: True))
