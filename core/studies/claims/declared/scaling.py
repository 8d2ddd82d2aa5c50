"""Loss falls as a power of size."""

from collections.abc import Mapping

from core.ladder.recipes import QUICK
from core.runs import checkpoints
from core.runs.state import Run
from core.studies.claims.claim import Arm, Claim, Criterion, Figures, Picture, Point, Series, Values
from core.studies.claims.figuring import by_seed, lines, mean_and_half, over_seeds
from core.studies.scaling import PowerLaw, power_law

TRAIN = dict(steps=250, batch_size=16, eval_every=250, snapshots=2, **QUICK)
WIDTHS = (16, 24, 32, 48, 64, 96)
"""The last is predicted from the others before it is run."""
ARMS = tuple(
    Arm(
        f"width{width}",
        f"width {width}",
        "transformer",
        dict(n_layer=2, n_head=2, d_model=width, context=32, dropout=0.0, positions="rotary"),
        TRAIN,
    )
    for width in WIDTHS
)
FITTED, SIXTH = ARMS[:-1], ARMS[-1]


def _measure(run: Run) -> Values:
    """Count the parameters without the vectors of the characters, as the paper does."""
    model, _ = checkpoints.load_model(run)
    blocks = [p.numel() for name, p in model.named_parameters() if name.startswith("blocks.")]
    return {"size": float(sum(blocks))}


def _fit(arms: Mapping[str, Values]) -> PowerLaw:
    fit = power_law([arms[arm.key]["size"] for arm in FITTED], [arms[arm.key]["loss"] for arm in FITTED])
    if fit is None:
        raise KeyError("sizes")
    return fit


def _prediction(arms: Mapping[str, Values]) -> float:
    """How much the sixth lies above what the five predict, as a share."""
    return arms[SIXTH.key]["loss"] / _fit(arms).at(_size(arms))[0] - 1


def _size(arms: Mapping[str, Values]) -> float:
    """The parameters of the sixth, which are known before it is run: twelve times the width squared a block."""
    smaller = arms[FITTED[-1].key]["size"]
    return arms[SIXTH.key]["size"] if SIXTH.key in arms else smaller * (WIDTHS[-1] / WIDTHS[-2]) ** 2


def _picture(figures: Figures) -> Picture:
    sizes = {arm.key: next(iter(figures[arm.key].values()))["size"] for arm in ARMS if figures.get(arm.key)}
    title = "validation loss (nats per character)"
    seen = lines(figures, {"measured": sizes}, "loss", "parameters in the blocks", title, x_log=True)
    fits = []
    for arms in by_seed(figures).values():
        try:
            fits.append((_fit(arms), _size(arms)))
        except KeyError:
            continue
    if not fits:
        return seen
    ends = [min(sizes.values()), *sorted(sizes.values())[1:], max(size for _, size in fits)]
    law = tuple(Point(x, *mean_and_half([fit.at(x)[0] for fit, _ in fits])) for x in dict.fromkeys(ends))
    return Picture(
        seen.x_title, title, (*seen.series, Series("power law of the five smaller", law)), x_log=True, y_log=True
    )


CLAIM = Claim(
    key="scaling",
    title="Loss falls as a power of size",
    year=2020,
    paper="Kaplan et al. (2020), Scaling laws for neural language models",
    paper_url="https://arxiv.org/abs/2001.08361",
    sentence=(
        "The loss of a Transformer falls as a power of its number of parameters, over many orders of magnitude, so "
        "that small models foretell a large one."
    ),
    compared=(
        "Five Transformers from 16 to 64 numbers wide, at equal steps: the exponent of the power law through them, and "
        "what it predicts for a sixth, half as wide again, before that is run."
    ),
    arms=ARMS,
    criteria=(
        Criterion("exponent", over_seeds(lambda arms: _fit(arms).exponent), above=0.01, unit=""),
        Criterion(
            "loss of the sixth above its prediction, as a share",
            over_seeds(_prediction),
            above=-0.02,
            below=0.02,
            unit="",
        ),
    ),
    measure=_measure,
    picture=_picture,
    thoughts=(
        "The sizes span little more than one order of magnitude, and all take equally many steps, so that the larger "
        "ones are further from what they could learn: a prediction from the smaller ones is then a little too hopeful."
    ),
)
