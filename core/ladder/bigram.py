"""The bigram's declaration."""

from core.ladder.rung import Experiment, Preset, Rung, Variant
from core.models.bigram import Bigram, BigramConfig, counted_logits
from core.models.ngram import Order

BIGRAM = Rung(
    key="bigram",
    title="Bigram",
    idea="The next character depends on the current one alone.",
    new=(
        "A table with one row for each character: row *t* says how likely each character is to come after *t*. "
        "The whole model is that table. It can be counted from the text, or learned by gradient descent on the "
        "loss; both end in the same place, and the distance between them is a number you can watch shrink."
    ),
    paper="Shannon (1948), A mathematical theory of communication, section 3",
    paper_url="https://doi.org/10.1002/j.1538-7305.1948.tb01338.x",
    config=BigramConfig,
    model=Bigram,
    presets={
        "seconds": Preset(
            "Learned by gradient descent, in a few seconds.",
            model={},
            train=dict(
                steps=800, batch_size=64, window=256, learning_rate=0.1, weight_decay=0.005, cooldown=0.8, eval_every=50
            ),
        ),
        "counted": Preset(
            "Counted in one pass over the text, with add-one smoothing: the best a bigram can do.",
            model=dict(fit="count"),
            train=dict(steps=1, eval_every=1),
        ),
        "ngram": Preset(
            "Counted pieces of six characters: the n-gram, with interpolated Kneser-Ney smoothing.",
            model=dict(order=6, fit="count"),
            train=dict(steps=1, eval_every=1),
            title="6-gram",
        ),
        "minutes": Preset(
            "The same by plain SGD, slowly enough to watch every row find its shape.",
            model={},
            train=dict(
                steps=20_000,
                batch_size=32,
                window=64,
                optimizer="sgd",
                learning_rate=10.0,
                weight_decay=0.0,
                eval_every=500,
            ),
            title="slowly",
        ),
    },
    equation=r"p(x_{t+1} \mid x_t) = \operatorname{softmax}(W_{x_t}), \qquad W \in \mathbb{R}^{$V \times $V}",
    code=counted_logits,
    experiments=(
        Experiment("Count instead of learning", "One pass over the text reaches the best loss at once.", "counted"),
        Experiment(
            "A learning rate far too high",
            "The loss jumps about, until the rate cools down.",
            "seconds",
            {"train.learning_rate": 30.0},
        ),
        Experiment(
            "Count longer pieces",
            "Seven characters of context, the longest offered: is it still better than six or five?",
            "ngram",
            {"model.order": 8},
        ),
    ),
    variant=Variant(
        when=lambda config: config.order > 2,
        title="Counted $order-gram",
        equation=(
            r"p(w \mid \underbrace{x_{t-$order+2} \ldots x_t}_{h}) = \frac{\max(c(h\,w) - D,\ 0)}{c(h\,\cdot)} "
            r"+ \lambda(h)\; p(w \mid x_{t-$order+3} \ldots x_t), \qquad \lambda(h) = \text{what was taken off}"
        ),
        code=Order.interpolate,
    ),
    ships="seconds",
    icon=":material/table_chart:",
    views=("pairs",),
)
