"""The whole model: against transformers' with copied weights, and what every preset must satisfy."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from hornbook.model.config import ModelConfig
from hornbook.model.embedding import NGramEmbedding
from hornbook.model.kv_cache import KVCache
from hornbook.model.presets import PRESETS, ModelSettings, resolve
from hornbook.model.transformer import Transformer, count_parameters
from tests.model.references import gpt2_reference, llama_reference, qwen3_reference, randomize

CPU = torch.device("cpu")
SIZES: dict[str, Any] = {
    "vocab_size": 29,
    "context_length": 12,
    "embed_dim": 24,
    "n_layers": 2,
    "n_heads": 4,
}
MODERN: dict[str, Any] = {
    **SIZES,
    "positions": "rotary",
    "norm": "rmsnorm",
    "norm_eps": 1e-6,
    "qkv_bias": False,
    "bias": False,
    "mlp": "swiglu",
    "hidden_dim": 40,
}
REFERENCES = {
    "gpt2": ({**SIZES}, gpt2_reference),
    "gpt2-untied": ({**SIZES, "tied_embeddings": False}, gpt2_reference),
    "llama": ({**MODERN, "tied_embeddings": False, "rope_theta": 500.0}, llama_reference),
    "qwen3": ({**MODERN, "qk_norm": True, "n_kv_heads": 2}, qwen3_reference),
}


def make_model(fields: dict[str, Any], seed: int = 1) -> Transformer:
    model = Transformer(ModelConfig.model_validate(fields))
    randomize(model, seed)
    return model.eval()


def make_ids(model: Transformer, batch: int = 3, tokens: int = 12, seed: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(model.config.vocab_size, (batch, tokens), generator=generator)


@pytest.mark.parametrize("family", REFERENCES)
def test_equals_transformers_in_logits_and_gradients(family: str) -> None:
    fields, build_reference = REFERENCES[family]
    model = make_model(fields)
    reference, names = build_reference(model)
    ids = make_ids(model)

    logits, expected = model(ids), reference(ids).logits
    assert expected.std() > 0.1
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)

    for output in (logits, expected):
        torch.nn.functional.cross_entropy(
            output[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
        ).backward()
    theirs = dict(reference.named_parameters())
    for name, parameter in model.named_parameters():
        expected_gradient = names(name, {key: value.grad for key, value in theirs.items()})
        torch.testing.assert_close(parameter.grad, expected_gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("family", REFERENCES)
@pytest.mark.parametrize("steps", [[1] * 12, [5, 1, 1, 5], [12], [4, 8]])
def test_cached_equals_uncached(family: str, steps: list[int]) -> None:
    model = make_model(REFERENCES[family][0])
    ids = make_ids(model)
    cache = KVCache(model.config, 3, CPU, torch.float32)
    with torch.no_grad():
        pieces = [model(piece, cache) for piece in ids.split(steps, dim=1)]
        torch.testing.assert_close(torch.cat(pieces, dim=1), model(ids), atol=1e-5, rtol=1e-5)


def small(preset: str) -> Transformer:
    """The preset's shape with the smallest sizes that keep its ratio of heads."""
    fields = {**PRESETS[preset], "vocab_size": 31, "context_length": 16, "n_layers": 2}
    ratio = fields["n_heads"] // fields.get("n_kv_heads", fields["n_heads"])
    fields |= {"embed_dim": 8 * ratio * 2, "n_heads": ratio * 2, "hidden_dim": 24}
    if "n_kv_heads" in fields:
        fields["n_kv_heads"] = 2
    return Transformer(ModelConfig.model_validate(fields))


@pytest.fixture(params=PRESETS)
def contract(request: pytest.FixtureRequest) -> tuple[Transformer, Tensor]:
    """A small model of each preset's shape with strong weights, and a batch for it."""
    model = small(request.param)
    randomize(model, 3)
    return model, make_ids(model, tokens=16)


Contract = tuple[Transformer, Tensor]


@pytest.mark.parametrize("preset", PRESETS)
def test_contract_fresh_model_knows_nothing(preset: str) -> None:
    model = small(preset)
    ids = make_ids(model, tokens=16)
    logits, targets = model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
    loss = torch.nn.functional.cross_entropy(logits, targets).item()
    assert loss == pytest.approx(math.log(model.config.vocab_size), abs=0.3)


def test_contract_logits_are_the_heads_view_of_hidden(contract: Contract) -> None:
    model, ids = contract
    logits = model(ids)
    assert logits.shape == (3, 16, 31)
    assert logits.dtype == torch.float32
    assert model.hidden(ids).shape == (3, 16, model.config.embed_dim)
    torch.testing.assert_close(logits, model.head(model.hidden(ids)))


def test_contract_what_comes_later_changes_nothing_before_it(contract: Contract) -> None:
    model, ids = contract
    changed = ids.clone()
    changed[:, 9:] = (ids[:, 9:] + 1) % 31
    before, after = model(ids), model(changed)
    torch.testing.assert_close(before[:, :9], after[:, :9], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(before[:, 9:], after[:, 9:], atol=1e-2)


def test_contract_the_order_of_earlier_tokens_matters(contract: Contract) -> None:
    model, ids = contract
    swapped = ids.clone()
    swapped[:, :2] = torch.tensor([1, 2])
    other = swapped.clone()
    other[:, :2] = torch.tensor([2, 1])
    assert not torch.allclose(model(swapped)[:, -1], model(other)[:, -1], atol=1e-3)


def test_contract_rows_do_not_see_each_other(contract: Contract) -> None:
    model, ids = contract
    torch.testing.assert_close(model(ids)[:1], model(ids[:1]), atol=1e-5, rtol=1e-5)


def test_contract_cache_changes_nothing(contract: Contract) -> None:
    model, ids = contract
    cache = KVCache(model.config, 3, CPU, torch.float32)
    cached = torch.cat([model(piece, cache) for piece in ids.split(4, dim=1)], dim=1)
    torch.testing.assert_close(cached, model(ids), atol=1e-5, rtol=1e-5)


def test_contract_every_parameter_learns(contract: Contract) -> None:
    model, ids = contract
    model(ids).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        # A shift of all keys alike changes no softmax, so the keys' bias has nothing to learn.
        assert parameter.grad.any() or name.endswith("key.bias"), name


def test_contract_autocast_changes_little(contract: Contract) -> None:
    model, ids = contract
    with torch.no_grad():
        wide = model(ids)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            narrow = model(ids)
    assert (narrow.float() - wide).std() / wide.std() < 0.05
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("preset", "changes", "expected"),
    [
        ("gpt2-small", {}, 124_439_808),
        ("gpt2-small", {"tied_embeddings": False, "qkv_bias": False}, 163_009_536),
        ("gpt2-medium", {}, 354_823_168),
        ("gpt2-large", {}, 774_030_080),
        ("gpt2-xl", {}, 1_557_611_200),
        ("modern-124m", {}, 124_732_416),
    ],
)
def test_parameter_counts(preset: str, changes: dict[str, Any], expected: int) -> None:
    settings = ModelSettings.model_validate({"preset": preset, **changes})
    with torch.device("meta"):
        model = Transformer(resolve(settings, vocab_size=50257))
    assert count_parameters(model) == expected


@pytest.mark.parametrize(
    ("preset", "low", "high"),
    [("nano", 0.2, 0.4), ("mini", 1.0, 1.5), ("gpt2-mini", 1.0, 1.5), ("small-cpu", 9, 12)],
)
def test_small_presets_are_as_large_as_they_say(preset: str, low: float, high: float) -> None:
    with torch.device("meta"):
        model = Transformer(resolve(ModelSettings(preset=preset), vocab_size=2048))
    assert low < count_parameters(model) / 1e6 < high


def test_initial_weights_are_gpt2s() -> None:
    fields = {**SIZES, "embed_dim": 128, "n_layers": 8, "vocab_size": 1000}
    model = Transformer(ModelConfig.model_validate(fields), torch.Generator().manual_seed(1))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        elif name.endswith(("attention.out.weight", "feedforward.down.weight")):
            assert parameter.std().item() == pytest.approx(0.02 / 4, rel=0.05), name
        else:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.05), name


def test_zero_init_makes_every_block_the_identity() -> None:
    model = Transformer(ModelConfig.model_validate({**MODERN, "zero_init": True}))
    x = torch.randn(1, 5, 24, generator=torch.Generator().manual_seed(1))
    for block in model.blocks:
        torch.testing.assert_close(block(x), x)


def test_weights_are_a_function_of_the_seed() -> None:
    def weights(seed: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return Transformer(ModelConfig.model_validate(SIZES), generator).state_dict()

    torch.testing.assert_close(weights(1), weights(1), rtol=0, atol=0)
    assert not torch.equal(
        weights(1)["embedding.token.weight"], weights(2)["embedding.token.weight"]
    )


def test_dropout_acts_in_training_only() -> None:
    model = make_model({**SIZES, "dropout": 0.5})
    ids = make_ids(model)
    torch.testing.assert_close(model(ids), model(ids))
    model.train()
    torch.manual_seed(1)
    assert not torch.allclose(model(ids), model(ids))


def test_token_shift_by_hand_and_with_a_cache() -> None:
    """A token's vector gains the learnt share of the one before, across a cache's border too."""
    config = resolve(ModelSettings(preset="nano", zero_init=False, ngram_order=1), vocab_size=50)
    assert config.token_shift
    model = Transformer(config, torch.Generator().manual_seed(1)).eval()
    ids = torch.tensor([[3, 7, 7, 20, 5]])
    table = model.embedding.token.weight
    assert model.embedding.shift is not None
    expected = table[ids[0]].clone()
    expected[1:] += model.embedding.shift * table[ids[0, :-1]]
    torch.testing.assert_close(model.embedding(ids)[0], expected)
    cache = KVCache(config, 1, torch.device("cpu"), torch.float32)
    pieces = [model(ids[:, :2], cache), model(ids[:, 2:3], cache), model(ids[:, 3:], cache)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(ids), rtol=1e-5, atol=1e-5)


def test_ngrams_by_hand_and_with_a_cache() -> None:
    """Equal runs of tokens share a vector, others do not, and a cache's border changes nothing."""
    settings = ModelSettings(
        preset="nano", zero_init=False, token_shift=False, ngram_order=3, ngram_rows=10_000
    )
    config = resolve(settings, vocab_size=50)
    model = Transformer(config, torch.Generator().manual_seed(1)).eval()
    ngram = model.embedding.ngram
    assert ngram is not None
    ids = torch.tensor([[3, 7, 20, 5, 3, 7, 20, 9, 7, 20]])
    pairs, triples = ngram.slots(ids)[0].unbind(-1)
    runs = [tuple(([-1, -1, *ids[0].tolist()])[i : i + 3]) for i in range(10)]
    for i, j in itertools.combinations(range(10), 2):
        assert (pairs[i] == pairs[j]) == (runs[i][1:] == runs[j][1:])
        assert (triples[i] == triples[j]) == (runs[i] == runs[j])
    assert pairs.max() < 10_000 <= triples.min()
    table = ngram.table.weight
    expected = model.embedding.token.weight[ids[0]] + table[pairs] + table[triples]
    torch.testing.assert_close(model.embedding(ids)[0], expected)
    for cuts in ([1, 1, 8], [2, 1, 7], [1, 1, 1, 1, 6]):
        cache = KVCache(config, 1, torch.device("cpu"), torch.float32)
        pieces = [model(part, cache) for part in ids.split(cuts, dim=1)]
        torch.testing.assert_close(torch.cat(pieces, dim=1), model(ids), rtol=1e-5, atol=1e-5)


def test_few_ngrams_share_a_row() -> None:
    """Rows are used as evenly as by chance: of n runs, about rows * (1 - exp(-n / rows)) differ."""
    rows = 4096
    config = ModelConfig(
        vocab_size=256, context_length=8, embed_dim=8, n_layers=1, n_heads=1, ngram_order=2,
        ngram_rows=rows,
    )  # fmt: skip
    first, second = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    ids = torch.stack((first.flatten(), second.flatten()), dim=1)  # (4096, 2): every pair
    slots = NGramEmbedding(config).slots(ids)[:, 1, 0]
    assert slots.unique().numel() > 0.95 * rows * (1 - math.exp(-1))


def test_init_as_pytorch_draws_its_own_modules() -> None:
    config = ModelConfig.model_validate(
        {**SIZES, "embed_dim": 64, "init": "torch", "tied_embeddings": False}
    )
    model = Transformer(config, torch.Generator().manual_seed(1))
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            torch.manual_seed(0)
            fresh = torch.nn.Linear(module.in_features, module.out_features)
            assert module.weight.abs().max() <= module.in_features**-0.5
            assert module.weight.std().item() == pytest.approx(fresh.weight.std().item(), rel=0.05)
    assert model.embedding.token.weight.std().item() == pytest.approx(1.0, rel=0.05)
