"""Point by point: "Attention is all you need" (Vaswani et al. 2017) and the Transformer of this ladder.

The paper's side is what its sections say; the model's side is read off a live model, its settings and its optimiser.
"""

from dataclasses import dataclass

from core.inspect.anatomy import Anatomy, anatomy_of
from core.models.footprint import weightless
from core.models.transformer import Transformer, TransformerConfig
from core.training.config import TrainConfig
from core.training.optimizers import Optimizers, schedule


@dataclass(frozen=True)
class Departure:
    """One point of comparison."""

    topic: str
    section: str
    """Of the paper."""
    paper: str
    model: str
    kept: bool
    """True if the model does as the paper says; sizes may differ."""
    why: str = ""
    """Where it departs: since when, or after whom."""


def departures(config: TransformerConfig, train: TrainConfig, vocab_size: int) -> tuple[list[Departure], Anatomy]:
    """Compare a model with these settings with the paper. Nothing is allocated."""
    with weightless():
        model = Transformer(config, vocab_size)
        optimizers = Optimizers(model, train)
        shapes = anatomy_of(model, train.batch_size, train.window or config.context)
    return [
        *_architecture(model, shapes),
        *_attention(model, shapes),
        *_regularisation(config, shapes),
        *_training(train, optimizers, shapes),
    ], shapes


def _architecture(model: Transformer, shapes: Anatomy) -> list[Departure]:
    config = model.config
    parts = {name.split(".")[0] for name in shapes.weights}
    crossing = any("cross" in name or "encoder" in name for name in shapes.weights)
    pre = getattr(config, "norm", "pre") == "pre"
    final = "ln_final.weight" in shapes.weights
    table = shapes.weights.get("trigram_embedding.weight")
    pieces = f" A further table, {_times(table)}, adds a vector for every three characters in a row." if table else ""
    tied = model.lm_head.weight is model.token_embedding.weight
    width = shapes.weights["blocks.0.mlp.up.weight"][0]
    activation = getattr(config, "activation", "relu")
    return [
        Departure(
            "Tokens",
            "5.1",
            "Byte pairs: about 37,000 for English to German, word pieces: 32,000 for English to French.",
            f"{shapes.vocab_size} single characters.",
            False,
            "One character a token keeps every distribution small enough to be drawn whole.",
        ),
        Departure(
            "Encoder and decoder",
            "3.1",
            "6 encoder layers read the source sentence, 6 decoder layers write the target.",
            f"{config.n_layer} decoder layers and no encoder." if not crossing else "With an encoder.",
            crossing,
            "There is no source to translate: one text, whose next character is asked for (Radford et al. 2018).",
        ),
        Departure(
            "Attention to the encoder",
            "3.2.3",
            "The second of a decoder layer's three sub-layers takes its keys and values from the encoder.",
            "Two sub-layers in each block: self-attention and feed-forward." if not crossing else "Present.",
            crossing,
            "Without an encoder there is nothing to attend to across.",
        ),
        Departure(
            "Residual connections and LayerNorm",
            "3.1",
            "LayerNorm(x + Sublayer(x)): normalised after the addition (post-norm).",
            "x + Sublayer(LayerNorm(x)): normalised before the sub-layer (pre-norm)"
            + (", and once more before the logits." if final else ".")
            if pre
            else "LayerNorm(x + Sublayer(x)).",
            not pre,
            "The residual stream stays a straight road: no warm-up is needed (Radford et al. 2019, Xiong et al. 2020).",
        ),
        Departure(
            "Positions",
            "3.5",
            "Sines and cosines of fixed wavelengths, added to the embeddings; learned vectors did equally well "
            "(table 3, row E).",
            {
                "learned": f"A learned vector for each of {config.context} positions, added to the embeddings.",
                "sinusoidal": "Sines and cosines, added to the embeddings.",
                "rotary": "Queries and keys are turned by an angle that grows with the position; nothing is added.",
                "none": "None: only the causal mask tells positions apart.",
            }[config.positions],
            config.positions == "sinusoidal",
            "Simple, and as good within a fixed window; it cannot be read beyond that window.",
        ),
        Departure(
            "Embeddings and logits",
            "3.4",
            "One matrix serves as both embeddings and as the layer before the softmax; embeddings are multiplied by "
            "√d_model.",
            (
                "One matrix for both; no factor."
                if tied
                else f"Two matrices, {_times(shapes.weights['token_embedding.weight'])} in and "
                f"{_times(shapes.weights['lm_head.weight'])} out{_with('lm_head.bias' in shapes.weights)}; no factor."
            )
            + pieces,
            tied,
            f"Sharing would save {shapes.vocab_size * config.d_model:,} of {shapes.parameters:,} parameters only.",
        ),
        Departure(
            "Feed-forward layer",
            "3.3",
            "max(0, x W₁ + b₁) W₂ + b₂ with d_ff = 2048, four times d_model; at each position alone.",
            f"{activation.upper() if activation == 'gelu' else 'ReLU'} between two linear layers with biases, "
            f"{width} wide, {width // config.d_model} times d_model.",
            activation == "relu" and width == 4 * config.d_model and "blocks" in parts,
            "GELU is smoother at zero (Hendrycks and Gimpel 2016)." if activation == "gelu" else "",
        ),
        Departure(
            "Size",
            "table 3",
            "Base model: N = 6, d_model = 512, h = 8, d_k = d_v = 64, 65 million parameters.",
            f"{config.n_layer} blocks, d_model = {config.d_model}, {config.n_head} heads of "
            f"{config.d_model // config.n_head}, {shapes.parameters:,} parameters.",
            False,
            "Sized for one megabyte of text.",
        ),
    ]


def _attention(model: Transformer, shapes: Anatomy) -> list[Departure]:
    config = model.config
    scores = shapes.outputs.get("blocks.0.attention.attn_scores", ())
    d_head = shapes.outputs["blocks.0.attention.q"][-1]
    qkv_bias = "blocks.0.attention.qkv.bias" in shapes.weights
    proj_bias = "blocks.0.attention.proj.bias" in shapes.weights
    table = f", a table {_times(scores)} a step" if scores else ""
    return [
        Departure(
            "Scaled dot-product attention",
            "3.2.1",
            "softmax(Q Kᵀ / √d_k) V, with d_k = 64.",
            f"The same, with d_k = {d_head}{table}.",
            True,
        ),
        Departure(
            "Heads",
            "3.2.2",
            "h = 8 heads of d_model / h each, side by side, then one output matrix; projections without bias.",
            f"{config.n_head} heads of {d_head}, side by side, then one output matrix; "
            f"queries, keys and values{_with(qkv_bias)}, the output matrix{_with(proj_bias)}.",
            not qkv_bias and not proj_bias,
            "The bias of the output matrix is the reference's.",
        ),
        Departure(
            "Mask",
            "3.2.3",
            "In the decoder, scores of positions to the right are set to -∞ before the softmax.",
            "The same, in every block.",
            True,
        ),
    ]


def _regularisation(config: TransformerConfig, shapes: Anatomy) -> list[Departure]:
    first = {name.removeprefix("blocks.0."): p for name, p in shapes.dropouts.items() if name.startswith("blocks.0.")}
    outside = [name for name in shapes.dropouts if not name.startswith("blocks.")]
    places = [
        label
        for name, label in (
            ("attention.dropout", "on the attention weights"),
            ("attention.resid_drop", "on what attention adds"),
            ("mlp.drop", "on what the feed-forward layer adds"),
        )
        if name in first
    ]
    after = {"attention.resid_drop", "mlp.drop"} <= set(first)
    embedded = any("emb" in name for name in outside)
    return [
        Departure(
            "Dropout",
            "5.4",
            "0.1, on the output of every sub-layer before it is added, and on the sums of embeddings and positions.",
            f"{config.dropout:g}: {', '.join(places)}; {'also' if embedded else 'none'} on the embeddings."
            if places
            else "None.",
            after and embedded and "attention.dropout" not in first,
            "On the attention weights as in GPT-2. A small text is seen many times over, so more is dropped.",
        ),
        Departure(
            "Label smoothing",
            "5.4",
            "ε = 0.1: the target keeps 0.9 of the probability.",
            "None: the plain cross-entropy, so that the loss is a number of nats.",
            False,
            "Smoothing would hide how sure the model is, which is what the lab measures.",
        ),
    ]


def _training(train: TrainConfig, optimizers: Optimizers, shapes: Anatomy) -> list[Departure]:
    group = optimizers.parts[0].param_groups[0]
    betas = ", ".join(f"{b:g}" for b in group.get("betas", ()))
    name = type(optimizers.parts[0]).__name__
    rates = {round(schedule(step, train), 6) for step in range(0, train.steps, max(1, train.steps // 50))}
    constant = len(rates) == 1
    course = f"Constant {train.learning_rate:g}, no warm-up."
    if not constant:
        course = f"{train.learning_rate:g} after {train.warmup} steps of warm-up, falling over the last "
        course += f"{train.cooldown:.0%} of the run."
    return [
        Departure(
            "Optimiser",
            "5.3",
            "Adam with β₁ = 0.9, β₂ = 0.98, ε = 10⁻⁹.",
            f"{name}"
            + (f" with β = {betas}, ε = {group['eps']:g}" if betas else "")
            + f", weight decay {train.weight_decay:g}.",
            False,
            "Decoupled weight decay came two years later (Loshchilov and Hutter 2019).",
        ),
        Departure(
            "Learning rate",
            "5.3",
            "Rises for 4,000 steps, then falls with the inverse square root of the step.",
            course,
            False,
            "Pre-norm trains without a warm-up.",
        ),
        Departure(
            "Batches",
            "5.1",
            "About 25,000 source and 25,000 target tokens.",
            f"{shapes.batch} windows of {shapes.window} characters: {shapes.batch * shapes.window:,}.",
            False,
            "What one graphics card holds.",
        ),
        Departure(
            "Length of training",
            "5.2",
            "100,000 steps, twelve hours on eight P100 cards (base model).",
            f"{train.steps:,} steps, {train.steps * shapes.batch * shapes.window:,} characters.",
            False,
            "The validation loss is at its lowest long before.",
        ),
        Departure(
            "Writing",
            "6.1",
            "Beam search with 4 beams and a length penalty, from the mean of the last 5 checkpoints.",
            "One character drawn at random from the softmax, from the newest weights.",
            False,
            "The likeliest text is dull; a play is not a translation.",
        ),
    ]


def _with(bias: bool) -> str:
    return " with bias" if bias else " without bias"


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(str(n) for n in shape)
