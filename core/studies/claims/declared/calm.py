"""BatchNorm and careful starts keep activations calm."""

from core.evaluation import windows
from core.inspect.activations import health
from core.ladder.recipes import QUICK
from core.runs import checkpoints
from core.runs.openings import text_of
from core.runs.state import Run
from core.studies.claims.claim import Arm, Claim, Criterion, Values
from core.studies.claims.figuring import bars, difference
from core.texts.corpus import load as load_corpus

TRAIN = dict(steps=300, batch_size=16, window=64, eval_every=300, snapshots=2, **QUICK)
SIZES = dict(n_hidden=3, d_hidden=96)
ARMS = tuple(
    Arm(
        f"gain{gain}{'norm' if norm else ''}",
        f"gain {gain}{', BatchNorm' if norm else ''}",
        "mlp",
        dict(init_gain=float(gain), batch_norm=norm, **SIZES),
        TRAIN,
    )
    for gain in (1, 5)
    for norm in (False, True)
)
CAREFUL, CAREFUL_NORM, WILD, WILD_NORM = (arm.key for arm in ARMS)


def _measure(run: Run) -> Values:
    """The mean share of saturated units over the hidden layers, on validation text, after the last step."""
    model, _ = checkpoints.load_model(run)
    corpus = text_of(run) or load_corpus(run.need().corpus)
    layers = health(model, *windows(corpus.val_ids, 64, 32))
    return {"saturated": sum(layer.saturated for layer in layers) / len(layers)}


CLAIM = Claim(
    key="calm",
    title="BatchNorm and careful starts keep activations calm",
    year=2015,
    paper="Ioffe and Szegedy (2015), Batch normalization; He et al. (2015), Delving deep into rectifiers",
    paper_url="https://arxiv.org/abs/1502.03167",
    sentence=(
        "Weights that begin too large drive units into saturation, where hardly any gradient passes. Initial weights "
        "of the right size avoid it, and normalising over the batch forgives the wrong size."
    ),
    compared=(
        "An MLP of three tanh layers whose weights begin at the right size (gain 1) or five times as large, each with "
        "and without BatchNorm: the share of saturated activations and the loss after equal steps."
    ),
    arms=ARMS,
    criteria=(
        Criterion(
            "saturated share without BatchNorm, gain 5 minus gain 1",
            difference("saturated", WILD, CAREFUL),
            above=0.1,
            unit="",
        ),
        Criterion(
            "saturated share at gain 5, BatchNorm minus none",
            difference("saturated", WILD_NORM, WILD),
            below=-0.1,
            unit="",
        ),
        Criterion(
            "validation loss without BatchNorm, gain 5 minus gain 1", difference("loss", WILD, CAREFUL), above=0.01
        ),
        Criterion("validation loss at gain 5, BatchNorm minus none", difference("loss", WILD_NORM, WILD), below=-0.01),
    ),
    measure=_measure,
    picture=lambda figures: bars(
        figures, ARMS, {"saturated": "saturated share", "loss": "validation loss (nats)"}, "share, or nats"
    ),
)
