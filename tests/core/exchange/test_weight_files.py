"""Files of weights as people have them: each kind comes in right, or is refused with the true reason."""

import io
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import BardlabError
from core.evaluation import evaluate
from core.exchange import archive, reference_gpt, weights
from core.exchange.weights import import_pth, read_weights
from core.jobs import work
from core.ladder.registry import RUNGS
from core.models.recurrent import RecurrentConfig, RecurrentNet
from core.models.transformer import Transformer, TransformerConfig
from core.runs import checkpoints, editing, layout
from core.runs import reading as runs_reading
from core.texts import own
from core.texts.corpus import Corpus
from tests.conftest import TINY, make_run
from tests.core.exchange.test_interchange import content, reference

IDS = torch.arange(8)[None] * 7 % 65


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure imports on the beginning of the text alone."""
    monkeypatch.setattr(weights, "evaluate", lambda model, ids: evaluate(model, ids[:1500]))


def logits(source: bytes, ids: Tensor = IDS) -> Tensor:
    """What the imported run's model says."""
    return checkpoints.load_model(import_pth(source))[0](ids)


# --- the lecture's GPT, wrapped -------------------------------------------------------------------------------------


def prefixed(*prefixes: str) -> Callable[[dict[str, Tensor]], object]:
    """Put words before the names, one after another over and over, so that parts have different ones."""
    return lambda state: {
        f"{prefixes[i % len(prefixes)]}{name}": value for i, (name, value) in enumerate(state.items())
    }


WRAPPED: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "data-parallel": prefixed("module."),
    "compiled": prefixed("_orig_mod."),
    "Lightning": prefixed("model."),
    "both": prefixed("module._orig_mod."),
    "the other way round": prefixed("_orig_mod.module."),
    "nested": prefixed("model.net._orig_mod.module."),
    "on a part of the names": prefixed("module.", ""),
    "compiled blocks": lambda state: {name.replace("blocks.0.", "blocks.0._orig_mod."): v for name, v in state.items()},
    **{
        f"under {key}": lambda state, key=key: {"epoch": 3, key: state, "optimizer": {"state": {0: {}}}}
        for key in ("state_dict", "model", "model_state_dict", "net", "weights", "my_own_word")
    },
    "two levels down": lambda state: {"checkpoint": {"model": prefixed("module.")(state), "step": 7}},
    "beside its optimiser": lambda state: {
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]},
        "ema": {name: 2 * value for name, value in state.items()},
        "model": state,
        "config": {"n_embd": 12, "device": torch.device("cpu"), "dtype": torch.float32},
        "best": torch.tensor(1.5),
    },
    "beside numbers": lambda state: {**state, "epoch": 3, "loss": 1.5},
    "as parameters": lambda state: {name: nn.Parameter(value) for name, value in state.items()},
}


@pytest.mark.parametrize("wrapped", WRAPPED)
@torch.no_grad()
def test_what_wrappers_add_is_taken_off(wrapped: str):
    theirs = reference()
    source = content(WRAPPED[wrapped](theirs.state_dict()))
    run = import_pth(source)

    torch.testing.assert_close(checkpoints.load_model(run)[0](IDS), theirs(IDS), atol=1e-5, rtol=0)
    assert ("found under" in run.status.message) == (
        wrapped.startswith("under ") or wrapped in ("two levels down", "beside its optimiser")
    )


def without(part: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {name: value for name, value in state.items() if part not in name}


def masks_as(kind: torch.dtype) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {name: value.to(kind) if "tril" in name else value for name, value in state.items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("tril"), "masks taken to be causal"),
        (without("heads.1.tril"), "masks taken to be causal"),
        (masks_as(torch.bool), ""),
        (masks_as(torch.int64), ""),
        (masks_as(torch.uint8), ""),
    ],
)
@torch.no_grad()
def test_a_mask_carries_no_information(change: Callable[[dict[str, Tensor]], dict[str, Tensor]], said: str):
    theirs = reference()
    run = import_pth(content(change(theirs.state_dict())))

    torch.testing.assert_close(checkpoints.load_model(run)[0](IDS), theirs(IDS), atol=1e-5, rtol=0)
    assert said in run.status.message


@pytest.mark.parametrize("part", ["lm_head.bias", "sa.proj.bias", "ffwd.net.2.bias", "ln1.bias", ".bias"])
@torch.no_grad()
def test_a_missing_bias_is_zero(part: str):
    theirs = reference()
    for name, parameter in theirs.named_parameters():
        if part in name:
            parameter.zero_()
    run = import_pth(content(without(part)(theirs.state_dict())))

    torch.testing.assert_close(checkpoints.load_model(run)[0](IDS), theirs(IDS), atol=1e-5, rtol=0)
    assert "taken to be zero" in run.status.message


@torch.no_grad()
def test_a_head_that_is_left_out_is_the_token_table():
    theirs = reference()
    theirs.lm_head.weight.copy_(theirs.token_embedding_table.weight)
    run = import_pth(content(without("lm_head.weight")(theirs.state_dict())))

    torch.testing.assert_close(checkpoints.load_model(run)[0](IDS), theirs(IDS), atol=1e-5, rtol=0)
    assert "token table" in run.status.message


@torch.no_grad()
def test_projections_with_biases_keep_them():
    theirs = reference()
    for block in theirs.blocks:
        for head in block.sa.heads:
            for kind in ("key", "query", "value"):
                old = getattr(head, kind)
                new = nn.Linear(12, 4)
                new.weight.copy_(old.weight)
                new.bias.normal_()
                setattr(head, kind, new)

    torch.testing.assert_close(logits(content(theirs.state_dict())), theirs(IDS), atol=1e-5, rtol=0)


# --- which scale, which text ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned() -> Transformer:
    """A reference GPT that has learned enough for its scale to matter: queries and keys are made to count."""
    from core.texts.corpus import load
    from core.training.trainer import Trainer

    torch.manual_seed(1)
    config = TransformerConfig(n_layer=1, n_head=4, d_model=32, context=16, dropout=0.0)
    model, train = Transformer(config, 65), RUNGS["transformer"].settings(None, {}, {"learning_rate": 0.01})[1]
    trainer = Trainer(
        model, train.model_copy(update={"steps": 150, "batch_size": 32}), load().train_ids, torch.device("cpu")
    )
    for _ in range(150):
        trainer.step()
    return model.eval()


@pytest.mark.parametrize("notebook", [False, True])
@torch.no_grad()
def test_the_scale_of_the_scores_is_measured_and_said(learned: Transformer, notebook: bool, monkeypatch):
    """The same model, saved with the factor inside its queries or left to the program that divides by sqrt(n_embd)."""
    monkeypatch.setattr(weights, "evaluate", evaluate)
    state = reference_gpt.to_reference(learned)
    for name in state:
        if notebook and ".query." in name:
            state[name] = state[name] * 4**0.5  # whoever divides by sqrt(C) keeps queries sqrt(C / D) as large
    run = import_pth(content(state), "GPT")
    model = checkpoints.load_model(run)[0]

    torch.testing.assert_close(model(IDS), learned(IDS), atol=1e-5, rtol=0)
    assert ("read as scores divided by sqrt(n_embd)" in run.status.message) == notebook
    assert ("read as scores divided by sqrt(head size)" in run.status.message) != notebook
    assert "warning" not in run.status.message


def own_text(alphabet: str, title: str) -> str:
    return own.add((alphabet * 60).encode(), title).name


def test_a_model_of_an_own_text_needs_the_text():
    """Its alphabet has another size: the error names the texts that would fit."""
    alphabet = "".join(chr(97 + i) for i in range(20))
    source = content(reference(vocab=20).state_dict())
    with pytest.raises(BardlabError, match=r"know 20 characters, Tiny Shakespeare has 65; add the text"):
        import_pth(source)
    name = own_text(alphabet, "Twenty")
    with pytest.raises(BardlabError, match=r"name 'Twenty', which has as many"):
        import_pth(source)
    run = import_pth(source, text="Twenty")

    assert run.need().corpus == name and run.need().characters == alphabet
    assert import_pth(source, text=name).name == "a file 2"


def test_a_model_of_another_text_with_as_many_characters_is_warned_of():
    run = import_pth(content(reference().state_dict()))

    assert run.status.val_loss and run.status.val_loss > math.log(65)
    assert f"warning: its loss {run.status.val_loss:.2f} is worse than guessing (4.17)" in run.status.message


@pytest.mark.parametrize("form", ["list", "itos", "stoi", "text", "nested"])
@torch.no_grad()
def test_an_alphabet_in_another_order_is_put_into_the_texts(form: str, corpus: Corpus):
    """A program that numbers characters by first appearance tells its order: rows move, predictions do not."""
    theirs, chars = reference(), corpus.tokenizer.chars
    told = "".join(dict.fromkeys(corpus.text))
    forms = {
        "list": {"chars": list(told)},
        "itos": {"itos": dict(enumerate(told))},
        "stoi": {"stoi": {c: i for i, c in enumerate(told)}},
        "text": {"alphabet": told},
        "nested": {"meta": {"itos": dict(enumerate(told))}},
    }
    run = import_pth(content({"model": theirs.state_dict(), **forms[form]}))
    text = "First Ci"
    expected = theirs(torch.tensor([[told.index(c) for c in text]]))[..., [told.index(c) for c in chars]]

    torch.testing.assert_close(
        checkpoints.load_model(run)[0](torch.tensor([corpus.tokenizer.encode(text)])), expected, atol=1e-5, rtol=0
    )
    assert "alphabet put into the order" in run.status.message


def test_an_alphabet_of_another_text_is_refused(corpus: Corpus):
    told = [*corpus.tokenizer.chars[:-1], "ß"]
    with pytest.raises(BardlabError, match="tells its alphabet, which is not that of Tiny Shakespeare: it has 'ß'"):
        import_pth(content({"model": reference().state_dict(), "chars": told}))


# --- nanoGPT: a forward pass from the architecture, as functions of its checkpoint ----------------------------------


def nano_state(bias: bool, layers: int = 2, width: int = 12, context: int = 8, vocab: int = 65) -> dict[str, Tensor]:
    """Random weights under nanoGPT's names."""
    generator = torch.Generator().manual_seed(5)
    shapes = {"transformer.wte.weight": (vocab, width), "transformer.wpe.weight": (context, width)}
    for n in range(layers):
        at = f"transformer.h.{n}"
        shapes |= {f"{at}.ln_1.weight": (width,), f"{at}.attn.c_attn.weight": (3 * width, width)}
        shapes |= {f"{at}.attn.c_proj.weight": (width, width), f"{at}.ln_2.weight": (width,)}
        shapes |= {f"{at}.mlp.c_fc.weight": (4 * width, width), f"{at}.mlp.c_proj.weight": (width, 4 * width)}
    shapes |= {"transformer.ln_f.weight": (width,)}
    if bias:
        shapes |= {
            name.replace("weight", "bias"): (size[0],)
            for name, size in list(shapes.items())
            if "wte" not in name and "wpe" not in name
        }
    state = {name: 0.4 * torch.randn(size, generator=generator) for name, size in shapes.items()}
    return {**state, "lm_head.weight": state["transformer.wte.weight"]}


def nano_logits(state: dict[str, Tensor], ids: Tensor, heads: int) -> Tensor:
    """GPT-2's forward pass (Radford et al. 2019): pre-norm, GELU, tied head, softmax over earlier positions only."""

    def norm(x: Tensor, at: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], state[f"{at}.weight"], state.get(f"{at}.bias"), 1e-5)

    def linear(x: Tensor, at: str) -> Tensor:
        return F.linear(x, state[f"{at}.weight"], state.get(f"{at}.bias"))

    x = state["transformer.wte.weight"][ids] + state["transformer.wpe.weight"][: ids.shape[1]]
    layers = 1 + max(int(name.split(".")[2]) for name in state if ".h." in name)
    for n in range(layers):
        at = f"transformer.h.{n}"
        parts = linear(norm(x, f"{at}.ln_1"), f"{at}.attn.c_attn").split(x.shape[-1], dim=-1)
        q, k, v = (part.unflatten(-1, (heads, -1)) for part in parts)  # (B, T, H, D)
        scores = torch.einsum("bthd,bshd->bhts", q, k) / math.sqrt(q.shape[-1])
        scores = scores + torch.full(scores.shape[-2:], float("-inf")).triu(1)
        mixed = torch.einsum("bhts,bshd->bthd", scores.softmax(-1), v).flatten(2)
        x = x + linear(mixed, f"{at}.attn.c_proj")
        hidden = linear(norm(x, f"{at}.ln_2"), f"{at}.mlp.c_fc")
        x = x + linear(hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5)), f"{at}.mlp.c_proj")
    return linear(norm(x, "transformer.ln_f"), "lm_head")


def turned(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Linear layers as GPT-2's Conv1D keeps them."""
    return {name: value.T.contiguous() if ".c_" in name and value.ndim == 2 else value for name, value in state.items()}


NANO: dict[str, Callable[[dict[str, Tensor]], dict[str, Tensor]]] = {
    "as it is": lambda state: state,
    "compiled": lambda state: {f"_orig_mod.{name}": value for name, value in state.items()},
    "Conv1D": turned,
    "head left out": lambda state: {name: value for name, value in state.items() if name != "lm_head.weight"},
    "without its first word": lambda state: {name.removeprefix("transformer."): value for name, value in state.items()},
    "with masks": lambda state: state | {f"transformer.h.{n}.attn.bias": torch.ones(1, 1, 8, 8).tril() for n in (0, 1)},
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", NANO)
@torch.no_grad()
def test_a_checkpoint_of_nano_gpt_gives_its_own_logits(kind: str, bias: bool):
    state = nano_state(bias)
    arguments = {
        "n_layer": 2,
        "n_head": 3,
        "n_embd": 12,
        "block_size": 8,
        "bias": bias,
        "vocab_size": 65,
        "dropout": 0.0,
    }
    optimizer = {
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(65, 12)}},
        "param_groups": [{"betas": (0.9, 0.95)}],
    }
    whole = {"model": NANO[kind](state), "optimizer": optimizer, "model_args": arguments, "iter_num": 5}
    whole |= {"best_val_loss": torch.tensor(1.5), "config": {"dataset": "shakespeare_char", "n_head": 3}}
    run = import_pth(content(whole))
    model = checkpoints.load_model(run)[0]

    assert model.config.n_head == 3 and run.rung_key == "transformer"  # type: ignore[attr-defined]
    torch.testing.assert_close(model(IDS), nano_logits(state, IDS, 3), atol=1e-4, rtol=0)
    assert ("biases left out are zero" in run.status.message) != bias


def test_the_heads_of_a_bare_state_dict_are_measured(learned: Transformer, monkeypatch):
    """A model that has learned the text, under nanoGPT's names: the right number of heads has the lowest loss."""
    monkeypatch.setattr(weights, "evaluate", evaluate)
    readings = read_weights(content(nano_state(True, width=32)))[1]
    assert sorted(reading.config.n_head for reading in readings) == [1, 2, 4, 8, 16]
    mine = learned.state_dict()
    state = {"wte.weight": mine["token_embedding.weight"], "wpe.weight": mine["position_embedding.weight"]}
    names = {
        "ln1": "ln_1",
        "ln2": "ln_2",
        "attention.qkv": "attn.c_attn",
        "attention.proj": "attn.c_proj",
        "mlp.up": "mlp.c_fc",
        "mlp.down": "mlp.c_proj",
    }
    for ours, theirs in names.items():
        state |= {
            f"h.0.{theirs}.{part}": mine[f"blocks.0.{ours}.{part}"]
            for part in ("weight", "bias")
            if f"blocks.0.{ours}.{part}" in mine
        }
    state |= {
        "ln_f.weight": mine["ln_final.weight"],
        "ln_f.bias": mine["ln_final.bias"],
        "lm_head.weight": mine["lm_head.weight"],
    }
    run = import_pth(content(state))

    assert run.need().model["n_head"] == 4 and "read as 4 heads" in run.status.message


NANO_BAD: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "no positions": (without("wpe"), "lack wpe.weight"),
    "a part is missing": (without("h.1.mlp.c_fc.weight"), "lack h.1.mlp.c_fc.weight"),
    "a gap": (without("h.0."), "the blocks must be numbered"),
    "more than it has": (
        lambda s: {**s, "transformer.h.0.attn.rotary": torch.zeros(3)},
        "nanoGPT has no h.0.attn.rotary",
    ),
    "another shape": (
        lambda s: {**s, "transformer.h.0.attn.c_proj.weight": torch.zeros(5, 12)},
        r"shape \(5, 12\) instead of \(12, 12\)",
    ),
    "not finite": (
        lambda s: {**s, "transformer.ln_f.weight": torch.full((12,), float("nan"))},
        "12 weights that are not finite",
    ),
    "heads that do not divide": (lambda s: {"model": s, "model_args": {"n_head": 5}}, "does not divide among"),
    "pieces of words": (
        lambda s: {**s, "transformer.wte.weight": torch.zeros(50304, 12), "lm_head.weight": torch.zeros(50304, 12)},
        "pieces of words",
    ),
}


@pytest.mark.parametrize("case", NANO_BAD)
def test_what_is_wrong_with_a_checkpoint_of_nano_gpt_is_said(case: str):
    make, pattern = NANO_BAD[case]
    with pytest.raises(BardlabError, match=pattern) as error:
        import_pth(content(make(nano_state(True))))

    assert "\n" not in str(error.value) and runs_reading.list_runs() == []


# --- the bigram, and the lab's own ----------------------------------------------------------------------------------


@torch.no_grad()
def test_the_lectures_bigram_becomes_a_run_of_its_rung():
    table = torch.randn(65, 65)
    for source in (
        content({"token_embedding_table.weight": table}),
        content({"model": {"_orig_mod.token_embedding_table.weight": table}}),
    ):
        run = import_pth(source)

        assert run.rung_key == "bigram" and run.status.parameters == 65 * 65
        torch.testing.assert_close(checkpoints.load_model(run)[0](IDS), table[IDS], atol=0, rtol=0)


@pytest.mark.parametrize("rung", TINY)
def test_a_runs_own_weights_file_comes_back_with_its_settings(rung: str):
    """Its header tells them: no guessing, whatever the loss."""
    run = work.work(make_run(rung).path)
    again = import_pth(run.path / layout.WEIGHTS)
    a, b = (checkpoints.load_model(one)[0] for one in (run, again))

    assert again.need().model == run.need().model and again.name == "model"
    assert "read as" not in again.status.message
    torch.testing.assert_close(a(IDS), b(IDS), atol=0, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("cell", ["plain", "gru", "lstm"])
def test_a_recurrent_network_is_told_by_its_shapes(cell: str):
    """Without settings in the file: cell, layers and widths are what the tensors say."""
    sizes = {"cell": cell, "n_layer": 2, "d_embed": 6, "d_hidden": 12}
    model = RecurrentNet(RecurrentConfig.parse(sizes), 65).eval()
    run = import_pth(save_tensors(dict(model.state_dict())))

    assert run.rung_key == "recurrent" and {name: run.need().model[name] for name in sizes} == sizes
    torch.testing.assert_close(checkpoints.load_model(run)[0](IDS), model(IDS), atol=0, rtol=0)


@torch.no_grad()
def test_an_older_weights_file_is_read_by_its_loss(learned: Transformer, monkeypatch):
    """Files of earlier versions tell no settings: what they leave open is what has the lowest loss."""
    monkeypatch.setattr(weights, "evaluate", lambda model, ids: evaluate(model, ids[:4096]))
    run = import_pth(save_tensors(dict(learned.state_dict()), metadata={"step": "3"}))

    assert {name: run.need().model[name] for name in ("n_head", "positions")} == {"n_head": 4, "positions": "learned"}
    assert "read as " in run.status.message and "n_head 4 (loss " in run.status.message


@torch.no_grad()
def test_a_context_that_does_not_show_is_measured_too(monkeypatch, corpus: Corpus):
    """Turned positions leave no table behind; the context then is the best of some."""
    losses = {64: 3.0, 32: 3.5, 128: 2.5, 256: 2.75, 512: 4.0}
    seen = []

    def told(model, ids):
        seen.append(model.config.positions)
        best = model.config.positions == "rotary" and model.config.n_head == 2
        return type("Told", (), {"loss": losses[model.config.context] if best else 3.9})()

    monkeypatch.setattr(weights, "evaluate", told)
    model = Transformer(TransformerConfig(n_layer=1, n_head=2, d_model=8, context=128, positions="rotary"), 65)
    run = import_pth(save_tensors(dict(model.state_dict())))

    assert {name: run.need().model[name] for name in ("n_head", "positions", "context")} == {
        "n_head": 2,
        "positions": "rotary",
        "context": 128,
    }
    assert {"rotary", "sinusoidal", "none"} == set(seen)


def test_weights_of_no_rung_are_refused():
    with pytest.raises(BardlabError, match="fits no model of this lab"):
        import_pth(save_tensors({"token_embedding.weight": torch.zeros(65, 4), "head.weight": torch.zeros(65, 3)}))


# --- what is no file of weights -------------------------------------------------------------------------------------


class Whole(nn.Module):
    """A model that is saved whole."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)


def jit() -> bytes:
    """The layout of a TorchScript archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archived:
        for name in ("model/data.pkl", "model/constants.pkl", "model/code/__torch__.py", "model/version"):
            archived.writestr(name, b"x")
    return out.getvalue()


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archived:
        for name, inside in files.items():
            archived.writestr(name, inside)
    return out.getvalue()


KINDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
        "pointer that Git LFS .* git lfs pull",
    ),
    "a web page": (
        lambda: b"\n\n<!DOCTYPE html><html><body>Sign in</body></html>",
        "a web page, .* download the file itself",
    ),
    "a whole model": (lambda: content(Whole()), r"a whole pickled model \(Whole\).*save model.state_dict\(\) instead"),
    "TorchScript": (jit, r"a TorchScript program .*save model.state_dict\(\) instead"),
    "a text": (lambda: b"To be, or not to be", "a text, not a file of weights"),
    "empty": (lambda: b"", "an empty file"),
    "HDF5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "a Keras or HDF5 file"),
    "GGUF": (lambda: b"GGUF" + bytes(100), "a GGUF file"),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(100), "compressed with gzip; unpack it"),
    "a plain pickle": (lambda: __import__("pickle").dumps({"a": 1}, 2), "a pickle, but not one that torch.save wrote"),
    "a packed file": (
        lambda: zipped(**{"folder/lecture.pth": b"x"}),
        "packed folder with folder/lecture.pth in it; unpack it",
    ),
    "settings that are an object": (
        lambda: content({"model": {}, "args": __import__("argparse").Namespace(a=1)}),
        "it asks for argparse.Namespace",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_of_weights_is_called_by_its_name(kind: str):
    make, pattern = KINDS[kind]
    with pytest.raises(BardlabError, match=pattern) as error:
        archive.bring_in(make(), file_name="lecture.pth")

    assert "\n" not in str(error.value) and str(error.value).startswith("lecture.pth is ")


# --- names -----------------------------------------------------------------------------------------------------------


def test_an_import_is_called_after_its_file(tmp_path: Path):
    for name, expected in (("lecture.pth", "lecture"), ("lecture.pth", "lecture 2"), ("a<b>$x$.pth", "a_b__x_")):
        file = tmp_path / name
        file.write_bytes(content(reference().state_dict()))
        assert archive.bring_in(file).name == expected
    address = runs_reading.list_runs()[0].slug
    (tmp_path / f"{address}.pth").write_bytes(content(reference().state_dict()))

    assert archive.bring_in(tmp_path / f"{address}.pth").name == f"{address} 2"


@pytest.mark.parametrize("kind", ["weights", "zip", "rename"])
def test_a_name_that_is_another_runs_address_is_refused(kind: str, finished):
    shipped = "pretrained/mlp"
    for name, reason in ((finished.slug, "another run is called"), (shipped, "ships with the product")):
        with pytest.raises(BardlabError, match=reason):
            if kind == "weights":
                import_pth(content(reference().state_dict()), name)
            elif kind == "zip":
                archive.import_run(archive.export_run(finished), name)
            else:
                editing.rename(make_run("bigram"), name)


def test_settings_travel_in_the_header_of_a_weights_file(finished):
    content = (finished.path / layout.WEIGHTS).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    told = json.loads(header["__metadata__"][checkpoints.SETTINGS])

    assert told == {"stage": "transformer", "model": finished.need().model}
