"""The distribution of the next character, from its logits: sliders and arithmetic live in the browser."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import ArrayLike

from core.sampling import SamplingConfig
from pages.ui.components.shared.toolkit import declare, floats, heard, message

_component = declare("next_character", "From logits to a character")
SLIDERS = ("temperature", "top_k", "top_p")


@dataclass(frozen=True)
class Branch:
    """One way of going on."""

    added: str
    """What was appended to the prompt that the learner typed."""
    nats: float
    """Its log-probability under the model."""


def next_character(
    logits: ArrayLike,
    characters: str,
    *,
    text: str,
    root_text: str,
    branches: Sequence[Branch],
    model: str,
    words: Mapping[str, str],
    act: Callable[[dict[str, Any]], None],
    key: str,
) -> None:
    """Draw all bars of logits (V,). `act` is called, before the page is drawn again, with what the learner did.

    That is `{"kind": "append", "character": "e"}`, `{"kind": "back"}` or `{"kind": "go", "to": added}`, always with the
    `text` it was done to and the `settings` of the sliders. `words` are what the sliders are called, by setting.
    """

    def acted() -> None:
        done = heard(key, "act")
        if done:
            act(done)

    fields = {field.name: field for field in SamplingConfig.fields()}
    settings = [
        {
            "name": name,
            "label": words[name],
            "low": fields[name].low,
            "high": len(characters) if name == "top_k" else fields[name].high,
            "step": fields[name].step,
            "initial": fields[name].default,
            "help": fields[name].help,
        }
        for name in SLIDERS
    ]
    data = {
        "logits": floats(logits),
        "characters": list(characters),
        "settings": settings,
        "text": text,
        "root_text": root_text,
        "can_go_back": text != root_text,
        "branches": [asdict(branch) for branch in branches],
        "model": model,
    }
    _component(key=key, data=message(data), on_act_change=acted)
