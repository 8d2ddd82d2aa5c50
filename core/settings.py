"""Settings: each is declared once, with its range, its step on a slider and its help.

The same declaration draws the slider, parses the command line, validates, and is stored with the run.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args, get_origin

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


def shown(value: object) -> str:
    """A setting's value as people write it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) and not value.strip() else str(value)


DEVICE = r"auto|cpu|mps|cuda(:[0-9]{1,2})?"


def worth(what: str, nats: float, error: float) -> str:
    """Say what an ingredient of the quick recipe was measured to be worth, as `bench ingredients` finds it.

    `what` names the ingredient and what stands in its place without it; `nats` a character is the mean over three
    seeds of the difference in validation loss, `error` its standard error. docs/benchmarks.md holds the whole table.
    """
    measured = f"{nats:.3f} ± {error:.3f} nats in the Transformer's preset seconds"
    if nats < 2 * error:
        return f" {what} makes no difference to be trusted: {measured}."
    return f" {what} is worth {measured}."
