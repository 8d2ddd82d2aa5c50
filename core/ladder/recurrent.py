"""The recurrent network's declaration."""

from core.ladder.exercises import Exercise, Form, Number, Trained
from core.ladder.recipes import FAST, QUICK
from core.ladder.rung import Experiment, Preset, Rung, Twins, Variant
from core.models.recurrent import RecurrentConfig, RecurrentNet, gru_step, lstm_step, plain_step

RECURRENT = Rung(
    key="recurrent",
    title="Recurrent network",
    idea="Read one character at a time and carry a memory along.",
    new=(
        "The MLP sees a window, and what has slid out of it is gone. Here a row of numbers, the hidden state, goes "
        "from each character to the next and renewed by the same weights every time: there is no window to roll, and "
        "nothing bounds how far back a prediction can reach. Whether anything survives the way is another matter: "
        "a plain cell forgets within a few characters, and gates were invented against that."
    ),
    paper="Elman (1990), Finding structure in time",
    paper_url="https://doi.org/10.1207/s15516709cog1402_1",
    config=RecurrentConfig,
    model=RecurrentNet,
    presets={
        "seconds": Preset(
            "An LSTM of 192 units, in about ten seconds.",
            model=dict(),
            train=dict(steps=600, batch_size=16, window=64, eval_every=100, grad_clip=1.0, **QUICK),
        ),
        "minutes": Preset(
            "256 units that look back 128 characters in training, with dropout, a few minutes.",
            model=dict(d_embed=64, d_hidden=256, bptt=128, dropout=0.1),
            train=dict(steps=4000, batch_size=16, window=128, eval_every=500, grad_clip=1.0, **FAST),
        ),
        "best": Preset(
            "384 units, more dropout and more steps, some ten minutes.",
            model=dict(d_embed=64, d_hidden=384, bptt=128, dropout=0.3),
            train=dict(steps=6000, batch_size=16, window=128, eval_every=500, grad_clip=1.0, **FAST),
        ),
    },
    equation=(
        r"c_t = f_t \odot c_{t-1} + i_t \odot \tanh(W x_t + U h_{t-1} + b), \qquad h_t = o_t \odot \tanh(c_t), \qquad "
        r"i_t, f_t, o_t = \sigma(\ldots), \qquad h, c \in \mathbb{R}^{$d_hidden}"
    ),
    code=lstm_step,
    forms=(
        Variant(
            when=lambda config: config.cell == "plain",
            title="Recurrent network, plain cells",
            equation=r"h_t = \tanh(W x_t + U h_{t-1} + b), \qquad h \in \mathbb{R}^{$d_hidden}",
            code=plain_step,
        ),
        Variant(
            when=lambda config: config.cell == "gru",
            title="Recurrent network, GRU cells",
            equation=(
                r"h_t = z_t \odot h_{t-1} + (1 - z_t) \odot \tanh(W x_t + r_t \odot U h_{t-1} + b), \qquad "
                r"r_t, z_t = \sigma(\ldots), \qquad h \in \mathbb{R}^{$d_hidden}"
            ),
            code=gru_step,
        ),
    ),
    experiments=(
        Experiment(
            "Plain cells",
            "Same size, same batches, no gates: set its curve beside the LSTM's, and see below how soon its gradient "
            "is gone.",
            "seconds",
            {"model.cell": "plain"},
        ),
        Experiment(
            "GRU cells",
            "Two gates instead of three, three quarters of the weights: how near does it come to the LSTM?",
            "seconds",
            {"model.cell": "gru"},
        ),
        Experiment(
            "No gradient clipping",
            "A gradient that goes back through plain cells can explode, and clipping holds such a step back (Pascanu "
            "et al. 2013). Does it have to here? The cells begin with orthogonal weights: look whether the gradient's "
            "norm ever comes to 1, and whether this run differs from that of the plain cells at all.",
            "seconds",
            {"model.cell": "plain", "train.grad_clip": 0.0},
        ),
        Experiment(
            "Memory cut to 4",
            "The gradient goes back four characters only, so nothing teaches the cells to keep anything longer.",
            "seconds",
            {"model.bptt": 4},
        ),
    ),
    widths=("d_hidden",),
    twins=Twins(
        "cell",
        ("plain", "lstm"),
        "Train twins: plain cells and LSTM",
        "Two runs of these settings, one after the other, alike but for the cell: same batches.",
    ),
    ships="minutes",
    icon=":material/replay:",
    picture="recurrent",
    views=(
        "units",
        "memory_span",
        "cell_gates",
        "receptive_field",
        "layers",
        "updates",
        "embeddings",
        "parameters",
        "novelty",
    ),
    exercises=(
        Exercise(
            "Predict: how large the memory is",
            "With the preset quick, how many numbers does the LSTM hand on from one character to the next?",
            Number(lambda facts: 2 * facts.settings.d_hidden * facts.settings.n_layer),
            "An LSTM keeps two vectors; the equation of the view The idea names both.",
            "The cell state c and the hidden state h, each as wide as the layer.",
        ),
        Exercise(
            "Set it so that it forgets",
            "Train plain cells, without gates, and look at the view Memory span.",
            Trained(lambda model, train: model.cell == "plain"),
            "The kind of cell is a setting.",
            "Set the cell to plain, or press the experiment Plain cells.",
        ),
        Exercise(
            "Set it so that nothing older than 8 characters teaches",
            "Set the form so that the gradient goes back through at most 8 characters, with 128 units or more.",
            Form(lambda model, train, built: model.bptt <= 8 and model.d_hidden >= 128),
            "Backpropagation through time, bptt, is cut after so many characters.",
            "Set bptt to 8. What lies further back can still be carried along, but nothing teaches the cells to.",
        ),
    ),
    tiny=dict(d_embed=4, d_hidden=8, bptt=8),
    snapshot_bytes=1.4e6,
)
