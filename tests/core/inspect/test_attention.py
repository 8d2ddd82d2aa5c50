"""Attention as it is shown recomputes from its own parts, and head labels from hand-made heads."""

import csv
import io
import math

import numpy as np
import pytest
import torch

from core.errors import BardlabError
from core.inspect import heads
from core.inspect.attention import (
    LARGEST,
    AttentionMaps,
    attention_maps,
    rungs_with_attention,
    weights_csv,
    window,
)
from core.inspect.heads import KINDS, head_scores, probe, targets
from core.inspect.trace import intervening, trace
from core.models.bigram import Bigram, BigramConfig
from core.models.transformer import Transformer, TransformerConfig
from core.texts.corpus import Corpus
from core.texts.tokenizer import CharTokenizer

TEXT = 'Ay, "no"\nno;a'
SIZES = dict(n_layer=2, n_head=3, d_model=12, context=16)


def transformer(positions: str = "learned", **sizes: int) -> Transformer:
    """A small Transformer whose weights are large enough to matter."""
    torch.manual_seed(3)
    model = Transformer(TransformerConfig(positions=positions, dropout=0.3, **{**SIZES, **sizes}), 65)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


@pytest.fixture(params=["learned", "rotary"])
def model(request: pytest.FixtureRequest) -> Transformer:
    return transformer(request.param)


IDS = torch.randint(65, (len(TEXT),), generator=torch.Generator().manual_seed(5))


@pytest.fixture
def maps(model: Transformer) -> AttentionMaps:
    return attention_maps(model, IDS)


def test_the_opened_query_recomputes_to_the_traced_pattern(model: Transformer, maps: AttentionMaps):
    """q · k / √D, mask, softmax, weighted values: each step from the one before, for every head and query."""
    L, H, T = maps.shape
    assert maps.shape == (2, 3, len(TEXT))
    future = np.triu(np.ones((T, T), bool), 1)
    traced = trace(model, IDS[None])
    for layer in range(L):
        whole = np.zeros((T, 12))
        for head in range(H):
            o = maps.open(layer, head)
            scores = np.where(future, -np.inf, (o.q[:, None, :] * o.k[None]).sum(-1) / math.sqrt(4))
            np.testing.assert_allclose(o.attn_scores, scores, atol=1e-5)
            weights = np.exp(scores - scores.max(1, keepdims=True))
            weights /= weights.sum(1, keepdims=True)
            np.testing.assert_allclose(o.pattern, weights, atol=1e-5)
            np.testing.assert_allclose(o.pattern.sum(1), 1, atol=1e-5)
            np.testing.assert_allclose(o.z, o.pattern @ o.v, atol=1e-5)
            W_O = model.blocks[layer].attention.proj.weight.detach().numpy()[:, 4 * head : 4 * head + 4]
            np.testing.assert_allclose(o.value_norm, np.linalg.norm(o.v @ W_O.T, axis=1), rtol=1e-4)
            whole += o.z @ W_O.T
        whole += model.blocks[layer].attention.proj.bias.detach().numpy()
        np.testing.assert_allclose(whole, traced[f"blocks.{layer}.attn_out"][0].numpy(), atol=1e-4)


def test_the_table_of_weights_reads_back_exactly(maps: AttentionMaps):
    """One line a visible weight; quotes, commas and line breaks in the text do not break it."""
    rows = list(csv.DictReader(io.StringIO(weights_csv(maps, TEXT, [(1, 2)]).decode(), newline="")))

    T = len(TEXT)
    assert len(rows) == T * (T + 1) // 2
    for row in rows:
        t, s = int(row["query"]), int(row["key"])
        assert (row["layer"], row["head"]) == ("1", "2")
        assert (row["query_character"], row["key_character"]) == (TEXT[t], TEXT[s])
        assert np.float32(row["weight"]) == maps.pattern[1, 2, t, s]
        contribution = maps.pattern[1, 2, t, s] * maps.value_norm[1, 2, s]
        assert float(row["contribution"]) == pytest.approx(float(contribution), rel=1e-6)


def test_what_cannot_be_shown_is_refused_in_one_line(model: Transformer, maps: AttentionMaps):
    with pytest.raises(BardlabError, match="no attention"):
        attention_maps(Bigram(BigramConfig(), 65), [1, 2])
    for ids in ([], [1] * 17):
        with pytest.raises(BardlabError, match="1 to 16 characters"):
            attention_maps(model, ids)
    with pytest.raises(BardlabError, match=r"no head 0\.3"):
        maps.open(0, 3)


def test_a_window_is_the_context_unless_the_view_would_be_too_large():
    assert window(transformer()) == 16
    large = transformer(n_layer=8, n_head=12, context=1024)
    T = window(large)
    assert T < 1024
    assert 96 * T * T / 2 <= LARGEST < 96 * (T + 1) ** 2 / 2


def test_the_rungs_with_attention_are_found_in_the_models_themselves():
    assert "transformer" in rungs_with_attention()
    assert not {"bigram", "mlp", "wavenet"} & set(rungs_with_attention())


# ---- heads ----------------------------------------------------------------------------------------------------------

PLAY = "BIANCA:\nThe rest\nthe\n\nTRANIO:\nHush\n"


def test_targets_are_the_keys_that_the_definitions_mean():
    """Checked by hand on two short speeches."""
    found = dict(zip([k.key for k in KINDS], targets(PLAY), strict=True))

    def keys(kind: str, query: int) -> str:
        return "".join(PLAY[s] for s in range(len(PLAY)) if found[kind][query, s])

    rest, second = PLAY.index("rest"), PLAY.index("Hush")
    assert keys("self", 3) == "N" and keys("previous", 3) == "A" and keys("previous", 0) == ""
    assert keys("word", rest + 2) == "r" and keys("word", rest + 1) == "" and keys("word", rest + 4) == ""
    assert keys("line", rest) == "\nT" and keys("line", 2) == "B" and keys("line", PLAY.index("\n\n") + 1) == ""
    assert keys("speaker", rest) == "BIANCA:" and keys("speaker", second) == "TRANIO:" and keys("speaker", 3) == ""
    assert keys("same", rest + 3) == "" and keys("same", PLAY.index("the") + 1) == "h"
    assert not found["induction"].any()
    assert not torch.stack(list(found.values())).triu(1).any()


def ideal(kind: int, made: heads.Probe):
    """Patterns that look evenly at the keys of a kind, or at everything seen where there are none."""

    def replace(pattern: torch.Tensor) -> torch.Tensor:
        T = pattern.shape[-1]
        at = next(i for i, ids in enumerate(made.ids) if ids.shape == (len(pattern), T))
        wanted = made.targets[at][:, kind : kind + 1] if kind >= 0 else torch.zeros(len(pattern), 1, T, T)
        seen = torch.ones(T, T).tril().expand_as(wanted)
        return (
            torch.where(wanted.any(-1, keepdim=True), wanted, seen)
            .expand_as(pattern)
            .clone()
            .div_(torch.where(wanted.any(-1, keepdim=True), wanted, seen).sum(-1, keepdim=True))
        )

    return replace


@pytest.fixture(scope="module")
def measured() -> tuple[Transformer, heads.Probe]:
    from core.texts.corpus import load

    corpus = load()
    model = transformer(context=64)
    return model, probe(corpus.text[corpus.split :], corpus.tokenizer, 64)


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=[k.key for k in KINDS])
def test_a_head_that_does_one_thing_is_called_by_it(kind: int, measured: tuple[Transformer, heads.Probe]):
    """Put the perfect pattern of a kind in place of one layer's: its score is 1, and that is its label."""
    model, made = measured
    with intervening(model, {"blocks.0.attention.pattern": ideal(kind, made)}):
        scores = head_scores(model, made)

    np.testing.assert_allclose(scores.score[kind, 0], 1, atol=1e-5)
    assert [scores.label(0, head) for head in range(3)] == [KINDS[kind]] * 3


def test_a_head_that_looks_evenly_is_at_chance_and_mixed(measured: tuple[Transformer, heads.Probe]):
    model, made = measured
    with intervening(model, {"blocks.1.attention.pattern": ideal(-1, made)}):
        scores = head_scores(model, made)

    np.testing.assert_allclose(scores.score[:, 1], np.repeat(scores.chance[:, None], 3, 1), atol=1e-5)
    assert scores.label(1, 0) is None
    T = made.ids[0].shape[1]
    assert scores.entropy[1, 0] == pytest.approx(np.log(np.arange(1, T + 1)).mean(), abs=1e-4)
    assert scores.distance[1, 0] == pytest.approx((T - 1) / 4, abs=1e-3)


@pytest.mark.parametrize("context", [2, 3, 5])
def test_the_shortest_contexts_are_measured_as_far_as_they_go(context: int, corpus: Corpus):
    """What no query can have is no number, and never a label."""
    model = transformer(context=context)
    scores = head_scores(model, probe(corpus.text[-2000:], corpus.tokenizer, context))

    assert np.isfinite(scores.score[:2]).all()
    assert context > 2 or np.isnan(scores.score[3:]).all()
    assert scores.label(0, 0) in (None, *KINDS[:6])


def test_windows_of_a_probe_begin_with_speeches_and_lie_evenly():
    """Nine speeches of 20 characters in windows of 300 at most: the first of each third, as 768 / 100 is 7."""
    speech = "A{}B:\nto be or not\n\n\n"
    text = "".join(speech.format(i) for i in range(9))
    tokenizer = CharTokenizer("".join(sorted(set(text))))
    at = [m.start() for m in heads.SPEAKER.finditer(text)]
    made = probe(text + "…", tokenizer, 100)
    first = [tokenizer.decode(row.tolist()) for row in made.ids[0]]

    fitting = [start for start in at if start + 100 <= len(text)]
    assert len(at) == 9 and len(fitting) == 5
    assert first == [text[start : start + 100] for start in fitting]
    few = probe(text, tokenizer, 20).ids[0]
    assert [tokenizer.decode(row.tolist())[:3] for row in few] == [f"A{i}B" for i in range(9)]
    long = probe(text * 20, tokenizer, 1000)
    assert long.ids[0].shape == (3, 256) and long.ids[1].shape == (1, 256)  # 768 // 256, and 256 // 256
    none = probe("to be or not", CharTokenizer(" benort"), 100)
    assert [row.shape for row in none.ids] == [(1, 12), (2, 100)]
    plain = probe("to be or not", CharTokenizer(" benort"), 5).ids[0]
    assert CharTokenizer(" benort").decode(plain[0].tolist()) == "to be"


def test_repeated_text_is_repeated_and_its_key_is_what_followed():
    tokenizer = CharTokenizer("abcdefgh")
    made = probe("abcdefgh" * 9, tokenizer, 8)
    repeated, wanted = made.ids[1], made.targets[1]

    assert repeated.shape == (32, 8) and torch.equal(repeated[:, :4], repeated[:, 4:])
    assert len({tuple(row) for row in repeated.tolist()}) > 20
    assert wanted.shape == (32, len(KINDS), 8, 8) and not wanted[:, :-1].any()
    assert wanted[5, -1].nonzero().tolist() == [[4, 1], [5, 2], [6, 3], [7, 4]]
    assert torch.equal(probe("abc" * 9, tokenizer, 8, seed=0).ids[1], repeated)
    assert not torch.equal(probe("abc" * 9, tokenizer, 8, seed=1).ids[1], repeated)


def test_a_lift_is_what_is_above_chance_and_a_label_needs_a_fifth():
    score = np.array([[[0.6, 0.28, 0.4]], [[0.5, 0.2, 0.3]], [[np.nan] * 3]])
    found = heads.HeadScores(KINDS[:3], score, np.array([0.2, 0.1, np.nan]), score[0], score[0])

    np.testing.assert_allclose(found.lift[:2, 0], [[0.5, 0.1, 0.25], [4 / 9, 1 / 9, 2 / 9]])
    assert [found.label(0, head) for head in range(3)] == [KINDS[0], None, KINDS[0]]
