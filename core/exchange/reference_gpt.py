"""The reference GPT of the lecture, and its bigram: between their own state dicts and the lab's models.

`reference_layout` says which of the reference's tensors, stacked row on row, make each of ours; both directions read
that one table. The reference has a projection for each head, and its mask as a buffer.

Letters: V vocabulary, C channels (d_model), H heads, D = C / H.
"""

import re
from collections.abc import Iterable

import torch
from torch import Tensor

from core.errors import BardlabError
from core.exchange.weight_files import HELP, Family, Reading, WeightFile, shape, some
from core.models.bigram import BigramConfig
from core.models.contract import LanguageModel
from core.models.footprint import weightless
from core.models.transformer import Transformer, TransformerConfig
from core.settings import Settings

SIZES = {"n_layer", "n_head", "d_model", "context", "dropout"}  # what a reference GPT is free to choose
TABLES = "token_embedding_table.weight", "position_embedding_table.weight"


def reference_layout(config: TransformerConfig) -> dict[str, list[str]]:
    """Name, for each of our tensors, the reference's tensors that make it up, stacked row on row."""
    layout: dict[str, list[str]] = {
        "token_embedding.weight": [TABLES[0]],  # (V, C)
        "position_embedding.weight": [TABLES[1]],  # (context, C)
    }
    for n in range(config.n_layer):
        ours, theirs = f"blocks.{n}", f"blocks.{n}"
        for part in ("weight", "bias") if config.qkv_bias else ("weight",):
            layout[f"{ours}.attention.qkv.{part}"] = [  # (3C, C) from 3H of (D, C)
                f"{theirs}.sa.heads.{h}.{kind}.{part}"
                for kind in ("query", "key", "value")
                for h in range(config.n_head)
            ]
        pairs = (("attention.proj", "sa.proj"), ("mlp.up", "ffwd.net.0"), ("mlp.down", "ffwd.net.2"))
        for mine, its in (*pairs, ("ln1", "ln1"), ("ln2", "ln2")):
            for part in ("weight", "bias"):
                layout[f"{ours}.{mine}.{part}"] = [f"{theirs}.{its}.{part}"]
    for mine, its in (("ln_final", "ln_f"), ("lm_head", "lm_head")):
        for part in ("weight", "bias"):
            layout[f"{mine}.{part}"] = [f"{its}.{part}"]
    return layout


def _masks(config: TransformerConfig) -> list[str]:
    """Name the reference's mask buffers, one (context, context) for each head."""
    return [f"blocks.{n}.sa.heads.{h}.tril" for n in range(config.n_layer) for h in range(config.n_head)]


# --- to the reference ------------------------------------------------------------------------------------------------


def unlike_reference(config: Settings) -> str | None:
    """Say in one line why a model of these settings does not fit the reference GPT's layout; None if it does."""
    if not isinstance(config, TransformerConfig):
        kind = type(config).__name__.removesuffix("Config")
        return f"only a Transformer fits the reference GPT's layout, not a {kind}"
    standard = TransformerConfig()
    for name, value in config.changes(standard).items():
        if name not in SIZES:
            return (
                f"the reference GPT has model.{name} {getattr(standard, name)}, this model {value}; "
                "train one with the reference's to export it"
            )
    return None


def to_reference(model: LanguageModel) -> dict[str, Tensor]:
    """Return a Transformer's weights, bit for bit, as the state dict that the reference class loads with strict=True.

    Raises BardlabError if the model has a setting or a part that the reference GPT lacks.
    """
    if problem := unlike_reference(model.config):
        raise BardlabError(problem)
    config = model.config
    assert isinstance(config, TransformerConfig)
    layout, state = reference_layout(config), model.state_dict()
    if odd := sorted(layout.keys() ^ state.keys()):
        raise BardlabError(f"the reference GPT's layout cannot hold this model: {some(odd)}")
    found = {name: torch.ones(config.context, config.context).tril() for name in _masks(config)}
    for mine, theirs in layout.items():
        pieces = state[mine].detach().cpu().float().chunk(len(theirs))  # rows split evenly
        found |= {name: piece.clone() for name, piece in zip(theirs, pieces, strict=True)}
    return found


# --- from the reference ----------------------------------------------------------------------------------------------


def from_reference(file: WeightFile) -> list[Reading]:
    """Return the ways to understand a reference GPT: sizes read from the shapes, and our Transformer's state dict.

    Weights become float32; from float32 they stay bit for bit. Dropout leaves no trace in weights: it is taken to be
    the reference's. Nor does the scale of the scores: the first reading takes it to be 1 / sqrt(D), the second to be
    the 1 / sqrt(C) of the notebook that comes with the lecture. Masks that are left out carry no information, a
    missing bias is zero, a missing head is the token table.

    Raises BardlabError, in one line, on missing or extra names, wrong shapes, sizes out of TransformerConfig's ranges,
    blocks or heads that are not numbered through, masks that are not causal, and weights that are not finite.
    """
    if is_table(file):
        return [_bigram(file)]
    config, vocab = _sizes(file)
    tensors, said, without = dict(file.tensors), list[str](), list[str]()
    layout, masks = reference_layout(config), _masks(config)
    wanted = {name for names in layout.values() for name in names}
    if "lm_head.weight" not in tensors and "lm_head.weight" not in file.others:
        tensors["lm_head.weight"] = tensors[TABLES[0]]
        said.append("its head is taken to be the token table")
    for kind, names in _by_kind(wanted - tensors.keys() - file.others.keys()).items():
        if kind.endswith(".bias") and len(names) == len(_by_kind(wanted)[kind]):
            tensors |= {name: torch.zeros(()) for name in names}
            without.append(kind)
    if without:
        said.append(f"without {', '.join(without)}, taken to be zero")
    if missing := sorted(wanted - tensors.keys()):
        raise file.lacking(missing)
    if extra := sorted(tensors.keys() - wanted - set(masks)):
        raise BardlabError(f"the reference GPT has no {some(extra)}; {HELP}")
    there = [name for name in masks if name in tensors]
    if len(there) < len(masks):
        said.append("its masks taken to be causal")
    for name in there:
        _check_mask(tensors[name], name, config.context)

    with weightless():
        shapes = {name: tuple(tensor.shape) for name, tensor in Transformer(config, vocab).state_dict().items()}
    state: dict[str, Tensor] = {}
    full = WeightFile(file.label, tensors)
    for mine, theirs in layout.items():
        rows, *rest = shapes[mine]
        size = (rows // len(theirs), *rest)
        for name in theirs:
            if tensors[name].ndim and tuple(tensors[name].shape) != size:
                raise BardlabError(f"{name} has shape {shape(tensors[name].shape)} instead of {shape(size)}; {HELP}")
        state[mine] = torch.cat([full.numbers(name).expand(size) for name in theirs])
    rows_of = ("token_embedding.weight", "lm_head.weight", "lm_head.bias")
    first = Reading("transformer", config, vocab, state, rows_of, tuple(said), "scores divided by sqrt(head size)")
    if config.n_head == 1:
        return [first]
    other = "scores divided by sqrt(n_embd), as in the lecture's notebook"
    return [first, Reading("transformer", config, vocab, _rescaled(state, config), rows_of, tuple(said), other)]


def _rescaled(state: dict[str, Tensor], config: TransformerConfig) -> dict[str, Tensor]:
    """Fold scores of scale 1 / sqrt(C) into the query weights of a model that scales them by 1 / sqrt(D)."""
    found = dict(state)
    for name, tensor in state.items():
        if ".qkv." in name:
            factor = torch.ones(3 * config.d_model)
            factor[: config.d_model] = config.n_head**-0.5  # sqrt(D / C)
            found[name] = (tensor.double() * factor.double().view(-1, *[1] * (tensor.ndim - 1))).float()
    return found


def _by_kind(names: Iterable[str]) -> dict[str, list[str]]:
    """Gather names by what they are called in every block and head."""
    kinds: dict[str, list[str]] = {}
    for name in sorted(names):
        kinds.setdefault(re.sub(r"(blocks|heads)\.\d+\.", "", name), []).append(name)
    return kinds


def _sizes(file: WeightFile) -> tuple[TransformerConfig, int]:
    """Read sizes and vocabulary size from names and shapes. Raises BardlabError if they do not make a model."""
    if missing := [name for name in TABLES if name not in file.tensors]:
        raise file.lacking(missing)
    for name in TABLES:
        if file.tensors[name].ndim != 2 or not file.tensors[name].numel():
            raise BardlabError(f"{name} has shape {shape(file.tensors[name].shape)}; it must be a filled table; {HELP}")
    (vocab, d_model), context = file.tensors[TABLES[0]].shape, file.tensors[TABLES[1]].shape[0]
    heads: dict[int, set[int]] = {}
    for name in file.tensors:
        if found := re.match(r"blocks\.([0-9]{1,6})\.(?:sa\.heads\.([0-9]{1,6})\.)?", name):
            block = heads.setdefault(int(found[1]), set())
            block |= {int(found[2])} if found[2] else set()
    numbered_through(heads, "the blocks")
    for n, numbers in sorted(heads.items()):
        numbered_through(numbers, f"the heads of block {n}")
        if len(numbers) != len(heads[0]):
            raise BardlabError(
                f"block {n} has {len(numbers)} heads, block 0 has {len(heads[0])}; every block must have the same"
            )
    biased = any(re.search(r"\.heads\.\d+\.(query|key|value)\.bias$", name) for name in file.tensors)
    sizes = {"n_layer": len(heads), "n_head": len(heads[0]), "d_model": d_model, "context": context}
    return fitting({**sizes, "qkv_bias": biased}), vocab


def fitting(sizes: dict[str, object]) -> TransformerConfig:
    """Return a Transformer's settings. Raises BardlabError if it would be larger than the lab's."""
    try:
        return TransformerConfig.parse(sizes, "model.")
    except BardlabError as error:
        raise BardlabError(f"the weights' sizes do not fit this lab: {error}") from None


def numbered_through(numbers: Iterable[int], what: str) -> None:
    """Raise BardlabError unless the numbers are 0, 1, 2, ..."""
    ordered = sorted(numbers)
    if not ordered or ordered != list(range(len(ordered))):
        shown = ", ".join(map(str, ordered[:8])) + (", …" if len(ordered) > 8 else "") or "none at all"
        raise BardlabError(f"{what} must be numbered 0, 1, 2, … without a gap, but are {shown}; {HELP}")


def _check_mask(mask: Tensor, name: str, context: int) -> None:
    """Raise BardlabError unless a mask, of whatever type of number, shows each position itself and what is before."""
    if tuple(mask.shape) != (context, context):
        raise BardlabError(f"{name} has shape {shape(mask.shape)} instead of {shape((context, context))}; {HELP}")
    if mask.layout is not torch.strided or not torch.equal(mask != 0, torch.ones_like(mask, dtype=torch.bool).tril()):
        raise BardlabError(f"{name} is not the causal mask, ones up to the diagonal; {HELP}")


# --- the lecture's bigram --------------------------------------------------------------------------------------------


def is_table(file: WeightFile) -> bool:
    """True if all there is is a square table: the logits of the next character, by the current one."""
    table = file.tensors.get(TABLES[0])
    return table is not None and len(file.tensors) == 1 and table.ndim == 2 and table.shape[0] == table.shape[1] > 0


def _bigram(file: WeightFile) -> Reading:
    table = file.numbers(TABLES[0])
    return Reading("bigram", BigramConfig(), len(table), {"logits": table}, ("logits",))


FAMILY = Family(
    frozenset({"token_embedding_table", "position_embedding_table", "blocks", "ln_f", "lm_head"}),
    re.compile(r"(^|\.)(token_embedding_table|position_embedding_table)\.|\.sa\.heads\."),
    from_reference,
)
