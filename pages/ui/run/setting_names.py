"""What the forms of the rungs call a setting: a word for people, with the name that code and command line use."""

from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "activation": "Nonlinearity",
    "afterwards": "Rate after the schedule",
    "batch_norm": "Batch normalisation",
    "batch_size": "Sequences a step",
    "beta2": "Memory of AdamW",
    "beyond": "Once the text is longer than the context",
    "channels": "Channels",
    "compile": "Compiled",
    "context": "Characters back",
    "cooldown": "Cool-down",
    "d_embed": "Embedding",
    "d_hidden": "Hidden units",
    "d_model": "Width",
    "depth": "Layers",
    "devices": "Devices",
    "dropout": "Dropout",
    "eval_every": "Steps between evaluations",
    "fit": "Found by",
    "grad_clip": "Longest gradient",
    "init_gain": "Size of the first weights",
    "learning_rate": "Learning rate",
    "muon_learning_rate": "Learning rate of Muon",
    "muon_momentum": "Memory of Muon",
    "n_cycle": "Cycles of dilations",
    "n_head": "Heads",
    "n_hidden": "Hidden layers",
    "n_layer": "Layers",
    "norm": "Normalisation",
    "optimizer": "Optimiser",
    "order": "Piece length",
    "patience": "Patience",
    "positions": "Positions",
    "precision": "Number format",
    "prompt": "Start of the samples",
    "qkv_bias": "Bias of queries, keys and values",
    "samples": "Texts",
    "sample_chars": "Characters in a sample",
    "schedule": "Schedule over",
    "seconds": "At most seconds",
    "seed": "Seed",
    "short_first": "Short sequences first",
    "skip": "Skip",
    "skip_channels": "Channels to the output",
    "smear": "Look one character back",
    "smoothing": "Smoothing",
    "snapshots": "Snapshots kept",
    "start": "First weights",
    "steps": "Steps",
    "stop": "Stop at",
    "stop_at": "String to stop at",
    "temperature": "Temperature",
    "tokens": "Characters to write",
    "top_k": "Only the likeliest",
    "top_p": "Only this much probability",
    "trigrams": "Table of three characters",
    "variant": "Kind",
    "warmup": "Warm-up steps",
    "weight_decay": "Weight decay",
    "width": "Width",
    "window": "Characters a sequence",
}


def name_of(setting: str) -> str:
    """Return the word for a setting; of one that has none, its own name in words."""
    words = setting.replace("_", " ")
    return NAMES.get(setting, words[:1].upper() + words[1:])


def in_full(setting: str) -> str:
    """Return the word for a dotted setting and, where they differ, what code and command line call it."""
    word = NAMES.get(setting.split(".")[-1])
    return f"{word} ({setting})" if word else setting


def in_words(change: str) -> str:
    """Return a change such as `learning_rate 0.1 → 0.2` as a sentence begins, with the word for the setting."""
    setting, space, rest = change.partition(" ")
    word = NAMES.get(setting)
    return f"{word}{space}{rest}" if word else f"{change[:1].upper()}{change[1:]}"
