"""Every rung made as large as asked for: nothing but its widths is changed, and nothing comes nearer."""

import pytest

from core.errors import BardlabError
from core.ladder import registry, sizing
from core.ladder.registry import RUNGS

VOCAB = 65


@pytest.mark.parametrize("key", RUNGS)
def test_the_nearest_size_of_every_rung(key: str):
    rung, target = RUNGS[key], 40_000
    found = sizing.sized(rung, rung.default_preset, target, VOCAB)
    usual, _ = rung.settings(rung.default_preset, {}, {})

    assert found.parameters == sizing.parameters_of(rung, found.model, VOCAB)
    assert found.told == f"{found.parameters:,} of 40,000"
    if not rung.widths:
        assert found.model == usual and not found.fits
        return
    assert set(found.changed) == set(rung.widths), "they shrink together, and all else is the preset's"
    assert found.fits and abs(found.off) < 0.02
    last = rung.widths[-1]
    for step in (-1, 1):
        beside = rung.config.parse({**found.model.model_dump(), last: getattr(found.model, last) + step}, "model.")
        away = abs(sizing.parameters_of(rung, beside, VOCAB) - target)
        assert away >= abs(found.parameters - target), f"{last} {getattr(beside, last)} is nearer"


def test_a_size_that_the_preset_has_changes_nothing():
    rung = registry.get("transformer")
    usual, _ = rung.settings("seconds", {}, {})
    assert sizing.sized(rung, "seconds", sizing.parameters_of(rung, usual, VOCAB), VOCAB).changed == {}


def test_what_cannot_be_reached_says_what_is_nearest():
    bigram = registry.get("bigram")
    found = sizing.sized(bigram, "seconds", 100_000, VOCAB)
    assert found.told == "4,225 of 100,000" and found.off == pytest.approx(-0.95775) and not found.fits
    mlp = registry.get("mlp")
    assert sizing.sized(mlp, "seconds", 10**9, VOCAB).model.d_hidden == 2048  # type: ignore[attr-defined]
    assert sizing.sized(mlp, "seconds", 1, VOCAB).model.d_hidden == 8  # type: ignore[attr-defined]
    with pytest.raises(BardlabError, match="at least 1"):
        sizing.sized(mlp, "seconds", 0, VOCAB)
    with pytest.raises(BardlabError, match="no preset 'x'"):
        sizing.sized(mlp, "x", 1000, VOCAB)


def test_a_part_that_is_switched_off_stays_off():
    """The best Transformer has no table of threes, and its heads leave it only some widths."""
    found = sizing.sized(registry.get("transformer"), "best", 100_000, VOCAB)
    assert found.changed == {"d_model": 36} and found.parameters == 100_325
