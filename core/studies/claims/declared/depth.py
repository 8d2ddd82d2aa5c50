"""Depth hurts without skips and helps with them."""

from core.ladder.recipes import QUICK
from core.studies.claims.claim import Arm, Claim, Criterion
from core.studies.claims.figuring import difference, lines
from core.studies.claims.measuring import nothing

TRAIN = dict(steps=150, batch_size=8, window=64, eval_every=150, snapshots=2, **QUICK)
DEPTHS = (2, 8, 32)
ARMS = tuple(
    Arm(
        f"{name}{depth}",
        f"{depth} layers, {title}",
        "residual",
        dict(context=8, width=48, depth=depth, skip=skip),
        TRAIN,
    )
    for name, title, skip in (("plain", "no skips", 0.0), ("skip", "skips", 1.0))
    for depth in DEPTHS
)

CLAIM = Claim(
    key="depth",
    title="Depth hurts without skips and helps with them",
    year=2015,
    paper="He et al. (2015), Deep residual learning for image recognition",
    paper_url="https://arxiv.org/abs/1512.03385",
    sentence=(
        "A plain stack of layers gets worse as it gets deeper, and not by overfitting. With a connection around each "
        "layer, more layers make it better."
    ),
    compared=(
        "Networks of 2, 8 and 32 layers with and without skip connections, alike in all else, after equal steps."
    ),
    arms=ARMS,
    criteria=(
        Criterion(
            "validation loss without skips, 32 layers minus 2", difference("loss", "plain32", "plain2"), above=0.01
        ),
        Criterion("validation loss with skips, 32 layers minus 2", difference("loss", "skip32", "skip2"), below=-0.01),
        Criterion(
            "validation loss of 32 layers, skips minus none", difference("loss", "skip32", "plain32"), below=-0.01
        ),
    ),
    measure=nothing,
    picture=lambda figures: lines(
        figures,
        {
            "no skips": {f"plain{depth}": float(depth) for depth in DEPTHS},
            "skips": {f"skip{depth}": float(depth) for depth in DEPTHS},
        },
        "loss",
        "layers",
        "validation loss (nats per character)",
        x_log=True,
    ),
    thoughts=(
        "That depth hurts without skips is beyond doubt, and so is that skips undo it. Whether 32 layers are better "
        "than 2, and not just as good, takes more steps than these to tell."
    ),
)
