"""The terms of the field: one sentence each, and where each can be seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Term:
    """A term, what it means, and where it can be seen."""

    name: str
    sentence: str
    page: str
    """url_path of the page that shows it."""
    query: Mapping[str, str] = field(default_factory=dict)
    forms: tuple[str, ...] = ()
    """How it is found in the words of a page: as it stands there, case aside. By default its name."""
    marked: bool = True
    """Whether it is found at all: a word that mostly means something else is not."""

    @property
    def key(self) -> str:
        """Its place on the page of the glossary."""
        return "".join(c if c.isalnum() else "-" for c in self.name.lower())

    @property
    def spellings(self) -> tuple[str, ...]:
        """Under what it is found."""
        return (self.forms or (self.name,)) if self.marked else ()


def _tab(rung: str, tab: str) -> tuple[str, dict[str, str]]:
    return rung, {"tab": tab}


TERMS: tuple[Term, ...] = (
    Term(
        "Ablation",
        "Taking a part of a model away, by setting it to zero or to its mean, to see what it was for.",
        "knockout",
        forms=("ablation", "knock-out", "knock-outs"),
    ),
    Term(
        "Activation",
        "A number that a model computes from its input on the way to the output, in contrast to a weight, which is "
        "learned.",
        *_tab("mlp", "layers"),
    ),
    Term(
        "Activation patching",
        "Carrying an activation from one forward pass over into another, to see what depends on it.",
        "knockout",
        {"tool": "patching"},
        ("activation patching", "patching"),
    ),
    Term(
        "AdamW",
        "An optimiser that gives each parameter a step of its own, by running means of its gradient and of the "
        "gradient's square, and shrinks weights separately from that.",
        "gradient_descent",
    ),
    Term(
        "Attention",
        "A weighted mean over earlier positions, in which the weights are computed from the content of the positions "
        "themselves.",
        "attention",
    ),
    Term(
        "Attention head",
        "One of several attentions of a layer that work side by side, each with queries, keys and values of its own.",
        "attention",
        forms=("attention head", "attention heads", "heads"),
    ),
    Term(
        "Autograd",
        "Computing gradients by recording every operation and applying the chain rule backward through the record.",
        "gradient_descent",
    ),
    Term(
        "Backpropagation",
        "The chain rule applied from the loss back to every parameter, each intermediate result used once.",
        "gradient_descent",
    ),
    Term(
        "Backpropagation through time",
        "Backpropagation through a recurrent network laid out step by step, usually cut after a number of steps.",
        "recurrent",
        forms=("backpropagation through time", "bptt"),
    ),
    Term(
        "Batch",
        "The pieces of text from which one training step computes its gradient.",
        "mlp",
        forms=("batch", "batches", "batch size"),
    ),
    Term(
        "Batch normalisation",
        "Shifting and scaling each unit so that over the batch it has mean 0 and variance 1.",
        *_tab("mlp", "layers"),
        ("batch normalisation", "batch norm"),
    ),
    Term(
        "Bigram",
        "A model in which the next character depends on the current one alone.",
        *_tab("bigram", "pairs"),
        ("bigram", "bigrams"),
    ),
    Term(
        "Bits per character",
        "The loss in units of log 2: as many yes-or-no answers, on average, as the next character is worth.",
        "surprise",
        forms=("bits per character", "bits a character"),
    ),
    Term(
        "Causal mask",
        "What keeps attention from looking at later positions: their scores are set to minus infinity before the "
        "softmax.",
        "attention",
    ),
    Term(
        "Confidence interval",
        "The values that a measurement leaves open: of many intervals made in this way, 95 % hold the true one.",
        "claims",
        forms=("confidence interval", "95 % interval", "95 % t interval"),
    ),
    Term(
        "Context",
        "The characters, the current one included, that a prediction can depend on.",
        *_tab("mlp", "receptive_field"),
        ("context", "context length"),
    ),
    Term(
        "Cross-entropy",
        "The mean of minus the log-probability that the model gave to what really came; here it is the loss.",
        "surprise",
    ),
    Term(
        "Dilation",
        "The distance between the positions that one layer of a convolution joins.",
        *_tab("wavenet", "dilations"),
        ("dilation", "dilations", "dilated"),
    ),
    Term(
        "Dropout",
        "Setting a random share of activations to zero in training, so that nothing relies on one of them alone.",
        *_tab("transformer", "gap"),
    ),
    Term(
        "Embedding",
        "The learned vector that stands for a character, or for a position.",
        "embeddings",
        forms=("embedding", "embeddings"),
    ),
    Term(
        "Entropy",
        "The mean surprise of a distribution: 0 if one outcome is certain, ln n if n outcomes are equally likely.",
        "attention",
    ),
    Term(
        "Exploding gradient",
        "A gradient that grows layer by layer, or step by step in time, until one update ruins the weights.",
        *_tab("transformer", "gradients"),
        ("exploding gradient", "exploding gradients"),
    ),
    Term(
        "Feed-forward layer",
        "The part of a Transformer block that works on each position alone: up to a wider layer, a nonlinearity, and "
        "down again.",
        *_tab("transformer", "units"),
        ("feed-forward layer", "feed-forward layers", "feed-forward"),
    ),
    Term(
        "FLOPs",
        "Floating-point operations, the additions and multiplications that a training has cost: the same on every "
        "machine, unlike its time.",
        "races",
        {"over": "flops"},
    ),
    Term(
        "Gate",
        "A number between 0 and 1, computed from the input, that another number is multiplied by.",
        *_tab("recurrent", "cell_gates"),
        ("gate", "gates"),
    ),
    Term(
        "Generalisation",
        "Doing well on text that was not trained on.",
        *_tab("transformer", "gap"),
    ),
    Term(
        "Gradient",
        "For every parameter, how fast the loss rises when it grows: the direction of steepest ascent.",
        "gradient_descent",
        forms=("gradient", "gradients"),
    ),
    Term(
        "Gradient clipping",
        "Shortening the gradient to a greatest length, its direction kept.",
        "recurrent",
    ),
    Term(
        "Gradient descent",
        "Moving all parameters a little against the gradient, again and again.",
        "gradient_descent",
    ),
    Term(
        "GRU",
        "A recurrent cell with two gates: how much of the old state to read, and how much of it to replace.",
        *_tab("recurrent", "cell_gates"),
    ),
    Term(
        "Hidden state",
        "The vector that a recurrent network hands on from one position to the next.",
        *_tab("recurrent", "memory_span"),
    ),
    Term(
        "Induction head",
        "A head that looks at what followed the last time the current character came up, and so continues repetitions.",
        "attention",
        forms=("induction head", "induction heads", "induction"),
    ),
    Term(
        "Initialisation",
        "How the random numbers that a model begins with are drawn.",
        *_tab("mlp", "layers"),
    ),
    Term(
        "Key",
        "In attention: the vector of an earlier position that queries are compared with.",
        "attention",
        marked=False,
    ),
    Term(
        "Kneser-Ney smoothing",
        "Counting with something taken off every count and given to shorter contexts, each character weighted there by "
        "in how many contexts it is found.",
        "bigram",
        {"preset": "6-gram"},
        ("kneser-ney smoothing", "kneser-ney"),
    ),
    Term(
        "Layer normalisation",
        "Shifting and scaling the vector of each position to mean 0 and variance 1, then by learned numbers.",
        *_tab("transformer", "layers"),
        ("layer normalisation", "layernorm", "layer norm"),
    ),
    Term(
        "Learning rate",
        "How far a step goes along the direction that the optimiser has found.",
        "gradient_descent",
        forms=("learning rate", "learning rates"),
    ),
    Term(
        "Logit",
        "The score of a character before the softmax; differences of logits are log-ratios of probabilities.",
        "prediction",
        forms=("logit", "logits"),
    ),
    Term(
        "Logit lens",
        "Reading a prediction off an inner layer by sending it through the model's last step.",
        "prediction",
        {"view": "lens"},
    ),
    Term(
        "Loss",
        "The one number that training lowers: here the cross-entropy, in nats a character.",
        "ladder",
        forms=("loss", "losses"),
    ),
    Term(
        "LSTM",
        "A recurrent cell that keeps a second, protected state, with gates for writing, keeping and reading.",
        *_tab("recurrent", "cell_gates"),
    ),
    Term(
        "Multilayer perceptron",
        "Layers of weighted sums, each followed by a nonlinearity.",
        "mlp",
        forms=("multilayer perceptron",),
    ),
    Term(
        "Muon",
        "An optimiser for matrices that makes all singular values of a step about equal before it is taken.",
        "transformer",
    ),
    Term(
        "n-gram",
        "A piece of n characters, and the model that counts what followed the first n − 1 of them.",
        "bigram",
        {"preset": "6-gram"},
        ("n-gram", "n-grams"),
    ),
    Term(
        "Nat",
        "The unit of information with the natural logarithm: 1 nat is 1.443 bits.",
        "surprise",
        forms=("nat", "nats"),
    ),
    Term(
        "Optimiser",
        "The rule that makes a step out of the gradient and what it remembers of earlier ones.",
        "gradient_descent",
        forms=("optimiser", "optimisers"),
    ),
    Term(
        "Overfitting",
        "Getting better on the training text while getting worse on the validation text.",
        *_tab("transformer", "gap"),
    ),
    Term(
        "Paired difference",
        "What sets two settings apart with the same seed, so that the luck of the draw that both share drops out.",
        "races",
        forms=("paired difference", "paired differences", "paired by seed"),
    ),
    Term(
        "Parameter",
        "A number that is learned.",
        *_tab("mlp", "parameters"),
        ("parameter", "parameters"),
    ),
    Term(
        "Perplexity",
        "e to the loss: among how many equally likely characters the model still chooses.",
        "ladder",
    ),
    Term(
        "Positional encoding",
        "What tells a Transformer where a character stands, as attention alone cannot.",
        *_tab("transformer", "positions"),
        ("positional encoding", "positional encodings"),
    ),
    Term(
        "Query",
        "In attention: the vector of the position that asks, which is compared with the keys.",
        "attention",
        marked=False,
    ),
    Term(
        "Receptive field",
        "The earlier characters on which a prediction can depend, and how strongly it does.",
        *_tab("wavenet", "receptive_field"),
    ),
    Term(
        "Residual connection",
        "Adding what came into a layer to what comes out of it, so that the layer only learns the difference.",
        "residual",
        forms=("residual connection", "residual connections", "skip connection", "skip connections"),
    ),
    Term(
        "Residual stream",
        "The vector of a position that all blocks of a Transformer read from and add to.",
        "prediction",
        {"view": "lens"},
    ),
    Term(
        "Seed",
        "The number that all random draws of a run follow from: the same seed gives the same run on the same machine.",
        "compare",
        forms=("seed", "seeds"),
    ),
    Term(
        "Softmax",
        "Turning scores into probabilities: each becomes e to the score, divided by the sum of all of these.",
        "prediction",
    ),
    Term(
        "Surprise",
        "Minus the log of the probability that was given to what really came.",
        "surprise",
        forms=("surprise",),
    ),
    Term(
        "Temperature",
        "What logits are divided by before drawing: below 1 the likely gets likelier, above 1 all gets more even.",
        "write",
    ),
    Term(
        "Tokenizer",
        "What turns a text into the numbers that a model reads; here every character is one token.",
        "text",
        forms=("tokenizer", "token", "tokens"),
    ),
    Term(
        "Top-k and top-p",
        "Drawing among the k likeliest characters alone, or among the fewest that together have probability p.",
        "prediction",
        forms=("top-k", "top-p"),
    ),
    Term(
        "Validation split",
        "The last tenth of the text, which no model trains on and by which all are judged.",
        "text",
        forms=("validation split", "validation loss", "validation text"),
    ),
    Term(
        "Value",
        "In attention: the vector that a position hands over to whoever looks at it.",
        "attention",
        marked=False,
    ),
    Term(
        "Vanishing gradient",
        "A gradient that shrinks layer by layer, or step by step in time, until nothing far away is taught.",
        *_tab("recurrent", "memory_span"),
        ("vanishing gradient", "vanishing gradients"),
    ),
    Term(
        "Warm-up",
        "Raising the learning rate from near zero over the first steps.",
        "transformer",
        forms=("warm-up", "warmup"),
    ),
    Term(
        "Weight decay",
        "Shrinking all weights a little at every step, so that only what is needed stays large.",
        "mlp",
    ),
)
"""In the order of the alphabet."""


def find(words: str) -> list[Term]:
    """Return the terms in which the words come up; all if there are none."""
    asked = words.casefold().strip()
    return [each for each in TERMS if asked in f"{each.name} {' '.join(each.forms)} {each.sentence}".casefold()]
