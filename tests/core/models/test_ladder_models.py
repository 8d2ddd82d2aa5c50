"""The MLP, the WaveNet and the residual network: what they may see, how they start, that they learn."""

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import BardlabError
from core.evaluation import evaluate
from core.models.contract import LanguageModel
from core.models.mlp import MLP, MLPConfig
from core.models.residual import ResidualConfig, ResidualNet
from core.models.wavenet import WaveNet, WaveNetConfig
from core.texts.corpus import Corpus
from core.training.config import TrainConfig
from core.training.trainer import Trainer

VOCAB = 11


def mlp(vocab: int = VOCAB, **changes: object) -> MLP:
    tiny = {"context": 5, "d_embed": 6, "d_hidden": 32}
    return MLP(MLPConfig.parse({**tiny, **changes}), vocab)


def wavenet(vocab: int = VOCAB, **changes: object) -> WaveNet:
    tiny = {"n_layer": 3, "channels": 12, "skip_channels": 16}
    return WaveNet(WaveNetConfig.parse({**tiny, **changes}), vocab)


def residual(vocab: int = VOCAB, **changes: object) -> ResidualNet:
    tiny = {"context": 6, "d_embed": 6, "width": 24, "depth": 4}
    return ResidualNet(ResidualConfig.parse({**tiny, **changes}), vocab)


VARIANTS: dict[str, tuple[Callable[[], LanguageModel], int]] = {
    "mlp": (mlp, 5),
    "mlp of one character": (lambda: mlp(context=1), 1),
    "mlp, three layers, normalised": (lambda: mlp(n_hidden=3, batch_norm=True), 5),
    "wavenet": (wavenet, 8),
    "wavenet of one layer": (lambda: wavenet(n_layer=1), 2),
    "wavenet, two cycles": (lambda: wavenet(n_cycle=2), 15),
    "wavenet, fuse": (lambda: wavenet(variant="fuse"), 8),
    "residual": (residual, 6),
    "residual, plain": (lambda: residual(skip=0, norm=False), 6),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small are slower on several threads, and very much so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> tuple[LanguageModel, int]:
    """A model in evaluation mode, and how many characters it should see."""
    torch.manual_seed(3)
    make, field = VARIANTS[request.param]
    return make().eval(), field


def differing(model: LanguageModel, ids: Tensor, at: int) -> list[int]:
    """The positions whose predictions change when the character at `at` does."""
    other = ids.clone()
    other[:, at] = (other[:, at] + 1) % VOCAB
    moved = (model(ids) != model(other)).flatten(2).any(-1).any(0)  # (T,)
    return moved.nonzero()[:, 0].tolist()


@torch.no_grad()
def test_a_character_is_seen_by_exactly_the_next_context_positions(variant: tuple[LanguageModel, int]):
    """Changing one character changes its own prediction and those after it within the field: none before or beyond."""
    model, field = variant
    ids = torch.randint(VOCAB, (3, 40))

    assert model.context == field
    assert differing(model, ids, 17) == list(range(17, 17 + field))


@torch.no_grad()
def test_a_window_predicts_what_the_longer_text_does(variant: tuple[LanguageModel, int]):
    """Where the whole field is in the window, cutting the text off before it makes no difference."""
    model, field = variant
    ids = torch.randint(VOCAB, (2, 60))

    torch.testing.assert_close(model(ids[:, 20:])[:, field - 1 :], model(ids)[:, 20 + field - 1 :])
    torch.testing.assert_close(model(ids[:, 20 : 20 + field])[:, -1], model(ids)[:, 20 + field - 1])


@torch.no_grad()
@pytest.mark.parametrize("chunks", [[1] * 40, [7] + [1] * 33, [25, 1, 1, 9, 4]])
def test_cached_logits_equal_the_full_forward(variant: tuple[LanguageModel, int], chunks: list[int]):
    """Fed in pieces, far beyond its context, a model with a cache says what it says of the whole text."""
    model, _ = variant
    ids = torch.randint(VOCAB, (2, 40))
    cache = model.new_cache(2)
    assert cache is not None
    pieces = torch.cat([model(piece, cache) for piece in ids.split(chunks, dim=1)], dim=1)

    torch.testing.assert_close(pieces, model(ids), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [MLP, WaveNet, ResidualNet])
def test_a_default_model_starts_at_the_uniform_loss(make: type[MLP] | type[WaveNet] | type[ResidualNet]):
    """At default settings and 65 characters the untrained loss is within 0.1 of ln 65."""
    torch.manual_seed(0)
    config = {MLP: MLPConfig, WaveNet: WaveNetConfig, ResidualNet: ResidualConfig}[make]()
    ids = torch.randint(65, (1500,))

    assert evaluate(make(config, 65), ids).loss == pytest.approx(math.log(65), abs=0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["mlp", "mlp, three layers, normalised", "wavenet", "wavenet, fuse", "residual"])
def test_one_batch_is_learned_by_heart(name: str):
    """Enough steps on one batch drive its loss below 0.1."""
    torch.manual_seed(0)
    model = VARIANTS[name][0]()
    x = torch.randint(VOCAB, (1, 25))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(250):
        loss = F.cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    assert loss.item() < 0.1


@pytest.mark.numeric
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_weight_moves_in_training(variant: tuple[LanguageModel, int], optimizer: str):
    """The shared trainer trains each rung, with Muon too; no weight is left out."""
    model, _ = variant
    model.train()
    before = [p.detach().clone() for p in model.parameters()]
    config = TrainConfig(steps=3, batch_size=4, window=20, optimizer=optimizer, learning_rate=1e-2)
    trainer = Trainer(model, config, torch.randint(VOCAB, (500,)), torch.device("cpu"))
    losses = [float(trainer.step()) for _ in range(3)]

    assert all(math.isfinite(loss) for loss in losses)
    still = [
        name for (name, p), old in zip(model.named_parameters(), before, strict=True) if torch.equal(p.detach(), old)
    ]
    # the last layer's way onward leads nowhere in a WaveNet, and a bias before batch normalisation is taken out again
    last = f"layers.{len(model.layers) - 1}.residual" if isinstance(model, WaveNet) else "-"  # type: ignore[arg-type]
    assert [name for name in still if not name.startswith(last)] == []


def test_hidden_matrices_are_those_between_hidden_layers(variant: tuple[LanguageModel, int]):
    """2-D, all distinct, neither embedding nor head, and they divide into the matrices they hold."""
    model, _ = variant
    hidden = list(model.hidden_matrices())
    outside = {id(model.token_embedding.weight), id(model.head.weight)}  # type: ignore[union-attr]

    assert hidden
    assert all(w.ndim == 2 and w.shape[0] % model.stacked(w) == 0 for w in hidden)
    assert len({id(w) for w in hidden}) == len(hidden) == sum(p.ndim == 2 for p in model.parameters()) - 2
    assert not outside & {id(w) for w in hidden}


# --- MLP -------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_first_layer_weighs_characters_side_by_side():
    """Position t of an MLP is W · [x(t-K+1) ... x(t)], redone here for one position with plain indexing."""
    torch.manual_seed(0)
    model = mlp().eval()
    ids = torch.randint(VOCAB, (1, 12))
    first = model.hidden[0].linear  # type: ignore[union-attr]
    flat = torch.cat([model.token_embedding.weight[i] for i in ids[0, 4:9]])  # (K·E,) ends at position 8
    expected = model.head(torch.tanh(first.weight @ flat + first.bias))  # type: ignore[operator]

    torch.testing.assert_close(model(ids)[0, 8], expected)


@torch.no_grad()
def test_batch_norm_levels_units_in_training_and_ignores_company_in_evaluation():
    """In training each unit has mean 0 and variance 1 over the batch; in evaluation other rows do not matter."""
    torch.manual_seed(0)
    model = mlp(batch_norm=True, init_gain=5.0, d_hidden=64)
    found: list[Tensor] = []
    model.hidden[0].norm.register_forward_hook(lambda _, __, out: found.append(out))  # type: ignore[union-attr]
    ids = torch.randint(VOCAB, (8, 30))
    model.train()(ids)

    assert found[0].mean((0, 1)).abs().max() < 1e-4
    assert (found[0].var((0, 1)) - 1).abs().max() < 0.02
    model.eval()
    torch.testing.assert_close(model(ids[:1]), model(ids)[:1])
    assert torch.isfinite(model.train()(ids[:1, :1])).all()  # one position alone has no variance


@torch.no_grad()
def test_init_gain_decides_how_many_units_saturate():
    """Hardly any unit is beyond 0.97 at half the gain, most are at five times the gain; at 0 all are silent."""
    ids = torch.randint(VOCAB, (8, 30))

    def saturated(gain: float) -> float:
        torch.manual_seed(0)
        model = mlp(init_gain=gain, d_hidden=256)
        found: list[Tensor] = []
        model.hidden[0].register_forward_hook(lambda _, __, out: found.append(out))
        model(ids)
        return float((found[0].abs() > 0.97).float().mean())

    assert saturated(0.0) == 0
    assert saturated(0.3) < 0.01
    assert saturated(5.0) > 0.6


# --- WaveNet ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_layer", "n_cycle", "field"), [(1, 1, 2), (7, 1, 128), (10, 1, 1024), (5, 3, 94)])
def test_context_is_the_formula(n_layer: int, n_cycle: int, field: int):
    """1 + cycles · (2ⁿ - 1)."""
    assert wavenet(n_layer=n_layer, n_cycle=n_cycle, channels=4).context == field


@torch.no_grad()
def test_the_fuse_variant_is_the_hierarchical_tree():
    """Its last position is the course's tree: neighbours joined two by two, level by level, on eight characters."""
    torch.manual_seed(0)
    model = wavenet(variant="fuse").eval()
    ids = torch.randint(VOCAB, (4, 8))
    x = model.token_embedding(ids)  # (4, 8, C)
    for layer in model.layers:
        x = torch.tanh(layer.fuse(x.reshape(4, x.shape[1] // 2, -1)))  # type: ignore[operator]  # half as many, each of two

    torch.testing.assert_close(model(ids)[:, -1], model.head(x[:, 0]))


@torch.no_grad()
def test_a_gated_layer_is_a_dilated_convolution():
    """The first half of the weights, as a kernel of two, gives what torch's own dilated convolution gives."""
    torch.manual_seed(0)
    layer = wavenet().layers[2]  # dilation 4
    x = torch.randn(2, 20, 12)
    kernel = layer.filter_gate.weight.view(24, 2, 12).transpose(1, 2)  # type: ignore[union-attr,operator]  # (2C, C, 2)
    conv = F.conv1d(F.pad(x.mT, (4, 0)), kernel, layer.filter_gate.bias, dilation=4).mT  # type: ignore[arg-type,union-attr]
    f, g = conv.chunk(2, dim=-1)
    z = torch.tanh(f) * torch.sigmoid(g)
    out, straight = layer(x)

    torch.testing.assert_close(out, x + layer.residual(z))  # type: ignore[operator]
    torch.testing.assert_close(straight, z)


def test_a_tree_with_two_roots_is_refused():
    """Fuse takes one cycle, and the message says what to do."""
    with pytest.raises(BardlabError, match="give n_cycle 1, or variant dilated"):
        WaveNetConfig.parse({"variant": "fuse", "n_cycle": 2}, "model.")


# --- residual network ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [True, False])
def test_twins_start_alike(norm: bool):
    """The same seed gives the same weights whatever the dial says, and yet another function."""
    twins = []
    for skip in (0.0, 1.0):
        torch.manual_seed(7)
        twins.append(residual(skip=skip, norm=norm).eval())
    plain, skipped = (dict(twin.named_parameters()) for twin in twins)
    ids = torch.randint(VOCAB, (1, 12))

    assert plain.keys() == skipped.keys()
    assert all(torch.equal(plain[name], skipped[name]) for name in plain)
    assert not torch.allclose(twins[0](ids), twins[1](ids))


@torch.no_grad()
def test_the_dial_weighs_what_goes_around_a_layer():
    """With its weights at zero a layer passes on its input times the dial."""
    x = torch.randn(1, 3, 24)
    for skip in (0.0, 0.35, 1.0):
        layer = residual(skip=skip).layers[0]
        layer.linear.weight.zero_()  # type: ignore[union-attr,operator]

        torch.testing.assert_close(layer(x), skip * x)


@pytest.mark.parametrize("norm", [True, False])
def test_depth_64_starts_sound(norm: bool):
    """Even the deepest residual stack starts near the uniform loss, with a gradient that reaches the embeddings."""
    torch.manual_seed(0)
    model = residual(depth=64, norm=norm, width=32)
    ids = torch.randint(VOCAB, (4, 40))
    loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    first, last = (float(model.layers[i].linear.weight.grad.norm()) for i in (0, 63))  # type: ignore[union-attr]

    assert loss.item() == pytest.approx(math.log(VOCAB), abs=0.1)
    assert 0.05 < first / last < 20


def test_a_deep_stack_learns_with_skips_and_not_without(corpus: Corpus):
    """Thirty layers, the same few steps on the same batches: the skips make the difference."""
    losses = {}
    for skip in (0.0, 1.0):
        torch.manual_seed(0)
        model = residual(65, depth=30, width=48, d_embed=12, context=4, skip=skip)
        config = TrainConfig(steps=120, batch_size=8, window=32, learning_rate=1e-2)
        trainer = Trainer(model, config, corpus.train_ids, torch.device("cpu"))
        curve = [float(trainer.step()) for _ in range(120)]
        losses[skip] = sum(curve[-30:]) / 30

    assert losses[1.0] < 2.7
    assert losses[0.0] > 3.1
