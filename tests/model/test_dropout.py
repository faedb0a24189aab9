"""Dropout by sixteen random bits a number."""

import pytest
import torch

from hornbook.model.dropout import Dropout, dropped


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_wanted_share_is_dropped_and_the_rest_is_made_larger(
    dtype: torch.dtype, p: float
) -> None:
    torch.manual_seed(1)
    x = torch.ones(3, 7, 10_001, dtype=dtype)  # no multiple of four: the last word is cut
    y = dropped(x, p)
    assert y.shape == x.shape
    assert y.dtype == dtype
    assert float((y == 0).double().mean()) == pytest.approx(
        p, abs=5 * (p * (1 - p) / x.numel()) ** 0.5
    )
    large = torch.tensor(1 / (1 - p), dtype=dtype)
    assert bool(((y == 0) | (y == large)).all())


def test_each_number_has_a_chance_of_its_own() -> None:
    torch.manual_seed(2)
    kept = dropped(torch.ones(40_000, 8), 0.5) > 0  # (draws, places)
    together = (kept.double().T @ kept.double()) / len(kept)  # 1/2 for itself, 1/4 for a pair
    expected = torch.full((8, 8), 0.25, dtype=torch.float64).fill_diagonal_(0.5)
    torch.testing.assert_close(together, expected, atol=0.015, rtol=0)


def test_the_gradient_passes_where_the_number_did() -> None:
    torch.manual_seed(3)
    x = torch.randn(5, 9, requires_grad=True)
    y = dropped(x, 0.3)
    y.sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(x.grad, y.detach() / x.detach())


def test_the_same_seed_drops_the_same_and_evaluation_drops_nothing() -> None:
    layer, x = Dropout(0.4), torch.randn(33)
    drawn = []
    for _ in range(2):
        torch.manual_seed(4)
        drawn.append(layer(x))
    assert torch.equal(*drawn)
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(dropped(x, 0.0), x)
