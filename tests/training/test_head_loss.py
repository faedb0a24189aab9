import functools
from collections.abc import Callable

import pytest
import torch
from tiny_training import VOCAB, random_batch, tiny_model
from torch import Tensor

from hornbook.training import head_loss as module
from hornbook.training.head_loss import chunk_loss, compiled_loss, loss_in_cache
from hornbook.training.objective import loss_sum

BY_HAND = functools.partial(compiled_loss, of_chunk=chunk_loss)


@pytest.mark.parametrize("way", [BY_HAND, loss_in_cache])
@pytest.mark.parametrize("at_once", [2**20, VOCAB * 9])  # one chunk, and chunks of 8 rows
@pytest.mark.parametrize("untrained", [0.0, 0.6])
def test_loss_and_gradient_are_those_of_float64(
    monkeypatch: pytest.MonkeyPatch, at_once: int, untrained: float, way: Callable[..., Tensor]
) -> None:
    monkeypatch.setattr(module, "LOGITS_AT_ONCE", at_once)
    monkeypatch.setattr(module, "CPU_BYTES_AT_ONCE", 4 * at_once)
    monkeypatch.setattr(module, "IN_CACHE", at_once // 4)
    batch = random_batch(rows=5, untrained=untrained)
    ours, exact = tiny_model().train(), tiny_model().double().train()
    ours.loss_in_training = way
    losses = [loss_sum(model, batch)[0] for model in (ours, exact)]
    for loss in losses:
        (3 * loss).backward()
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-6)
    for mine, theirs in zip(ours.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", [BY_HAND, loss_in_cache])
def test_under_autocast_only_products_are_narrow(way: Callable[..., Tensor]) -> None:
    batch = random_batch()
    by_hand, usual = tiny_model().train(), tiny_model().train()
    by_hand.loss_in_training = way
    found = []
    for model in (by_hand, usual):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_sum(model, batch)[0]
        loss.backward()
        found.append((loss, model.head.weight.grad))
    assert found[0][0].dtype == found[0][1].dtype == torch.float32
    torch.testing.assert_close(*(loss for loss, _ in found), rtol=1e-5, atol=0)
    torch.testing.assert_close(*(gradient for _, gradient in found), rtol=0.05, atol=0.02)


@pytest.mark.parametrize("way", [BY_HAND, loss_in_cache])
def test_nothing_trained_is_a_loss_of_zero(way: Callable[..., Tensor]) -> None:
    model = tiny_model().train()
    model.loss_in_training = way
    loss = loss_sum(model, random_batch(untrained=1.1))[0]
    loss.backward()
    assert loss.item() == 0
    assert float(model.head.weight.grad.abs().max()) == 0


@pytest.mark.parametrize("at_once", [2**20, VOCAB * 9])
def test_the_loss_alone_is_the_loss_of_training(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(module, "CPU_BYTES_AT_ONCE", 4 * at_once)
    monkeypatch.setattr(module, "IN_CACHE", at_once // 4)
    rows, weight = torch.randn(37, 16), torch.randn(VOCAB, 16)
    targets = torch.randint(VOCAB, (37,))
    alone = module.losses_alone(rows, weight, targets)
    exact = torch.nn.functional.cross_entropy(
        rows.double() @ weight.double().t(), targets, reduction="none"
    )
    torch.testing.assert_close(alone.double(), exact, rtol=1e-6, atol=1e-5)


def test_a_large_vocabulary_is_done_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, weight = torch.randn(6, 16), torch.randn(VOCAB, 16)
    targets = torch.randint(VOCAB, (6,))
    whole = module.chunk_loss_in_cache(rows, weight, targets)
    monkeypatch.setattr(module, "WEIGHT_ROWS_AT_ONCE", 7)
    for mine, theirs in zip(module.chunk_loss_in_cache(rows, weight, targets), whole, strict=True):
        torch.testing.assert_close(mine, theirs)
