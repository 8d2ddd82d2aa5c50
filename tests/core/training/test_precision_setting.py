"""What the precision `auto` means: the hardware's answer, or BARDLAB_PRECISION."""

import pytest
import torch

from core.errors import BardlabError
from core.jobs import work
from core.runs import checkpoints, plan
from core.training import devices
from tests.conftest import make_run

CPU = torch.device("cpu")


@pytest.mark.parametrize(("said", "meant"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_environment_decides_what_auto_means(monkeypatch: pytest.MonkeyPatch, said: str, meant: torch.dtype):
    """Only of auto: who names a format gets that one."""
    monkeypatch.setenv(devices.PRECISION, said)

    assert devices.precision("auto", CPU) is meant
    assert devices.precision("float32", CPU) is torch.float32
    assert devices.precision("bfloat16", CPU) is torch.bfloat16


@pytest.mark.parametrize("said", [None, "", "auto"])
def test_without_it_the_hardware_decides(monkeypatch: pytest.MonkeyPatch, said: str | None):
    monkeypatch.delenv(devices.PRECISION)
    can = torch.cpu.get_capabilities()
    if said is not None:
        monkeypatch.setenv(devices.PRECISION, said)

    assert (devices.precision("auto", CPU) is torch.bfloat16) == bool(can.get("avx512_bf16") or can.get("amx_bf16"))


def test_another_word_is_refused_in_one_line_before_a_run_exists(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(devices.PRECISION, "fp8")

    with pytest.raises(BardlabError, match=r"\ABARDLAB_PRECISION is 'fp8'; set it to one of auto, float32, .*\Z"):
        plan.plan("mlp")
    assert plan.plan("mlp", train={"precision": "float32"}).train.precision == "float32"


def test_a_run_trains_in_what_it_says(monkeypatch: pytest.MonkeyPatch):
    """A run that leaves the choice to the environment ends where one that names that format does, and only there."""
    ended = {}
    for said in ("float32", "bfloat16"):
        monkeypatch.setenv(devices.PRECISION, said)
        for asked in ("auto", said):
            run = work.work(make_run("mlp", precision=asked, learning_rate=0.1).path)
            ended[said, asked] = checkpoints.load_model(run)[0].state_dict()["head.weight"]

    for said in ("float32", "bfloat16"):
        assert torch.equal(ended[said, "auto"], ended[said, said])
    assert not torch.equal(ended["float32", "auto"], ended["bfloat16", "auto"])
