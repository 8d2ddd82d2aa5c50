"""The bigram's declaration."""

import math

from core.ladder.exercises import Choice, Exercise, Number, Trained
from core.ladder.rung import Experiment, Preset, Rung, Variant
from core.models.bigram import Bigram, BigramConfig, counted_logits
from core.models.ngram import Order
from core.texts.corpus import Corpus


def _after(character: str, text: Corpus) -> set[str]:
    """Return the character that most often follows another in what trains."""
    training = text.text[: text.split]
    return {max(text.tokenizer.chars, key=lambda next: training.count(character + next))}


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
    exercises=(
        Exercise(
            "Predict: a model that knows nothing",
            "Before the first step every character is equally likely. How high is the loss then, in nats?",
            Number(lambda facts: math.log(facts.text.tokenizer.size), within=0.02, unit="nats"),
            "The loss is minus the natural logarithm of the probability. The size of the alphabet stands in the "
            "equation of the view The idea.",
            "Each of V characters gets 1/V, so the loss is ln V.",
        ),
        Exercise(
            "Set it so that nothing is learned",
            "Train a bigram of pairs whose table is counted, not learned: one step, and it is as good as it can be.",
            Trained(lambda model, train: model.fit == "count" and model.order == 2),
            "One of the presets counts.",
            "Choose the preset counted and press Train.",
        ),
        Exercise(
            "Find: what follows q",
            "Which character comes most often after a small q in the text that trains?",
            Choice(lambda facts: [*"aeiou"], lambda facts: _after("q", facts.text)),
            "Train or choose a run, open the view The table and look along the row q.",
            "The brightest cell of the row: English writes qu.",
        ),
    ),
    ships="seconds",
    icon=":material/table_chart:",
    views=("pairs", "novelty"),
)
