"""Runs that differ in one setting and in nothing else: what one of them shows, the other explains."""

from collections.abc import Iterable

from core.runs import Run


def twins_of(run: Run, setting: str, among: Iterable[Run]) -> list[Run]:
    """Find runs with the settings, text and seed of `run` but for another value of one setting of the model.

    Newest first, as `among` is; at most one for each value.
    """
    config = run.need()
    found: dict[object, Run] = {}
    for other in among:
        theirs = other.config
        if theirs is None or other.damage or other.path == run.path or setting not in config.model:
            continue
        same_training = (theirs.stage, theirs.train, theirs.corpus_sha256) == (
            config.stage,
            config.train,
            config.corpus_sha256,
        )
        rest = {k: v for k, v in theirs.model.items() if k != setting}
        same_model = rest == {k: v for k, v in config.model.items() if k != setting}
        if same_training and same_model and theirs.model.get(setting) != config.model[setting]:
            found.setdefault(theirs.model.get(setting), other)
    return list(found.values())
