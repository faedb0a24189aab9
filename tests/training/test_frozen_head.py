"""The loss of a head that is not trained, a part of the vocabulary at a time, against float64."""

import pytest
import torch
from tiny_training import VOCAB, random_batch, tiny_model
from torch.nn import functional as F

from hornbook.training import frozen_head, objective
from hornbook.training.frozen_head import frozen_head_loss
from hornbook.training.objective import loss_sum


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_head, "TOKENS_AT_ONCE", 7)
    monkeypatch.setattr(frozen_head, "ROWS_AT_ONCE", 5)


@pytest.mark.parametrize(
    "size", [1.0, 40.0]
)  # the latter's exponentials overflow without a maximum
def test_loss_and_gradient_are_those_of_float64(in_parts: None, size: float) -> None:
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(13, 16, generator=generator).mul(size).requires_grad_()
    weight = torch.randn(VOCAB, 16, generator=generator)
    targets = torch.randint(VOCAB, (13,), generator=generator)
    loss = frozen_head_loss(rows, weight, targets)
    (3 * loss).backward()
    exact = rows.detach().double().requires_grad_()
    expected = F.cross_entropy(exact @ weight.double().t(), targets, reduction="sum")
    (3 * expected).backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(rows.grad.double(), exact.grad, rtol=1e-4, atol=1e-4)


def test_a_model_takes_it_where_its_head_is_frozen(
    in_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "CPU_LOGITS_AT_ONCE", VOCAB)
    asked = []

    def watched(*given: torch.Tensor) -> torch.Tensor:
        asked.append(len(given[0]))
        return frozen_head_loss(*given)

    monkeypatch.setattr(objective, "frozen_head_loss", watched)
    for changes in ({}, {"logit_softcap": 5.0}):
        model, exact = tiny_model(**changes).train(), tiny_model(**changes).double().train()
        batch = random_batch(untrained=0.3)
        for one in (model, exact):
            one.head.requires_grad_(False)
        losses = [loss_sum(one, batch)[0] for one in (model, exact)]
        for loss in losses:
            loss.backward()
        assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-6)
        mine, theirs = model.norm.weight.grad, exact.norm.weight.grad
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-5)
    assert len(asked) == 2  # bent logits are not its to make; the exact twin is asked too


def test_under_autocast_only_products_are_narrow(in_parts: None) -> None:
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(9, 16, generator=generator).requires_grad_()
    weight = torch.randn(VOCAB, 16, generator=generator)
    targets = torch.randint(VOCAB, (9,), generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        loss = frozen_head_loss(rows, weight, targets)
    loss.backward()
    exact = rows.detach().clone().requires_grad_()
    F.cross_entropy(exact @ weight.t(), targets, reduction="sum").backward()
    assert loss.dtype == rows.grad.dtype == torch.float32
    torch.testing.assert_close(rows.grad, exact.grad, rtol=0.05, atol=0.05)
