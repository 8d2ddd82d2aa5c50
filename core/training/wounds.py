"""Parts of a model that are switched off for good, to see what the others make of it."""

from collections.abc import Sequence

import torch

from core.errors import BardlabError
from core.models.answers import Where
from core.models.contract import LanguageModel
from core.training.sabotage import Sabotage


class Wound(Sabotage):
    """Keeps at zero the weights through which some parts speak.

    The wound is in the weights themselves: whoever loads, evaluates, resumes or exports the model has it as it was
    trained. A weight of zero without a gradient stays zero under every optimiser here, decay included.
    """

    def __init__(self, model: LanguageModel, keys: Sequence[str]) -> None:
        """Raise BardlabError, naming it, on a part that the model lacks or that no weights of its own speak for."""
        self.slices: list[tuple[str, Where]] = []
        parts = {part.key: part for part in model.parts()}
        for key in keys:
            if key not in parts:
                raise BardlabError(f"this model has no part {key[:20]}; choose some on the board")
            if not parts[key].speaks:
                raise BardlabError(f"{parts[key].title} cannot be kept off while others learn; choose heads")
            self.slices += parts[key].speaks

    @torch.no_grad()
    def weights(self, model: LanguageModel) -> None:
        """Switch the parts off."""
        named = dict(model.named_parameters())
        for name, where in self.slices:
            named[name][where] = 0.0

    @torch.no_grad()
    def gradients(self, model: LanguageModel) -> None:
        """Let nothing be learned that would switch them on again."""
        named = dict(model.named_parameters())
        for name, where in self.slices:
            if (gradient := named[name].grad) is not None:
                gradient[where] = 0.0
