"""The ladder: every rung is declared here, once. Pages, command line, tests and README iterate this registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.config import Settings, TrainConfig
from core.errors import BardlabError
from core.models.bigram import Bigram, BigramConfig
from core.models.contract import LanguageModel
from core.models.transformer import Transformer, TransformerConfig


@dataclass(frozen=True)
class Preset:
    """A named choice of settings: what differs from the defaults of the configuration classes."""

    help: str
    model: Mapping[str, Any]
    train: Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
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

    def build(self, config: Settings, vocab_size: int) -> LanguageModel:
        """Make the model with fresh weights, drawn from torch's global generator."""
        return self.model(config, vocab_size)

    @cached_property
    def default_preset(self) -> str:
        """The preset that a form starts from."""
        return next(iter(self.presets))

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


BIGRAM = Stage(
    key="bigram",
    title="Bigram",
    idea="The next character depends on the current one alone.",
    new=(
        "A table with one row for each character: row *t* says how likely each character is to come after *t*. "
        "The whole model is that table. It can be counted from the text, or learned by gradient descent on the "
        "loss; both end in the same place, and the distance between them is a number you can watch shrink."
    ),
    paper="Shannon (1948), A mathematical theory of communication, section 3",
    paper_url="https://doi.org/10.1002/j.1538-7305.1948.tb01338.x",
    config=BigramConfig,
    model=Bigram,
    presets={
        "seconds": Preset(
            "Learned by gradient descent, in a few seconds.",
            model={},
            train=dict(
                steps=800, batch_size=64, window=256, learning_rate=0.1, weight_decay=0.005, cooldown=0.8, eval_every=50
            ),
        ),
        "counted": Preset(
            "Counted in one pass over the text, with add-one smoothing: the best a bigram can do.",
            model=dict(fit="count"),
            train=dict(steps=1, eval_every=1),
        ),
        "minutes": Preset(
            "The same by plain SGD, slowly enough to watch every row find its shape.",
            model={},
            train=dict(
                steps=20_000,
                batch_size=32,
                window=64,
                optimizer="sgd",
                learning_rate=10.0,
                weight_decay=0.0,
                eval_every=500,
            ),
        ),
    },
)

TRANSFORMER = Stage(
    key="transformer",
    title="Transformer",
    idea="Every character looks back at every earlier one and decides for itself what matters.",
    new=(
        "Self-attention: each position asks a question (its query), every earlier position offers an answer (its key) "
        "and what it has to say (its value), and the match decides who is heard. Several heads ask in parallel, a "
        "feed-forward layer then thinks about each position alone, and both only ever add to a residual stream."
    ),
    paper="Vaswani et al. (2017), Attention is all you need",
    paper_url="https://arxiv.org/abs/1706.03762",
    config=TransformerConfig,
    model=Transformer,
    presets={
        "seconds": Preset(
            "A small one that starts to look like a play in under half a minute on two CPU cores.",
            model=dict(n_layer=2, n_head=4, d_model=64, context=64, dropout=0.0, positions="rotary"),
            train=dict(
                steps=500, batch_size=16, optimizer="muon", learning_rate=5e-3, cooldown=0.6, warmup=10, eval_every=50
            ),
        ),
        "minutes": Preset(
            "The size of nanoGPT's CPU recipe: legible Shakespeare within three minutes on two CPU cores.",
            model=dict(n_layer=4, n_head=4, d_model=128, context=64, dropout=0.0, positions="rotary"),
            train=dict(
                steps=1600, batch_size=12, optimizer="muon", learning_rate=5e-3, cooldown=0.6, warmup=10, eval_every=200
            ),
        ),
        "reference": Preset(
            "The reference GPT to the letter: 10.8 million parameters. Minutes on a GPU, about a day on two CPU cores.",
            model={},
            train=dict(steps=5000, batch_size=64, learning_rate=3e-4, weight_decay=0.01, eval_every=500),
        ),
    },
)

STAGES: dict[str, Stage] = {stage.key: stage for stage in (BIGRAM, TRANSFORMER)}


def get(key: str) -> Stage:
    """The rung called `key`. Raises BardlabError, listing the rungs, if there is none."""
    if key not in STAGES:
        raise BardlabError(f"unknown stage {key!r}; choose one of {', '.join(STAGES)}")
    return STAGES[key]
