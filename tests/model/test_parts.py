"""Norms, curves, embeddings and the cache, each against torch or the formula in its docstring."""

import math
import re

import pytest
import torch
from torch import nn

from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.embedding import Embedding
from hornbook.model.feedforward import GatedFeedForward, build_feedforward, gelu, squared_relu
from hornbook.model.kv_cache import KVCache
from hornbook.model.norm import LayerNorm, RMSNorm
from hornbook.model.rotary import RotaryEmbedding, rotate

CONFIG = ModelConfig(vocab_size=11, context_length=6, embed_dim=8, n_layers=2, n_heads=2)


def random(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("ours", [LayerNorm, RMSNorm])
def test_norm_equals_torchs_and_its_formula(ours: type[LayerNorm] | type[RMSNorm]) -> None:
    x, eps = random(4, 5, 8) * 3 + 1, 1e-3
    norm = ours(8, eps)
    reference = nn.LayerNorm(8, eps) if ours is LayerNorm else nn.RMSNorm(8, eps)
    with torch.no_grad():
        for seed, parameter in enumerate(norm.parameters()):
            parameter.copy_(random(8, seed=seed))
    reference.load_state_dict(norm.state_dict())
    torch.testing.assert_close(norm(x), reference(x))

    centred = x - x.mean(-1, keepdim=True) if ours is LayerNorm else x
    written_out = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt() * norm.weight
    if isinstance(norm, LayerNorm):
        written_out = written_out + norm.bias
    torch.testing.assert_close(norm(x), written_out)


@pytest.mark.parametrize("ours", [LayerNorm, RMSNorm])
def test_norm_keeps_a_narrow_dtype(ours: type[LayerNorm] | type[RMSNorm]) -> None:
    assert ours(8, 1e-5)(random(3, 8).bfloat16()).dtype == torch.bfloat16


def test_gelu_equals_its_formula() -> None:
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    torch.testing.assert_close(gelu(x), 0.5 * x * (1 + torch.tanh(inner)))


def test_squared_relu_by_hand() -> None:
    torch.testing.assert_close(squared_relu(torch.tensor([-2.0, 0, 3])), torch.tensor([0.0, 0, 9]))


def test_swiglu_equals_its_formula() -> None:
    layer = build_feedforward(CONFIG.model_copy(update={"mlp": "swiglu", "bias": False}))
    assert isinstance(layer, GatedFeedForward)
    x = random(3, 8)
    gate, up = x @ layer.gate.weight.T, x @ layer.up.weight.T
    expected = (gate * torch.sigmoid(gate) * up) @ layer.down.weight.T
    torch.testing.assert_close(layer(x), expected)


def test_embedding_adds_token_and_position() -> None:
    embedding = Embedding(CONFIG)
    assert embedding.position is not None
    x = embedding(torch.tensor([[3, 3]]), start=2)
    expected = embedding.token.weight[3] + embedding.position.weight[2:4]
    torch.testing.assert_close(x[0], expected)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_text_beyond_the_context_is_an_error(positions: str) -> None:
    embedding = Embedding(CONFIG.model_copy(update={"positions": positions}))
    embedding(torch.zeros(1, 6, dtype=torch.int64))
    with pytest.raises(HornbookError, match=re.escape("7 tokens long, but this model reads at")):
        embedding(torch.zeros(1, 3, dtype=torch.int64), start=4)


def test_rotation_of_the_first_pair_by_hand() -> None:
    x = torch.tensor([1.0, 5, 0, 7]).view(1, 1, 1, 4)  # pairs (1, 0) and (5, 7)
    turned = rotate(x, RotaryEmbedding(4, theta=100.0)(3, 4, torch.device("cpu"))).flatten()
    assert turned[0] == pytest.approx(math.cos(3))
    assert turned[2] == pytest.approx(math.sin(3))
    slow = 3 / 100 ** (2 / 4)
    assert turned[1] == pytest.approx(5 * math.cos(slow) - 7 * math.sin(slow))


def test_rotated_products_depend_on_distance_only() -> None:
    rotary = RotaryEmbedding(8, theta=10_000.0)
    query, key = random(1, 1, 1, 8, seed=1), random(1, 1, 1, 8, seed=2)

    def product(query_at: int, key_at: int) -> float:
        device = torch.device("cpu")
        turned_query = rotate(query, rotary(query_at, query_at + 1, device))
        turned_key = rotate(key, rotary(key_at, key_at + 1, device))
        return float((turned_query * turned_key).sum())

    assert product(9, 4) == pytest.approx(product(105, 100), abs=1e-4)
    assert product(9, 4) != pytest.approx(product(9, 5), abs=1e-2)


def make_cache(capacity: int | None = None) -> KVCache:
    return KVCache(CONFIG, 2, torch.device("cpu"), torch.float32, capacity)


def test_cache_returns_all_that_was_stored() -> None:
    cache, keys, values = make_cache(), random(2, 2, 5, 4), random(2, 2, 5, 4, seed=2)
    cache.layers[0].extend(keys[:, :, :3], values[:, :, :3])
    stored = cache.layers[0].extend(keys[:, :, 3:], values[:, :, 3:])
    torch.testing.assert_close(stored, (keys, values))
    assert cache.length == 5
    cache.clear()
    assert cache.length == 0


def test_cache_keeps_rows() -> None:
    cache, keys = make_cache(), random(2, 2, 3, 4)
    for layer in cache.layers:
        layer.extend(keys, keys)
    cache.keep(torch.tensor([1]))
    more = random(1, 2, 1, 4, seed=2)
    stored, _ = cache.layers[1].extend(more, more)
    torch.testing.assert_close(stored, torch.cat((keys[1:], more), dim=2))


def test_full_cache_is_an_error() -> None:
    cache, keys = make_cache(capacity=4), random(2, 2, 5, 4)
    with pytest.raises(HornbookError, match="room for 4 tokens, not 5"):
        cache.layers[0].extend(keys, keys)


def test_cache_holds_no_more_than_the_context() -> None:
    assert make_cache(capacity=100).layers[0].keys.shape == (2, 2, 6, 4)
