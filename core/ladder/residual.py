"""The residual network's declaration."""

from core.ladder.exercises import Exercise, Form, Number, Trained
from core.ladder.recipes import QUICK
from core.ladder.rung import Experiment, Preset, Rung, Twins
from core.models.contract import parameter_count
from core.models.residual import Layer, ResidualConfig, ResidualNet

RESIDUAL = Rung(
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
            title="no skips",
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
            "Same weights at the start, same batches: compare it with the preset good.",
            "plain",
        ),
        Experiment("Half a skip", "How much of the straight road is needed?", "minutes", {"model.skip": 0.5}),
        Experiment("64 layers", "With skips, twice the depth still learns.", "minutes", {"model.depth": 64}),
    ),
    ships="minutes",
    widths=("width",),
    twins=Twins(
        "skip",
        (1.0, 0.0),
        "Train twins: skips and no skips",
        "Two runs of these settings, one after the other, alike but for the dial: same weights at the start, same "
        "batches.",
    ),
    icon=":material/layers:",
    picture="residual",
    basic=("depth", "width", "skip", "context"),
    views=(
        "gradients_of_twins",
        "by_depth",
        "layers",
        "updates",
        "receptive_field",
        "embeddings",
        "parameters",
        "novelty",
    ),
    exercises=(
        Exercise(
            "Predict: what half a skip leaves",
            "With skip at 0.5 and the eight layers of the preset quick: what share of the input reaches the top along "
            "the skips alone?",
            Number(lambda facts: 0.5**facts.settings.depth, within=0.0005),
            "Every layer multiplies what came in by the same number; see the equation.",
            "One half for each layer: 0.5 to the power of the depth. With skip at 1 all of it arrives.",
        ),
        Exercise(
            "Set it so that depth hurts",
            "Train a network of 16 layers or more without skips.",
            Trained(lambda model, train: model.skip == 0 and model.depth >= 16),
            "The dial skip goes down to 0; the preset no skips is set so already.",
            "Choose the preset no skips, which has 32 layers, and press Train. View Gradients shows what is missing.",
        ),
        Exercise(
            "Set it so that it is deep and small",
            "Set the form so that it has 64 layers and fewer than 200,000 parameters.",
            Form(lambda model, train, built: model.depth == 64 and parameter_count(built) < 200_000),
            "A layer has its width squared of them, and some more for its biases.",
            "A width of 48 does: 64 times 48 squared is 147,456.",
        ),
    ),
    tiny=dict(context=4, d_embed=4, width=16, depth=4),
    snapshot_bytes=4e6,
)
