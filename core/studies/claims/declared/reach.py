"""A wider receptive field lowers the loss."""

from collections.abc import Mapping

from core.ladder.recipes import QUICK
from core.studies.claims.claim import Arm, Claim, Criterion, Values
from core.studies.claims.figuring import difference, lines, over_seeds, slope
from core.studies.claims.measuring import nothing

TRAIN = dict(steps=200, batch_size=8, window=128, eval_every=200, snapshots=2, **QUICK)
FIELDS = {8: (3, 58), 16: (4, 50), 32: (5, 44), 64: (6, 40)}
"""Of each receptive field the layers, and the channels that make 75,000 parameters of them at 65 characters."""
ARMS = tuple(
    Arm(
        f"field{field}",
        f"field {field}",
        "wavenet",
        dict(n_layer=layers, channels=channels, skip_channels=64),
        TRAIN,
    )
    for field, (layers, channels) in FIELDS.items()
)


def _a_doubling(arms: Mapping[str, Values]) -> float:
    return slope(list(range(len(ARMS))), [arms[arm.key]["loss"] for arm in ARMS])


CLAIM = Claim(
    key="reach",
    title="A wider receptive field lowers the loss",
    year=2016,
    paper="van den Oord et al. (2016), WaveNet: a generative model for raw audio",
    paper_url="https://arxiv.org/abs/1609.03499",
    sentence=(
        "Dilated convolutions double the receptive field with each layer, so that a network of few parameters can "
        "use what lies far back."
    ),
    compared=(
        "WaveNets that look back 8, 16, 32 and 64 characters, at equal parameters and equal steps: what each doubling "
        "of the field does to the validation loss."
    ),
    arms=ARMS,
    criteria=(
        Criterion("validation loss with each doubling of the field", over_seeds(_a_doubling), below=-0.005),
        Criterion("validation loss, field 64 minus field 8", difference("loss", "field64", "field8"), below=-0.015),
    ),
    measure=nothing,
    picture=lambda figures: lines(
        figures,
        {"validation loss": {f"field{field}": float(field) for field in FIELDS}},
        "loss",
        "receptive field (characters)",
        "validation loss (nats per character)",
        x_log=True,
    ),
    thoughts=(
        "After so few steps it comes out the other way round. At equal parameters a wider field has narrower layers, "
        "and what is near is learned first: the far characters cost width before they are of use. We think that "
        "longer training turns it round; the good preset of this rung looks back 64 characters for that reason."
    ),
)
