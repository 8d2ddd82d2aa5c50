"""What every rung must keep, whatever it is made of."""

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from core.errors import BardlabError
from core.evaluation import evaluate, evaluation_window
from core.ladder.registry import RUNGS
from core.models.bigram import Bigram, BigramConfig, count_pairs, counted_logits
from core.models.contract import LanguageModel, parameter_count, parameter_table
from core.models.transformer import Transformer, TransformerConfig, trigram_rows
from core.sampling import SamplingConfig, generate, next_distribution
from core.training.config import TrainConfig
from core.training.trainer import Trainer
from tests.conftest import TINY

VOCAB = 11
POSITIONS = ("learned", "sinusoidal", "rotary", "none")


def build(key: str, vocab: int = VOCAB, **changes: object) -> LanguageModel:
    torch.manual_seed(0)
    rung = RUNGS[key]
    return rung.build(rung.config.parse({**TINY[key]["model"], **changes}), vocab).eval()


@pytest.mark.parametrize("key", RUNGS)
def test_logits_have_the_shape_of_the_contract(key: str):
    """Ids (B, T) give logits (B, T, V), all finite."""
    model = build(key)
    logits = model(torch.randint(VOCAB, (3, 9)))

    assert logits.shape == (3, 9, VOCAB)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("at", [0, 5, 14])
def test_transformer_never_looks_ahead(at: int, positions: str):
    """The loss at one position has no gradient with respect to any later character's embedding."""
    model = build("transformer", positions=positions, dropout=0.0)
    assert isinstance(model, Transformer)
    ids = torch.arange(16)[None] % VOCAB
    embedded = model.token_embedding(ids).detach().requires_grad_()
    model.token_embedding.forward = lambda _: embedded  # type: ignore[method-assign]
    model(ids)[0, at].square().sum().backward()

    assert embedded.grad is not None
    assert embedded.grad[0, at + 1 :].abs().max() == 0 if at < 15 else True
    assert embedded.grad[0, : at + 1].abs().sum(-1).min() > 0


@pytest.mark.parametrize(
    ("key", "changes"), [*((key, {}) for key in RUNGS), ("transformer", {"trigrams": 20, "smear": True})]
)
def test_changing_the_future_changes_nothing(key: str, changes: dict[str, object]):
    """Predictions up to a position stay bit for bit the same when later characters change."""
    model = build(key, **changes)
    for parameter in model.parameters():
        parameter.data.normal_()
    ids = torch.randint(VOCAB, (2, 12))
    other = ids.clone()
    other[:, 7:] = (other[:, 7:] + 1) % VOCAB

    assert torch.equal(model(ids)[:, :7], model(other)[:, :7])
    assert not torch.equal(model(ids)[:, 7:], model(other)[:, 7:])


@pytest.mark.parametrize("key", RUNGS)
def test_untrained_loss_is_near_the_uniform(key: str):
    """A fresh model knows nothing: its loss is within 0.1 of ln V."""
    ids = torch.randint(VOCAB, (500,), generator=torch.Generator().manual_seed(1))

    assert evaluate(build(key), ids).loss == pytest.approx(math.log(VOCAB), abs=0.1)


def test_transformer_overfits_one_batch():
    """Enough steps on one batch drive its loss below 0.1: the gradients reach where they should."""
    model = build("transformer", dropout=0.0, d_model=32)
    x = torch.randint(VOCAB, (2, 17), generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(200):
        loss = F.cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    assert loss.item() < 0.1


def test_reference_transformer_has_the_published_parameters():
    """The defaults are the reference: 10,788,929 parameters, in five parts counted on the live module."""
    with torch.device("meta"):
        model = Transformer(TransformerConfig(), 65)

    assert parameter_count(model) == 10_788_929
    assert [n for _, n in parameter_table(model)] == [24_960, 98_304, 10_639_872, 768, 25_025]


@pytest.mark.parametrize("key", RUNGS)
def test_parameter_table_adds_up(key: str):
    """The parts that a page lists are all of the model."""
    model = build(key)

    assert sum(n for _, n in parameter_table(model)) == parameter_count(model)


def test_the_parameter_table_names_vectors_of_the_models_own():
    model = Transformer(TransformerConfig(d_model=8, n_head=2, n_layer=1, context=4, smear=True), 9)

    assert dict(parameter_table(model))["smear"] == 8


def test_attention_agrees_with_torchs_own():
    """One attention layer gives what torch's scaled_dot_product_attention gives for the same weights."""
    model = build("transformer", dropout=0.0)
    attention = model.blocks[0].attention  # type: ignore[union-attr,index]
    x = torch.randn(2, 10, 16)
    q, k, v = attention.qkv(x).view(2, 10, 3, 2, 8).permute(2, 0, 3, 1, 4)
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(2, 10, 16)

    torch.testing.assert_close(attention(x), attention.proj(expected))


def test_rotary_scores_depend_on_distance_alone():
    """With rotary positions, moving the whole text along leaves every prediction where it was."""
    model = build("transformer", positions="rotary")
    assert isinstance(model, Transformer)
    cos, sin = model.blocks[0].attention.cos, model.blocks[0].attention.sin  # type: ignore[union-attr]
    from core.models.transformer import rotate

    q, k = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)
    scores = [
        float((rotate(q, cos[t : t + 1], sin[t : t + 1]) * rotate(k, cos[t - 3 : t - 2], sin[t - 3 : t - 2])).sum())
        for t in (3, 7, 15)
    ]

    assert scores[0] == pytest.approx(scores[1], abs=1e-5) == pytest.approx(scores[2], abs=1e-5)


@pytest.mark.parametrize("positions", POSITIONS)
def test_cached_generation_equals_the_naive_loop(positions: str):
    """Cache or not, before and after the window starts to roll, every character's logits are the same."""
    model = build("transformer", positions=positions)
    config = SamplingConfig(tokens=30, seed=5)
    cached = list(generate(model, [1, 2, 3], config))
    model.new_cache = lambda batch: None  # type: ignore[method-assign]
    naive = list(generate(model, [1, 2, 3], config))

    assert [c.id for c in cached] == [c.id for c in naive]
    for a, b in zip(cached, naive, strict=True):
        torch.testing.assert_close(a.logits, b.logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prompt", [[1], [1, 2], [1, 2, 3]])
@pytest.mark.parametrize("setting", [{"smear": True}, {"trigrams": 20}, {"smear": True, "trigrams": 20}])
def test_what_looks_at_neighbours_is_cached_too(setting: dict[str, object], prompt: list[int]):
    """With weights that matter, whatever the length of the prompt."""
    model = build("transformer", **setting)
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    config = SamplingConfig(tokens=30, seed=5)
    cached = list(generate(model, prompt, config))
    model.new_cache = lambda batch: None  # type: ignore[method-assign]
    naive = list(generate(model, prompt, config))

    assert [c.id for c in cached] == [c.id for c in naive]
    for a, b in zip(cached, naive, strict=True):
        torch.testing.assert_close(a.logits, b.logits, atol=1e-4, rtol=1e-4)


def test_three_characters_share_a_vector_wherever_they_stand():
    """The table adds the same at each place where a three ends, nothing before there are three, and sees no further."""
    model = build("transformer", trigrams=20)
    assert isinstance(model, Transformer)
    added = model.trigram_vectors(torch.tensor([[4, 5, 6, 7, 4, 5, 6]]), None)[0]

    assert not added[:2].any()
    assert torch.equal(added[2], added[6]) and added[2].any()
    assert not torch.equal(added[2], added[3])
    changed = model.trigram_vectors(torch.tensor([[4, 5, 6, 8, 4, 5, 6]]), None)[0]
    assert (added != changed).any(dim=1).tolist() == [False, False, False, True, True, True, False]


@pytest.mark.parametrize("length", [0, 1, 2])
def test_fewer_than_three_characters_have_no_row(length: int):
    assert trigram_rows(torch.zeros(4, length, dtype=torch.long), 65, 20).shape == (4, 0)


@pytest.mark.parametrize("vocab", [65, 1000])
def test_rows_are_told_evenly(vocab: int):
    """Every row is used, none by more than half as many threes again as its share, and none lies outside."""
    generator = torch.Generator().manual_seed(1)
    threes = torch.unique(torch.randint(vocab, (40_000, 3), generator=generator), dim=0)
    rows = trigram_rows(threes, vocab, 20)[:, 0]
    shares = torch.bincount(rows, minlength=20) * 20 / len(threes)

    assert len(shares) == 20
    assert shares.min() > 0.5 and shares.max() < 1.5


def test_a_prompt_longer_than_the_context_is_read_from_its_end():
    """Only the last `context` characters can matter."""
    model = build("transformer")
    config = SamplingConfig(tokens=5)
    long = [i % VOCAB for i in range(40)]

    assert [c.id for c in generate(model, long, config)] == [c.id for c in generate(model, long[-16:], config)]


@pytest.mark.parametrize("key", RUNGS)
def test_generation_is_reproducible_by_seed(key: str):
    """Same seed, same text; another seed, another text."""
    model = build(key)
    texts = [[c.id for c in generate(model, [0], SamplingConfig(tokens=40, seed=s))] for s in (1, 1, 2)]

    assert texts[0] == texts[1] != texts[2]


def test_sampling_cuts_are_what_they_say():
    """Top-k keeps k, top-p the smallest set with that mass, temperature 0 the likeliest."""
    logits = torch.tensor([0.5, 0.25, 0.15, 0.1]).log()

    assert next_distribution(logits, SamplingConfig(top_k=2)).tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert next_distribution(logits, SamplingConfig(top_p=0.6)).tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert next_distribution(logits, SamplingConfig(temperature=0)).tolist() == [1, 0, 0, 0]
    assert next_distribution(logits, SamplingConfig(temperature=0.5)).tolist() == pytest.approx(
        [p**2 / 0.345 for p in (0.5, 0.25, 0.15, 0.1)]
    )


def test_dropout_is_off_in_evaluation_and_on_in_training():
    """Two passes agree in evaluation mode and differ in training mode."""
    model = build("transformer", dropout=0.5)
    ids = torch.randint(VOCAB, (1, 8))

    assert torch.equal(model(ids), model(ids))
    model.train()
    assert not torch.equal(model(ids), model(ids))


# --- the bigram ------------------------------------------------------------------------------------------------------


def test_counted_bigram_equals_an_independent_count(corpus):
    """Add-one counting, redone with plain Python on the text itself, gives the same full-split loss."""
    split = int(0.9 * len(corpus.text))
    train, val = corpus.text[:split], corpus.text[split:]
    pairs: dict[str, int] = {}
    firsts: dict[str, int] = {}
    for a, b in itertools.pairwise(train):
        pairs[a + b] = pairs.get(a + b, 0) + 1
        firsts[a] = firsts.get(a, 0) + 1
    losses = [-math.log((pairs.get(a + b, 0) + 1) / (firsts.get(a, 0) + 65)) for a, b in itertools.pairwise(val)]
    model = Bigram(BigramConfig(fit="count"), 65)
    model.fit(corpus.train_ids)
    found = evaluate(model, corpus.val_ids)

    assert found.predictions == len(losses) == 111_539
    assert found.loss == pytest.approx(sum(losses) / len(losses), abs=1e-6)
    assert found.loss == pytest.approx(2.481889, abs=1e-5)


def test_counting_without_smoothing_is_infinite_and_says_how_often(corpus):
    """Pairs that the training text never had make the loss infinite; each is counted."""
    model = Bigram(BigramConfig(fit="count", smoothing=0.0), 65)
    model.fit(corpus.train_ids)
    found = evaluate(model, corpus.val_ids)
    seen = set(zip(corpus.text[: corpus.split], corpus.text[1 : corpus.split], strict=False))
    val = corpus.text[corpus.split :]

    assert math.isinf(found.loss)
    assert found.impossible == sum((a, b) not in seen for a, b in itertools.pairwise(val)) > 0


def test_counted_rows_are_distributions():
    """Rows sum to 1, also that of a character that never occurs."""
    counts = count_pairs(torch.tensor([0, 1, 0, 2, 0, 1]), 4)

    for smoothing in (0.0, 1.0):
        assert counted_logits(counts, smoothing).exp().sum(dim=1).tolist() == pytest.approx([1, 1, 1, 1])


def test_trained_bigram_reaches_the_counted_one(corpus):
    """The `seconds` preset ends within 0.005 nats of the counted table, and its KL shrinks all the way."""
    from core.training.loop import Evaluated, train

    rung = RUNGS["bigram"]
    model_config, train_config = rung.settings("seconds", {}, {"sample_chars": 0})
    torch.manual_seed(train_config.seed)
    trainer = Trainer(rung.build(model_config, 65), train_config, corpus.train_ids, torch.device("cpu"))
    ends = [e for e in train(trainer, corpus.val_ids, [0]) if isinstance(e, Evaluated)]
    counted = Bigram(BigramConfig(fit="count"), 65)
    counted.fit(corpus.train_ids)

    assert ends[-1].validation.loss == pytest.approx(evaluate(counted, corpus.val_ids).loss, abs=0.005)
    kl = [e.diagnostics["kl/counted"] for e in ends]
    assert kl[0] > 1.5 > 0.05 > kl[1] > kl[-1] > 0


# --- evaluation ------------------------------------------------------------------------------------------------------


def test_evaluation_covers_every_pair_once():
    """The windowed loss of a model that sees one character equals the loss over all pairs in one go."""
    model = build("bigram")
    model.logits.data = torch.randn(VOCAB, VOCAB)  # type: ignore[union-attr]
    ids = torch.randint(VOCAB, (1000,))
    expected = F.cross_entropy(model(ids[:-1][None])[0], ids[1:])

    assert evaluation_window(model) == 256
    assert evaluate(model, ids).loss == pytest.approx(expected.item(), abs=1e-5)
    assert evaluate(model, ids).predictions == 999


def test_evaluation_uses_the_transformers_own_windows():
    """Windows of the context's length follow each other without overlap, the rest included."""
    model = build("transformer")
    ids = torch.randint(VOCAB, (40,))
    total = 0.0
    for start in (0, 16, 32):
        x, y = ids[start : start + 16], ids[start + 1 : start + 17]
        x = x[: len(y)]
        total += F.cross_entropy(model(x[None])[0], y, reduction="sum").item()

    assert evaluate(model, ids).loss == pytest.approx(total / 39, abs=1e-5)


def test_trainer_refuses_windows_it_cannot_fill():
    """A window longer than the text, or than the model's reach, is refused in one line."""
    ids = torch.randint(VOCAB, (50,))

    with pytest.raises(BardlabError, match="too few for sequences of 64"):
        Trainer(build("bigram"), TrainConfig(window=64), ids, torch.device("cpu"))
    with pytest.raises(BardlabError, match="longer than the model's context 16"):
        Trainer(build("transformer"), TrainConfig(window=32), ids, torch.device("cpu"))
