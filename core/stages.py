"""The ladder: every rung is declared here, once. Pages, command line, tests and README iterate this registry."""

import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from string import Template
from typing import Any

import torch

from core.config import Settings, TrainConfig
from core.errors import BardlabError
from core.models.bigram import Bigram, BigramConfig, counted_logits
from core.models.contract import LanguageModel
from core.models.mlp import MLP, MLPConfig
from core.models.ngram import Order
from core.models.residual import Layer, ResidualConfig, ResidualNet
from core.models.transformer import Attention, Transformer, TransformerConfig
from core.models.wavenet import GatedLayer, WaveNet, WaveNetConfig


@dataclass(frozen=True)
class Preset:
    """A named choice of settings: what differs from the defaults of the configuration classes."""

    help: str
    model: Mapping[str, Any]
    train: Mapping[str, Any]


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
    equation: str
    """LaTeX, with $name for a setting of the model and $V for the number of characters."""
    code: Callable[..., Any]
    """The few lines that do the new thing."""
    experiments: tuple[Experiment, ...]
    ships: str = "best"
    """The preset whose trained run comes with the product."""
    twins: Twins | None = None
    """What the page offers to train twice with one click."""
    variant: Variant | None = None
    icon: str = ":material/school:"
    """Its sign in the menu: the name of a Material symbol."""
    picture: str = ""
    """The drawing above the settings, by its name in pages/ui/pictures.py; none by default."""
    views: tuple[str, ...] = ("layers", "updates", "receptive_field", "embeddings", "parameters")
    """What its page shows of a run, by name in pages/ui/view_table.py, in this order."""
    tiny: Mapping[str, Any] = field(default_factory=dict)
    """Settings of a model small enough to train within a test."""
    snapshot_bytes: float = 1e6
    """What the snapshots of its shipped run may take; 40 MB in all with the newest weights."""

    def variant_of(self, config: Settings) -> Variant | None:
        """Return what the rung turns into under these settings, or None while it is itself."""
        return self.variant if self.variant and self.variant.when(config) else None

    def title_of(self, config: Settings) -> str:
        """Return what a model with these settings is called."""
        variant = self.variant_of(config)
        return Template(variant.title).substitute(config.model_dump()) if variant else self.title

    def equation_of(self, config: Settings, vocab_size: int) -> str:
        """Return the rung's equation with the numbers of one model in it."""
        variant = self.variant_of(config)
        return Template((variant or self).equation).substitute(config.model_dump(), V=vocab_size)

    def code_of(self, config: Settings | None = None) -> Callable[..., Any]:
        """Return the few lines that do the new thing, of a model with these settings."""
        return ((config and self.variant_of(config)) or self).code

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


def rungs_whose(holds: Callable[[LanguageModel], object]) -> tuple[str, ...]:
    """Return the keys of the rungs for whose models, built with default settings on `meta`, `holds` is true."""
    with torch.device("meta"):
        return tuple(key for key, stage in STAGES.items() if holds(stage.build(stage.config(), 2)))


def source_of(code: Callable[..., Any]) -> str:
    """Return a function's lines as they stand in its file, moved to the left margin."""
    return textwrap.dedent(inspect.getsource(code))


def file_of(code: Callable[..., Any]) -> str:
    """Return where a function stands, such as core/models/mlp.py."""
    return code.__module__.replace(".", "/") + ".py"


MODERN: Mapping[str, Any] = dict(positions="rotary", activation="relu2", smear=True, start="zero")
"""What a Transformer of today does differently from the reference; each is a switch of its own."""
QUICK: Mapping[str, Any] = dict(optimizer="muon", learning_rate=5e-3, cooldown=0.6, warmup=10)
"""The quick recipe: Muon on the hidden matrices, AdamW on the rest, a linear cool-down over the last 60 %."""
FAST: Mapping[str, Any] = {
    **QUICK,
    "learning_rate": 0.01,
    "beta2": 0.99,
    "muon_learning_rate": 0.03,
    "muon_momentum": 0.9,
}
"""The same with higher rates and shorter memories, as runs of about a thousand steps like them."""
PATIENT: Mapping[str, Any] = {**QUICK, "learning_rate": 0.01, "beta2": 0.99, "short_first": 0.5, "warmup": 20}
"""The same for thousands of steps: as high a rate beside Muon's own defaults, short sequences for the first half."""

DROPOUT_TWINS = Twins(
    "dropout",
    (0.0, 0.2),
    "Train twins: dropout 0 and 0.2",
    "Two runs of these settings, one after the other, alike but for the dropout: same weights at the start, same "
    "batches. The gap between training and validation loss shows what it is for, once the text has been seen a few "
    "times over.",
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
        "ngram": Preset(
            "Counted pieces of six characters: the n-gram, with interpolated Kneser-Ney smoothing.",
            model=dict(order=6, fit="count"),
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
    equation=r"p(x_{t+1} \mid x_t) = \operatorname{softmax}(W_{x_t}), \qquad W \in \mathbb{R}^{$V \times $V}",
    code=counted_logits,
    experiments=(
        Experiment("Count instead of learning", "One pass over the text reaches the best loss at once.", "counted"),
        Experiment(
            "A learning rate far too high",
            "The loss jumps about, and the table never settles.",
            "seconds",
            {"train.learning_rate": 30.0},
        ),
        Experiment(
            "Count longer pieces",
            "Seven characters of context, the longest offered: is it still better than six or five?",
            "ngram",
            {"model.order": 8},
        ),
    ),
    variant=Variant(
        when=lambda config: config.order > 2,
        title="Counted $order-gram",
        equation=(
            r"p(w \mid \underbrace{x_{t-$order+2} \ldots x_t}_{h}) = \frac{\max(c(h\,w) - D,\ 0)}{c(h\,\cdot)} "
            r"+ \lambda(h)\; p(w \mid x_{t-$order+3} \ldots x_t), \qquad \lambda(h) = \text{what was taken off}"
        ),
        code=Order.interpolate,
    ),
    ships="seconds",
    icon=":material/table_chart:",
    views=("pairs",),
)

PERCEPTRON = Stage(
    key="mlp",
    title="MLP",
    idea="The next character depends on the last few, each described by a learned vector.",
    new=(
        "The bigram's table would need a row for every possible pair, triple, ... of characters. Instead each "
        "character gets a short vector, its embedding; the vectors of the last few are laid side by side, and a hidden "
        "layer learns what combinations of them mean. Characters that behave alike end up with vectors alike."
    ),
    paper="Bengio et al. (2003), A neural probabilistic language model",
    paper_url="https://www.jmlr.org/papers/v3/bengio03a.html",
    config=MLPConfig,
    model=MLP,
    presets={
        "seconds": Preset(
            "Eight characters back, in about ten seconds.",
            model=dict(),
            train=dict(steps=1000, batch_size=16, window=64, eval_every=100, **QUICK),
        ),
        "minutes": Preset(
            "Twice as wide, with dropout, within three minutes on two CPU cores.",
            model=dict(d_embed=32, d_hidden=512, dropout=0.1),
            train=dict(steps=4000, batch_size=16, window=64, eval_every=500, **QUICK),
        ),
        "best": Preset(
            "The best that this rung reached here: wide, with more dropout, a quarter of an hour.",
            model=dict(d_embed=32, d_hidden=1024, dropout=0.2),
            train=dict(steps=6000, batch_size=16, window=64, eval_every=1000, **QUICK),
        ),
    },
    equation=(
        r"h = \tanh\big(W\,[\,\underbrace{e_{x_{t-$context+1}};\ \ldots\ ;\ e_{x_t}}_{$context\ \text{characters}}\,]"
        r" + b\big), \qquad e \in \mathbb{R}^{$d_embed},\quad h \in \mathbb{R}^{$d_hidden}"
    ),
    code=MLP.forward,
    experiments=(
        Experiment(
            "Two numbers a character",
            "The map below then shows all there is: vowels find each other.",
            "seconds",
            {"model.d_embed": 2},
        ),
        Experiment(
            "See one character only",
            "With no more to go on than the bigram, it cannot get below the bigram's loss.",
            "seconds",
            {"model.context": 1},
        ),
        Experiment(
            "Start with weights five times too large",
            "tanh saturates, little gradient comes through, and the loss starts high.",
            "seconds",
            {"model.init_gain": 5.0},
        ),
    ),
    twins=DROPOUT_TWINS,
    icon=":material/scatter_plot:",
    picture="mlp",
    views=("embeddings", "layers", "updates", "gap", "receptive_field", "parameters"),
    tiny=dict(context=4, d_embed=4, d_hidden=16),
    snapshot_bytes=4e6,
)

WAVENET = Stage(
    key="wavenet",
    title="WaveNet",
    idea="Look back twice as far with every layer.",
    new=(
        "The MLP squeezes all it sees through one layer, and every further character makes that layer larger. Here "
        "each layer joins just two positions, but these lie 1, 2, 4, 8, ... characters apart: six layers reach 64 "
        "characters back. Gates decide what passes, and every layer also writes to the output directly."
    ),
    paper="van den Oord et al. (2016), WaveNet: a generative model for raw audio",
    paper_url="https://arxiv.org/abs/1609.03499",
    config=WaveNetConfig,
    model=WaveNet,
    presets={
        "seconds": Preset(
            "Five narrow layers that reach 32 characters back, in about ten seconds.",
            model=dict(n_layer=5, channels=48, skip_channels=64),
            train=dict(steps=600, batch_size=8, window=128, eval_every=100, **QUICK),
        ),
        "minutes": Preset(
            "Six layers that reach 64 characters back, within three minutes on two CPU cores.",
            model=dict(n_layer=6, channels=128, dropout=0.1),
            train=dict(steps=750, batch_size=8, window=256, eval_every=150, short_first=0.5, **FAST),
        ),
        "best": Preset(
            "The best that this rung reached here: 128 characters back, some twenty minutes.",
            model=dict(n_layer=7, channels=128, skip_channels=256, dropout=0.1),
            train=dict(steps=3000, batch_size=8, window=256, eval_every=500, short_first=0.5, **FAST),
        ),
    },
    equation=(
        r"z = \tanh(W_f * x) \odot \sigma(W_g * x), \qquad x \leftarrow x + W_r z, \qquad"
        r"\text{reach} = 1 + $n_cycle\,(2^{$n_layer} - 1)"
    ),
    code=GatedLayer.forward,
    experiments=(
        Experiment("Half the reach", "One layer fewer: 16 characters back.", "seconds", {"model.n_layer": 4}),
        Experiment(
            "The bare tree",
            "No gates, no residual, no skip outputs: the same reach, a higher loss.",
            "seconds",
            {"model.variant": "fuse"},
        ),
        Experiment(
            "Two cycles of dilations",
            "Twice as many layers look at the same neighbourhoods again.",
            "seconds",
            {"model.n_cycle": 2},
        ),
    ),
    icon=":material/account_tree:",
    picture="wavenet",
    views=("dilations", "receptive_field", "layers", "updates", "embeddings", "parameters"),
    tiny=dict(n_layer=3, channels=8, skip_channels=8),
    snapshot_bytes=6e6,
)

RESIDUAL = Stage(
    key="residual",
    title="Residual network",
    idea="Add what a layer finds to what came in, and depth stops hurting.",
    new=(
        "More layers should be able to do more, yet a plain stack of 32 learns worse than one of 4: the gradient "
        "fades on its way down. A skip connection around every layer leaves it a straight road. Turn the dial `skip` "
        "from 1 to 0 and train the same network again to see the difference."
    ),
    paper="He et al. (2015), Deep residual learning for image recognition",
    paper_url="https://arxiv.org/abs/1512.03385",
    config=ResidualConfig,
    model=ResidualNet,
    presets={
        "seconds": Preset(
            "Eight layers, in about ten seconds.",
            model=dict(context=8, depth=8, width=64),
            train=dict(steps=500, batch_size=8, window=64, eval_every=50, **QUICK),
        ),
        "minutes": Preset(
            "32 layers with skip connections, within three minutes on two CPU cores.",
            model=dict(context=8),
            train=dict(steps=1500, batch_size=8, window=64, eval_every=250, **QUICK),
        ),
        "plain": Preset(
            "Its twin without them: same weights at the start, same batches, skip at 0.",
            model=dict(context=8, skip=0.0),
            train=dict(steps=1500, batch_size=8, window=64, eval_every=250, **QUICK),
        ),
    },
    equation=(
        r"x_{\ell+1} = $skip\,x_\ell + s\,F_\ell(x_\ell), \qquad F_\ell(x) = W_\ell \max(0, \operatorname{norm}(x))"
        r" + b_\ell, \qquad \ell = 1, \ldots, $depth"
    ),
    code=Layer.forward,
    experiments=(
        Experiment(
            "Cut the skips",
            "Same weights at the start, same batches: compare it with the minutes preset.",
            "plain",
        ),
        Experiment("Half a skip", "How much of the straight road is needed?", "minutes", {"model.skip": 0.5}),
        Experiment("64 layers", "With skips, twice the depth still learns.", "minutes", {"model.depth": 64}),
    ),
    ships="minutes",
    twins=Twins(
        "skip",
        (1.0, 0.0),
        "Train twins: with and without skips",
        "Two runs of these settings, one after the other, alike but for the dial: same weights at the start, same "
        "batches.",
    ),
    icon=":material/layers:",
    picture="residual",
    views=("gradients_of_twins", "by_depth", "layers", "updates", "receptive_field", "embeddings", "parameters"),
    tiny=dict(context=4, d_embed=4, width=16, depth=4),
    snapshot_bytes=4e6,
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
            "As many parameters as nanoGPT's CPU recipe, and better after 140 steps than that after its 2,000.",
            model=dict(n_layer=3, n_head=4, d_model=128, context=64, dropout=0.0, trigrams=1536, **MODERN),
            train=dict(
                steps=140,
                batch_size=12,
                eval_every=20,
                optimizer="muon",
                learning_rate=0.02,
                muon_learning_rate=0.03,
                muon_momentum=0.85,
                beta2=0.99,
                weight_decay=0.0,
                short_first=0.7,
                cooldown=0.6,
                warmup=6,
            ),
        ),
        "minutes": Preset(
            "The same model with twice the context and ten times the steps: legible Shakespeare in some three minutes "
            "on two CPU cores.",
            model=dict(n_layer=3, n_head=4, d_model=128, context=128, dropout=0.0, trigrams=1536, **MODERN),
            train=dict(
                steps=1400,
                batch_size=8,
                eval_every=140,
                short_first=0.6,
                weight_decay=0.1,
                **{**FAST, "muon_learning_rate": 0.02},
            ),
        ),
        "long": Preset(
            "4 blocks, context 256 and some dropout: nearly as good as best in a third of its time, about 20 minutes.",
            model=dict(n_layer=4, n_head=4, d_model=128, context=256, dropout=0.1, trigrams=1536, **MODERN),
            train=dict(steps=3400, batch_size=8, eval_every=340, weight_decay=0.1, **PATIENT),
        ),
        "best": Preset(
            "The best that this rung reached here: 6 blocks of 6 heads, context 256, about an hour on two CPU cores.",
            model=dict(n_layer=6, n_head=6, d_model=144, context=256, dropout=0.1, **MODERN),
            train=dict(steps=2400, batch_size=16, eval_every=120, **PATIENT),
        ),
        "reference": Preset(
            "The reference GPT to the letter: 10.8 million parameters. Minutes on a GPU, about a day on two CPU cores.",
            model={},
            train=dict(steps=5000, batch_size=64, learning_rate=3e-4, weight_decay=0.01, eval_every=500),
        ),
    },
    equation=(
        r"\begin{gathered} \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt{$d_model / $n_head}}\right) V, \\"
        r"Q, K, V \in \mathbb{R}^{$context \times ($d_model / $n_head)}, \\"
        r"$n_head\ \text{heads in each of}\ $n_layer\ \text{blocks} \end{gathered}"
    ),
    code=Attention.forward,
    experiments=(
        Experiment(
            "No positions",
            "Attention alone cannot tell what came first: how much does the loss rise?",
            "seconds",
            {"model.positions": "none"},
        ),
        Experiment("One head", "A single head must do everything by itself.", "seconds", {"model.n_head": 1}),
        Experiment(
            "No table of three characters",
            "The blocks must learn to spell by attention: how much later does the loss get there?",
            "seconds",
            {"model.trigrams": 0},
        ),
        Experiment(
            "AdamW instead of Muon",
            "The same model, the same batches, another way of taking a step, at the best rate found for it.",
            "seconds",
            {"train.optimizer": "adamw", "train.learning_rate": 0.005},
        ),
    ),
    twins=DROPOUT_TWINS,
    icon=":material/hub:",
    picture="transformer",
    views=(
        "gap",
        "positions",
        "receptive_field",
        "layers",
        "gradients",
        "updates",
        "embeddings",
        "parameters",
    ),
    tiny=dict(n_layer=2, n_head=2, d_model=16, context=16, dropout=0.1),
    snapshot_bytes=23e6,
)

STAGES: dict[str, Stage] = {stage.key: stage for stage in (BIGRAM, PERCEPTRON, WAVENET, RESIDUAL, TRANSFORMER)}


def get(key: str) -> Stage:
    """The rung called `key`. Raises BardlabError, listing the rungs, if there is none."""
    if key not in STAGES:
        raise BardlabError(f"unknown stage {key!r}; choose one of {', '.join(STAGES)}")
    return STAGES[key]
