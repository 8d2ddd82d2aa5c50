"""The Transformer's declaration."""

from collections.abc import Mapping

from core.ladder.exercises import Choice, Exercise, Form, Number
from core.ladder.recipes import DROPOUT_TWINS, FAST, MODERN, PATIENT
from core.ladder.rung import Experiment, Preset, Rung
from core.models.transformer import Attention, Transformer, TransformerConfig


def _most(scores: Mapping[str, float]) -> set[str]:
    """Return the name of the highest score, and of those that cannot be told from it on the screen."""
    highest = max(scores.values(), default=0.0)
    return {name for name, score in scores.items() if score > highest - 0.01}


TRANSFORMER = Rung(
    key="transformer",
    title="Transformer",
    idea="Every character looks back at every earlier one and decides for itself what matters.",
    new=(
        "Self-attention: each position asks a question (its query), every earlier position offers an answer (its key) "
        "and what it has to say (its value), and the match decides who is heard. Several heads ask in parallel, a "
        "feed-forward layer then thinks about each position alone, and both only ever add to a residual stream."
    ),
    paper="Vaswani et al. (2017), Attention is all you need",
    paper_url="https://arxiv.org/abs/1706.03762",
    config=TransformerConfig,
    model=Transformer,
    presets={
        "seconds": Preset(
            "As many parameters as nanoGPT's CPU recipe, and better after 140 steps than that after its 2,000.",
            model=dict(n_layer=3, n_head=4, d_model=128, context=64, dropout=0.0, trigrams=1536, **MODERN),
            train=dict(
                steps=140,
                batch_size=12,
                eval_every=20,
                optimizer="muon",
                learning_rate=0.02,
                muon_learning_rate=0.03,
                muon_momentum=0.85,
                beta2=0.99,
                weight_decay=0.0,
                short_first=0.7,
                cooldown=0.6,
                warmup=6,
            ),
        ),
        "minutes": Preset(
            "The same model with twice the context and ten times the steps: legible Shakespeare in some three minutes "
            "on two CPU cores.",
            model=dict(n_layer=3, n_head=4, d_model=128, context=128, dropout=0.0, trigrams=1536, **MODERN),
            train=dict(
                steps=1400,
                batch_size=8,
                eval_every=140,
                short_first=0.6,
                weight_decay=0.1,
                **{**FAST, "muon_learning_rate": 0.02},
            ),
        ),
        "long": Preset(
            "4 blocks, context 256 and some dropout: nearly as good as best in a third of its time, about 20 minutes.",
            model=dict(n_layer=4, n_head=4, d_model=128, context=256, dropout=0.1, trigrams=1536, **MODERN),
            train=dict(steps=3400, batch_size=8, eval_every=340, weight_decay=0.1, **PATIENT),
        ),
        "best": Preset(
            "The best that this rung reached here: 6 blocks of 6 heads, context 256, about an hour on two CPU cores.",
            model=dict(n_layer=6, n_head=6, d_model=144, context=256, dropout=0.1, **MODERN),
            train=dict(steps=2400, batch_size=16, eval_every=120, **PATIENT),
        ),
        "reference": Preset(
            "The reference GPT to the letter: 10.8 million parameters. Minutes on a GPU, about a day on two CPU cores.",
            model={},
            train=dict(steps=5000, batch_size=64, learning_rate=3e-4, weight_decay=0.01, eval_every=500),
        ),
    },
    equation=(
        r"\begin{gathered} \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt{$d_model / $n_head}}\right) V, \\"
        r"Q, K, V \in \mathbb{R}^{$context \times ($d_model / $n_head)}, \\"
        r"$n_head\ \text{heads in each of}\ $n_layer\ \text{blocks} \end{gathered}"
    ),
    code=Attention.forward,
    experiments=(
        Experiment(
            "No positions",
            "Attention alone cannot tell what came first: how much does the loss rise?",
            "seconds",
            {"model.positions": "none"},
        ),
        Experiment(
            "One head",
            "A single head must do everything by itself: does the loss say so in so few steps?",
            "seconds",
            {"model.n_head": 1},
        ),
        Experiment(
            "No table of three characters",
            "The blocks must learn to spell by attention: how much later does the loss get there?",
            "seconds",
            {"model.trigrams": 0},
        ),
        Experiment(
            "AdamW instead of Muon",
            "The same model, the same batches, another way of taking a step, at the best rate found for it.",
            "seconds",
            {"train.optimizer": "adamw", "train.learning_rate": 0.005},
        ),
    ),
    widths=("d_model", "trigrams"),
    twins=DROPOUT_TWINS,
    icon=":material/hub:",
    picture="transformer",
    basic=("n_layer", "n_head", "context", "dropout"),
    views=(
        "gap",
        "novelty",
        "positions",
        "receptive_field",
        "units",
        "layers",
        "gradients",
        "updates",
        "embeddings",
        "parameters",
    ),
    exercises=(
        Exercise(
            "Predict: how many looks",
            "With the context of the preset quick: how many pairs of a character that asks and a character that it may "
            "look at has one head, itself included?",
            Number(lambda facts: facts.settings.context * (facts.settings.context + 1) / 2),
            "The first character sees itself alone, the second two, and so on to the last.",
            "1 + 2 + ... + T = T (T + 1) / 2: the lower triangle of the map.",
        ),
        Exercise(
            "Set it so that each head has 16 numbers",
            "Set the form so that a query has 16 numbers, whatever the width.",
            Form(lambda model, train, built: model.d_model == 16 * model.n_head),
            "The heads share the width evenly; the equation divides it.",
            "Width divided by heads is 16: 128 by 8, for example.",
        ),
        Exercise(
            "Find the head that looks one back",
            "Which head of the run looked at gives the most of its attention to the character just before?",
            Choice(lambda facts: [*facts.heads("previous")], lambda facts: _most(facts.heads("previous"))),
            "On the page Attention, sort the board by previous character.",
            "The bright line just below the diagonal marks it; such heads let others look for what came after a "
            "repetition.",
        ),
    ),
    tiny=dict(n_layer=2, n_head=2, d_model=16, context=16, dropout=0.1),
    snapshot_bytes=17e6,
)
