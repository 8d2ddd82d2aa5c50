"""The benches measure the real thing: at tiny sizes here, without a clock in any assertion."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from core import paths
from core.bench import report, sample, train
from core.bench.ingredients import WITHOUT, ingredients
from core.bench.peer import Peer
from core.cli.main import main
from core.errors import BardlabError
from core.ladder.registry import RUNGS
from core.ladder.rung import Preset
from core.models.transformer import TransformerConfig
from core.texts.corpus import Corpus
from core.training.config import TrainConfig
from tests.conftest import TINY

REAL = RUNGS["transformer"].presets["seconds"]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets of a few thousand parameters."""
    for key in ("transformer", "wavenet", "recurrent"):
        for name in RUNGS[key].presets:
            monkeypatch.setitem(RUNGS[key].presets, name, Preset("", TINY[key]["model"], TINY[key]["train"]))


def test_a_loss_is_reached_or_not_and_the_steps_are_those_of_the_preset():
    """Nobody is at 1.0 after four steps; everybody is at 10."""
    low, high = (train.train("seconds", to=to, seeds=2, rounds=1, batch=None, beside=None) for to in (1.0, 10.0))

    assert [run["reached"] for run in low["runs"]] == [False, False]
    assert [run["reached"] for run in high["runs"]] == [True, True]
    assert low["runs"][0]["seed"] != low["runs"][1]["seed"]
    assert low["runs"][0]["val_loss"] == high["runs"][0]["val_loss"]
    assert low["runs"][0]["steps"] == 4


def test_both_ways_of_writing_are_timed():
    found = sample.sample("transformer", "seconds", texts=(1, 2), rounds=1, beside=None)

    assert {"inside_1", "inside_2", "beyond_roll_1", "beyond_half_2"} <= found.keys()
    assert all(found[name]["ratio"] > 0 for name in ("inside_1", "beyond_half_1"))
    assert "beyond_roll_1" not in sample.sample("wavenet", "best", texts=(1,), rounds=1, beside=None)


def test_a_trained_run_is_timed_with_guesses_and_without():
    found = sample.sample("", "", texts=(1,), rounds=1, beside=None, run="pretrained/mlp")
    told = found["whole_context"]

    assert found["stage"] == "mlp" and told["float32_characters_a_pass"] == 1
    assert all(told[f"{weights}_ahead_characters_per_second"] > 0 for weights in ("float32", "bfloat16"))
    assert told["float32_ahead_characters_a_pass"] >= 1


@pytest.mark.parametrize(("config", "rung"), [("cpu", "transformer"), ("recurrent", "recurrent")])
def test_a_configuration_names_the_rung_whose_writing_is_timed(
    config: str, rung: str, capsys: pytest.CaptureFixture[str]
):
    main(["bench", "sample", "--config", config, "--rounds", "1", "--json"])
    told = json.loads(capsys.readouterr().out)

    assert told["stage"] == rung and told["inside_1"]["ratio"] > 0


def test_an_ingredient_is_worth_the_mean_difference_on_the_same_seeds(monkeypatch: pytest.MonkeyPatch):
    tiny = RUNGS["transformer"].presets["seconds"]
    modern = Preset("", {**REAL.model, **tiny.model}, {**REAL.train, **tiny.train, "optimizer": "muon"})
    monkeypatch.setitem(RUNGS["transformer"].presets, "seconds", modern)
    rows = ingredients(seeds=2)

    assert [row["ingredient"] for row in rows] == ["all", *WITHOUT]
    for row in rows[1:]:
        assert row["worth"] == pytest.approx(row["val_loss"] - rows[0]["val_loss"])
        assert row["worth"] != 0, f"the preset is the same without {row['ingredient']}"


def test_a_folder_without_the_peer_is_refused(tmp_path: Path):
    with pytest.raises(BardlabError, match=r"no model\.py in"):
        Peer(tmp_path, TransformerConfig(), 65)


def test_the_peer_is_driven_at_its_own_rates_and_judged_as_ours(tmp_path: Path, corpus: Corpus):
    """Up to 1e-3 in a hundred steps, by a cosine to a tenth of it: loaded from a folder, seeded, and learning."""
    shutil.copyfile(paths.ROOT / "tests" / "gpu" / "stand_in.py", tmp_path / "model.py")
    ours = RUNGS["transformer"]
    config = TransformerConfig.parse(TINY["transformer"]["model"])
    peer, twin = (Peer(tmp_path, config, 65) for _ in range(2))
    like = ours.build(config, 65)
    rates = []
    for step in (0, 49, 99, 100, 1050, 2000):
        peer.train_step(corpus.train_ids[:2000], 4, step)
        rates.append(peer.optimizer.param_groups[0]["lr"])

    assert rates == pytest.approx([1e-3 / 101, 50e-3 / 101, 100e-3 / 101, 1e-3, 0.55e-3, 0.1e-3])
    assert peer.loss == pytest.approx(math.log(65), abs=0.5) and (peer.taken, peer.format) == (6, "float32")
    assert peer.parameters == sum(p.numel() for p in peer.model.parameters()) > 0
    before, after = (p.evaluate(corpus.val_ids[:500], like) for p in (twin, peer))
    assert before.predictions == after.predictions == 499 and after.loss != before.loss
    whole = F.cross_entropy(twin.model(corpus.val_ids[None, :16])[0][0], corpus.val_ids[1:17])
    assert twin.evaluate(corpus.val_ids[:17], like).loss == pytest.approx(float(whole.detach()), rel=1e-5)
    assert peer.generate(torch.zeros((2, 3), dtype=torch.long), 5).shape == (2, 8)


def test_the_machine_is_named():
    assert "cores" in report.machine()
    assert "torch" in report.machine()


def test_what_an_ingredient_is_worth_is_said_in_its_help():
    """The help of each setting that the bench takes out agrees with docs/benchmarks.md, within what is noise."""
    page = (paths.ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .* \| (-?[\d.]+)(?: ± ([\d.]+))? \|$", page, re.MULTILINE)
    assert {name for name, _, _ in rows} == set(WITHOUT)
    helps = {f.name: f.help for config in (TransformerConfig, TrainConfig) for f in config.fields()}
    for name, nats, error in rows:
        told = re.search(r"(-?\d\.\d{3}) ± (\d\.\d{3}) nats in the Transformer's preset seconds", helps[name])
        assert told, name
        noise = 3 * (float(told[2]) + float(error or 0.01)) + 0.01
        assert abs(float(told[1]) - float(nats)) <= noise, name
    assert sum("± " in text for text in helps.values()) == len(WITHOUT)
