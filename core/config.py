"""Settings: each is declared once, with its range, its step on a slider and its help.

The same declaration draws the slider, parses the command line, validates, and is stored with the run.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticUndefined

from core.errors import BardlabError

LONGEST_TEXT = 4000
"""Characters that a text setting, or a box on a page, takes unless it says otherwise: several times any context."""
QUOTED = 60
"""Characters of a refused value that are repeated in the message."""


def setting(
    default: Any,
    help: str,
    *,
    ge: float | None = None,
    le: float | None = None,
    step: float | None = None,
    ticks: tuple[float, ...] | None = None,
    longest: int | None = None,
    advanced: bool = False,
) -> Any:
    """Declare one field of a `Settings` class.

    `ge` and `le` bound a number, `longest` the characters of a text; `step` is the slider's step. A quantity that is
    chosen by its order of magnitude (a width, a learning rate) gives the slider's stops as `ticks` instead; any value
    in range remains valid.
    `advanced` settings are offered below the others.
    """
    extra: dict[str, Any] = {}
    if advanced:
        extra["advanced"] = True
    if step is not None:
        extra["step"] = step
    if ticks is not None:
        extra["ticks"] = list(ticks)
    return Field(
        default, ge=ge, le=le, max_length=longest, description=help, json_schema_extra=extra, validate_default=True
    )


@dataclass(frozen=True)
class FieldInfo:
    """What a form, a command line or a test needs to know of one setting."""

    name: str
    kind: Literal["int", "float", "bool", "choice", "text"]
    default: Any
    help: str
    low: float | None
    high: float | None
    step: float | None
    ticks: tuple[float, ...] | None
    choices: tuple[str, ...] | None
    advanced: bool
    longest: int | None = None
    """Of a text: at most so many characters."""

    @property
    def range(self) -> str:
        """The accepted values in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind == "bool":
            return "true or false"
        if self.kind == "text":
            return "some text" + (f" of at most {self.longest:,} characters" if self.longest is not None else "")
        noun = "a whole number" if self.kind == "int" else "a number"
        return f"{noun} from {self.low:g} to {self.high:g}"

    def accepts(self, value: object) -> bool:
        """True if the value is in range, whatever the other settings are."""
        if self.choices:
            return value in self.choices
        if self.kind == "bool":
            return isinstance(value, bool)
        if self.kind == "text":
            return isinstance(value, str) and (self.longest is None or len(value) <= self.longest)
        if isinstance(value, bool) or not isinstance(value, int if self.kind == "int" else int | float):
            return False
        low = -math.inf if self.low is None else self.low
        return low <= value <= (math.inf if self.high is None else self.high)


class Settings(BaseModel):
    """Base of every configuration: frozen, strict about names, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def fields(cls) -> list[FieldInfo]:
        """Every setting in declaration order."""
        return [_field_info(cls, name) for name in cls.model_fields]

    @classmethod
    def parse(cls, values: Mapping[str, Any], prefix: str = "") -> Self:
        """Validate `values` (strings from a command line included).

        Raises BardlabError with one line that names the setting, the value and the accepted range.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise BardlabError(_one_line(cls, error.errors()[0], prefix)) from None

    def changes(self, other: "Settings") -> dict[str, Any]:
        """The settings in which `self` differs from `other`, with `self`'s values."""
        mine, theirs = self.model_dump(), other.model_dump()
        return {name: value for name, value in mine.items() if theirs.get(name) != value}


def _field_info(cls: type[Settings], name: str) -> FieldInfo:
    field = cls.model_fields[name]
    bounds = {type(m).__name__: m for m in field.metadata}
    low = getattr(bounds.get("Ge"), "ge", None)
    high = getattr(bounds.get("Le"), "le", None)
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    choices = tuple(str(a) for a in get_args(field.annotation)) if get_origin(field.annotation) is Literal else None
    kinds: dict[Any, Literal["int", "float", "bool", "text"]] = {int: "int", float: "float", bool: "bool", str: "text"}
    ticks: Any = extra.get("ticks")
    step: Any = extra.get("step")
    return FieldInfo(
        name=name,
        kind="choice" if choices else kinds[field.annotation],
        default=None if field.default is PydanticUndefined else field.default,
        help=field.description or "",
        low=low,
        high=high,
        step=step,
        ticks=tuple(ticks) if ticks else None,
        choices=choices,
        advanced=bool(extra.get("advanced")),
        longest=getattr(bounds.get("MaxLen"), "max_length", None),
    )


def _one_line(cls: type[Settings], error: ErrorDetails, prefix: str) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    label = f"{prefix}{name}"
    if error["type"] == "extra_forbidden":
        return f"{label}: no such setting; choose from {', '.join(cls.model_fields)}"
    if error["type"] == "value_error":  # a rule of our own, between fields or on one
        message = error["msg"].removeprefix("Value error, ")
        return f"{label}: {message}" if name else message
    value = error["input"]
    shown = value if isinstance(value, str) else repr(value)
    if error["type"] == "string_too_long":
        return f"{label}: {len(value):,} characters are too many; give {_field_info(cls, name).range}"
    if len(shown) > QUOTED:
        shown = f"{shown[:QUOTED]} … ({len(shown):,} characters)"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{label}: {shown} is not a finite number; give {_field_info(cls, name).range}"
    return f"{label}: {shown!s} is not accepted; give {_field_info(cls, name).range}"


DEVICE = r"auto|cpu|mps|cuda(:[0-9]{1,2})?"
Device = Annotated[str, Field(pattern=f"^({DEVICE})$")]
"""What a run may ask for: a kind of device, or one of several GPUs by its number."""


def worth(what: str, nats: float, error: float) -> str:
    """Say what an ingredient of the quick recipe was measured to be worth, as `bench ingredients` finds it.

    `what` names the ingredient and what stands in its place without it; `nats` a character is the mean over three
    seeds of the difference in validation loss, `error` its standard error. docs/benchmarks.md holds the whole table.
    """
    measured = f"{nats:.3f} ± {error:.3f} nats in the Transformer's preset seconds"
    if nats < 2 * error:
        return f" {what} makes no difference to be trusted: {measured}."
    return f" {what} is worth {measured}."


class TrainConfig(Settings):
    """How a model is trained; the same for every rung of the ladder."""

    steps: int = setting(
        1000,
        "Optimiser steps. Each takes one batch, computes the loss and its gradient, and moves every weight once.",
        ge=1,
        le=100_000,
        ticks=(50, 100, 200, 300, 500, 1000, 2000, 3000, 5000, 10_000, 20_000, 50_000, 100_000),
    )
    batch_size: int = setting(
        32,
        "Sequences a step. More give a less noisy gradient and cost more time a step.",
        ge=1,
        le=1024,
        ticks=(1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024),
    )
    window: int = setting(
        0,
        "Characters in each training sequence; every position is a prediction. 0 takes the model's own context.",
        ge=0,
        le=1024,
        ticks=(0, 8, 16, 32, 64, 128, 256, 512, 1024),
        advanced=True,
    )
    short_first: float = setting(
        0.0,
        "Share of the run, at its start, trained on shorter sequences: a quarter of the window, then half of it, with "
        "as many more of them. What is near is learned first, and short sequences are cheaper (Press et al. 2021)."
        + worth("0.7 instead of 0, at equal steps,", -0.006, 0.011),
        ge=0.0,
        le=0.9,
        step=0.1,
        advanced=True,
    )
    optimizer: Literal["adamw", "muon", "sgd"] = setting(
        "adamw",
        "How a gradient becomes a step. AdamW scales each weight's step by its own history; Muon orthogonalises the "
        "update of each hidden matrix (AdamW takes the rest); SGD follows the gradient as it is."
        + worth("Muon instead of AdamW at its best rate", 0.241, 0.012),
    )
    learning_rate: float = setting(
        3e-4,
        "The size of a step. Too small learns slowly, too large makes the loss jump or diverge.",
        ge=1e-6,
        le=100.0,
        ticks=(1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
    )
    muon_learning_rate: float = setting(
        0.02,
        "Muon's own step size for the hidden matrices (its updates are orthogonal, so the scale differs from AdamW's). "
        "Used only when the optimiser is Muon.",
        ge=1e-4,
        le=1.0,
        ticks=(0.001, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1),
        advanced=True,
    )
    muon_momentum: float = setting(
        0.95,
        "How long Muon remembers earlier gradients: 0.95 looks back over some 20 steps. Very short runs want less."
        + worth("0.85 instead of 0.95", 0.032, 0.003),
        ge=0.0,
        le=0.99,
        step=0.01,
        advanced=True,
    )
    beta2: float = setting(
        0.999,
        "How long AdamW remembers the size of earlier gradients: 0.999 looks back over some 1,000 steps, 0.99 over "
        "100. Short runs want less (Kingma and Ba 2015)." + worth("0.99 instead of 0.999", -0.003, 0.002),
        ge=0.9,
        le=0.9999,
        ticks=(0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999),
        advanced=True,
    )
    weight_decay: float = setting(
        0.01,
        "Pulls weights towards zero a little at each step, decoupled from the gradient (Loshchilov and Hutter 2019).",
        ge=0.0,
        le=1.0,
        ticks=(0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0),
        advanced=True,
    )
    warmup: int = setting(
        0,
        "Steps over which the learning rate rises from zero; guards the first, wildest gradients.",
        ge=0,
        le=2000,
        step=10,
        advanced=True,
    )
    cooldown: float = setting(
        0.0,
        "Share of the run, at its end, over which the learning rate falls linearly to zero. 0 keeps it constant."
        + worth("0.6 instead of 0", 0.072, 0.008),
        ge=0.0,
        le=1.0,
        step=0.05,
        advanced=True,
    )
    grad_clip: float = setting(
        0.0,
        "Scales the whole gradient down when its norm exceeds this. 0 switches it off.",
        ge=0.0,
        le=10.0,
        step=0.1,
        advanced=True,
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto",
        "Number format of the matrix products while training; weights and evaluation stay in float32. bfloat16 is "
        "about 1.5 times as fast where the hardware has it; float16 is for older NVIDIA GPUs that lack it, and scales "
        "the loss so that small gradients do not vanish. auto finds out what is there.",
        advanced=True,
    )
    compile: Literal["auto", "off", "on"] = setting(
        "auto",
        "Whether torch.compile fuses the model's operations before the first step. That takes half a minute or more, "
        "the second time some seconds; auto does it on an NVIDIA GPU, where the run's steps gain more than that. A "
        "compiler that fails is told, and training goes on without.",
        advanced=True,
    )
    eval_every: int = setting(
        100,
        "Steps between evaluations. Each measures the loss on the whole validation split, writes a sample and saves "
        "the weights.",
        ge=1,
        le=10_000,
        ticks=(10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000),
    )
    sample_chars: int = setting(
        200,
        "Characters written at each evaluation, always from the same prompt and seed.",
        ge=0,
        le=1000,
        step=50,
        advanced=True,
    )
    prompt: str = setting(
        "\n",
        "What each of those samples starts from; a line break by default.",
        longest=LONGEST_TEXT,
        advanced=True,
    )
    snapshots: int = setting(
        20,
        "At most this many copies of the weights are kept along the run, to look back through later.",
        ge=0,
        le=100,
        step=5,
        advanced=True,
    )
    seed: int = setting(
        1337,
        "Fixes the initial weights, the batches and the dropout: same seed, same curve. To the last digit on one CPU; "
        "on a GPU, or with another device, number of threads or version of torch, to rounding, which grows on the way.",
        ge=0,
        le=2**31 - 1,
        step=1,
    )
    patience: int = setting(
        0,
        "Ends the run early when this many evaluations in a row have brought no better validation loss. 0 never does. "
        "The best weights are kept in any case.",
        ge=0,
        le=100,
        step=1,
        advanced=True,
    )
