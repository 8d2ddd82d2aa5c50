"""Weights files into runs, and runs into the reference GPT's own file.

What a file does not tell (which text its numbers stand for, how its scores were scaled, how many heads share the
width) is measured: of several ways to read it, the one with the lowest loss on the text is taken, and said.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

import torch

from core import files, system
from core.errors import BardlabError
from core.evaluation import evaluate, spread_slice
from core.exchange import nano_gpt, own_weights, reference_gpt, weight_files
from core.exchange.reference_gpt import to_reference, unlike_reference
from core.exchange.weight_files import Reading, WeightFile, safe_label
from core.ladder import registry
from core.models.contract import LanguageModel, parameter_count
from core.runs import checkpoints, editing, layout, names, records
from core.runs import folder as runs_folder
from core.runs import plan as runs_plan
from core.runs import state as runs_state
from core.runs.folder import State
from core.runs.state import Run, RunConfig, Sample, Status
from core.sampling import SamplingConfig, generate
from core.texts import own
from core.texts.corpus import Corpus, available
from core.texts.corpus import load as load_corpus
from core.training import devices

__all__ = ["export_pth", "import_pth", "to_reference", "unlike_reference"]

EXPORT, PTH = "export", "microGPT_model.pth"
FAMILIES = (reference_gpt.FAMILY, nano_gpt.FAMILY, own_weights.FAMILY)
MEASURED = 8192
"""Characters of the validation split on which the ways to read a file are compared."""
LARGEST_WEIGHT = 1e6
"""Trained weights of these models stay below a few hundred."""

_writing = Lock()


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
        with _writing, files.replacing(file) as out:
            torch.save(state, out)
    except OSError as error:
        raise BardlabError(f"cannot write {file}: {files.explain(error)}") from None
    return file


def read_weights(source: Path | str | bytes, label: str = "") -> tuple[WeightFile, list[Reading]]:
    """Return what is in a `.pth`, `.pt` or `.safetensors` file, or its content, and the ways to understand it.

    Raises BardlabError, in one line, if there is none. Nothing in the file is executed.
    """
    file, family = weight_files.read(source, FAMILIES, label)
    return file, family.read(file)


def import_pth(
    source: Path | str | bytes,
    name: str | None = None,
    *,
    file_name: str = "",
    text: str | None = None,
    device: str = "cpu",
) -> Run:
    """Make a finished run of a file of weights, measured on the whole validation split of a text.

    `source` is a file or its content; `file_name` says what content was called. `text` is the text that the model was
    trained on, Tiny Shakespeare by default; `device` is where it is measured. Without `name` the run is called after
    the file. Raises BardlabError, leaving nothing behind, if the file is no model for this text, the name cannot be
    given, or the disk refuses.
    """
    corpus = load_corpus(own.find(text) if text else "tinyshakespeare")
    label = safe_label(file_name or ("a file" if isinstance(source, bytes) else source))
    name = names.free_name(Path(label).stem) if name is None else names.check_name(name)
    file, readings = read_weights(source, label)
    readings = [_for_text(file, reading, corpus) for reading in readings]
    reading, said, model, loss = devices.reporting(lambda place: _measured(readings, corpus, place), device)
    plan = runs_plan.plan(reading.rung_key, model=reading.config.model_dump(), device="cpu", corpus_name=corpus.name)
    if not loss < float("inf"):
        raise BardlabError(f"{label} has finite weights, but its loss on the text is not a number; train it again")
    uniform = math.log(corpus.tokenizer.size)
    if loss > uniform:
        said = (*said, _worse_than_guessing(loss, uniform, file, corpus))
    sampling = SamplingConfig(tokens=max(1, plan.train.sample_chars), seed=plan.train.seed)
    written = [choice.id for choice in generate(model, corpus.tokenizer.encode(plan.train.prompt), sampling)]
    sample = Sample(0, loss, plan.train.prompt, corpus.tokenizer.decode(written))
    return _finished_run(plan, model, sample, name, "; ".join((f"imported from {label}", *file.said, *said)))


def _for_text(file: WeightFile, reading: Reading, corpus: Corpus) -> Reading:
    """Check that a model knows a text's alphabet; put its rows into the text's order if the file tells another one."""
    chars = corpus.tokenizer.chars
    if reading.vocab_size != len(chars):
        raise BardlabError(_other_alphabet(reading.vocab_size, corpus))
    alphabet = file.alphabet
    if alphabet is None or len(alphabet) != len(chars) or alphabet == chars:
        return reading
    if set(alphabet) != set(chars):
        lacking = "".join(sorted(set(alphabet) - set(chars)))
        raise BardlabError(
            f"{file.label} tells its alphabet, which is not that of {corpus.title}: it has "
            f"{weight_files.short(repr(lacking))}; name the text that it was trained on (--text)"
        )
    where = {character: place for place, character in enumerate(alphabet)}
    order = torch.tensor([where[character] for character in chars])  # (V,)
    state = {name: tensor[order] if name in reading.rows else tensor for name, tensor in reading.state.items()}
    if "logits" in state:
        state["logits"] = state["logits"][:, order]
    return replace(reading, state=state, said=(*reading.said, "its alphabet put into the order of the text's"))


def _other_alphabet(known: int, corpus: Corpus) -> str:
    """Say that a model knows another number of characters than the text has, and which texts would fit."""
    if known > own.MOST_CHARACTERS:
        return (
            f"the weights know {known:,} tokens, which are pieces of words; only models that read and write single "
            "characters can be used here"
        )
    fits = [title for name, title in available().items() if name != corpus.name and _size(name) == known]
    what = f"name {fits[0]!r}, which has as many (--text)" if fits else "name the text that it was trained on (--text)"
    if not fits and corpus.name == "tinyshakespeare":
        what = "add the text that it was trained on, then name it (--text)"
    return f"the weights know {known} characters, {corpus.title} has {corpus.tokenizer.size}; {what}"


def _size(name: str) -> int:
    try:
        return load_corpus(name).tokenizer.size
    except BardlabError:
        return 0


def _measured(
    readings: Sequence[Reading], corpus: Corpus, place: torch.device
) -> tuple[Reading, tuple[str, ...], LanguageModel, float]:
    """Choose among the ways to read a file; return what was chosen, what to say, the model and its loss."""
    if place.type != "cpu":
        system.lift_memory_limit()  # the file has been read, and a GPU's libraries reserve endless addresses
    reading, said = _best(readings, corpus, place)
    model = _model(reading, place)
    return reading, said, model, evaluate(model, corpus.val_ids.to(place)).loss


def _best(readings: Sequence[Reading], corpus: Corpus, place: torch.device) -> tuple[Reading, tuple[str, ...]]:
    """Choose among the ways to read a file by the loss on a part of the text; say which, if there was a choice.

    If none has learned anything of the text, the likeliest is taken: the first.
    """
    for name, tensor in readings[0].state.items():
        if (largest := float(tensor.abs().max())) > LARGEST_WEIGHT:
            raise BardlabError(
                f"the weights have grown to {largest:.1g} ({weight_files.short(name)}): the training had diverged; "
                "train the model again with a lower learning rate"
            )
    if len(readings) == 1:
        return readings[0], readings[0].said
    ids = spread_slice(corpus.val_ids, MEASURED if len(readings) < 8 else MEASURED // 4).to(place)
    losses = [evaluate(_model(reading, place), ids).loss for reading in readings]
    order = sorted(range(len(readings)), key=lambda i: math.inf if math.isnan(losses[i]) else losses[i])
    if not losses[order[0]] < math.log(corpus.tokenizer.size):
        return readings[0], readings[0].said
    best, second = readings[order[0]], readings[order[1]]
    measured = f"loss {losses[order[0]]:.3f} on a part of the text, {losses[order[1]]:.3f} with {second.choice}"
    said = f"read as {best.choice} ({measured})"
    closer = [replace(best, config=config) for config in best.closer]
    best = min((best, *closer), key=lambda reading: evaluate(_model(reading, place), ids).loss) if closer else best
    return best, (*best.said, said)


def _model(reading: Reading, place: torch.device) -> LanguageModel:
    with torch.random.fork_rng(devices=[]):
        model = registry.get(reading.rung_key).build(reading.config, reading.vocab_size)
    model.load_state_dict(reading.state)
    return model.eval().to(place)


def _worse_than_guessing(loss: float, uniform: float, file: WeightFile, corpus: Corpus) -> str:
    alike = [t for n, t in available().items() if n != corpus.name and _size(n) == corpus.tokenizer.size]
    which = f", such as {alike[0]}" if alike else ""
    return (
        f"warning: its loss {loss:.2f} is worse than guessing ({uniform:.2f}): it has not learned this text; it may "
        f"have learned another one with as many characters{which}"
    )


def _finished_run(plan: RunConfig, model: LanguageModel, sample: Sample, name: str, message: str) -> Run:
    """Write the run folder. Raises BardlabError, leaving nothing behind."""
    parameters, now = parameter_count(model), time.time()
    status = Status(
        state=State.FINISHED,
        message=message,
        device="cpu",
        queued=now,
        started=now,
        ended=now,
        parameters=parameters,
        val_loss=sample.val_loss,
        best_val_loss=sample.val_loss,
        best_step=0,
        checkpoint_step=0,
    )
    try:
        with editing.staging() as folder:
            files.replace(folder / runs_folder.CONFIG, runs_state.sealed(editing.owned(plan)))
            files.replace(folder / runs_folder.LABEL, json.dumps({"name": name}, ensure_ascii=False).encode())
            files.replace(folder / layout.WEIGHTS, checkpoints.weights(model, 0), durable=True)
            records.append_sample(folder, sample)
            runs_folder.note(folder, f"{message}; {parameters:,} parameters, not trained here")
            runs_folder.note(folder, f"validation loss {sample.val_loss:.4f}")
            runs_state.write_status(folder, status)
            return editing.adopt(folder, plan.rung_key)
    except OSError as error:
        raise BardlabError(f"cannot make a run of the file: {files.explain(error)}") from None
