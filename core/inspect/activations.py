"""How the hidden layers of a model do: what their units give on real text, and what gradient reaches them.

For every rung with hidden layers. Read off the model's taps while it computes the loss, as in core/inspect/trace.py.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.inspect.trace import capture, hooked, taps
from core.models.answers import Kind
from core.models.contract import LanguageModel, Tap

SATURATED = 0.97
"""Beyond this |tanh| the slope is below 0.06: hardly any gradient passes."""
BINS = 60


@dataclass(frozen=True)
class LayerHealth:
    """One hidden layer, over all positions of some text. A is the number of activations, U of units."""

    name: str
    kind: Kind
    units: int
    mean: float
    std: float
    saturated: float
    """Share of activations with |tanh| > 0.97; for a ReLU the share that is zero, as there no gradient passes."""
    dead: int
    """Units that were saturated (for a ReLU: zero) at every position."""
    edges: NDArray[np.float64]
    """(BINS + 1,) of the activations' histogram, the same for all layers."""
    counts: NDArray[np.float64]
    """(BINS,) share of activations in each bin; those beyond the ends are in the end bins."""
    gradient_std: float
    """Standard deviation of d loss / d activation."""
    gradient_edges: NDArray[np.float64]
    gradient_counts: NDArray[np.float64]
    """As above, of the gradients; edges the same for all layers."""


def health(model: LanguageModel, ids: Tensor, targets: Tensor) -> list[LayerHealth]:
    """Run ids (B, T) through the model in evaluation mode, the loss on targets (B, T) back, and describe each layer.

    An empty list for a model without hidden layers.
    """
    wanted = _hidden_taps(model)
    if not wanted:
        return []
    captured: dict[str, Tensor] = {}  # (B, T, U) each
    was_training = model.training
    model.eval()
    try:
        hooks = [(tap, capture(captured, name)) for name, (tap, _) in wanted.items()]
        with hooked(hooks), torch.enable_grad():
            loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
            gradients = torch.autograd.grad(loss, [captured[name] for name in wanted], materialize_grads=True)
    finally:
        model.train(was_training)
    layers = {
        name: (kind, captured[name].detach().flatten(0, -2), gradient.flatten(0, -2))  # (A/U, U) each
        for (name, (_, kind)), gradient in zip(wanted.items(), gradients, strict=True)
    }
    low = -1.0 if any(kind in ("tanh", "gated") for kind, _, _ in layers.values()) else 0.0
    if any(kind == "gelu" for kind, _, _ in layers.values()):
        low = -0.2  # GELU's lowest value is -0.17
    high = 1.0 if low == -1.0 else max(float(_quantile(a, 0.999)) for _, a, _ in layers.values())
    reach = max(float(_quantile(g.abs(), 0.99)) for _, _, g in layers.values())
    return [_describe(name, *layer, (low, max(high, 1e-6)), max(reach, 1e-12)) for name, layer in layers.items()]


def _hidden_taps(model: LanguageModel) -> dict[str, tuple[Tap, Kind]]:
    """The taps right behind a nonlinearity, by the name of their layer."""
    known = taps(model)
    return {bend.layer: (known[bend.tap], bend.kind) for bend in model.nonlinearities()}


def _quantile(x: Tensor, q: float) -> Tensor:
    flat = x.flatten()
    return flat[:: max(1, len(flat) // 1_000_000)].quantile(q)  # torch sorts 16 million at most


def _describe(
    name: str, kind: Kind, values: Tensor, gradient: Tensor, span: tuple[float, float], reach: float
) -> LayerHealth:
    stuck = values == 0 if kind == "relu" else values.abs() > SATURATED  # (A/U, U)
    edges, counts = _histogram(values, *span)
    gradient_edges, gradient_counts = _histogram(gradient, -reach, reach)
    return LayerHealth(
        name,
        kind,
        values.shape[-1],
        float(values.mean()),
        float(values.std()),
        float(stuck.float().mean()) if kind != "gelu" else 0.0,
        int(stuck.all(dim=0).sum()) if kind != "gelu" else 0,
        edges,
        counts,
        float(gradient.std()),
        gradient_edges,
        gradient_counts,
    )


def _histogram(x: Tensor, low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    counts, edges = np.histogram(np.clip(x.numpy().ravel(), low, high), BINS, (low, high))
    return edges.astype(np.float64), counts / max(1, counts.sum())


def verdict(layers: list[LayerHealth], start: list[LayerHealth] | None = None) -> str:
    """Say in a sentence or two what the layers show, the worst first; `start` is how they were before training.

    Units that are saturated from the start tell of weights that began too large; those that training drove there have
    become switches, which costs gradient but need not be a fault.
    """
    if not layers:
        return "This rung has no hidden layer."
    tanh = [layer for layer in layers if layer.kind == "tanh"]
    said = []
    if tanh:
        worst = max(tanh, key=lambda layer: layer.saturated)
        began = next((layer.saturated for layer in start or () if layer.name == worst.name), worst.saturated)
        if worst.saturated > 0.25 and began > 0.25:
            before = f" ({began:.0%} before the first step)" if start else ""
            said.append(
                f"{worst.saturated:.0%} of {worst.name} is saturated{before} and passes no gradient: the weights began "
                "too large; lower init_gain, or switch batch_norm on."
            )
        elif worst.saturated > 0.25:
            said.append(
                f"{worst.saturated:.0%} of {worst.name} is saturated, {began:.0%} before the first step: training has "
                "turned these units into switches, and little gradient passes them now."
            )
    dead = [layer for layer in layers if layer.dead]
    if dead:
        layer = max(dead, key=lambda layer: layer.dead / layer.units)
        said.append(
            f"{layer.dead} of {layer.units} units of {layer.name} are dead: they give the same on every character."
        )
    quiet = min(layers, key=lambda layer: layer.std)
    if quiet.std < 0.02:
        said.append(f"{quiet.name} hardly moves (standard deviation {quiet.std:.3f}): its input is too small.")
    steps = [layer.gradient_std for layer in layers if layer.gradient_std > 0]
    if len(steps) < len(layers):
        said.append(f"{len(layers) - len(steps)} of {len(layers)} layers get no gradient at all.")
    elif steps[-1] / steps[0] > 100:
        fades = steps[-1] / steps[0]
        said.append(f"The gradient that reaches the first layer is {fades:,.0f} times smaller than at the last.")
    if not said:
        share = f"at most {max(layer.saturated for layer in tanh):.0%} saturated, " if tanh else ""
        alike = ", and gradients of like size from the first layer to the last" if len(layers) > 1 else ""
        said.append(f"Healthy: {share}no dead units{alike}.")
    return " ".join(said)
