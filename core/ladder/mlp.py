"""The MLP's declaration."""

from core.ladder.exercises import Exercise, Form, Number, Trained
from core.ladder.recipes import DROPOUT_TWINS, QUICK
from core.ladder.rung import Experiment, Preset, Rung
from core.models.contract import parameter_count
from core.models.mlp import MLP, MLPConfig

PERCEPTRON = Rung(
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
    widths=("d_hidden",),
    twins=DROPOUT_TWINS,
    icon=":material/scatter_plot:",
    picture="mlp",
    basic=("context", "d_embed", "d_hidden", "dropout"),
    views=("embeddings", "units", "layers", "updates", "gap", "receptive_field", "parameters", "novelty"),
    exercises=(
        Exercise(
            "Predict: how much goes in",
            "With the preset quick, how many numbers enter the hidden layer for one prediction?",
            Number(lambda facts: facts.settings.context * facts.settings.d_embed),
            "The vectors of all characters that it sees are laid side by side.",
            "Characters of context times numbers a character.",
        ),
        Exercise(
            "Set it so that it sees far and stays small",
            "Set the form so that the model sees 16 characters or more and has fewer than 60,000 parameters.",
            Form(lambda model, train, built: model.context >= 16 and parameter_count(built) < 60_000),
            "Most numbers lie between the embeddings and the hidden layer: context × numbers a character × hidden "
            "units. The button Train counts them.",
            "For example 16 characters, 8 numbers a character and 128 hidden units.",
        ),
        Exercise(
            "Set it so that it is no better than the bigram",
            "Train an MLP that sees one character only, and hold its loss against that of counted pairs on the chart.",
            Trained(lambda model, train: model.context == 1),
            "Which setting says how many characters it sees?",
            "Context 1: embeddings and a hidden layer, and still nothing to go on but the current character.",
        ),
    ),
    tiny=dict(context=4, d_embed=4, d_hidden=16),
    snapshot_bytes=4e6,
)
