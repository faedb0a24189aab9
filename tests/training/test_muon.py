import pytest
import torch
from torch import Tensor, nn

from hornbook.errors import HornbookError
from hornbook.training.muon import Muon, orthogonalize

SHAPES = {"a": (16, 16), "b": (48, 16), "c": (16, 16), "d": (16, 40)}


def matrices() -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return {n: nn.Parameter(torch.randn(s, generator=generator)) for n, s in SHAPES.items()}


def set_gradients(parameters: dict[str, nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in parameters.values():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def newton_schulz_float64(matrix: Tensor) -> Tensor:
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


@pytest.mark.parametrize("shape", [(12, 12), (12, 30), (30, 12)])
def test_orthogonalize_equals_float64(shape: tuple[int, int]) -> None:
    stack = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    for ours, matrix in zip(orthogonalize(stack), stack, strict=True):
        torch.testing.assert_close(ours.double(), newton_schulz_float64(matrix), rtol=0, atol=1e-4)


def test_singular_values_become_about_one() -> None:
    stack = torch.randn(4, 20, 50, generator=torch.Generator().manual_seed(2))
    values = torch.linalg.svdvals(orthogonalize(stack))
    assert 0.6 < values.min() <= values.max() < 1.3


def test_a_zero_gradient_stays_zero() -> None:
    assert not orthogonalize(torch.zeros(2, 4, 4)).any()


def test_many_steps_equal_torch_muon() -> None:
    ours, theirs = matrices(), matrices()
    muon = Muon(ours, lr=0.01, momentum=0.9, weight_decay=0.1, dtype=torch.bfloat16)
    torch_muon = torch.optim.Muon(
        theirs.values(), lr=0.01, momentum=0.9, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
    )
    before = {name: parameter.detach().clone() for name, parameter in ours.items()}
    for step in range(5):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        muon.step(lr=0.01)
        torch_muon.step()
    for name in SHAPES:
        ours_moved, theirs_moved = ours[name] - before[name], theirs[name] - before[name]
        # Both round to bfloat16 in each product, in another order.
        error = (ours_moved - theirs_moved).norm() / theirs_moved.norm()
        assert error < 0.02


def test_state_goes_on_where_it_was() -> None:
    kept, resumed = matrices(), matrices()
    first, second = Muon(kept, lr=0.1), Muon(resumed, lr=0.1)
    set_gradients(kept, 1)
    first.step(lr=0.1)
    with torch.no_grad():
        for name, parameter in resumed.items():
            parameter.copy_(kept[name])
    second.load_state_dict({name: tensor.clone() for name, tensor in first.state_dict().items()})
    for parameters, muon in ((kept, first), (resumed, second)):
        set_gradients(parameters, 2)
        muon.step(lr=0.1)
    assert all(torch.equal(kept[name], resumed[name]) for name in SHAPES)


def test_foreign_state_is_refused() -> None:
    with pytest.raises(HornbookError, match="none that fits the matrix a"):
        Muon(matrices(), lr=0.1).load_state_dict({"a": torch.zeros(3, 3)})


def test_only_matrices_are_turned() -> None:
    with pytest.raises(ValueError, match="gain has shape"):
        Muon({"gain": nn.Parameter(torch.ones(4))}, lr=0.1)
