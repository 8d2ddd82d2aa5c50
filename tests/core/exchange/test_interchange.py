"""Weights go to the reference GPT's own class and come back, and nothing else gets in."""

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import BardlabError
from core.evaluation import evaluate
from core.exchange import weight_files, weights
from core.exchange.reference_gpt import to_reference
from core.exchange.weights import export_pth, import_pth, read_weights
from core.jobs import control
from core.models.bigram import Bigram, BigramConfig
from core.models.contract import parameter_count
from core.models.transformer import Transformer, TransformerConfig
from core.runs import checkpoints, layout, records
from core.runs import reading as runs_reading
from core.runs.folder import State
from core.sampling import SamplingConfig, generate
from tests.conftest import make_run

SMALL = {"n_layer": 2, "n_head": 3, "d_model": 12, "context": 8}


# --- the reference, in its own terms: one module a head, names as in its state dict ----------------------------------


class Head(nn.Module):
    """One head: three projections and the causal mask as a buffer."""

    tril: Tensor

    def __init__(self, width: int, size: int, context: int, dropout: float) -> None:
        super().__init__()
        self.key, self.query, self.value = (nn.Linear(width, size, bias=False) for _ in range(3))
        self.register_buffer("tril", torch.tril(torch.ones(context, context)))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to (B, T, D)."""
        length, key = x.shape[1], self.key(x)
        scores = torch.einsum("btd,bsd->bts", self.query(x), key) / key.shape[-1] ** 0.5  # (B, T, S)
        scores = scores.masked_fill(self.tril[:length, :length] == 0, float("-inf"))
        return torch.einsum("bts,bsd->btd", self.dropout(scores.softmax(-1)), self.value(x))


class MultiHeadAttention(nn.Module):
    """Heads side by side, then mixed."""

    def __init__(self, width: int, heads: int, context: int, dropout: float) -> None:
        super().__init__()
        self.heads = nn.ModuleList([Head(width, width // heads, context, dropout) for _ in range(heads)])
        self.proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to (B, T, C)."""
        return self.dropout(self.proj(torch.cat([head(x) for head in self.heads], dim=2)))


class FeedForward(nn.Module):
    """Linear, ReLU, linear, dropout."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to (B, T, C)."""
        return self.net(x)


class Block(nn.Module):
    """Attention and feed-forward, each behind its own LayerNorm."""

    def __init__(self, width: int, heads: int, context: int, dropout: float) -> None:
        super().__init__()
        self.sa = MultiHeadAttention(width, heads, context, dropout)
        self.ffwd = FeedForward(width, dropout)
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to (B, T, C)."""
        x = x + self.sa(self.ln1(x))
        return x + self.ffwd(self.ln2(x))


class GPTLanguageModel(nn.Module):
    """The reference's class, as its state dict shows it."""

    def __init__(self, vocab: int, n_layer: int, n_head: int, d_model: int, context: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.context = context
        self.token_embedding_table = nn.Embedding(vocab, d_model)
        self.position_embedding_table = nn.Embedding(context, d_model)
        self.blocks = nn.Sequential(*(Block(d_model, n_head, context, dropout) for _ in range(n_layer)))
        self.ln_f = nn.LayerNorm(d_model)
        self.lm_head = nn.Linear(d_model, vocab)

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (B, T) to logits (B, T, V)."""
        places = self.position_embedding_table(torch.arange(ids.shape[1]))
        return self.lm_head(self.ln_f(self.blocks(self.token_embedding_table(ids) + places)))


def reference(vocab: int = 65, **changes: int) -> GPTLanguageModel:
    """A reference model with weights far enough from zero for every part to matter."""
    torch.manual_seed(3)
    model = GPTLanguageModel(vocab, **{**SMALL, **changes}).eval()
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


def ours(vocab: int = 65, **settings: object) -> Transformer:
    torch.manual_seed(4)
    model = Transformer(TransformerConfig.parse({**SMALL, **settings}), vocab).eval()
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


def content(state: object) -> bytes:
    """What `torch.save` writes."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def understood(source: Path | bytes) -> tuple[TransformerConfig, dict[str, Tensor]]:
    """The likeliest way to read a file."""
    reading = read_weights(source)[1][0]
    assert isinstance(reading.config, TransformerConfig)
    return reading.config, reading.state


# --- both ways -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [{}, {"n_head": 1}, {"n_layer": 1, "n_head": 12}, {"context": 19, "d_model": 30}])
def test_the_reference_class_loads_our_weights_and_agrees(sizes: dict[str, int]):
    """With strict=True, logits within 1e-4; at the full size too, see below."""
    model = ours(**sizes)
    theirs = GPTLanguageModel(65, **{**SMALL, **sizes}).eval()
    theirs.load_state_dict(to_reference(model), strict=True)
    ids = torch.randint(65, (3, model.context))

    torch.testing.assert_close(theirs(ids), model(ids), atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_full_reference_agrees_over_its_whole_context():
    """All 10,788,929 weights, 256 characters."""
    torch.manual_seed(5)
    model = Transformer(TransformerConfig(), 65).eval()
    theirs = GPTLanguageModel(65, n_layer=6, n_head=6, d_model=384, context=256).eval()
    theirs.load_state_dict(to_reference(model), strict=True)
    ids = torch.randint(65, (1, 256))

    assert parameter_count(model) == parameter_count(theirs) == 10_788_929
    torch.testing.assert_close(theirs(ids), model(ids), atol=1e-4, rtol=0)


def test_names_shapes_and_masks_are_the_references_own():
    """Key by key, as its own state_dict() has them."""
    state = to_reference(ours())
    theirs = reference().state_dict()

    assert {name: tensor.shape for name, tensor in state.items()} == {n: t.shape for n, t in theirs.items()}
    assert all(torch.equal(state[name], theirs[name]) for name in state if name.endswith("tril"))


def test_round_trips_are_bitwise():
    """Ours to theirs to ours, and theirs to ours to theirs, through a file each time."""
    model = ours()
    config, state = understood(content(to_reference(model)))
    theirs = reference().state_dict()
    back = Transformer(model.config, 65)
    back.load_state_dict(understood(content(theirs))[1])

    assert config == model.config
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(value, theirs[name]) for name, value in to_reference(back).items())


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
def test_a_pth_of_the_reference_class_gives_the_same_logits(tmp_path: Path, prefix: str, old_format: bool):
    """Sizes come from the shapes; compiled models' prefix and torch's old file format are read too."""
    theirs = reference(n_head=4, context=11)
    file = tmp_path / "theirs.pth"
    state = {prefix + name: tensor for name, tensor in theirs.state_dict().items()}
    torch.save(state, file, _use_new_zipfile_serialization=not old_format)
    config, found = understood(file)
    model = Transformer(config, 65).eval()
    model.load_state_dict(found)
    ids = torch.randint(65, (2, 11))

    assert (config.n_layer, config.n_head, config.d_model, config.context) == (2, 4, 12, 11)
    torch.testing.assert_close(model(ids), theirs(ids), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("cache", [True, False])
def test_sampling_is_the_references_own_loop(cache: bool):
    """Crop to the window, softmax, multinomial: same logits and characters, before and after the window rolls."""
    theirs = reference()
    config, state = understood(content(theirs.state_dict()))
    model = Transformer(config, 65)
    model.load_state_dict(state)
    if not cache:
        model.new_cache = lambda batch: None  # type: ignore[method-assign]
    generator = torch.Generator().manual_seed(9)
    ids = torch.tensor([[1, 2, 3]])
    for choice in generate(model, [1, 2, 3], SamplingConfig(tokens=24, seed=9)):
        logits = theirs(ids[:, -theirs.context :])[0, -1]
        torch.testing.assert_close(choice.logits, logits, atol=1e-4, rtol=0)
        drawn = torch.multinomial(F.softmax(logits, dim=-1), 1, generator=generator)
        assert choice.id == int(drawn)
        ids = torch.cat((ids, drawn[None]), dim=1)


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal", "none"])
def test_models_that_the_layout_cannot_hold_are_refused(positions: str):
    """Other positions, other rungs."""
    with pytest.raises(BardlabError, match=f"reference GPT has model.positions learned, this model {positions}"):
        to_reference(ours(positions=positions))
    with pytest.raises(BardlabError, match=r"reference GPT has model.trigrams 0, this model 20"):
        to_reference(ours(trigrams=20))
    with pytest.raises(BardlabError, match="only a Transformer fits"):
        to_reference(Bigram(BigramConfig(), 65))


# --- what must not get in --------------------------------------------------------------------------------------------


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("wrap", ["zip", "old", "plain", "protocol 4", "in a dict"])
def test_a_pickle_with_code_is_refused_and_nothing_runs(tmp_path: Path, wrap: str):
    """Whatever the wrapping: one line, and the file it would create does not exist."""
    target = tmp_path / "created"
    evil, file = Evil(target), tmp_path / "evil.pth"
    if wrap in ("plain", "protocol 4"):
        file.write_bytes(pickle.dumps({"a": evil}, protocol=2 if wrap == "plain" else 4))
    else:
        state: object = {**reference().state_dict(), "extra": evil} if wrap == "in a dict" else evil
        torch.save(state, file, _use_new_zipfile_serialization=wrap != "old")
    pattern = "is not a plain state dict: it asks for .*mkdir; nothing in it was run"
    for source in (file, file.read_bytes()):
        with pytest.raises(BardlabError) as caught:
            import_pth(source)
        assert_one_line(caught.value, pattern)
    assert not target.exists()
    assert runs_reading.list_runs() == []
    if wrap in ("zip", "old", "in a dict"):
        torch.load(file, weights_only=False)
        assert target.exists()  # the trap was armed


def assert_one_line(error: BardlabError, pattern: str) -> None:
    message = str(error)
    assert "\n" not in message and len(message) < 400, message
    with pytest.raises(BardlabError, match=pattern):
        raise error


def without(*names: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: {k: v for k, v in state.items() if k not in names}


def changed(name: str, make: Callable[[Tensor], object]) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: {**state, name: make(state[name])}


def poisoned(value: float) -> Callable[[Tensor], Tensor]:
    return lambda t: t.index_fill(0, torch.tensor([1]), value)


def renamed(pattern: str, to: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: {k.replace(pattern, to): v for k, v in state.items()}


KEY, MASK, TABLE = "blocks.1.sa.heads.2.key.weight", "blocks.0.sa.heads.1.tril", "token_embedding_table.weight"
BAD: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "missing": (without(KEY), f"the weights lack {KEY}; save model.state_dict"),
    "many missing": (
        without("ln_f.weight", "blocks.0.ln1.weight", "blocks.0.ffwd.net.0.weight", "blocks.1.ffwd.net.2.weight"),
        "lack blocks.0.ffwd.net.0.weight, .* and 1 more",
    ),
    "no table": (without(TABLE), f"lack {TABLE}"),
    "one bias": (without("blocks.1.sa.proj.bias"), r"lack blocks.1.sa.proj.bias"),
    "text for a tensor": (changed(KEY, lambda t: "weights"), f"{KEY} is a str, not a tensor"),
    "repeated numbers": (changed(KEY, lambda t: torch.zeros(1).expand(4, 12)), "repeats the same numbers inside"),
    "extra": (lambda s: {**s, "surprise\nhere": torch.zeros(2)}, r"has no surprise\?here"),
    "long name": (lambda s: {**s, "x" * 5000: torch.zeros(2)}, "has no x+…"),
    "shape": (changed(KEY, lambda t: t.T), rf"{KEY} has shape \(12, 4\) instead of \(4, 12\)"),
    "mask shape": (changed(MASK, lambda t: t[:4]), r"has shape \(4, 8\) instead of \(8, 8\)"),
    "flat table": (changed(TABLE, lambda t: t.flatten()), r"has shape \(780,\)|has shape \(780\)"),
    "empty table": (changed(TABLE, lambda t: t[:, :0]), "filled table"),
    "nan": (changed(KEY, poisoned(float("nan"))), f"{KEY} has 12 weights that are not finite"),
    "inf": (changed("ln_f.weight", poisoned(float("inf"))), "ln_f.weight has 1 weights that are not finite"),
    "float64 too large": (
        changed("ln_f.weight", lambda t: poisoned(1e300)(t.double())),
        "ln_f.weight has 1 weights that are not finite",
    ),
    "mask not causal": (changed(MASK, torch.ones_like), f"{MASK} is not the causal mask"),
    "whole numbers": (changed(KEY, lambda t: t.int()), f"{KEY} does not hold floating-point numbers but .*int32"),
    "sparse": (changed(KEY, lambda t: t.to_sparse()), "it asks for torch"),
    "complex": (changed(KEY, lambda t: t.to(torch.complex64)), "complex64"),
    "head gap": (renamed("heads.1.", "heads.7."), "the heads of block 0 must be numbered .* but are 0, 2, 7"),
    "block gap": (renamed("blocks.0.", "blocks.5."), "the blocks must be numbered .* but are 1, 5"),
    "uneven heads": (
        without(*(f"blocks.1.sa.heads.2.{part}" for part in ("key.weight", "query.weight", "value.weight", "tril"))),
        "block 1 has 2 heads, block 0 has 3",
    ),
    "no blocks": (lambda s: {k: v for k, v in s.items() if "blocks" not in k}, "the blocks must .* none at all"),
    "no heads": (lambda s: {k: v for k, v in s.items() if "heads" not in k}, "the heads of block 0 .* none at all"),
    "two models": (
        lambda s: {**{f"model.{k}": v for k, v in s.items()}, **{f"ema.{k}": 2 * v for k, v in s.items()}},
        "holds two models, model.token_embedding_table.weight and ema.token_embedding_table.weight",
    ),
    "huge": (changed(KEY, lambda t: t + 1e30), r"have grown to 1e\+30 .*the training had diverged"),
    "pieces of words": (
        lambda s: {
            **s,
            TABLE: torch.zeros(5000, 12),
            "lm_head.weight": torch.zeros(5000, 12),
            "lm_head.bias": torch.zeros(5000),
        },
        "know 5,000 tokens, which are pieces of words",
    ),
    "another model": (lambda s: {"conv1.weight": torch.zeros(2)}, "another kind of model: it has conv1.weight"),
    "numbered": (lambda s: {1: torch.zeros(2)}, "another kind of model: it has 1"),
    "empty": (lambda s: {}, "an empty state dict"),
    "list": (lambda s: list(s.values()), "not a state dict but a list"),
    "tensor": (lambda s: torch.zeros(3), "not a state dict but a Tensor"),
    "nothing": (lambda s: None, "not a state dict but a NoneType"),
}


@pytest.mark.parametrize("case", BAD)
def test_each_bad_state_dict_gives_one_line(case: str):
    """Through a file and directly; no run is made."""
    make, pattern = BAD[case]
    state = make(reference().state_dict())
    with pytest.raises(BardlabError) as caught:
        import_pth(content(state), file_name="theirs.pth")
    assert_one_line(caught.value, pattern)
    assert runs_reading.list_runs() == []


@pytest.mark.parametrize(
    "sizes, pattern",
    [
        ({"n_layer": 13, "n_head": 1}, "model.n_layer: 13 is not accepted; give a whole number from 1 to 12"),
        ({"n_head": 17, "d_model": 17, "n_layer": 1}, "model.n_head: 17 is not accepted"),
        ({"d_model": 2, "n_head": 1}, "model.d_model: 2 is not accepted"),
        ({"context": 1}, "model.context: 1 is not accepted"),
        ({"d_model": 10, "n_head": 2, "context": 1025, "n_layer": 1}, "model.context: 1025 is not accepted"),
    ],
)
def test_sizes_out_of_range_are_refused(sizes: dict[str, int], pattern: str):
    """Each is named with what is accepted."""
    with pytest.raises(BardlabError) as caught:
        read_weights(content(reference(**sizes).state_dict()))
    assert_one_line(caught.value, pattern)


def test_another_alphabet_is_refused():
    """A model of 64 characters cannot read this text."""
    with pytest.raises(BardlabError, match="know 64 characters, Tiny Shakespeare has 65"):
        import_pth(content(reference(vocab=64).state_dict()))
    assert understood(content(reference(vocab=64).state_dict()))[0].d_model == 12


@pytest.mark.parametrize(
    "junk", [b"", b"hello, world", b"PK\x03\x04 no zip", bytes(1000), content(reference().state_dict())[:-400]]
)
def test_junk_is_refused_in_one_line(tmp_path: Path, junk: bytes):
    """Text, half a file, nothing at all."""
    file = tmp_path / "junk.pth"
    file.write_bytes(junk)
    for source in (file, str(file), junk):
        with pytest.raises(BardlabError) as caught:
            read_weights(source)
        assert_one_line(caught.value, "not a file of weights|is damaged|an empty file")


def test_files_that_cannot_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No such file, a folder, one that is too large, also when unpacked only."""
    with pytest.raises(BardlabError, match=r"cannot read nowhere\.pth: no such file"):
        import_pth(tmp_path / "nowhere.pth")
    with pytest.raises(BardlabError, match="is a directory"):
        import_pth(tmp_path)
    with pytest.raises(BardlabError, match="no name of a file"):
        import_pth("a\0b")
    monkeypatch.setattr(weight_files, "LARGEST_FILE", 1000)
    with pytest.raises(BardlabError, match="weights for this lab have at most 2 GB"):
        read_weights(content(reference().state_dict()))


# --- runs ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure imports on the beginning of the text alone."""
    monkeypatch.setattr(weights, "evaluate", lambda model, ids: evaluate(model, ids[:500]))


def test_an_import_becomes_a_finished_run(tmp_path: Path, corpus):
    """Every reader of the folder finds what it needs, and the run does not pass for a trained one."""
    theirs = reference(n_layer=1, context=16)
    file = tmp_path / "their *model*.pth"
    torch.save(theirs.state_dict(), file)
    run = import_pth(file, "From elsewhere")
    model, tokenizer = checkpoints.load_model(run)
    sample = records.samples(run.path)[-1]
    ids = torch.randint(65, (2, 16))

    assert run == runs_reading.find("From elsewhere") and run.usable and not run.damage
    assert run.state is State.FINISHED and run.rung_key == "transformer" and run.status.step == run.status.of == 0
    assert run.status.message.startswith("imported from their _model_.pth; warning: its loss ")
    assert run.status.parameters == parameter_count(theirs)
    assert run.status.val_loss == run.status.best_val_loss == pytest.approx(evaluate(model, corpus.val_ids).loss)
    assert tokenizer.chars == corpus.tokenizer.chars
    assert len(sample.text) == 200 and sample.val_loss == run.status.val_loss
    assert "imported from" in records.log_tail(run.path)
    assert not (run.path / layout.TRAINER).exists()
    torch.testing.assert_close(model(ids), theirs(ids), atol=1e-4, rtol=0)
    with pytest.raises(BardlabError, match="has finished"):
        control.check_startable(run)


def test_exporting_an_import_gives_the_same_file_back(tmp_path: Path, quick):
    """Through the run folder and out again, bit for bit; to a place of one's own choice as well."""
    theirs = reference().state_dict()
    run = import_pth(content(theirs))
    file = export_pth(run)
    other = export_pth(run, tmp_path / "new" / "mine.pth")

    assert file == run.path / "export" / "microGPT_model.pth"
    assert run.status.message.startswith("imported from a file; ") and run.name == "a file"
    for written in (file, other, export_pth(run)):
        state = torch.load(written, weights_only=True)
        assert all(torch.equal(state[name], tensor) for name, tensor in theirs.items())
        assert [p.name for p in written.parent.iterdir()] == [written.name]


def test_a_failing_import_leaves_nothing(monkeypatch: pytest.MonkeyPatch, quick):
    """A bad name, a taken name, a loss that overflows, a full disk."""
    good = content(reference().state_dict())
    with pytest.raises(BardlabError, match="a name has 1 to 60"):
        import_pth(good, "<b>")
    with monkeypatch.context() as patch:
        patch.setattr(weights, "LARGEST_WEIGHT", 1e38)
        huge = {k: v if k.endswith("tril") else v * 1e30 for k, v in reference().state_dict().items()}
        with pytest.raises(BardlabError, match="its loss on the text is not a number"):
            import_pth(content(huge))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(records, "append_sample", full)
        with pytest.raises(BardlabError, match="cannot make a run of the file: the disk is full"):
            import_pth(good)
    assert runs_reading.list_runs() == []

    import_pth(good, "Taken")
    with pytest.raises(BardlabError, match="another run is called 'Taken'"):
        import_pth(good, "Taken")
    assert len(runs_reading.list_runs()) == 1


def test_exports_that_cannot_be_are_refused(tmp_path: Path, finished):
    """No weights yet, another rung, a place that cannot be written to."""
    with pytest.raises(BardlabError, match="has no weights yet"):
        export_pth(make_run("transformer"))
    blocker = tmp_path / "file"
    blocker.touch()
    with pytest.raises(BardlabError, match="cannot write"):
        export_pth(finished, blocker / "mine.pth")
    assert export_pth(finished).stat().st_size > 10_000
