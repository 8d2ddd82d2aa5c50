"""nanoGPT as it is, from a folder given by the caller: the peer that training and sampling are timed beside.

Nothing of it is in this repository: its `model.py` is loaded from the folder, and its loop is driven as its `train.py`
drives it (batches cut one by one, gradient clipped at 1, its own optimiser), on the device that ours is on: on a CPU in
float32 with the loss fetched at every step; on a GPU with products in bfloat16, batches in pinned memory, its fused
optimiser, compiled if asked, and the loss fetched at every tenth.
"""

import contextlib
import importlib.util
import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.errors import BardlabError
from core.evaluation import Evaluation
from core.evaluation import evaluate as measure
from core.models.contract import LanguageModel
from core.models.transformer import TransformerConfig
from core.training.devices import precision

WARMUP, FALLS_TO = 100, 0.1  # of its Shakespeare configuration


class Peer:
    """nanoGPT's model and optimiser at the sizes of one of ours."""

    def __init__(
        self,
        folder: Path,
        config: TransformerConfig,
        vocab_size: int,
        seed: int = 1337,
        device: torch.device | None = None,
        compiled: bool = False,
    ) -> None:
        """Load and build. Raises BardlabError if there is no nanoGPT in `folder`."""
        file = folder / "model.py"
        spec = importlib.util.spec_from_file_location("peer_model", file)
        if not file.is_file() or spec is None or spec.loader is None:
            raise BardlabError(f"there is no model.py in {folder}; give the folder of a nanoGPT checkout")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        torch.manual_seed(seed)
        sizes = dict(n_layer=config.n_layer, n_head=config.n_head, n_embd=config.d_model, block_size=config.context)
        with contextlib.redirect_stdout(io.StringIO()):  # it counts its parameters aloud
            self.model: Any = module.GPT(
                module.GPTConfig(vocab_size=vocab_size, dropout=config.dropout, bias=False, **sizes)
            )
            self.device = device or torch.device("cpu")
            self.model.to(self.device)
            self.optimizer = self.model.configure_optimizers(0.1, 1e-3, (0.9, 0.99), self.device.type)
        self.lowered = self.device.type == "cuda" and precision("auto", self.device) is torch.bfloat16
        self.forward = torch.compile(self.model) if compiled else self.model
        self.context, self.taken, self.loss = config.context, 0, float("nan")

    @property
    def format(self) -> str:
        """The number format of its matrix products."""
        return "bfloat16" if self.lowered else "float32"

    @property
    def parameters(self) -> int:
        """Its trained numbers."""
        return sum(p.numel() for p in self.model.parameters())

    def train_step(
        self, ids: Tensor, batch_size: int, step: int = WARMUP, steps: int = 2000, peak: float = 1e-3
    ) -> float:
        """Take one step on ids (N,) of main memory as its loop does, at the rate due at `step` of `steps`.

        Returns the loss; on a GPU the latest that was fetched.
        """
        rise, fall = (step + 1) / (WARMUP + 1), (step - WARMUP) / max(1, steps - WARMUP)
        cosine = 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * fall))))
        rate = peak * (rise if step < WARMUP else FALLS_TO + (1 - FALLS_TO) * cosine)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        starts = torch.randint(len(ids) - self.context, (batch_size,))
        x = torch.stack([ids[i : i + self.context] for i in starts])  # (B, T)
        y = torch.stack([ids[i + 1 : i + 1 + self.context] for i in starts])  # (B, T)
        if self.device.type == "cuda":
            x, y = (t.pin_memory().to(self.device, non_blocking=True) for t in (x, y))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.lowered):
            _, loss = self.forward(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.taken += 1
        if self.device.type == "cpu" or self.taken % 10 == 0:
            self.loss = float(loss.detach())
        return self.loss

    def evaluate(self, val_ids: Tensor, like: LanguageModel) -> Evaluation:
        """Measure it as every rung is measured, over the whole split in windows of `like`'s context."""
        return measure(_Adapter(self.model, like), val_ids.to(self.device))

    def generate(self, prompts: Tensor, tokens: int) -> Tensor:
        """Continue prompts (B, T) by its own `generate`."""
        self.model.eval()
        with torch.no_grad():
            written: Tensor = self.model.generate(prompts.to(self.device), tokens)
        return written


class _Adapter(LanguageModel):
    """Lets the common evaluation read a nanoGPT, which gives logits of all positions only beside targets."""

    def __init__(self, model: Any, like: LanguageModel) -> None:
        super().__init__(like.config, like.vocab_size)
        self.model, self._context = model, like.context

    @property
    def context(self) -> int | None:
        """Its block size."""
        return self._context

    def forward(self, ids: Tensor, cache: Any = None) -> Tensor:
        """Map ids (B, T) to logits (B, T, V)."""
        logits: Tensor = self.model(ids, ids)[0]  # (B, T, V)
        return logits
