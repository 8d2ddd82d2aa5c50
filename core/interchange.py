"""Weights to and from the reference GPT's own state dict: one projection for each head, and its mask as a buffer.

`reference_layout` says which of the reference's tensors, stacked row on row, make each of ours; both directions read
that one table. Files are read without running anything that is in them.

Letters: V vocabulary, C channels (d_model), H heads, D = C / H.
"""

import io
import pickle
import re
import shutil
import time
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import IO

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from core import checkpoints, launch, runs
from core.config import Settings
from core.corpus import load as load_corpus
from core.errors import BardlabError
from core.evaluation import evaluate
from core.models.contract import LanguageModel, parameter_count
from core.models.transformer import Transformer, TransformerConfig
from core.runs import Run, RunConfig, Sample, State
from core.sampling import SamplingConfig, generate

EXPORT, PTH = "export", "microGPT_model.pth"
LARGEST_FILE = 2 * 1024**3  # bytes; the largest Transformer of the lab takes 1.2 GB, most of it masks
SIZES = {"n_layer", "n_head", "d_model", "context", "dropout"}  # what a reference GPT is free to choose
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
HELP = "save model.state_dict() of the reference GPT and give that file"

_writing = Lock()


def reference_layout(config: TransformerConfig) -> dict[str, list[str]]:
    """Name, for each of our tensors, the reference's tensors that make it up, stacked row on row."""
    layout: dict[str, list[str]] = {
        "token_embedding.weight": ["token_embedding_table.weight"],  # (V, C)
        "position_embedding.weight": ["position_embedding_table.weight"],  # (context, C)
    }
    for n in range(config.n_layer):
        ours, theirs = f"blocks.{n}", f"blocks.{n}"
        layout[f"{ours}.attention.qkv.weight"] = [  # (3C, C) from 3H of (D, C)
            f"{theirs}.sa.heads.{h}.{kind}.weight" for kind in ("query", "key", "value") for h in range(config.n_head)
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
    assert isinstance(model, Transformer)
    config = model.config
    layout, state = reference_layout(config), model.state_dict()
    if odd := sorted(layout.keys() ^ state.keys()):
        raise BardlabError(f"the reference GPT's layout cannot hold this model: {_some(odd)}")
    found = {name: torch.ones(config.context, config.context).tril() for name in _masks(config)}
    for mine, theirs in layout.items():
        pieces = state[mine].detach().cpu().float().chunk(len(theirs))  # rows split evenly
        found |= {name: piece.clone() for name, piece in zip(theirs, pieces, strict=True)}
    return found


def export_pth(run: Run, target: Path | None = None) -> Path:
    """Write a run's newest weights as the reference's `.pth`, by default to `export/microGPT_model.pth` in its folder.

    Returns the file. Raises BardlabError if the run is damaged, has no weights, does not fit the reference's layout, or
    the file cannot be written.
    """
    model, _ = checkpoints.load_model(run)
    state = to_reference(model)
    file = target or run.path / EXPORT / PTH
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _writing, runs.replacing(file) as out:
            torch.save(state, out)
    except OSError as error:
        raise BardlabError(f"cannot write {file}: {runs.explain(error)}") from None
    return file


# --- from the reference ----------------------------------------------------------------------------------------------


def from_reference(
    state: Mapping[str, Tensor], vocab_size: int | None = None
) -> tuple[TransformerConfig, dict[str, Tensor]]:
    """Return the sizes of a reference GPT, read from the shapes in its state dict, and our Transformer's state dict.

    Weights become float32; from float32 they stay bit for bit. Dropout leaves no trace in weights: it is taken to be
    the reference's. Nor does the scale of the scores: it is taken to be 1 / sqrt(D), as in the reference since it was
    mended, not the 1 / sqrt(C) of its first days. With `vocab_size`, the alphabet must have that many characters.

    Raises BardlabError, in one line, on anything but tensors by name, on missing or extra keys, wrong shapes, sizes
    out of TransformerConfig's ranges, blocks or heads that are not numbered through, masks that are not causal, and
    weights that are not finite.
    """
    state = _tensors(state, "this")
    config, vocab = _sizes(state, vocab_size)
    layout, masks = reference_layout(config), _masks(config)
    wanted = {name for names in layout.values() for name in names} | set(masks)
    if missing := sorted(wanted - state.keys()):
        raise BardlabError(f"the weights lack {_some(missing)}; {HELP}")
    if extra := sorted(state.keys() - wanted):
        raise BardlabError(f"the reference GPT has no {_some(extra)}; {HELP}")

    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in Transformer(config, vocab).state_dict().items()}
    for mine, theirs in layout.items():
        rows, *rest = shapes[mine]
        for name in theirs:
            _check_shape(state, name, (rows // len(theirs), *rest))
    for name in masks:
        _check_shape(state, name, (config.context, config.context))

    causal = torch.ones(config.context, config.context).tril()
    for name in masks:
        if not torch.equal(state[name].float(), causal):
            raise BardlabError(f"{name} is not the causal mask, ones up to the diagonal; {HELP}")
    ours: dict[str, Tensor] = {}
    for mine, theirs in layout.items():
        for name in theirs:
            _check_numbers(state, name)
        ours[mine] = torch.cat([state[name].detach().float() for name in theirs])
    return config, ours


def read_pth(source: Path | str | bytes) -> dict[str, Tensor]:
    """Read a state dict from a file, or its content, that `torch.save` wrote. Nothing in it is executed.

    A leading `_orig_mod.`, which compiled models put before every name, is taken off. Raises BardlabError, in one
    line, if there is no such file, it is larger than 2 GB, or it holds anything but tensors by name.
    """
    label = "the file" if isinstance(source, bytes) else safe_label(source)
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else Path(source).expanduser().open("rb")
    except (OSError, ValueError) as error:
        why = runs.explain(error) if isinstance(error, OSError) else "that is no name of a file"
        raise BardlabError(f"cannot read {label}: {why}") from None
    try:
        with file:
            if (size := _size(file)) > LARGEST_FILE:
                raise BardlabError(f"{label} holds {size / 1e9:.1f} GB; a state dict for this lab has at most 2 GB")
            with warnings.catch_warnings():  # torch warns about odd formats; what counts is whether it can read them
                warnings.simplefilter("ignore")
                content = torch.load(file, map_location="cpu", weights_only=True)
    except BardlabError:
        raise
    except pickle.UnpicklingError as error:
        what = re.search(r"GLOBAL ([\w.]+)", str(error))
        holds = f"it asks for {what[1][:80]}" if what else "it holds more than tensors"
        raise BardlabError(f"{label} is not a plain state dict: {holds}; nothing in it was run") from None
    except Exception as error:  # torch raises whatever its reader meets in a damaged file
        raise BardlabError(
            f"{label} is not a file of weights, or is damaged ({type(error).__name__}); {HELP}"
        ) from None
    return _plain_names(_tensors(content, label))


def read_weights(source: Path | str | bytes) -> dict[str, Tensor]:
    """Read tensors by name from a `.safetensors` or a `.pth` file, or its content, whichever it is.

    Raises BardlabError, in one line, as `read_pth` does.
    """
    label = "the file" if isinstance(source, bytes) else safe_label(source)
    try:
        content = source if isinstance(source, bytes) else _content(Path(source).expanduser())
    except (OSError, ValueError):
        return read_pth(source)  # which says why it cannot be read
    if content is None or not is_safetensors(content):
        return read_pth(source)
    if len(content) > LARGEST_FILE:
        raise BardlabError(f"{label} holds {len(content) / 1e9:.1f} GB; weights for this lab have at most 2 GB")
    try:
        state = load_tensors(content)
    except Exception as error:  # its reader raises several kinds
        reason = (str(error).splitlines() or [""])[0]
        raise BardlabError(f"{label} is a damaged safetensors file ({_short(reason)}); {HELP}") from None
    return _plain_names(_tensors(state, label))


def is_safetensors(content: bytes) -> bool:
    """True if the content begins as a safetensors file does: the length of a JSON header, then the header."""
    return len(content) > 8 and content[8:9] == b"{" and int.from_bytes(content[:8], "little") <= len(content) - 8


def _content(file: Path) -> bytes | None:
    """Read a file that begins as a safetensors file does; None for any other, or one that is too large."""
    with file.open("rb") as opened:
        size = opened.seek(0, io.SEEK_END)
        opened.seek(0)
        if size > LARGEST_FILE or opened.read(9)[8:] != b"{":
            return None
        opened.seek(0)
        return opened.read()


def _plain_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off the `_orig_mod.` that compiled models put before every name."""
    if all(name.startswith("_orig_mod.") for name in state):
        return {name.removeprefix("_orig_mod."): tensor for name, tensor in state.items()}
    return state


def _size(file: IO[bytes]) -> int:
    """Bytes of a file, or of what it unpacks to if that is more; the file is at its beginning afterwards."""
    size = file.seek(0, io.SEEK_END)
    if zipfile.is_zipfile(file):
        size = max(size, sum(entry.file_size for entry in zipfile.ZipFile(file).infolist()))
    file.seek(0)
    return size


def _tensors(state: object, label: str) -> dict[str, Tensor]:
    """Return `state` as a dict if it is tensors by name. Raises BardlabError if not."""
    if not isinstance(state, Mapping):
        raise BardlabError(f"{label} is not a state dict but a {type(state).__name__}; {HELP}")
    if not state:
        raise BardlabError(f"{label} is an empty state dict; {HELP}")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise BardlabError(
                f"{label} is not a plain state dict: {_short(name)} is a {type(value).__name__}, not a tensor; {HELP}"
            )
        if value.dtype not in FLOATS or value.layout is not torch.strided or value.is_meta:
            raise BardlabError(f"{_short(name)} does not hold floating-point numbers but {_kind(value)}; {HELP}")
    return dict(state)


def _sizes(state: Mapping[str, Tensor], vocab_size: int | None) -> tuple[TransformerConfig, int]:
    """Read sizes and vocabulary size from names and shapes. Raises BardlabError if they do not make a model."""
    tables = "token_embedding_table.weight", "position_embedding_table.weight"
    if missing := [name for name in tables if name not in state]:
        raise BardlabError(f"the weights lack {_some(missing)}; {HELP}")
    for name in tables:
        if state[name].ndim != 2 or not state[name].numel():
            raise BardlabError(f"{name} has shape {_shape(state[name].shape)}; it must be a filled table; {HELP}")
    (vocab, d_model), context = state[tables[0]].shape, state[tables[1]].shape[0]
    if vocab_size is not None and vocab != vocab_size:
        raise BardlabError(
            f"the weights know {vocab} characters, the text has {vocab_size}; only models of the same text fit"
        )
    heads: dict[int, set[int]] = {}
    for name in state:
        if found := re.match(r"blocks\.([0-9]{1,6})\.(?:sa\.heads\.([0-9]{1,6})\.)?", name):
            block = heads.setdefault(int(found[1]), set())
            block |= {int(found[2])} if found[2] else set()
    _numbered_through(heads, "the blocks")
    for n, numbers in sorted(heads.items()):
        _numbered_through(numbers, f"the heads of block {n}")
        if len(numbers) != len(heads[0]):
            raise BardlabError(
                f"block {n} has {len(numbers)} heads, block 0 has {len(heads[0])}; every block must have the same"
            )
    sizes = {"n_layer": len(heads), "n_head": len(heads[0]), "d_model": d_model, "context": context}
    try:
        return TransformerConfig.parse(sizes, "model."), vocab
    except BardlabError as error:
        raise BardlabError(f"the weights' sizes do not fit this lab: {error}") from None


def _numbered_through(numbers: Iterable[int], what: str) -> None:
    found = sorted(numbers)
    if not found or found != list(range(len(found))):
        shown = ", ".join(map(str, found[:8])) + (", …" if len(found) > 8 else "") or "none at all"
        raise BardlabError(f"{what} must be numbered 0, 1, 2, … without a gap, but are {shown}; {HELP}")


def _check_shape(state: Mapping[str, Tensor], name: str, wanted: tuple[int, ...]) -> None:
    if tuple(state[name].shape) != wanted:
        raise BardlabError(f"{name} has shape {_shape(state[name].shape)} instead of {_shape(wanted)}; {HELP}")


def _check_numbers(state: Mapping[str, Tensor], name: str) -> None:
    bad = int((~state[name].float().isfinite()).sum())
    if bad:
        raise BardlabError(f"{name} has {bad:,} weights that are not finite (NaN or infinite); train the model again")


def _some(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(_short(name) for name in names[:3]) + rest


def _short(name: object) -> str:
    """A name from a file, fit for one line."""
    text = name if isinstance(name, str) else repr(name)
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 60 else text[:59] + "…"


def _shape(shape: Iterable[int]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


def _kind(tensor: Tensor) -> str:
    return " ".join(str(x).removeprefix("torch.") for x in (tensor.layout, tensor.dtype, "on", tensor.device))


def safe_label(file: Path | str) -> str:
    """A file's name, fit for one line of any view."""
    return re.sub(r"[^\w .,()+-]", "_", Path(file).name)[:60].strip() or "a file"


# --- into a run ------------------------------------------------------------------------------------------------------


def import_pth(source: Path | str | bytes, name: str | None = None, *, file_name: str = "") -> Run:
    """Make a finished run of a reference GPT's weights (`.pth`, `.safetensors`), measured on the whole split.

    `source` is a file or its content; `file_name` says what content was called. Raises BardlabError, leaving nothing
    behind, if the file is not a reference GPT for this text, the name cannot be given, or the disk refuses.
    """
    text = load_corpus()
    label = safe_label(file_name if isinstance(source, bytes) else source)
    if name is not None:
        with TemporaryDirectory() as folder:  # a name that cannot be given is refused before the slow part
            runs.rename(runs.read(Path(folder)), name)
    config, state = from_reference(read_weights(source), text.tokenizer.size)
    plan = launch.plan("transformer", model=config.model_dump(), device="cpu", corpus_name=text.name)
    with torch.random.fork_rng(devices=[]):
        model = Transformer(config, text.tokenizer.size)
    model.load_state_dict(state)
    loss = evaluate(model, text.val_ids).loss
    if not loss < float("inf"):
        raise BardlabError(f"{label} has finite weights, but its loss on the text is not a number; train it again")
    sampling = SamplingConfig(tokens=max(1, plan.train.sample_chars), seed=plan.train.seed)
    written = [choice.id for choice in generate(model, text.tokenizer.encode(plan.train.prompt), sampling)]
    sample = Sample(0, loss, plan.train.prompt, text.tokenizer.decode(written))
    return _finished_run(plan, model, sample, name, label)


def _finished_run(plan: RunConfig, model: Transformer, sample: Sample, name: str | None, label: str) -> Run:
    """Write the run folder. Raises BardlabError, leaving nothing behind."""
    run = runs.create(plan)
    try:
        weights = {key: tensor.contiguous() for key, tensor in model.state_dict().items()}
        runs.replace(run.path / runs.WEIGHTS, save_tensors(weights, metadata={"step": "0"}), durable=True)
        runs.append_sample(run.path, sample)
        runs.note(run.path, f"imported from {label}, {parameter_count(model):,} parameters; not trained here")
        runs.note(run.path, f"validation loss {sample.val_loss:.4f}")
        if name is not None:
            run = runs.rename(run, name)
        now = time.time()
        update = {
            "state": State.FINISHED,
            "message": f"imported from {label}",
            "device": "cpu",
            "of": 0,
            "started": now,
            "ended": now,
            "parameters": parameter_count(model),
            "val_loss": sample.val_loss,
            "best_val_loss": sample.val_loss,
            "best_step": 0,
            "checkpoint_step": 0,
        }
        runs.write_status(run.path, run.status.model_copy(update=update))
    except BaseException as error:
        shutil.rmtree(run.path, ignore_errors=True)
        if isinstance(error, OSError):
            raise BardlabError(f"cannot make a run of {label}: {runs.explain(error)}") from None
        raise
    return runs.read(run.path)
