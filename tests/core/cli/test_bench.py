"""The benches measure the real thing: at tiny sizes here, without a clock in any assertion."""

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from core import paths
from core.bench import ingredients, report, sample, train
from core.bench.ingredients import WITHOUT
from core.bench.peer import Peer
from core.bench.plain_c import PlainC
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
def tiny(monkeypatch: pytest.MonkeyPatch, machine_code: Path, corpus: Corpus) -> None:
    """Presets of a few thousand parameters, judged by a few thousand characters; what writes texts is compiled."""
    short = replace(corpus, text=corpus.text[-50_000:])
    for module in (train, ingredients):
        monkeypatch.setattr(module, "load_corpus", lambda: short)
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
    rolling = {f"{side}_{threads}_ratio" for side in ("ours", "other") for threads in ("one_thread", "all_cores")}
    assert rolling <= found["beyond_roll_2"].keys()
    assert "beyond_roll_1" not in sample.sample("wavenet", "best", texts=(1,), rounds=1, beside=None)


def test_a_trained_run_is_timed_with_guesses_and_without(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BARDLAB_PRETRAINED")
    found = sample.sample("", "", texts=(1, 3), rounds=1, beside=None, run="pretrained/mlp")

    assert found["stage"] == "mlp"
    for told in (found["whole_context"], found["whole_context_3"]):
        assert told["float32_characters_a_pass"] == 1
        assert all(told[f"{weights}_ahead_characters_per_second"] > 0 for weights in ("float32", "bfloat16"))
        assert told["float32_ahead_characters_a_pass"] >= 1


@pytest.mark.parametrize(("config", "rung"), [("cpu", "transformer"), ("recurrent", "recurrent")])
def test_a_configuration_names_the_rung_whose_writing_is_timed(
    config: str, rung: str, capsys: pytest.CaptureFixture[str]
):
    main(["bench", "sample", "--config", config, "--rounds", "1", "--json"])
    told = json.loads(capsys.readouterr().out)

    assert told["stage"] == rung and told["inside_1"]["ratio"] > 0


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stand-in for nanoGPT, loaded as a checkout would be; its recipe is forty steps."""
    shutil.copyfile(paths.ROOT / "tests" / "gpu" / "stand_in.py", tmp_path / "model.py")
    monkeypatch.setattr(train, "PEER_SIZES", TransformerConfig.parse(TINY["transformer"]["model"]))
    monkeypatch.setattr(train, "PEER_STEPS", 40)
    return tmp_path


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Run a bench from the command line and return its figures."""
    main(["bench", *words, "--json"])
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_steps_are_timed_in_turn_with_those_of_the_peer(peer: Path, capsys: pytest.CaptureFixture[str]):
    """Medians of both sides and their ratio; to a loss, the peer's whole recipe over the seconds of our steps."""
    beside = ("--beside", str(peer))
    step = asked(capsys, "train", "--rounds", "2", *beside)
    end = asked(capsys, "train", "--to", "10", *beside)

    assert step["ratio"] == pytest.approx(step["peer_ms_a_step"] / step["ours_ms_a_step"])
    assert step["ours_tokens_per_second"] > 0 and step["peer_computed_in"] == "float32"
    assert step["peer_parameters"] != step["parameters"]
    assert end["peer_seconds_2000_steps"] == pytest.approx(40 * end["peer_ms_a_step"] / 1000)
    assert end["ratio"] == pytest.approx(end["peer_seconds_2000_steps"] / end["seconds"])
    assert end["runs"][0]["reached"] and "ours_ms_a_step" not in end


def test_the_peers_recipe_is_trained_and_judged_as_ours(peer: Path, capsys: pytest.CaptureFixture[str]):
    told = asked(capsys, "train", "--beside", str(peer), "--peer-recipe", "0.05", "--peer-steps", "3")

    assert (told["learning_rate"], told["steps"]) == (0.05, 3) and told["seconds"] > 0
    assert told["val_loss"] == pytest.approx(math.log(65), abs=0.5)


def test_ours_trains_for_as_long_as_the_peers_recipe(peer: Path, capsys: pytest.CaptureFixture[str]):
    told = asked(capsys, "train", "--beside", str(peer), "--in-time", "--seeds", "2", "--rounds", "1")

    assert told["steps"] == pytest.approx(40 * told["peer_ms_a_step"] / told["ours_ms_a_step"], abs=1)
    losses = [float(loss) for loss in told["val_losses"].split(", ")]
    assert len(losses) == 2 and told["val_loss"] == pytest.approx(sum(losses) / 2, abs=1e-4)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("train --in-time", "need --beside with the folder of a nanoGPT"),
        ("train --peer-recipe 0.001", "need --beside with the folder of a nanoGPT"),
        ("train --config mlp", "'mlp' is no Transformer; choose one of cpu, reference"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(words: str, why: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["bench", "--rounds", "1", *words.split()])
    said = capsys.readouterr().err
    assert why in said and said.count("\n") == 1


PLAIN = r"""
#include <stdio.h>
int main(int count, char **words) {
  int sizes[7];
  FILE *model = fopen(words[1], "rb");
  if (count != 8 || fread(sizes, sizeof(int), 7, model) != 7) return 1;
  fseek(model, 0, SEEK_END);
  fprintf(stderr, "%ld bytes, context %d\nachieved tok/s: 50.0\n", ftell(model), sizes[6]);
  return 0;
}
"""
"""Answers as llama2.c does, once it has found a model of its format."""


def test_writing_is_timed_beside_a_program_in_c(peer: Path):
    """It is compiled and given a model of our sizes; one text of ours fills a context, in float32 and in halves."""
    config = TransformerConfig.parse(TINY["transformer"]["model"])
    with pytest.raises(BardlabError, match=r"there is no .*run\.c; give the run\.c of a llama2\.c checkout"):
        PlainC(peer / "run.c", config, 65)
    (peer / "run.c").write_text(PLAIN, encoding="utf-8")
    found = sample.sample("transformer", "seconds", texts=(1,), rounds=1, beside=peer, beside_c=peer / "run.c")
    plain = found["whole_context"]

    assert found["inside_1"]["ratio_peer"] == found["inside_1"]["ratio"] > 0
    assert plain["c_characters_per_second"] == pytest.approx(50)
    assert plain["ratio_c"] == plain["float32_ratio_c"]
    assert plain["ratio_c"] == pytest.approx(plain["float32_characters_per_second"] / 50)
    width = config.d_model
    assert plain["multiply_adds_a_character"] == (
        config.n_layer * (4 * width**2 + 3 * width * (8 * width // 3)) + 65 * width
    )


def test_all_of_it_is_a_page_that_keeps_what_was_measured_by_hand(
    peer: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """An ingredient is worth the mean difference on the same seeds; every figure stands on the page as measured."""
    tiny = RUNGS["transformer"].presets["seconds"]
    modern = Preset("", {**REAL.model, **tiny.model}, {**REAL.train, **tiny.train, "optimizer": "muon"})
    monkeypatch.setitem(RUNGS["transformer"].presets, "seconds", modern)
    page = peer / "benchmarks.md"
    page.write_text(f"old figures\n\n{report.BY_HAND}\n\nkept\n", encoding="utf-8")
    monkeypatch.setattr(report, "FILE", page)
    figures = asked(capsys, "all", "--seeds", "2", "--rounds", "1", "--beside", str(peer))
    rows, text = figures.pop("ingredients"), page.read_text(encoding="utf-8")

    assert [row["ingredient"] for row in rows] == ["all", *WITHOUT]
    for row in rows[1:]:
        assert row["worth"] == pytest.approx(row["val_loss"] - rows[0]["val_loss"])
        assert row["worth"] != 0, f"the preset is the same without {row['ingredient']}"
        told = f"{row['worth']:.3f} ± {row['standard_error']:.3f}"
        assert f"| `{row['ingredient']}` | {row['without']} | {row['val_loss']:.3f} | {told} |" in text
    assert re.findall(r"^## (.*)$", text, re.MULTILINE)[: len(figures)] == list(figures)
    step, end = list(figures.values())[:2]
    assert f"| ratio | {step['ratio']:,.4g} |" in text and f"| seed {end['runs'][1]['seed']}: val loss |" in text
    assert text.endswith(f"\n{report.BY_HAND}\n\nkept\n") and "old figures" not in text


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
