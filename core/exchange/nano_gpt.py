"""nanoGPT's checkpoints: GPT-2's names, all heads in one projection, GELU, LayerNorm with or without a bias.

The number of heads shows in no shape. A checkpoint tells it (`model_args`); of a bare state dict, every number that
divides the width is a way to read it, and the loss on the text decides.

Letters: V vocabulary, C channels (d_model).
"""

import re

import torch
from torch import Tensor

from core.errors import BardlabError
from core.exchange.reference_gpt import fitting, numbered_through
from core.exchange.weight_files import Family, Reading, WeightFile, shape, short, some
from core.models.footprint import weightless
from core.models.transformer import Transformer, TransformerConfig

TABLES = "wte.weight", "wpe.weight"
HELP = "give the ckpt.pt that nanoGPT's train.py writes"
_LINEAR = {
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.proj",
    "mlp.c_fc": "mlp.up",
    "mlp.c_proj": "mlp.down",
}
_NORMS = {"ln_1": "ln1", "ln_2": "ln2"}
_MASKS = re.compile(r"h\.\d+\.attn\.(bias|masked_bias|mask)")  # buffers: GPT-2 calls its mask a bias
_HEADS = ("n_head", "n_heads", "num_heads", "num_attention_heads")


def from_nano(file: WeightFile) -> list[Reading]:
    """Return the ways to understand a checkpoint, one for each number of heads that it may have.

    Linear layers may lie either way round, as `nn.Linear` keeps them or as GPT-2's Conv1D does. Biases that are left
    out are zero, a head that is left out is the token table. Raises BardlabError, in one line, as `from_reference`.
    """
    tensors = {name: tensor for name, tensor in file.tensors.items() if not _MASKS.fullmatch(name)}
    if missing := [name for name in TABLES if name not in tensors]:
        raise BardlabError(f"the weights lack {some(missing)}; {HELP}")
    for name in TABLES:
        if tensors[name].ndim != 2 or not tensors[name].numel():
            raise BardlabError(f"{name} has shape {shape(tensors[name].shape)}; it must be a filled table; {HELP}")
    (vocab, width), context = tensors[TABLES[0]].shape, tensors[TABLES[1]].shape[0]
    blocks = {int(found[1]) for name in tensors if (found := re.match(r"h\.([0-9]{1,6})\.", name))}
    numbered_through(blocks, "the blocks")
    sizes = {"n_layer": len(blocks), "d_model": width, "context": context, "activation": "gelu", "dropout": 0.0}
    sizes["qkv_bias"] = "h.0.attn.c_attn.bias" in tensors
    config = fitting({**sizes, "n_head": 1})
    full = WeightFile(file.label, tensors)
    state, said = _state(full, config, vocab)
    rows = ("token_embedding.weight", "lm_head.weight", "lm_head.bias")
    told = next((file.settings[name] for name in _HEADS if type(file.settings.get(name)) is int), None)
    numbers = (
        [int(told)] if told is not None else [n for n in (6, 4, 8, 12, 2, 3, 16, 1, *range(5, 16)) if width % n == 0]
    )
    readings = []
    for n in dict.fromkeys(numbers):
        heads = "1 head" if n == 1 else f"{n} heads"
        readings.append(Reading("transformer", fitting({**sizes, "n_head": n}), vocab, state, rows, tuple(said), heads))
    return readings


def _state(file: WeightFile, config: TransformerConfig, vocab: int) -> tuple[dict[str, Tensor], list[str]]:
    """Return our Transformer's state dict, and what was taken for granted."""
    with weightless():
        shapes = {name: tuple(tensor.shape) for name, tensor in Transformer(config, vocab).state_dict().items()}
    turned = _turned(file, config.d_model)
    taken: set[str] = set()
    state: dict[str, Tensor] = {}
    unbiased = False

    def take(mine: str, its: str, turn: bool = False) -> None:
        nonlocal unbiased
        if its not in file.tensors:
            if not its.endswith(".bias"):
                raise BardlabError(f"the weights lack {short(its)}; {HELP}")
            state[mine] = torch.zeros(shapes[mine])
            unbiased = unbiased or its != "lm_head.bias"  # nanoGPT's head never has one
            return
        tensor = file.numbers(its)
        tensor = tensor.T if turn and tensor.ndim == 2 else tensor
        if tuple(tensor.shape) != shapes[mine]:
            raise BardlabError(f"{its} has shape {shape(tensor.shape)} instead of {shape(shapes[mine])}; {HELP}")
        state[mine] = tensor
        taken.add(its)

    take("token_embedding.weight", TABLES[0])
    take("position_embedding.weight", TABLES[1])
    for n in range(config.n_layer):
        for its, mine in _LINEAR.items():
            take(f"blocks.{n}.{mine}.weight", f"h.{n}.{its}.weight", turned)
            if f"blocks.{n}.{mine}.bias" in shapes:
                take(f"blocks.{n}.{mine}.bias", f"h.{n}.{its}.bias")
        for its, mine in _NORMS.items():
            for part in ("weight", "bias"):
                take(f"blocks.{n}.{mine}.{part}", f"h.{n}.{its}.{part}")
    for part in ("weight", "bias"):
        take(f"ln_final.{part}", f"ln_f.{part}")
    tied = "lm_head.weight" not in file.tensors
    take("lm_head.weight", TABLES[0] if tied else "lm_head.weight")
    take("lm_head.bias", "lm_head.bias")
    if extra := sorted(file.tensors.keys() - taken):
        raise BardlabError(f"nanoGPT has no {some(extra)}; {HELP}")
    said = ["its head is the token table"] if tied else []
    return state, [*said, "biases left out are zero"] if unbiased else said


def _turned(file: WeightFile, width: int) -> bool:
    """True if linear layers lie as GPT-2's Conv1D keeps them, (inputs, outputs)."""
    first = file.tensors.get("h.0.attn.c_attn.weight")
    return first is not None and tuple(first.shape) == (width, 3 * width)


FAMILY = Family(
    frozenset({"wte", "wpe", "h", "ln_f", "lm_head"}), re.compile(r"(^|\.)w[tp]e\.weight$|\.attn\.c_attn\."), from_nano
)
