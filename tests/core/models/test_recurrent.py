"""The recurrent network: its steps, what it carries, how it starts, that it learns and goes on where it was."""

import math
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core.evaluation import evaluate, evaluation_window
from core.inspect.trace import hooked, taps, trace
from core.models.recurrent import CELLS, Cell, Layer, RecurrentConfig, RecurrentNet
from core.sampling import SamplingConfig, generate
from core.training.config import TrainConfig
from core.training.trainer import Trainer

VOCAB = 11
KINDS: tuple[Cell, ...] = get_args(Cell)


def net(cell: Cell = "lstm", vocab: int = VOCAB, **changes: object) -> RecurrentNet:
    tiny = {"d_embed": 6, "d_hidden": 16, "n_layer": 2, "bptt": 16}
    torch.manual_seed(3)
    return RecurrentNet(RecurrentConfig.parse({**tiny, "cell": cell, **changes}), vocab)


def text(rows: int, length: int, seed: int = 1) -> Tensor:
    return torch.randint(VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))


def listened(model: RecurrentNet, ids: Tensor) -> Tensor:
    """What the model says while somebody listens to its memory."""
    with hooked([(layer.carried, lambda _: None) for layer in model.layers if isinstance(layer, Layer)]):
        return model(ids)


@pytest.mark.parametrize("cell", KINDS)
def test_the_fused_kernel_is_the_steps_written_out(cell: Cell):
    """Logits and the gradients of all weights, to 1e-5."""
    model = net(cell).eval()
    ids = text(3, 40)
    sides = []
    for run in (model, lambda x: listened(model, x)):
        logits = run(ids)
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        sides.append((logits, torch.autograd.grad(loss, list(model.parameters()))))
    (fused, fused_gradients), (stepwise, gradients) = sides

    assert not torch.equal(fused, torch.zeros_like(fused))
    torch.testing.assert_close(stepwise, fused, atol=1e-5, rtol=0)
    for one, other in zip(gradients, fused_gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_the_steps_are_the_textbook_ones():
    """One layer's state after two characters, redone with plain indexing for each cell."""
    for cell in KINDS:
        model = net(cell, n_layer=1).eval()
        W, U, b, c = model._layers().__next__().weights
        ids, H = text(1, 2), 16
        h, memory = torch.zeros(H), torch.zeros(H)
        for x in model.token_embedding.weight[ids[0]]:
            a, r = W @ x + b, U @ h + c
            if cell == "plain":
                h = torch.tanh(a + r)
            elif cell == "gru":
                reset, update = (a + r)[:H].sigmoid(), (a + r)[H : 2 * H].sigmoid()
                h = update * h + (1 - update) * torch.tanh(a[2 * H :] + reset * r[2 * H :])
            else:
                i, f, g, o = (a + r).split(H)
                memory = f.sigmoid() * memory + i.sigmoid() * g.tanh()
                h = o.sigmoid() * memory.tanh()
        torch.testing.assert_close(model(ids)[0, -1], model.head(h), atol=1e-6, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("cell", KINDS)
def test_a_character_is_seen_by_every_later_position_and_no_earlier_one(cell: Cell):
    model, ids = net(cell).eval(), text(2, 40)
    other = ids.clone()
    other[:, 17] = (other[:, 17] + 1) % VOCAB
    moved = (model(ids) != model(other)).flatten(2).any(-1).any(0)  # (T,)

    assert model.context is None
    assert moved.nonzero()[:, 0].tolist()[:12] == list(range(17, 29))
    assert not moved[:17].any()


@torch.no_grad()
@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("chunks", [[1] * 300, [7, 1, 250, 42]])
def test_carried_state_says_what_reading_the_whole_text_does(cell: Cell, chunks: list[int]):
    model, ids = net(cell).eval(), text(2, 300)
    cache = model.new_cache(2)
    pieces = torch.cat([model(piece, cache) for piece in ids.split(chunks, dim=1)], dim=1)

    torch.testing.assert_close(pieces, model(ids), atol=1e-5, rtol=0)
    assert cache.length == 300


@pytest.mark.parametrize("cell", KINDS)
def test_what_is_written_is_drawn_from_the_whole_text(cell: Cell):
    """Seeded, far beyond any window: every choice has the logits that reading all of the text before it gives."""
    model = net(cell).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    prompt = text(1, 9)[0].tolist()
    written = list(generate(model, prompt, SamplingConfig(tokens=300, seed=7)))
    again = list(generate(model, prompt, SamplingConfig(tokens=300, seed=7)))
    ids = torch.tensor([prompt + [choice.id for choice in written]])
    with torch.no_grad():
        whole = model(ids)[0, len(prompt) - 1 : -1]

    assert [choice.id for choice in written] == [choice.id for choice in again]
    torch.testing.assert_close(torch.stack([choice.logits for choice in written]), whole, atol=1e-4, rtol=0)


@pytest.mark.parametrize("cell", KINDS)
def test_a_default_model_starts_at_the_uniform_loss(cell: Cell):
    torch.manual_seed(0)
    model = RecurrentNet(RecurrentConfig(cell=cell), 65)

    assert evaluate(model, torch.randint(65, (1500,))).loss == pytest.approx(math.log(65), abs=0.1)


@pytest.mark.parametrize("cell", KINDS)
def test_the_memory_starts_orthogonal_and_the_forget_gate_open(cell: Cell):
    model = net(cell)
    for layer in model._layers():
        _, U, b, c = layer.weights
        for square in U.data.chunk(CELLS[cell].sums):
            torch.testing.assert_close(square @ square.T, torch.eye(16), atol=1e-5, rtol=0)
        opened = b + c
        assert opened.sum() == (16 if cell == "lstm" else 0)
        if cell == "lstm":
            assert opened.chunk(4)[1].eq(1).all()


@pytest.mark.parametrize("cell", KINDS)
def test_one_batch_is_learned_by_heart(cell: Cell):
    model, x = net(cell, d_hidden=32, n_layer=1), text(1, 25)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(250):
        loss = F.cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    assert loss.item() < 0.1


@pytest.mark.parametrize("cell", KINDS)
def test_the_gradient_goes_back_bptt_characters_and_the_memory_all_the_way(cell: Cell):
    """In training the loss at position 11 has a gradient back to its stretch's start; the logits are those of bptt."""
    model, whole, ids = net(cell, bptt=4), net(cell, bptt=64), text(1, 12)
    held: list[Tensor] = []
    with hooked([(model.embed, lambda out: (out.retain_grad(), held.append(out))[2:] or None)]):
        logits = model.train()(ids)
    logits[0, -1].logsumexp(-1).backward()
    assert held[0].grad is not None

    assert (held[0].grad[0].norm(dim=-1) > 0).tolist() == [False] * 8 + [True] * 4
    torch.testing.assert_close(logits, whole.train()(ids), atol=1e-6, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("cell", KINDS)
def test_every_tap_tells_what_passed_there(cell: Cell):
    """States and gates have a value for every position and unit; gates lie between 0 and 1; nothing else changes."""
    model, ids = net(cell).eval(), text(2, 20)
    found = trace(model, ids)

    assert set(found.activations) == set(taps(model))
    for name in CELLS[cell].gates:
        gate = found[f"layers.1.{name}_gate"]
        assert gate.shape == (2, 20, 16) and gate.min() > 0 and gate.max() < 1
    torch.testing.assert_close(model.head(found["layers.1.state"]), model(ids), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("cell", KINDS)
def test_without_its_memory_it_sees_the_current_character_alone(cell: Cell):
    model, ids = net(cell, n_layer=1).eval(), text(1, 20)
    with hooked([(layer.carried, torch.zeros_like) for layer in model._layers()]):
        blank = model(ids)

    torch.testing.assert_close(blank[0], model(ids.T)[:, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("cell", KINDS)
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(cell: Cell, optimizer: str):
    """Dropout, truncation within a window and clipping included; every weight moves."""

    def trainer() -> Trainer:
        train = TrainConfig(steps=6, batch_size=3, window=20, optimizer=optimizer, learning_rate=1e-2, grad_clip=0.5)
        return Trainer(net(cell, dropout=0.2, bptt=8), train, text(1, 500)[0], torch.device("cpu"))

    straight, first, second = trainer(), trainer(), trainer()
    before = [p.detach().clone() for p in straight.model.parameters()]
    torch.manual_seed(5)
    for _ in range(6):
        straight.step()
    torch.manual_seed(5)
    for _ in range(3):
        first.step()
    state = first.state_dict()
    torch.manual_seed(99)
    second.load_state_dict(state)
    for _ in range(3):
        second.step()

    for old, one, other in zip(before, straight.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, old)


def test_hidden_matrices_are_those_of_the_layers():
    for cell in KINDS:
        model = net(cell)
        hidden = list(model.hidden_matrices())
        assert len(hidden) == 4 and all(w.shape[0] == 16 * model.stacked(w) for w in hidden)


def test_it_is_evaluated_in_the_windows_of_the_others_and_trained_in_its_own():
    model = net(bptt=16)
    trainer = Trainer(model, TrainConfig(steps=1, batch_size=2), text(1, 400)[0], torch.device("cpu"))

    assert evaluation_window(model) == 256
    assert trainer.window == model.usual_window == 16
    assert model.readable(5000) == 5000
