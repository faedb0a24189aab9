"""Attention against torch.nn.MultiheadAttention, and each naive step against the next."""

import math

import pytest
import torch
from torch import Tensor, nn

from hornbook.model.attention import MultiHeadAttention, attend, attend_plainly
from hornbook.model.config import ModelConfig
from hornbook.model.naive_attention import (
    CausalAttention,
    SelfAttention,
    StackedHeads,
    attend_without_weights,
    hide_future,
)

DIM, HEADS, TOKENS = 12, 3, 7


def config(**changes: object) -> ModelConfig:
    sizes = {
        "vocab_size": 11, "context_length": 16, "embed_dim": DIM, "n_layers": 1, "n_heads": HEADS,
    }  # fmt: skip
    return ModelConfig.model_validate({**sizes, **changes})


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, TOKENS, DIM, generator=torch.Generator().manual_seed(1))


def randomize(module: nn.Module, seed: int = 2) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3, generator=generator)


def copy(source: nn.Linear, weight: Tensor, bias: Tensor | None) -> None:
    with torch.no_grad():
        weight.copy_(source.weight)
        if bias is not None:
            bias.copy_(source.bias)


def torch_attention(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    reference = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
    for number, name in enumerate(("query", "key", "value")):
        rows = slice(number * DIM, (number + 1) * DIM)
        copy(getattr(ours, name), reference.in_proj_weight[rows], reference.in_proj_bias[rows])
    copy(ours.out, reference.out_proj.weight, reference.out_proj.bias)
    return reference


def test_multi_head_equals_torchs_in_output_and_gradient(x: Tensor) -> None:
    ours = MultiHeadAttention(config())
    randomize(ours)
    reference = torch_attention(ours)
    mask = nn.Transformer.generate_square_subsequent_mask(TOKENS)

    expected, _ = reference(x, x, x, attn_mask=mask, is_causal=True, need_weights=False)
    torch.testing.assert_close(ours(x), expected, atol=1e-6, rtol=1e-5)

    ours(x).square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.key.weight.grad, reference.in_proj_weight.grad[DIM : 2 * DIM])
    torch.testing.assert_close(ours.out.weight.grad, reference.out_proj.weight.grad)


def test_stacked_heads_equal_multi_head(x: Tensor) -> None:
    ours = MultiHeadAttention(config())
    randomize(ours)
    stacked = StackedHeads(DIM, HEADS, bias=True)
    width = DIM // HEADS
    for number, head in enumerate(stacked.heads):
        rows = slice(number * width, (number + 1) * width)
        for name in ("query", "key", "value"):
            whole, part = getattr(ours, name), getattr(head, name)
            with torch.no_grad():
                part.weight.copy_(whole.weight[rows])
                part.bias.copy_(whole.bias[rows])
    stacked.out.load_state_dict(ours.out.state_dict())
    torch.testing.assert_close(stacked(x), ours(x), atol=1e-6, rtol=1e-5)


def test_grouped_query_equals_multi_head_with_repeated_keys(x: Tensor) -> None:
    grouped = MultiHeadAttention(config(n_heads=6, n_kv_heads=2))
    randomize(grouped)
    full = MultiHeadAttention(config(n_heads=6))
    full.load_state_dict(
        {
            name: tensor.unflatten(0, (2, 2)).repeat_interleave(3, dim=0).flatten(0, 1)
            if name.startswith(("key", "value"))
            else tensor
            for name, tensor in grouped.state_dict().items()
        }
    )
    torch.testing.assert_close(grouped(x), full(x), atol=1e-6, rtol=1e-5)


def test_without_weights_by_hand() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    # Scores [[1, 0], [0, 4]]; the first row's weights are e/(e+1) and 1/(e+1).
    near, far = math.e / (math.e + 1), 1 / (math.e + 1)
    self_weight, other = math.exp(4) / (math.exp(4) + 1), 1 / (math.exp(4) + 1)
    expected = torch.tensor([[near, 2 * far], [other, 2 * self_weight]])
    torch.testing.assert_close(attend_without_weights(x), expected)


def test_identity_weights_turn_step_two_into_step_one(x: Tensor) -> None:
    step = SelfAttention(DIM, DIM)
    with torch.no_grad():
        for linear in (step.query, step.key, step.value):
            linear.weight.copy_(torch.eye(DIM))
        step.query.weight.mul_(math.sqrt(DIM))  # step one does not divide the scores
    torch.testing.assert_close(step(x)[0], attend_without_weights(x[0]), atol=1e-6, rtol=1e-5)


def test_self_attention_equals_torchs_without_a_mask(x: Tensor) -> None:
    step = SelfAttention(DIM, DIM)
    randomize(step)
    expected = nn.functional.scaled_dot_product_attention(step.query(x), step.key(x), step.value(x))
    torch.testing.assert_close(step(x), expected, atol=1e-6, rtol=1e-5)


def test_causal_step_equals_one_head(x: Tensor) -> None:
    step = CausalAttention(DIM, DIM)
    randomize(step)
    query, key, value = (part(x)[:, None] for part in (step.query, step.key, step.value))
    torch.testing.assert_close(step(x), attend(query, key, value)[:, 0], atol=1e-6, rtol=1e-5)


def test_hidden_future_leaves_rows_that_sum_to_one() -> None:
    weights = hide_future(torch.zeros(3, 3)).softmax(dim=-1)
    expected = torch.tensor([[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]])
    torch.testing.assert_close(weights, expected)


@pytest.mark.parametrize("form", ["naive", "fused", "plain"])
def test_dropout_of_weights_keeps_their_mean_and_ends_with_training(x: Tensor, form: str) -> None:
    torch.manual_seed(3)
    if form == "naive":
        step = CausalAttention(DIM, DIM, dropout=0.5)
        kept, still = step(x), step.eval()(x)
        torch.testing.assert_close(still, step(x))
        mean = torch.stack([step.train()(x) for _ in range(4000)]).mean(0)
    else:
        query = x[:, None].detach()
        run = attend if form == "fused" else attend_plainly
        kept, still = run(query, query, query, 0.5), run(query, query, query)
        mean = torch.stack([run(query, query, query, 0.5) for _ in range(4000)]).mean(0)
    assert not torch.allclose(kept, still)
    torch.testing.assert_close(mean, still, atol=0.15, rtol=0.1)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize(("tokens", "keys"), [(6, 6), (1, 6), (3, 6)])
def test_plain_and_fused_forms_agree_in_float64(kv_heads: int, tokens: int, keys: int) -> None:
    generator = torch.Generator().manual_seed(4)

    def random(heads: int, length: int) -> Tensor:
        return torch.randn(2, heads, length, 8, generator=generator, dtype=torch.float64)

    query, key, value = random(4, tokens), random(kv_heads, keys), random(kv_heads, keys)
    torch.testing.assert_close(attend(query, key, value), attend_plainly(query, key, value))


def test_bfloat16_stays_near_float32(x: Tensor) -> None:
    ours = MultiHeadAttention(config(qk_norm=True))
    randomize(ours)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = ours(x)
    assert narrow.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.float(), ours(x), atol=0.05, rtol=0.05)
