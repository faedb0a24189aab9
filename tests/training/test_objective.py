import pytest
import torch
from tiny_training import VOCAB, random_batch, tiny_model
from torch import nn

from hornbook.errors import HornbookError
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training import objective
from hornbook.training.objective import check_ids, loss_sum


def reference(model: nn.Module, batch: Batch) -> torch.Tensor:
    """The definition, in float64: minus the sum of the targets' log-probabilities."""
    logits = model.double()(batch.inputs)  # (batch, tokens, vocab)
    chosen = [
        logits[row, token].log_softmax(-1)[batch.targets[row, token]]
        for row in range(batch.inputs.shape[0])
        for token in range(batch.inputs.shape[1])
        if batch.targets[row, token] != IGNORE
    ]
    return -torch.stack(chosen).sum()


@pytest.mark.parametrize("untrained", [0.0, 0.6])
@pytest.mark.parametrize("at_once", [2**20, VOCAB * 3])
def test_loss_and_gradient_are_those_of_float64(
    monkeypatch: pytest.MonkeyPatch, untrained: float, at_once: int
) -> None:
    monkeypatch.setattr(objective, "CPU_LOGITS_AT_ONCE", at_once)
    monkeypatch.setattr(objective, "LEAST_ROWS", 1)
    batch = random_batch(untrained=untrained)
    model, exact = tiny_model(), tiny_model()

    loss, count = loss_sum(model, batch)
    loss.backward()
    expected = reference(exact, batch)
    expected.backward()

    assert loss.dtype == torch.float32
    assert int(count) == int((batch.targets != IGNORE).sum())
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    for ours, theirs in zip(model.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-5)


def test_chunks_without_gradients_give_the_same_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = tiny_model(), random_batch()
    whole, _ = loss_sum(model, batch)
    monkeypatch.setattr(objective, "CPU_LOGITS_AT_ONCE", VOCAB)
    monkeypatch.setattr(objective, "LEAST_ROWS", 5)
    with torch.no_grad():
        chunked, _ = loss_sum(model, batch)
    torch.testing.assert_close(chunked, whole.detach())


def test_a_frozen_head_passes_the_gradient_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective, "CPU_LOGITS_AT_ONCE", VOCAB)
    monkeypatch.setattr(objective, "LEAST_ROWS", 5)
    model, exact, batch = tiny_model(), tiny_model(), random_batch()
    for one in (model, exact):
        one.head.requires_grad_(False)  # the tied embedding with it
    loss_sum(model, batch)[0].backward()
    reference(exact, batch).backward()
    assert model.head.weight.grad is None
    ours, theirs = model.norm.weight.grad, exact.norm.weight.grad
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5)


def test_log_likelihood_is_float32_under_bfloat16_products() -> None:
    model = tiny_model()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = loss_sum(model, random_batch())
    assert loss.dtype == torch.float32


def test_log_likelihood_is_float32_in_a_bfloat16_model() -> None:
    model = tiny_model().bfloat16()
    loss, _ = loss_sum(model, random_batch())
    assert loss.dtype == torch.float32


def test_head_sees_trained_positions_only() -> None:
    seen: list[torch.Size] = []
    model = tiny_model()
    model.head.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
    batch = random_batch()
    targets = torch.full_like(batch.targets, IGNORE)
    targets[1, 3] = 5
    loss_sum(model, Batch(batch.inputs, targets, 1))
    assert seen == [torch.Size([1, 16])]


def test_nothing_trained_is_a_loss_of_zero() -> None:
    batch = random_batch()
    nothing = Batch(batch.inputs, torch.full_like(batch.targets, IGNORE), 1)
    loss, count = loss_sum(tiny_model(), nothing)
    assert (loss.item(), count.item()) == (0.0, 0)


@pytest.mark.parametrize("wrong", [VOCAB, -1])
def test_target_beyond_the_head_is_named(wrong: int) -> None:
    batch = random_batch(position=7)
    batch.targets[2, 1] = wrong
    with pytest.raises(HornbookError, match=rf"batch 7, sample 3 of it: target {wrong} .* 23"):
        check_ids(tiny_model(), batch)


def test_token_beyond_the_vocabulary_is_named() -> None:
    batch = random_batch(position=7)
    batch.inputs[0, 0] = 5000
    with pytest.raises(HornbookError, match="batch 7, sample 1 of it: token id 5000"):
        check_ids(tiny_model(), batch)


def test_ids_in_range_and_ignored_targets_pass() -> None:
    check_ids(tiny_model(), random_batch(untrained=0.5))
