"""The Transformer as a diagram: every block, every shape, from the settings and the live module."""

from typing import Any

from core.inspect.anatomy import Anatomy, Shape
from pages.ui.drawings.svg import Drawing

WIDTH, ROAD, LEFT, BOX = 760, 120, 210, 250
"""Of the drawing; x of the residual stream; x and width of the boxes beside it."""


def block_diagram(config: Any, anatomy: Anatomy) -> tuple[str, str]:
    """Draw the model from the characters (top) to the logits (bottom), one block in full for all of them."""
    pre = getattr(config, "norm", "pre") == "pre"
    bend = {"relu": "ReLU", "gelu": "GELU", "relu2": "ReLU²"}[config.activation]
    height = 650 if pre else 600
    d = Drawing(WIDTH, height)
    B, T, V = anatomy.batch, anatomy.window, anatomy.vocab_size
    stream = anatomy.outputs["token_embedding"]
    _right(d, 22, "ids", (B, T), "batch and time: whole numbers")
    d.text(ROAD, 22, "characters", "middle")
    d.line([(ROAD, 34), (ROAD, 52)], arrow=True)
    table = anatomy.weights["token_embedding.weight"]
    d.labelled(ROAD - 80, 52, 160, 28, "token embedding", "box", _weights("token_embedding.weight", table))
    _right(d, 66, "embed", stream)
    y = 80.0
    if config.trigrams:
        tip = _weights("trigram_embedding.weight", anatomy.weights["trigram_embedding.weight"])
        y = _added(d, y, "three characters", tip, "trigram_embed", anatomy)
    if config.positions in ("learned", "sinusoidal"):
        tip = "Fixed sines and cosines: no weights."
        if config.positions == "learned":
            tip = _weights("position_embedding.weight", anatomy.weights["position_embedding.weight"])
        y = _added(d, y, f"{config.positions} positions", tip, "pos_embed", anatomy)
    top = y + 16
    d.line([(ROAD, y), (ROAD, top)])
    y = _sub_layer(d, top + 16, pre, "ln1", _attention(config, anatomy), anatomy)
    y = _sub_layer(d, y, pre, "ln2", _feed_forward(bend, anatomy), anatomy)
    d.box(14, top, WIDTH - 28, y - top + 4, "group")
    d.text(26, top + 14, f"× {config.n_layer}", "bold")
    d.text(26, top + 30, "blocks", "small dim")
    d.line([(ROAD, top), (ROAD, y + 22)], "road")
    y += 22
    if pre:
        d.labelled(
            ROAD - 80, y, 160, 26, "LayerNorm", "box", _weights("ln_final.weight", anatomy.weights["ln_final.weight"])
        )
        _right(d, y + 13, "ln_final", anatomy.outputs["ln_final"])
        d.line([(ROAD, y + 26), (ROAD, y + 42)], arrow=True)
        y += 42
    d.labelled(ROAD - 80, y, 160, 28, "to logits", "box", _weights("lm_head.weight", anatomy.weights["lm_head.weight"]))
    _right(d, y + 14, "logits", (B, T, V), f"one number for each of {V} characters")
    d.height = y + 44
    said = (
        f"{config.n_layer} blocks of attention and feed-forward layer, each added to the residual stream of width "
        f"{config.d_model}; {'pre' if pre else 'post'}-norm; {anatomy.parameters:,} parameters."
    )
    return d.svg(), said


def _added(d: Drawing, y: float, words: str, tip: str, name: str, anatomy: Anatomy) -> float:
    """Draw what is added to the embedding before the first block. Returns the y after it."""
    d.line([(ROAD, y), (ROAD, y + 34)])
    d.labelled(LEFT, y + 14, 160, 28, words, "box", tip)
    d.line([(LEFT, y + 28), (ROAD + 9, y + 28)], arrow=True)
    _plus(d, y + 28)
    _right(d, y + 28, name, anatomy.outputs[name])
    return y + 42


def _attention(config: Any, anatomy: Anatomy) -> list[tuple[str, str, str, Shape, str]]:
    """(words, kind, name of what comes out, its shape, tip) of each box."""
    at = "blocks.0.attention"
    turned = " (turned)" if config.positions == "rotary" else ""
    why = ". Queries and keys are turned by an angle that grows with the position." if turned else ""
    weights = anatomy.weights
    return [
        (f"queries, keys{turned}, values", "box", "q, k, v each", anatomy.outputs[f"{at}.q"],
         _weights("attention.qkv.weight", weights[f"{at}.qkv.weight"]) + why),
        ("scores, mask, softmax", "new", "pattern", anatomy.outputs[f"{at}.pattern"],
         f"{config.n_head} heads, each with its own table of who listens to whom. No weights."),
        ("weighted sum of values", "new", "z", anatomy.outputs[f"{at}.z"], "What each head carries to each position."),
        ("mix the heads", "box", "attn_out", anatomy.outputs[at],
         _weights("attention.proj.weight", weights[f"{at}.proj.weight"])),
    ]  # fmt: skip


def _feed_forward(bend: str, anatomy: Anatomy) -> list[tuple[str, str, str, Shape, str]]:
    at = "blocks.0.mlp"
    return [
        (f"widen, {bend}", "box", "post", anatomy.outputs[f"{at}.up"],
         _weights("mlp.up.weight", anatomy.weights[f"{at}.up.weight"])),
        ("back to the stream's width", "box", "mlp_out", anatomy.outputs[at],
         _weights("mlp.down.weight", anatomy.weights[f"{at}.down.weight"])),
    ]  # fmt: skip


def _sub_layer(
    d: Drawing, y: float, pre: bool, norm: str, boxes: list[tuple[str, str, str, Shape, str]], anatomy: Anatomy
) -> float:
    """Draw the way out of the residual stream, through boxes and back. Returns the y after it."""
    tip = _weights(f"{norm}.weight", anatomy.weights[f"blocks.0.{norm}.weight"])
    middle = LEFT + BOX / 2
    if pre:
        boxes = [("LayerNorm", "box", norm, anatomy.outputs[f"blocks.0.{norm}"], tip), *boxes]
    d.line([(ROAD, y + 12), (LEFT, y + 12)], arrow=True)
    for i, (words, kind, name, shape, said) in enumerate(boxes):
        d.labelled(LEFT, y, BOX, 24, words, kind, said)
        _right(d, y + 12, name, shape)
        if i < len(boxes) - 1:
            d.line([(middle, y + 24), (middle, y + 32)], arrow=True)
        y += 32
    back = y - 20
    d.line([(LEFT, back), (ROAD + 9, back)], arrow=True)
    _plus(d, back)
    if not pre:
        d.labelled(ROAD - 55, back + 14, 110, 24, "LayerNorm", "new", tip)
        y = back + 48
    return y + 6


def _plus(d: Drawing, y: float) -> None:
    d.dot(ROAD, y, 9, "dot new", tip="Added to what was there: nothing is replaced.")
    d.text(ROAD, y, "+", "middle")


def _right(d: Drawing, y: float, name: str, shape: Shape, tip: str = "") -> None:
    data = {"tip": tip} if tip else {}
    d.text(LEFT + BOX + 18, y, name, "small mono dim", **data)
    d.text(WIDTH - 26, y, "(" + ", ".join(map(str, shape)) + ")", "right small mono", **data)


def _weights(name: str, shape: Shape) -> str:
    count = 1
    for n in shape:
        count *= n
    return f"{name}: {' × '.join(map(str, shape))} = {count:,} parameters"
