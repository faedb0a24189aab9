"""The output head's loss with its gradient worked out by hand.

On a CPU that takes less memory than autograd's way, and less time: one narrow copy of the head's
matrix serves all chunks, and what lies between the products is done for a few rows at a time, which
stay in the cache. On a GPU it is for a compiler to fuse: there the head of a small model takes a quarter of a
step, since its logits are many (16,384 positions by 50,304 tokens are 3.3 GB in float32), and
operation by operation they are read and written some ten times. Written as plain arithmetic, without
autograd between, torch.compile makes two passes of it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hornbook.training.chunks import loss_in_chunks

LOGITS_AT_ONCE = 2**28
"""512 MiB in bfloat16."""
CPU_BYTES_AT_ONCE = 2**27
"""Of logits on a CPU. Products of many rows are quicker than of few, and each chunk's gradient by the
weight, as large as the weight, is added to the others'."""
IN_CACHE = 2**18
"""Numbers of float32, 1 MiB, that a core keeps in its cache."""
WEIGHT_ROWS_AT_ONCE = 2**13
"""Of the gradient by the weight on a CPU: a tenth quicker than whole, and what of it is narrow is
still in the cache when it is made wide."""

ChunkLoss = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""`chunk_loss`, or the same done in another way."""


def chunk_loss(rows: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of -log softmax(rows weightᵀ)[target], and its gradients by rows and by weight.

    The gradient by the logits is softmax minus one at the target. The three products are computed
    in the dtype of `rows` and `weight`, everything between them in float32.

    Args:
        rows: (rows, embed_dim).
        weight: (vocab, embed_dim).
        targets: int64 (rows,), each below vocab.

    Returns:
        float32 (); (rows, embed_dim); (vocab, embed_dim).
    """
    logits = (rows @ weight.t()).float()  # (rows, vocab)
    normalizer = logits.logsumexp(dim=1, keepdim=True)  # (rows, 1)
    loss = (normalizer - logits.gather(1, targets[:, None])).sum()
    right = torch.arange(weight.shape[0], device=rows.device) == targets[:, None]
    slopes = ((logits - normalizer).exp() - right.float()).to(rows.dtype)  # (rows, vocab)
    return loss, slopes @ weight, slopes.t() @ rows


def chunk_loss_in_cache(
    rows: Tensor, weight: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The same as `chunk_loss`, a few rows at a time between the products.

    The gradient by the logits takes their place in memory; that by the weight is float32.
    """
    logits = rows @ weight.t()  # (rows, vocab)
    loss = _losses_in_cache(logits, targets, slopes=True).sum()
    weight_slopes = torch.empty(
        weight.shape, dtype=torch.promote_types(weight.dtype, torch.float32)
    )
    for start in range(0, len(weight), WEIGHT_ROWS_AT_ONCE):
        some = slice(start, start + WEIGHT_ROWS_AT_ONCE)
        weight_slopes[some] = logits[:, some].t() @ rows
    return loss, logits @ weight, weight_slopes


def _losses_in_cache(logits: Tensor, targets: Tensor, slopes: bool) -> Tensor:
    """-log softmax(logits)[target] of each row, float32 (rows,), a few rows at a time.

    With `slopes` the gradient of their sum by the logits takes their place.
    """
    losses = []
    few = max(IN_CACHE // logits.shape[1], 1)
    for some, wanted in zip(
        torch.split(logits, few), torch.split(targets[:, None], few), strict=True
    ):
        x = some.float()  # (few, vocab)
        x -= x.amax(dim=1, keepdim=True)
        right = x.gather(1, wanted)  # (few, 1)
        total = x.exp_().sum(dim=1, keepdim=True)  # (few, 1)
        losses.append((total.log() - right).squeeze(1))
        if slopes:
            x /= total
            some.copy_(x.scatter_add_(1, wanted, torch.full_like(right, -1.0)))
    return torch.cat(losses)


@torch.no_grad()
def losses_alone(rows: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """The loss of each row on a CPU, float32 (rows,), with no gradient."""
    dtype = _product_dtype(rows)
    rows, weight = rows.to(dtype), weight.to(dtype)
    losses = []
    most = max(CPU_BYTES_AT_ONCE // (weight.shape[0] * dtype.itemsize), 1)
    for some, wanted in zip(torch.split(rows, most), torch.split(targets, most), strict=True):
        with torch.autocast("cpu", enabled=False):
            losses.append(_losses_in_cache(some @ weight.t(), wanted, slopes=False))
    return torch.cat(losses)


def loss_in_cache(rows: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """`head_loss` on a CPU."""
    most = CPU_BYTES_AT_ONCE // (weight.shape[0] * _product_dtype(rows).itemsize)
    return head_loss(rows, weight, targets, max(most, 1), chunk_loss_in_cache)


def compiled_loss(rows: Tensor, weight: Tensor, targets: Tensor, of_chunk: ChunkLoss) -> Tensor:
    """`head_loss` where `of_chunk` is compiled: chunks have a power of two of rows, some thousand.

    Most batches divide evenly by it, so that one compilation serves.
    """
    most = max(LOGITS_AT_ONCE // weight.shape[0], 1)
    return head_loss(rows, weight, targets, 1 << (most.bit_length() - 1), of_chunk)


def head_loss(
    rows: Tensor, weight: Tensor, targets: Tensor, chunk: int, of_chunk: ChunkLoss = chunk_loss
) -> Tensor:
    """The loss of all rows, float32 (), differentiable; the logits of `chunk` rows at a time.

    Products run in autocast's dtype, where it is on; sums in float32.
    """
    kind, dtype = rows.device.type, _product_dtype(rows)
    narrow_weight = weight.detach().to(dtype)

    def by_hand(some: Tensor, wanted: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(kind, enabled=False):
            return of_chunk(some.to(dtype), narrow_weight, wanted)

    return loss_in_chunks(by_hand, chunk, targets, rows, weight)


def _product_dtype(rows: Tensor) -> torch.dtype:
    kind = rows.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else rows.dtype
