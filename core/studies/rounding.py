"""What rounding a model's weights to bfloat16 costs: the loss over the whole validation split, with and without."""

import contextlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from core import files, paths
from core.errors import BardlabError
from core.evaluation import evaluate
from core.models.rounding import rounded
from core.runs import checkpoints
from core.runs.state import Run
from core.texts.corpus import load


class Losses(BaseModel):
    """Nats a character over the whole validation split, by the format of the weights."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    float32: float
    bfloat16: float

    def told(self) -> str:
        """Both in a line."""
        return (
            f"loss over the whole validation split: {self.float32:.4f} with weights in float32, {self.bfloat16:.4f} in "
            f"bfloat16 ({self.bfloat16 - self.float32:+.4f})"
        )


def known(run: Run, step: checkpoints.Step | None = None) -> Losses | None:
    """Return what was measured for the newest weights of a run, or of a snapshot; None if nothing was."""
    with contextlib.suppress(OSError, ValidationError):
        return Losses.model_validate_json((_folder() / f"{_name(run, step)}.json").read_bytes())
    return None


def losses(run: Run, step: checkpoints.Step | None = None) -> Losses:
    """Measure, or return what was measured. Raises BardlabError if the run or its text is not there."""
    if (found := known(run, step)) is not None:
        return found
    corpus = load(run.need().corpus)
    name = _name(run, step)
    model, tokenizer = checkpoints.load_model(run, step)
    if tokenizer.chars != corpus.tokenizer.chars:
        raise BardlabError(f"{run.slug} was trained on another alphabet than that of {corpus.name}")
    plain, halved = (evaluate(each, corpus.val_ids).loss for each in (model, rounded(model)))
    measured = Losses(float32=plain, bfloat16=halved)
    with contextlib.suppress(OSError):  # a home that cannot be written to: measured again next time
        _folder().mkdir(parents=True, exist_ok=True)
        files.replace(_folder() / f"{name}.json", measured.model_dump_json().encode())
    return measured


def _folder() -> Path:
    return paths.home() / "cache" / "rounded"


def _name(run: Run, step: checkpoints.Step | None) -> str:
    return f"{checkpoints.fingerprint(run, step)}-{run.need().corpus}"
