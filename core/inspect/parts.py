"""What can be switched off in a model: heads, layers, skip connections, positions, the characters looked back on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import EllipsisType

from core.errors import BardlabError
from core.models.contract import LanguageModel
from core.models.mlp import MLP
from core.models.residual import ResidualNet
from core.models.transformer import Transformer
from core.models.wavenet import WaveNet
from core.stages import STAGES

Where = tuple[slice | int | EllipsisType, ...]


@dataclass(frozen=True)
class Part:
    """Something that can be switched off."""

    key: str
    """Its address, such as 0.2 (head 2 of layer 0), 3.mlp or pos."""
    title: str
    row: str
    column: str
    """Where it stands on the board."""
    taps: tuple[str, ...]
    """The taps at which what it hands on is replaced."""
    where: Where = (...,)
    """Which slice of what passes there is its own."""
    layer: int | None = None
    """The layer before which its absence changes nothing; None if everything may change."""
    fixed: tuple[float, ...] | None = None
    """For each tap what stands there when it is off, whatever the method."""


def rungs() -> list[str]:
    """List the rungs whose models have parts to switch off."""
    return [key for key, stage in STAGES.items() if issubclass(stage.model, Transformer | WaveNet | ResidualNet | MLP)]


def parts(model: LanguageModel) -> list[Part]:
    """List what can be switched off in a model, in the order of the board. Empty for a rung without parts."""
    match model:
        case Transformer():
            return [*_blocks(model), *_trigrams(model), *_positions(model)]
        case WaveNet():
            return _wavenet_layers(model)
        case ResidualNet():
            return [*_residual_layers(model), *_seen(model.context, model.config.d_embed)]
        case MLP():
            hidden = [
                _whole(f"{i}.layer", f"hidden layer {i}", i, "layer", f"hidden.{i}.post")
                for i in range(len(model.hidden))
            ]
            return [*hidden, *_seen(model.context, model.config.d_embed)]
    return []


def _whole(key: str, title: str, layer: int, column: str, tap: str) -> Part:
    return Part(key, title, f"layer {layer}", column, (tap,), layer=layer)


def _blocks(model: Transformer) -> Iterator[Part]:
    for i in range(model.config.n_layer):
        at, row = f"blocks.{i}.", f"layer {i}"
        for h in range(model.config.n_head):
            where = (slice(None), h)
            yield Part(f"{i}.{h}", f"head {h} of layer {i}", row, f"head {h}", (at + "attention.z",), where, i)
        yield _whole(f"{i}.mlp", f"the feed-forward layer of layer {i}", i, "MLP", at + "mlp_out")
        yield _whole(f"{i}.attn_skip", f"the skip around layer {i}'s attention", i, "skip: attn", at + "attn_skip")
        yield _whole(f"{i}.mlp_skip", f"the skip around layer {i}'s MLP", i, "skip: MLP", at + "mlp_skip")


def _trigrams(model: Transformer) -> Iterator[Part]:
    if model.config.trigrams:
        yield Part("trigrams", "the table of three characters", "input", "trigrams", ("trigram_embed",))


def _positions(model: Transformer) -> Iterator[Part]:
    """Position vectors are replaced like all else; rotary turns are left undone, at every layer, by either method."""
    kind = model.config.positions
    if kind == "rotary":
        taps = [f"blocks.{i}.attention.rot_{f}" for i in range(model.config.n_layer) for f in ("cos", "sin")]
        fixed = (1.0, 0.0) * model.config.n_layer
        yield Part("pos", "the positions (rotary turns)", "input", "positions", tuple(taps), fixed=fixed)
    elif kind != "none":
        yield Part("pos", f"the positions ({kind} vectors)", "input", "positions", ("pos_embed",))


def _wavenet_layers(model: WaveNet) -> list[Part]:
    found = []
    for i in range(len(model.layers)):
        at, last = f"layers.{i}.", i == len(model.layers) - 1
        found.append(
            _whole(f"{i}.layer", f"all that layer {i} finds", i, "layer", at + ("z" if model.gated else "post"))
        )
        if model.gated:
            found.append(
                _whole(f"{i}.skip_out", f"what layer {i} sends straight to the end", i, "to the end", at + "skip_out")
            )
        if model.gated and not last:  # nothing listens to what the last layer hands on upwards
            found.append(_whole(f"{i}.branch", f"what layer {i} adds", i, "branch", at + "branch_out"))
            found.append(_whole(f"{i}.skip", f"the skip around layer {i}", i, "skip", at + "resid_skip"))
    return found


def _residual_layers(model: ResidualNet) -> Iterator[Part]:
    for i in range(model.config.depth):
        yield _whole(f"{i}.branch", f"what layer {i} adds", i, "branch", f"layers.{i}.branch_out")
        if model.config.skip > 0:
            yield _whole(f"{i}.skip", f"the skip around layer {i}", i, "skip", f"layers.{i}.resid_skip")


def _seen(context: int, d_embed: int) -> Iterator[Part]:
    for back in range(context):
        end = (context - back) * d_embed
        title = f"the character {back} back" if back else "the current character"
        where = (..., slice(end - d_embed, end))
        yield Part(f"back.{back}", title, "input", f"{back} back" if back else "current", ("seen",), where)


def chosen(board: Sequence[Part], keys: Iterable[str]) -> list[Part]:
    """Return the parts with these addresses, in the board's order. Raises BardlabError naming those it lacks."""
    wanted = set(keys)
    if lacking := wanted - {part.key for part in board}:
        raise BardlabError(f"this model has no part {', '.join(sorted(lacking))}; choose some on the board")
    return [part for part in board if part.key in wanted]
