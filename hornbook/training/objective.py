"""The loss of a batch: what every objective has in common."""

from collections.abc import Iterator
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.divided import is_divided
from hornbook.errors import HornbookError
from hornbook.model.transformer import SoftcappedHead, Transformer
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training.chunks import loss_in_chunks
from hornbook.training.frozen_head import frozen_head_loss
from hornbook.training.head_loss import head_loss, loss_in_cache, losses_alone

CPU_LOGITS_AT_ONCE = 2**20
"""4 MiB of float32, which stay in the cache: quicker than a whole batch's logits in memory."""
GPU_LOGITS_AT_ONCE = 2**27
"""512 MiB of float32."""
LEAST_ROWS = 256
"""Fewer rows than this make matrix products too thin to be fast."""


class Loss(Protocol):
    """What a training makes small: a sum over the units of a batch, divided by their number."""

    def __call__(self, model: Transformer, batch: Batch) -> Tensor:
        """The loss summed over the batch's units, float32 (), differentiable."""
        ...

    def count(self, batch: Batch) -> Tensor:
        """How many units the batch has, int64 ()."""
        ...

    def counts(self, batch: Batch) -> Tensor:
        """How many units each row of the batch has, int64 (batch,)."""
        ...

    def figures(self, model: Transformer, batch: Batch) -> dict[str, Tensor]:
        """What is measured on data held out, "loss" first: each row's sum over its units, float32
        (batch,)."""
        ...


class NextToken:
    """Every trained position is a unit, its loss -log p(target): all objectives but preferences."""

    def __call__(self, model: Transformer, batch: Batch) -> Tensor:
        """The loss summed over the trained positions."""
        return loss_sum(model, batch)[0]

    def count(self, batch: Batch) -> Tensor:
        """How many positions are trained."""
        return (batch.targets != IGNORE).sum()

    def counts(self, batch: Batch) -> Tensor:
        """The same of each row."""
        return (batch.targets != IGNORE).sum(dim=1)

    def figures(self, model: Transformer, batch: Batch) -> dict[str, Tensor]:
        """The loss alone."""
        return {"loss": row_losses(model, batch)}


NEXT_TOKEN = NextToken()


def loss_sum(model: Transformer, batch: Batch) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood summed over the trained positions, and the number of them.

    Dividing is left to the caller, who alone knows how many positions are trained in the other
    micro-batches (and on the other devices): a mean of means would give a micro-batch of 10 trained
    tokens the weight of one of 1,000.

    The output head is applied to trained positions only. The batch may lie on the CPU while the
    model lies on a GPU: the trained positions are then found without waiting for the GPU.

    Returns:
        loss: float32, (), differentiable; zero when nothing is trained.
        count: int64, (), on the batch's device.
    """
    rows, targets, trained, added = _trained_rows(model, batch)
    count = torch.tensor(trained.numel(), device=batch.targets.device)
    loss = _loss_of_rows(model, rows, targets)
    return (loss if added is None else loss + added * trained.numel()), count


@torch.no_grad()
def row_losses(model: Transformer, batch: Batch) -> Tensor:
    """The same for each row of a batch by itself, without gradients: float32 (batch,)."""
    rows, targets, trained, _ = _trained_rows(model, batch)
    if model.criterion is not None:
        losses = model.criterion(model.head(rows).float(), targets)
    elif rows.device.type == "cpu" and len(rows) and _is_one_matrix(model.head):
        losses = losses_alone(rows, model.head.weight, targets)
    else:
        losses = torch.cat(
            [
                F.cross_entropy(model.head(some).float(), wanted, reduction="none")
                for some, wanted in _chunks(rows, targets, _rows_at_once(model.head, rows))
            ]
        )
    owner = (trained // batch.targets.shape[1]).to(rows.device, non_blocking=True)  # (trained,)
    sums = torch.zeros(len(batch.targets), dtype=losses.dtype, device=rows.device)
    return sums.index_add(0, owner, losses)


def _trained_rows(model: Transformer, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """What the model made of each trained position, (trained, embed_dim), and its target, (trained,), on
    the model's device; where it is in the batch, (trained,); and what `_hidden` adds."""
    device = next(model.parameters()).device
    targets = batch.targets.flatten()  # (batch * tokens,)
    trained = (targets != IGNORE).nonzero().squeeze(1)  # (trained,)

    documents = batch.documents
    if documents is not None:
        documents = documents.to(device, non_blocking=True)
    ids = batch.inputs.to(device, non_blocking=True)
    hidden, added = _hidden(model, ids, documents)  # (batch, tokens, embed_dim)
    rows = hidden.flatten(0, 1)  # (batch * tokens, embed_dim)
    if trained.numel() < targets.numel():
        rows = rows[trained.to(device, non_blocking=True)]  # (trained, embed_dim)
        targets = targets[trained]
    return rows, targets.to(device, non_blocking=True), trained, added


def _hidden(
    model: Transformer, ids: Tensor, documents: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """What the model made of each token, and what a trainer adds to each trained position's loss."""
    if model.hidden_in_training is not None and model.training and torch.is_grad_enabled():
        return model.hidden_in_training(ids, documents=documents)
    return model.hidden(ids, documents=documents), None


def _loss_of_rows(model: Transformer, rows: Tensor, targets: Tensor) -> Tensor:
    """The loss of (trained, embed_dim) summed, float32 ()."""
    if model.criterion is not None:
        return model.criterion(model.head(rows).float(), targets).sum()
    if model.loss_in_training is not None and model.training and torch.is_grad_enabled():
        return model.loss_in_training(rows, model.head.weight, targets)
    return _nll(rows, model.head, targets)


def _nll(rows: Tensor, head: nn.Linear, targets: Tensor) -> Tensor:
    """Sum of -log p(target), float32, (); many logits are made and used a chunk at a time."""
    if rows.shape[0] * head.out_features <= _logits_at_once(rows):
        return _nll_of_chunk(rows, head, targets)
    chunk = _rows_at_once(head, rows)
    if not torch.is_grad_enabled():
        if rows.device.type == "cpu" and _is_one_matrix(head):
            return losses_alone(rows, head.weight, targets).sum()
        losses = [_nll_of_chunk(r, head, t) for r, t in _chunks(rows, targets, chunk)]
        return torch.stack(losses).sum()
    if _is_plain(head):
        if rows.device.type == "cpu":
            return loss_in_cache(rows, head.weight, targets)
        return head_loss(rows, head.weight, targets, chunk)
    if _is_frozen(head) and rows.device.type == "cpu":
        return frozen_head_loss(rows, head.weight, targets)
    trained = [weight for weight in head.parameters() if weight.requires_grad]

    def by_autograd(some: Tensor, wanted: Tensor) -> tuple[Tensor, ...]:
        leaf = some.detach().requires_grad_()
        with torch.enable_grad():
            loss = _nll_of_chunk(leaf, head, wanted)
        return loss.detach(), *torch.autograd.grad(loss, [leaf, *trained])

    return loss_in_chunks(by_autograd, chunk, targets, rows, *trained)


def _logits_at_once(rows: Tensor) -> int:
    return CPU_LOGITS_AT_ONCE if rows.device.type == "cpu" else GPU_LOGITS_AT_ONCE


def _rows_at_once(head: nn.Linear, rows: Tensor) -> int:
    return max(_logits_at_once(rows) // head.out_features, LEAST_ROWS)


def _is_plain(head: nn.Linear) -> bool:
    """Whether it is one trained matrix, whole in this process."""
    weight = head.weight
    trained_whole = type(weight) is nn.Parameter and weight.requires_grad
    return trained_whole and _is_one_matrix(head)


def _is_one_matrix(head: nn.Module) -> bool:
    """Whether its products are the logits, in this process."""
    whole = type(head) is nn.Linear and not is_divided(head.weight)
    return whole and head.bias is None


def _is_frozen(head: nn.Module) -> bool:
    """Whether it is one matrix that is not trained, and its products are the logits."""
    if not isinstance(head, nn.Linear) or isinstance(head, SoftcappedHead):
        return False
    return not head.weight.requires_grad and head.bias is None


def _nll_of_chunk(rows: Tensor, head: nn.Linear, targets: Tensor) -> Tensor:
    logits = head(rows).float()  # (rows, vocab); softmax in bfloat16 would lose the loss's digits
    return F.cross_entropy(logits, targets, reduction="sum")


def _chunks(rows: Tensor, targets: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(torch.split(rows, size), torch.split(targets, size), strict=True)


def check_ids(model: Transformer, batch: Batch) -> None:
    """Refuse token ids and targets that the model has no row for.

    Only a batch that lies on the CPU is looked at: on a GPU, looking would mean waiting for it.

    Raises:
        HornbookError: naming the batch, the sample in it and the id.
    """
    if batch.inputs.device.type != "cpu":
        return
    _check_range("token id", batch.inputs, model.config.vocab_size, batch.position)
    if model.criterion is None:  # else targets are what it takes
        _check_range("target", batch.targets, model.head.out_features, batch.position)


def _check_range(what: str, ids: Tensor, limit: int, position: int) -> None:
    least, most = ids.aminmax()
    if least >= 0 and most < limit:
        return
    wrong = (ids >= limit) | (ids < 0)  # (batch, tokens)
    if what == "target":
        wrong &= ids != IGNORE
    if wrong.any():
        row = int(wrong.any(dim=1).nonzero()[0])
        raise HornbookError(
            f"batch {position}, sample {row + 1} of it: {what} {int(ids[wrong][0])} is not among "
            f"the model's {limit:,}; were the data made with another tokenizer?"
        )
