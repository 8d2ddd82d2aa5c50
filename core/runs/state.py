"""What a run folder says: configuration, status, samples; read and written with a checksum."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from core import files, paths
from core.errors import BardlabError
from core.ladder import registry
from core.ladder.rung import Rung
from core.runs import folder as runs_folder
from core.runs import owners
from core.runs.folder import (
    STATUS,
    State,
)
from core.runs.layout import WEIGHTS
from core.settings import Settings
from core.training.config import Device, TrainConfig


class Meters(BaseModel):
    """One reading."""

    model_config = ConfigDict(extra="ignore")

    cpu: float = 0.0
    """The worker's use of processors since the last reading, in cores."""
    cores: int = 1
    """Processors of the machine."""
    memory: int = 0
    """Bytes of main memory that the worker holds."""
    machine_cpu: float = 0.0
    """Share of all processors in use by anybody, 0 to 1."""
    machine_memory: float = 0.0
    """Share of main memory in use, 0 to 1."""
    machine_memory_total: int = 0
    gpu: float | None = None
    """Share of the time in which the GPU was busy, 0 to 1; None if its driver does not say."""
    gpu_memory: int | None = None
    """Bytes of GPU memory that the worker holds."""
    gpu_memory_total: int | None = None


TRAINING, COMPILING = "training", "compiling the model before its first step, which may take a minute"


BROKEN = "broken on purpose"
"""What a run is called, wherever it stands, whose training was made to go wrong."""


class Start(BaseModel):
    """The weights of another run, with which one began instead of with random ones."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: str
    """That run's address, and what it was called."""
    name: str
    step: int
    remark: str = ""
    """What was not taken over as it was, in one sentence."""


class Race(BaseModel):
    """A race that a run takes part in: all that is needed to find its other runs, and to make again what is deleted."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str = Field(pattern="^race-[0-9a-f]{6}$")
    """Its address."""
    entrants: tuple[str, ...] = Field(max_length=10)
    """Rung and preset of each, such as `mlp:seconds`, in the order in which they start."""
    parameters: int = 0
    """How many each model is to have; 0: as its preset has it."""
    steps: int = 0
    """How many each run takes; 0: it goes by the clock."""
    seconds: int = 0
    """How long each run takes; 0: it goes by its steps."""
    first_seed: int = 1337
    seeds: int = Field(1, ge=1, le=100)
    """How many, from the first on, when this run was made."""


class RunConfig(BaseModel):
    """What was asked for; written once, before the first step."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)

    rung_key: str = Field(alias="stage")
    """The rung's key; `stage` in the file."""
    preset: str | None = None
    model: dict[str, Any]
    train: TrainConfig
    title: str = ""
    """What the run is called while it has no name of its own; empty in runs that are older than this field."""
    corpus: str
    corpus_sha256: str
    characters: str
    device: Device = "auto"
    created: str
    versions: dict[str, str] = {}
    parent: str | None = None
    """The run that this one repeats with something changed."""
    group: str | None = None
    """The sweep that this run belongs to."""
    claim: str | None = None
    """The claim that this run was made to reproduce."""
    race: Race | None = None
    """The race that this run takes part in."""
    entrant: str | None = None
    """As whom, by the race's list."""
    fault: str | None = None
    """What was broken in it on purpose, by its name in core/training/sabotages.py."""
    start: Start | None = None
    """Where its first weights come from, if they are not random."""
    heals: str | None = None
    """What this run and its twin share: one was trained on with parts switched off, the other as it was."""
    off: tuple[str, ...] = ()
    """Parts that say nothing throughout: the weights through which they speak are kept at zero."""
    memory_needed: float | None = None
    """Bytes that it was estimated to take in all, if whoever started it looked."""
    owner: str = ""
    """The name by which whoever made it had logged in; empty without one. It decides nothing about the training."""

    @property
    def rung(self) -> Rung:
        """The rung's entry in the registry."""
        return registry.get(self.rung_key)

    @property
    def model_config_(self) -> Settings:
        """The model's settings, validated."""
        return self.rung.config.parse(self.model, "model.")


class Status(BaseModel):
    """Where a run is now; written by the worker alone."""

    model_config = ConfigDict(extra="ignore")

    state: State = State.QUEUED
    step: int = 0
    of: int = 0
    message: str = ""
    device: str = ""
    pid: int | None = None
    born: float | None = None
    """When the process `pid` was made: a later process with the same number is another one."""
    only: str = ""
    """The names of the devices that the run waits for, with blanks between, if not any of their kind will do."""
    devices: int = 1
    """On how many devices it is computed at once."""
    node: str = ""
    """The machine that it was sent to; empty if it runs, or ran, on this one."""
    queued: float = 0.0
    started: float | None = None
    ended: float | None = None
    seconds: float = 0.0
    eta_seconds: float | None = None
    steps_per_second: float | None = None
    tokens_per_second: float | None = None
    characters: int = 0
    parameters: int | None = None
    train_loss: float | None = None
    val_loss: float | None = None
    impossible: int = 0
    best_val_loss: float | None = None
    best_step: int | None = None
    checkpoint_step: int | None = None
    meters: Meters | None = None
    device_name: str = ""
    """What the hardware is called; empty in runs that were made before it was noted, as are the next three."""
    threads: int | None = None
    """How many cores computed, if it was a processor."""
    precision: str = ""
    """The number format of the matrix products."""
    compiled: bool | None = None
    memory_needed: float | None = None
    """Bytes that the run was estimated to take in all, and that were free when it began."""
    memory_free: float | None = None

    @field_validator("device")
    @classmethod
    def _known(cls, device: str) -> str:
        """Of a device that no worker could have written, nothing is kept."""
        return device if device in ("cpu", "cuda", "mps") else ""


@dataclass(frozen=True)
class Sample:
    """Text written at one evaluation."""

    step: int
    val_loss: float | None
    prompt: str
    text: str


@dataclass(frozen=True)
class Run:
    """One run as it was at the moment of reading. `damage` says why it cannot be used, if so."""

    path: Path
    name: str
    config: RunConfig | None
    status: Status
    damage: str | None = None
    note: str = ""
    pinned: bool = False
    given: str = ""
    """The name that somebody gave it; `name` is its title while there is none."""

    @property
    def handle(self) -> str:
        """What tells it from others of its name: its address without the rung, or that it came with the product."""
        return "shipped" if self.shipped else self.path.name.removeprefix(f"{self.rung_key}-")

    @property
    def label(self) -> str:
        """What it is called where several runs stand together: no two are called alike."""
        name = f"{self.name} ({BROKEN})" if self.broken and BROKEN not in self.name else self.name
        return name if self.given or self.handle == self.name else f"{name} · {self.handle}"

    @cached_property
    def slug(self) -> str:
        """The run's address: its folder's name, or `pretrained/<stage>` for one that ships."""
        return f"pretrained/{self.path.name}" if self.shipped else self.path.name

    @cached_property
    def shipped(self) -> bool:
        """True for a run that came with the product."""
        return os.path.dirname(self.path) == str(paths.pretrained())  # asked of thousands: no path is made

    @property
    def state(self) -> State:
        """The state, corrected by what the folder shows: a stop asked for, a worker that died."""
        return self.status.state

    @property
    def rung_key(self) -> str:
        """The rung's key, or an empty text if the configuration cannot be read."""
        return self.config.rung_key if self.config else ""

    @property
    def owner(self) -> str:
        """Whose run it is."""
        return (self.config.owner if self.config else "") or owners.GUEST

    @property
    def broken(self) -> bool:
        """True if it was broken on purpose, to learn from: it stands in no ranking."""
        return self.config is not None and (self.config.fault is not None or bool(self.config.off))

    @property
    def usable(self) -> bool:
        """True if there are weights to look at."""
        return self.damage is None and (self.path / WEIGHTS).exists()

    def need(self) -> RunConfig:
        """Return the configuration. Raises BardlabError if the run is damaged."""
        if self.damage or self.config is None:
            raise BardlabError(f"run {self.slug} is damaged: {self.damage}; delete it, or restore the file")
        return self.config


def read_status(path: Path) -> Status:
    """Return a run's status as it was written. Raises OSError, or ValueError if it is damaged."""
    return Status.model_validate_json(runs_folder.checked(files.read(path / STATUS)))


def sealed(settings: BaseModel) -> bytes:
    """Return the file of a configuration or a status: JSON that ends in its own checksum."""
    return runs_folder.sealed(settings.model_dump_json(indent=2).encode())


def write_status(path: Path, status: Status) -> None:
    """Replace status.json. If the disk is full, the run's small reserve is given up to say how the run ended."""
    runs_folder.put_status(path, status.model_dump_json(indent=2).encode(), ended=not status.state.active)
