"""The WaveNet's declaration."""

from core.ladder.exercises import Exercise, Form, Number, Trained
from core.ladder.recipes import FAST, QUICK
from core.ladder.rung import Experiment, Preset, Rung
from core.models.contract import parameter_count
from core.models.wavenet import GatedLayer, WaveNet, WaveNetConfig

WAVENET = Rung(
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
        Experiment(
            "Half the reach",
            "One layer fewer: 16 characters back. In so few steps the loss hardly tells.",
            "seconds",
            {"model.n_layer": 4},
        ),
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
    widths=("channels", "skip_channels"),
    icon=":material/account_tree:",
    picture="wavenet",
    basic=("n_layer", "channels", "dropout", "variant"),
    views=("dilations", "receptive_field", "layers", "updates", "embeddings", "parameters", "novelty"),
    exercises=(
        Exercise(
            "Predict: the reach",
            "The preset quick stacks its layers with distances 1, 2, 4, 8, ... How many characters, the current one "
            "included, does a prediction see?",
            Number(lambda facts: facts.model.context or 0),
            "Each layer joins two positions and so doubles what is seen.",
            "One character, and the sum of all distances: 1 + (1 + 2 + 4 + 8 + 16) = 2 to the number of layers.",
        ),
        Exercise(
            "Set it so that it sees 128 characters",
            "Set the form so that a prediction sees 128 characters or more with fewer than 200,000 parameters.",
            Form(lambda model, train, built: (built.context or 0) >= 128 and parameter_count(built) < 200_000),
            "A layer more doubles the reach and adds a layer's parameters; the channels decide how many those are.",
            "For example seven layers of 48 channels with 64 skip channels.",
        ),
        Exercise(
            "Set it so that only the tree is left",
            "Train the same stack without gates, residuals and skip outputs, and compare the losses.",
            Trained(lambda model, train: model.variant == "fuse"),
            "The setting variant takes them away.",
            "Set the variant to fuse, or press the experiment The bare tree.",
        ),
    ),
    tiny=dict(n_layer=3, channels=8, skip_channels=8),
    snapshot_bytes=6e6,
)
