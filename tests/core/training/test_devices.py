"""A device is named, numbered, tried, and left if it fails."""

import pytest
import torch

from core.errors import BardlabError
from core.jobs import trial, work
from core.jobs.usage import Meter
from core.runs import editing, plan, records
from core.runs.folder import State
from core.runs.state import RunConfig, Status
from core.training import devices
from core.training.config import Device
from tests.conftest import TINY, make_run

CPU = torch.device("cpu")


def test_a_device_is_a_kind_or_one_of_several_gpus(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    assert devices.present()[:3] == ("cuda", "cuda:0", "cuda:1") and devices.present()[-1] == "cpu"
    assert devices.resolve("cuda:1") == torch.device("cuda", 1)
    assert devices.resolve("auto") == torch.device("cuda")
    with pytest.raises(BardlabError, match=r"no cuda:2 device on this machine; .* cuda:1, cpu"):
        devices.resolve("cuda:2")
    assert plan.plan("bigram", device="cuda:1").device == "cuda:1"
    with pytest.raises(BardlabError, match="unknown device 'cuda:x'"):
        plan.plan("bigram", device="cuda:x")
    assert Device  # what RunConfig checks by
    with pytest.raises(ValueError):
        RunConfig.model_validate({**plan.plan("bigram").model_dump(), "device": "tpu"})


def test_a_processor_computes_and_has_a_name():
    assert devices.usable(CPU) is None
    assert devices.name_of(CPU) == devices.processor() != ""


def test_a_gpu_too_old_for_this_torch_is_said_to_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90", "compute_90"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (6, 1))

    told = devices.usable(torch.device("cuda"))
    assert told == "its compute capability is 6.1, and this torch begins at 7.5"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_auto_goes_on_with_the_cpu_and_says_so_once(monkeypatch: pytest.MonkeyPatch):
    """The driver says there is a GPU, and the first product on it fails."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    tiny = TINY["bigram"]
    auto, asked = (
        editing.create(plan.plan("bigram", model=tiny["model"], train=tiny["train"], device=device))
        for device in ("auto", "cuda")
    )
    done = work.work(auto.path)

    assert done.state is State.FINISHED and done.status.device == "cpu"
    told = [alert.text for alert in records.alerts(auto.path)]
    assert len(told) == 1 and told[0].startswith("the cuda device cannot be used (")
    assert told[0].endswith("so this run takes the CPU")
    failed = work.work(asked.path)
    assert failed.state is State.FAILED and failed.status.device == "cuda"


def test_a_mac_is_rehearsed_before_auto_trusts_it(monkeypatch: pytest.MonkeyPatch):
    mps = torch.device("mps")
    monkeypatch.setattr(devices, "usable", lambda device: None)
    monkeypatch.setattr(trial, "_rehearse", lambda device: "no float64")

    assert trial.settle("auto", mps) == (CPU, "the mps device cannot be used (no float64), so this run takes the CPU")
    assert trial.settle("mps", mps) == (mps, "")
    monkeypatch.undo()
    assert trial._rehearse(CPU) is None


def test_a_run_tells_what_it_was_computed_on():
    status = work.work(make_run("transformer", precision="float32").path).status

    assert (status.device, status.device_name, status.precision) == ("cpu", devices.processor(), "float32")
    assert status.threads == torch.get_num_threads() and status.compiled is False
    assert status.memory_free and status.memory_needed is None


def test_an_older_status_is_still_read():
    assert Status.model_validate({"state": "finished", "device": "cpu"}).device_name == ""


def test_a_gpu_whose_use_cannot_be_told_is_asked_once(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def utilization() -> int:
        asked.append(1)
        raise ModuleNotFoundError("nvidia-ml-py is not installed")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (5, 10))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 3)
    monkeypatch.setattr(torch.cuda, "utilization", utilization)
    meter = Meter("cuda")

    readings = [meter.read() for _ in range(3)]
    assert [r.gpu for r in readings] == [None] * 3 and len(asked) == 1
    assert (readings[2].gpu_memory, readings[2].gpu_memory_total) == (3, 10)
