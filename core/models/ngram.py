"""The n-gram: count what came after the last few characters, and after fewer of them where that was too rare.

The counted bigram, with longer memory. Of the 65⁷ contexts of seven characters a million-character text shows only a
sliver, so most of the table is empty; the craft is in what to say there. Interpolated Kneser-Ney takes a discount D
off every count, and hands what it saved to the next shorter context:

    p(w | h) = max(c(h w) - D, 0) / c(h ·)  +  left over(h) · p(w | h without its oldest character)

Only the longest order counts occurrences. A shorter one counts after how many different characters h w occurred: a "u"
is frequent, but nearly always after a "q" or few others, so as a guess after something new it is worth less.

After Kneser and Ney (1995) in the modified form of Chen and Goodman (1999), "An empirical study of smoothing
techniques for language modeling", section 3: three discounts an order, for counts of 1, 2, and 3 or more.

Letters: B batch, T time, V vocabulary, N characters of the text; for one order: M contexts, E entries (context, next).
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import BardlabError
from core.models.contract import LanguageModel
from core.settings import Settings, setting

LEAST_DISCOUNT = 0.1  # something must be left over for what was never seen


class NGramConfig(Settings):
    """How far the n-gram looks back."""

    order: int = setting(
        5,
        "Characters in one counted piece: order - 1 of context and the one to predict. 2 is the bigram.",
        ge=2,
        le=8,
        step=1,
    )


def discounts(counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """What to take off counts of 1, 2, and 3 or more (Chen and Goodman 1999, equation 26).

    From how many of the counts (any shape) are 1, 2, 3 and 4. On texts too small to have them all, and wherever the
    estimate leaves its bounds, D_j is kept from 0.1 to 0.9 j.
    """
    n1, n2, n3, n4 = (float((counts == j).sum()) or 0.5 for j in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2)
    raw = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    one, two, more = (min(max(d, LEAST_DISCOUNT), 0.9 * (j + 1)) for j, d in enumerate(raw))
    return one, two, more


def discounted(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Take its discount off each of counts (any shape)."""
    amounts = np.array((0.0, *discounts(counts)))  # (4,) by count: 0, 1, 2, 3 or more
    kept: NDArray[np.float64] = counts - amounts[np.minimum(counts, 3)]  # like counts
    return kept


class Order(nn.Module):
    """All pieces of one length, sorted, with a row for each context: a sparse table in CSR form.

    A context of several characters is written as one whole number in base V, the oldest character first.
    """

    SIZED = ("contexts", "starts", "following", "share", "left_over")

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("contexts", torch.empty(0, dtype=torch.int64))  # (M,) in rising order
        self.register_buffer("starts", torch.zeros(1, dtype=torch.int32))  # (M+1,) row m is entries starts[m:m+1]
        self.register_buffer("following", torch.empty(0, dtype=torch.int16))  # (E,) the next character of each entry
        self.share = nn.Parameter(torch.empty(0), requires_grad=False)  # (E,) discounted count / the row's count
        self.register_buffer("left_over", torch.empty(0))  # (M,) what a row's shares lack to 1

    contexts: Tensor
    starts: Tensor
    following: Tensor
    left_over: Tensor

    def fit(self, pieces: NDArray[np.int64], counts: NDArray[np.int64], vocab_size: int) -> None:
        """Take over the distinct pieces (E,), in rising order, and the count (E,) of each."""
        context, following = np.divmod(pieces, vocab_size)  # (E,) each
        starts = np.flatnonzero(np.diff(context, prepend=-1))  # (M,) where a new context begins
        rows = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(pieces)))  # (E,) the row of each entry
        totals = np.add.reduceat(counts, starts)  # (M,) c(h ·)
        share = discounted(counts) / totals[rows]  # (E,)
        tables = (context[starts], np.append(starts, len(pieces)), following, share, 1 - np.add.reduceat(share, starts))
        for name, table in zip(self.SIZED, tables, strict=True):
            old: Tensor = getattr(self, name)
            self._replace(name, torch.from_numpy(np.asarray(table)).to(old.dtype).to(old.device))

    def interpolate(self, shorter: Tensor, context: Tensor) -> Tensor:
        """Return p(w | h) (P, V) of this order, given that of the shorter one (P, V) and the contexts h (P,).

        A context that the text never had (or -1) leaves the shorter one's distribution as it is.
        """
        if not len(self.contexts):
            return shorter
        row = torch.searchsorted(self.contexts, context).clamp_max(len(self.contexts) - 1)  # (P,)
        asked = (self.contexts[row] == context).nonzero()[:, 0]  # (Q,) the positions whose context is known
        row = row[asked]  # (Q,)
        probs = shorter.clone()  # (P, V)
        probs[asked] *= self.left_over[row, None]
        start = self.starts[row].long()  # (Q,)
        length = self.starts[row + 1].long() - start  # (Q,)
        ends = length.cumsum(0)  # (Q,)
        within = torch.arange(int(length.sum()), device=row.device) - (ends - length).repeat_interleave(length)
        entry = start.repeat_interleave(length) + within  # (all entries of all Q rows,)
        probs[asked.repeat_interleave(length), self.following[entry].long()] += self.share[entry]
        return probs

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in self.SIZED:  # the sizes come from the text, so a fresh table has to make room first
            if (saved := state_dict.get(prefix + name)) is not None:
                self._replace(name, getattr(self, name).data.new_empty(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _replace(self, name: str, table: Tensor) -> None:
        setattr(self, name, nn.Parameter(table, requires_grad=False) if name == "share" else table)


class NGram(LanguageModel):
    """One sparse table for each length from 2 to `order`, above the frequencies of single characters."""

    slides = True
    grows_with_text = True

    def __init__(self, config: NGramConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        self.config: NGramConfig = config
        if vocab_size**config.order > 2**63:
            longest = next(n for n in range(config.order, 0, -1) if vocab_size**n <= 2**63)
            raise BardlabError(
                f"model.order {config.order} is too long for an alphabet of {vocab_size} characters; "
                f"give at most {longest}"
            )
        self.unigram = nn.Parameter(torch.zeros(vocab_size))  # (V,) log-probabilities of single characters, up to a sum
        self.orders = nn.ModuleList(Order() for _ in range(2, config.order + 1))

    @property
    def context(self) -> int:
        """One less than the order."""
        return self.config.order - 1

    @property
    def closed_form(self) -> bool:
        """True: one pass over the text."""
        return True

    @property
    def tables(self) -> list[Order]:
        """The tables of the lengths 2 ... order."""
        return [order for order in self.orders if isinstance(order, Order)]

    def probabilities(self, ids: Tensor) -> list[Tensor]:
        """Return p(next | last n - 1 characters) of the lengths n = 1 ... order, each (B, T, V), for ids (B, T).

        The last is the model's; the list shows what each further character of context adds. Where the text begins
        and has no context of a length yet, the next shorter one stands in.
        """
        probs = F.softmax(self.unigram, dim=0).expand(ids.numel(), -1)  # (B·T, V)
        steps = [probs]
        context = torch.zeros_like(ids)  # (B, T) the last n - 1 characters as one number
        for back, order in enumerate(self.tables):
            older = F.pad(ids, (back, 0), value=0)[:, : ids.shape[1]]  # (B, T) the character `back` positions ago
            context = context + older * self.vocab_size**back  # (B, T)
            context[:, :back] = -1  # the text begins here
            probs = order.interpolate(probs, context.flatten())  # (B·T, V)
            steps.append(probs)
        return [p.view(*ids.shape, self.vocab_size) for p in steps]

    def forward(self, ids: Tensor, cache: None = None) -> Tensor:
        """Map ids (B, T) to log-probabilities (B, T, V): logits whose softmax is themselves."""
        return self.probabilities(ids)[-1].log()  # (B, T, V)

    @torch.no_grad()
    def fit(self, ids: Tensor) -> None:
        """Count the text ids (N,). About a third of a second for a million characters at order 7.

        Raises BardlabError if the text is shorter than the order.
        """
        V, n = self.vocab_size, self.config.order
        text = ids.cpu().numpy()  # (N,)
        if len(text) < n:
            raise BardlabError(f"the text has {len(text)} characters, too few for model.order {n}; lower it")
        windows = sum(
            text[k : len(text) - n + 1 + k] * V ** (n - 1 - k) for k in range(n)
        )  # (N-n+1,) pieces as numbers
        pieces, counts = np.unique(windows, return_counts=True)  # (E,) each
        for length, order in zip(range(n, 1, -1), reversed(self.tables), strict=True):
            order.fit(pieces, counts, V)
            # without its oldest character each distinct piece is one different context in which the rest occurred
            pieces, counts = np.unique(pieces % V ** (length - 1), return_counts=True)  # (E,) each
        seen = discounted(counts) / counts.sum()  # (E,)
        unigram = np.full(V, (1 - seen.sum()) / V)  # (V,) the last resort: all characters alike
        unigram[pieces] += seen
        self.unigram.copy_(torch.from_numpy(np.log(unigram)).to(self.unigram.dtype))
