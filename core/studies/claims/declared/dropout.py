"""Dropout closes the gap between training and validation loss."""

from core.ladder.recipes import QUICK
from core.studies.claims.claim import Arm, Claim, Criterion
from core.studies.claims.figuring import bars, difference
from core.studies.claims.measuring import nothing

TRAIN = dict(steps=600, batch_size=16, window=64, eval_every=600, snapshots=2, **QUICK)
ARMS = tuple(
    Arm(f"rate{round(100 * rate)}", f"dropout {rate:g}", "mlp", dict(dropout=rate), TRAIN) for rate in (0.0, 0.2, 0.4)
)
NONE, SOME, MUCH = (arm.key for arm in ARMS)

CLAIM = Claim(
    key="dropout",
    title="Dropout closes the gap",
    year=2014,
    paper="Srivastava, Hinton et al. (2014), Dropout: a simple way to prevent neural networks from overfitting",
    paper_url="https://jmlr.org/papers/v15/srivastava14a.html",
    sentence=(
        "A network that switches a random part of its units off at each step cannot lean on any of them alone. It "
        "learns its examples by heart less well, and does better on new ones."
    ),
    compared=(
        "An MLP on the first 20,000 characters of the text, which it reads some thirty times over, with dropout 0, "
        "0.2 and 0.4: the gap between the losses on the validation and the training split, and the validation loss."
    ),
    arms=ARMS,
    criteria=(
        Criterion("gap, dropout 0.2 minus none", difference("gap", SOME, NONE), below=-0.05),
        Criterion("gap, dropout 0.4 minus none", difference("gap", MUCH, NONE), below=-0.05),
        Criterion("validation loss, dropout 0.2 minus none", difference("loss", SOME, NONE), below=0.0),
        Criterion("validation loss, dropout 0.4 minus none", difference("loss", MUCH, NONE), below=0.0),
    ),
    measure=nothing,
    picture=lambda figures: bars(figures, ARMS, {"gap": "gap", "loss": "validation loss"}, "nats per character"),
    part=20_000,
    characters=20_000,
)
