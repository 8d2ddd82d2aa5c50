"""Heads specialise, and it matters."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from core.errors import BardlabError
from core.inspect.heads import KINDS, head_scores, probe
from core.inspect.interventions.ablation import Bench
from core.ladder.recipes import QUICK
from core.runs import checkpoints
from core.runs.openings import text_of
from core.runs.state import Run
from core.studies.claims.claim import Arm, Claim, Criterion, Figures, Picture, Series, Values
from core.studies.claims.figuring import by_seed, over_seeds, point

TRANSFORMER = Arm(
    "transformer",
    "Transformer",
    "transformer",
    dict(n_layer=2, n_head=4, d_model=64, context=64, dropout=0.0, positions="rotary"),
    dict(steps=500, batch_size=8, eval_every=500, snapshots=2, **QUICK),
)
LOOKED_FOR = {"previous": "previous character", "induction": "induction"}
PRICE = "price@"


def _measure(run: Run) -> Values:
    """Note what each head costs when it alone is replaced by its mean, and which looks most at each kind of key."""
    model, tokenizer = checkpoints.load_model(run)
    corpus = text_of(run)
    if corpus is None:
        raise BardlabError(f"the text of {run.slug} is gone; add it again on the page The text")
    scores = head_scores(model, probe(corpus.text[corpus.split :], tokenizer, model.context or 1))
    bench = Bench(model, corpus)
    layers, heads = scores.entropy.shape
    names = [f"{layer}.{head}" for layer in range(layers) for head in range(heads)]
    found = {f"{PRICE}{name}": bench.effect([name], "mean").delta for name in names}
    keys = [kind.key for kind in KINDS]
    for name in LOOKED_FOR:
        score = np.nan_to_num(scores.score[keys.index(name)], nan=-1.0)  # (L, H)
        place = int(score.argmax())
        found[name] = found[f"{PRICE}{names[place]}"]
        found[f"{name} score"] = float(score.flat[place])
    return found


def _others(values: Values) -> float:
    """The mean price of all heads: what one that was drawn by chance is expected to cost."""
    prices = [value for name, value in values.items() if name.startswith(PRICE)]
    return sum(prices) / len(prices)


def _beyond(name: str, arms: Mapping[str, Values]) -> float:
    values = arms[TRANSFORMER.key]
    return values[name] - _others(values)


def _picture(figures: Figures) -> Picture:
    each = [arms[TRANSFORMER.key] for arms in by_seed(figures).values() if TRANSFORMER.key in arms]
    points = [point(title, (values[name] for values in each)) for name, title in LOOKED_FOR.items()]
    points.append(point("drawn by chance", (_others(values) for values in each)))
    title = "price of switching it off (nats per character)"
    return Picture("", title, (Series("one head", tuple(found for found in points if found), joined=False),))


CLAIM = Claim(
    key="heads",
    title="Heads specialise, and it matters",
    year=2017,
    paper=(
        "Vaswani et al. (2017), Attention is all you need; "
        "Olsson et al. (2022), In-context learning and induction heads"
    ),
    paper_url="https://arxiv.org/abs/2209.11895",
    sentence=(
        "Heads learn clearly different tasks. One that looks at the character just before, and one that looks at what "
        "followed the last time, together continue what was seen before; both matter more than others."
    ),
    compared=(
        "In a Transformer of two blocks of four heads, the head that looks most at the previous character and the one "
        "that scores highest on induction: what switching it off costs (its output replaced by its mean), against "
        "what a head drawn by chance costs."
    ),
    arms=(TRANSFORMER,),
    criteria=tuple(
        Criterion(
            f"price of the head that scores highest on {title}, minus one drawn by chance",
            over_seeds(partial(_beyond, name), "t interval of differences within {} seeds"),
            above=0.0,
        )
        for name, title in LOOKED_FOR.items()
    ),
    measure=_measure,
    picture=_picture,
    thoughts=(
        "In so small and short a training no head looks for what followed the last time, so the one that scores "
        "highest on induction is as good as drawn by chance. The heads that look at the previous character are there, "
        "but what they cost differs much from seed to seed, because the others can take over."
    ),
)
