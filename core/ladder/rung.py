"""What a rung of the ladder declares: its model, presets, experiments, twins."""

import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from string import Template
from typing import Any

from core.errors import BardlabError
from core.ladder.exercises import Exercise
from core.models.contract import LanguageModel
from core.settings import Settings
from core.training.config import TrainConfig

USUAL_TITLES: Mapping[str, str] = {"seconds": "quick", "minutes": "good"}
"""What pages call the presets whose names in files and on the command line are an order of magnitude."""


@dataclass(frozen=True)
class Preset:
    """A named choice of settings: what differs from the defaults of the configuration classes."""

    help: str
    model: Mapping[str, Any]
    train: Mapping[str, Any]
    title: str = ""
    """What a page calls it, if neither its name nor what is usual for that name says what one gets."""


@dataclass(frozen=True)
class Experiment:
    """Something worth trying: a preset with a few settings changed, and what to look for."""

    title: str
    look_for: str
    preset: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    """By dotted name, such as model.n_head."""


@dataclass(frozen=True)
class Twins:
    """Two runs that differ in one setting and share everything else, initial weights and batches included."""

    setting: str
    """Of the model."""
    values: tuple[Any, Any]
    title: str
    look_for: str


@dataclass(frozen=True)
class Variant:
    """What a rung turns into under some of its settings, and then shows instead of its own."""

    when: Callable[[Any], bool]
    """Whether the model's settings ask for it."""
    title: str
    """With $name for a setting, as in the equation."""
    equation: str
    code: Callable[..., Any]


@dataclass(frozen=True)
class Rung:
    """One rung: what it is called, where it comes from, what it is made of."""

    key: str
    title: str
    idea: str
    new: str
    paper: str
    paper_url: str
    config: type[Settings]
    model: type[LanguageModel]
    presets: Mapping[str, Preset]
    equation: str
    """LaTeX, with $name for a setting of the model and $V for the number of characters."""
    code: Callable[..., Any]
    """The few lines that do the new thing."""
    experiments: tuple[Experiment, ...]
    basic: tuple[str, ...] = ()
    """The settings of the model that the form shows at once; by default the first four that are not advanced."""
    basic_train: tuple[str, ...] = ("steps", "learning_rate")
    """The same for the settings of training."""
    ships: str = "best"
    """The preset whose trained run comes with the product."""
    widths: tuple[str, ...] = ()
    """The settings of the model that make it larger or smaller and nothing else of it, the one that does most first."""
    twins: Twins | None = None
    """What the page offers to train twice with one click."""
    variant: Variant | None = None
    forms: tuple[Variant, ...] = ()
    """Forms that it takes under some settings: their title, equation and code are shown, but it is still this rung."""
    icon: str = ":material/school:"
    """Its sign in the menu: the name of a Material symbol."""
    picture: str = ""
    """The drawing above the settings, by its name in pages/ui/drawings/rungs.py; none by default."""
    views: tuple[str, ...] = ("layers", "updates", "receptive_field", "embeddings", "parameters", "novelty")
    """What its page shows of a run, by name in pages/ui/rung_views/table.py, in this order."""
    exercises: tuple[Exercise, ...] = ()
    """What a learner does at its end to see whether it was understood; three."""
    tiny: Mapping[str, Any] = field(default_factory=dict)
    """Settings of a model small enough to train within a test."""
    snapshot_bytes: float = 1e6
    """What the snapshots of its shipped run may take; 40 MB in all with the newest weights."""

    def variant_of(self, config: Settings) -> Variant | None:
        """Return what the rung turns into under these settings, or None while it is itself."""
        return self.variant if self.variant and self.variant.when(config) else None

    def form_of(self, config: Settings) -> Variant | None:
        """Return what is shown of the rung under these settings instead of its own, or None while that is its own."""
        return self.variant_of(config) or next((form for form in self.forms if form.when(config)), None)

    def title_of(self, config: Settings) -> str:
        """Return what a model with these settings is called."""
        variant = self.form_of(config)
        return Template(variant.title).substitute(config.model_dump()) if variant else self.title

    def equation_of(self, config: Settings, vocab_size: int) -> str:
        """Return the rung's equation with the numbers of one model in it."""
        variant = self.form_of(config)
        return Template((variant or self).equation).substitute(config.model_dump(), V=vocab_size)

    def code_of(self, config: Settings | None = None) -> Callable[..., Any]:
        """Return the few lines that do the new thing, of a model with these settings."""
        return ((config and self.form_of(config)) or self).code

    @cached_property
    def source(self) -> str:
        """The new lines as they stand in the source file."""
        return source_of(self.code)

    def build(self, config: Settings, vocab_size: int) -> LanguageModel:
        """Make the model with fresh weights, drawn from torch's global generator.

        Raises BardlabError if the alphabet is too large for the settings.
        """
        return self.model.from_settings(config, vocab_size)

    @cached_property
    def default_preset(self) -> str:
        """The preset that a form starts from."""
        return next(iter(self.presets))

    def title_of_preset(self, preset: str) -> str:
        """Return what a page calls a preset."""
        return self.presets[preset].title or USUAL_TITLES.get(preset, preset)

    def changes(self, preset: str | None, model: Settings, train: TrainConfig) -> dict[str, Any]:
        """Return the settings that differ from a preset, by dotted name. Raises BardlabError if it is not there."""
        base_model, base_train = self.settings(preset, {}, {})
        changed = {f"model.{k}": v for k, v in model.changes(base_model).items()}
        return changed | {f"train.{k}": v for k, v in train.changes(base_train).items()}

    def shown_at_once(self, group: str) -> tuple[str, ...]:
        """Return the names of the settings of a group, model or train, that the form shows at once."""
        if group == "train":
            return self.basic_train
        return self.basic or tuple(field.name for field in self.config.fields() if not field.advanced)[:4]

    def settings(
        self, preset: str | None, model: Mapping[str, Any], train: Mapping[str, Any]
    ) -> tuple[Settings, TrainConfig]:
        """Return a preset with changes laid over it, validated.

        Raises BardlabError on an unknown preset, an unknown setting, or a value out of range.
        """
        base = Preset("", {}, {})
        if preset is not None:
            if preset not in self.presets:
                raise BardlabError(f"{self.key} has no preset {preset!r}; choose one of {', '.join(self.presets)}")
            base = self.presets[preset]
        return (
            self.config.parse({**base.model, **model}, "model."),
            TrainConfig.parse({**base.train, **train}, "train."),
        )


def source_of(code: Callable[..., Any]) -> str:
    """Return a function's lines as they stand in its file, moved to the left margin."""
    return textwrap.dedent(inspect.getsource(code))


def file_of(code: Callable[..., Any]) -> str:
    """Return where a function stands, such as core/models/mlp.py."""
    return code.__module__.replace(".", "/") + ".py"
