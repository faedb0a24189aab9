import copy

import pytest
import torch
from tiny_training import random_batch, tiny_model
from torch import Tensor, nn

from hornbook.finetuning.lora import LoRASettings, apply_lora
from hornbook.training.objective import loss_sum
from hornbook.training.precision import E4M3, E5M2, Float8Linear, to_float8, use_float8


def random(*shape: int, seed: int = 0, size: float = 1.0) -> Tensor:
    return size * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("dtype", "largest", "step"), [(E4M3, 448.0, 2**-4), (E5M2, 57344.0, 2**-3)]
)
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_scaling_uses_the_whole_range(
    dtype: torch.dtype, largest: float, step: float, size: float
) -> None:
    x = random(32, 48, size=size)
    values, scale = to_float8(x, dtype)
    assert values.dtype == dtype
    assert values.float().abs().max() == largest
    big = x.abs() > x.abs().max() / 100  # clear of the smallest, unevenly spaced numbers
    share = ((values.float() * scale - x) / x).abs()[big]
    assert share.max() <= step * 1.01  # half a unit in the last place


def test_zeros_stay_zeros() -> None:
    values, scale = to_float8(torch.zeros(4, 4), E4M3)
    assert values.float().abs().max() == 0
    assert scale > 0


def test_values_that_are_no_numbers_show() -> None:
    values, scale = to_float8(torch.tensor([1.0, torch.nan]), E4M3)
    assert (values.float() * scale).isnan().any()


def rounded(x: Tensor, dtype: torch.dtype) -> Tensor:
    """What is left of x, in float64: the largest goes to the type's largest, the rest with it."""
    scale = x.double().abs().max() / torch.finfo(dtype).max
    return (x.double() / scale).float().to(dtype).double() * scale


@pytest.mark.parametrize("bias", [False, True])
def test_products_are_those_of_the_rounded_numbers(bias: bool) -> None:
    plain = nn.Linear(48, 32, bias=bias)
    layer = Float8Linear.of(plain)
    x, slope = random(2, 8, 48, seed=1).requires_grad_(), random(2, 8, 32, seed=2)
    y = layer(x)
    y.backward(slope.to(y.dtype))

    x8, weight8 = rounded(x.detach().flatten(0, 1), E4M3), rounded(plain.weight.detach(), E4M3)
    slope8 = rounded(slope.bfloat16().flatten(0, 1), E5M2)
    exact = x8 @ weight8.t() + (plain.bias.detach().double() if bias else 0.0)
    close = {"rtol": 2**-7, "atol": 2**-7}  # of bfloat16 results
    torch.testing.assert_close(y.detach().double().flatten(0, 1), exact, **close)
    torch.testing.assert_close(x.grad.double().flatten(0, 1), slope8 @ weight8, **close)
    torch.testing.assert_close(plain.weight.grad.double(), slope8.t() @ x8, rtol=1e-4, atol=1e-4)
    assert y.dtype == torch.bfloat16
    assert plain.weight.grad.dtype == torch.float32
    if bias:
        torch.testing.assert_close(plain.bias.grad, slope.sum((0, 1)), rtol=0.02, atol=0.05)


def test_outside_training_the_layer_is_plain() -> None:
    plain = nn.Linear(32, 16)
    layer = Float8Linear.of(plain).eval()
    x = random(4, 32)
    assert torch.equal(layer(x), plain(x))


def test_rows_that_are_no_multiple_of_16_are_multiplied_plainly() -> None:
    plain = nn.Linear(32, 16)
    x = random(3, 5, 32)
    assert torch.equal(Float8Linear.of(plain)(x), plain(x))


def sized_model() -> nn.Module:
    return tiny_model(embed_dim=32, n_layers=2).train()


def test_a_model_in_8_bits_has_nearly_the_same_gradient() -> None:
    model = sized_model()
    in_float8 = copy.deepcopy(model)
    assert use_float8(in_float8) == 2 * 6
    batch = random_batch(rows=4)  # 4 x 8 positions
    losses = []
    for one in (model, in_float8):
        loss = loss_sum(one, batch)[0]
        loss.backward()
        losses.append(loss.item())
    assert losses[1] != losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    ours, theirs = (
        torch.cat([p.grad.flatten() for p in one.parameters()]) for one in (in_float8, model)
    )
    assert torch.cosine_similarity(ours, theirs, dim=0) > 0.99


def test_an_adapter_trains_on_a_base_in_8_bits() -> None:
    model = sized_model()
    apply_lora(model, LoRASettings(rank=4))
    assert use_float8(model) == 2 * 6  # the frozen layers under the adapters
    loss_sum(model, random_batch())[0].backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert trained == {name for name, _ in model.named_parameters() if name.endswith((".A", ".B"))}


def test_weights_and_names_are_the_models_own() -> None:
    model = sized_model()
    before = dict(model.named_parameters())
    use_float8(model)
    after = dict(model.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    assert isinstance(model.blocks[0].attention.query, nn.Linear)
    assert use_float8(model) == 0  # there already
